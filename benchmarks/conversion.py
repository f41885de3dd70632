"""Images that are converted: what it takes, format by format, beside the common answer.

    python -m benchmarks.conversion

Prints the table of docs/images.md; `make bench` measures the formats of SHORT. *Ours* is the
function's own converter, its process and the handing over included; *peer* is what one would write:
Pillow, in a thread, eight images at once. Each format is measured in a process of its own, on one
core. Memory is what all its processes hold above what they held before the first image, without the
files themselves.
"""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

from describer.images.convert import Converter, NeedsMemoryError, Order
from describer.images.formats import sniff
from describer.images.room import Buffer
from local.servers.function import ROOT

SIDE, AT_ONCE, LIMIT_BYTES = 3072, 8, 20_000_000
MB = 1_000_000


@dataclass(frozen=True)
class Format:
    """What is measured.

    Attributes:
        count: how many images; enough for a second or so.
        options: of the encoder.
    """

    title: str
    kind: str
    size: tuple[int, int]
    count: int
    options: dict[str, Any]


LARGE, PHONE = (9488, 6328), (4032, 3024)
FORMATS = (
    Format("JPEG, 60 megapixels", "JPEG", LARGE, 4, {"quality": 92}),
    Format("PNG, 60 megapixels", "PNG", LARGE, 2, {"compress_level": 1}),
    Format("TIFF, 60 megapixels", "TIFF", LARGE, 3, {"compression": "tiff_deflate"}),
    Format("WebP, 60 megapixels", "WEBP", LARGE, 2, {"quality": 80, "method": 0}),
    Format("JPEG, 12 megapixels", "JPEG", PHONE, 8, {"quality": 92}),
    Format("PNG, 12 megapixels", "PNG", PHONE, 8, {"compress_level": 1}),
    Format("GIF, 12 megapixels", "GIF", PHONE, 8, {}),
    Format("AVIF, 12 megapixels", "AVIF", PHONE, 4, {"quality": 60, "speed": 10}),
    Format("HEIC, 12 megapixels", "HEIF", PHONE, 4, {"quality": 60}),
    Format("JPEG XL, 12 megapixels", "JXL", PHONE, 4, {"quality": 80}),
    Format("JPEG 2000, 12 megapixels", "JPEG2000", PHONE, 2, {}),
    Format("BMP, 12 megapixels", "BMP", PHONE, 6, {}),
)
# What people upload most, as large as a telephone makes it.
SHORT = tuple(
    one for one in FORMATS if one.size == PHONE and one.kind in {"JPEG", "PNG", "GIF", "HEIF"}
)


@dataclass(frozen=True)
class Found:
    """What one side took.

    Attributes:
        stall_ms: the longest that the event loop was held up.
    """

    images_per_second: float
    cpu_ms: float
    memory_mib: float
    stall_ms: float


@dataclass(frozen=True)
class Conversion:
    """What both sides took for one format.

    Attributes:
        file_mb: size of the file, in megabytes.
    """

    title: str
    file_mb: float
    ours: Found
    peer: Found


def _register() -> None:
    import pillow_heif
    import pillow_jxl  # noqa: F401 - registers itself

    pillow_heif.register_heif_opener()
    Image.MAX_IMAGE_PIXELS = None


def draw(one: Format, into: Path) -> None:
    """Make the picture: shades with grain, as a photograph has."""
    _register()
    width, height = one.size
    part = Image.effect_noise((width // 4, height // 4), 12)
    shades = Image.linear_gradient("L").resize((width // 4, height // 4))
    made = Image.merge("RGB", (part, shades, Image.blend(part, shades, 0.5)))
    made.resize(one.size).save(into, one.kind, **one.options)


def peer(content: bytes) -> int:
    """Do it as one would: open, shrink, save."""
    with Image.open(io.BytesIO(content)) as opened:
        opened.draft("RGB", (SIDE, SIDE))
        opened.thumbnail((SIDE, SIDE))
        into = io.BytesIO()
        opened.convert("RGB").save(into, "JPEG", quality=90, subsampling=0)
        return len(into.getvalue())


async def _ours(converter: Converter, content: bytes) -> None:
    buffer, into = Buffer(len(content)), Buffer(LIMIT_BYTES)
    # In the function it comes in pieces, from another thread.
    await asyncio.to_thread(buffer.write, content)
    order = Order(sniff(content[:512]) or "", SIDE, 200 * MB, LIMIT_BYTES)
    try:
        try:
            await converter.convert(buffer, into, order)
        except NeedsMemoryError as exc:
            order = Order(order.content_type, SIDE, 200 * MB, LIMIT_BYTES, exc.needs)
            await converter.convert(buffer, into, order)
    finally:
        buffer.close()
        into.close()


def _held(process: psutil.Process) -> float:
    found = 0.0
    for one in (process, *process.children(recursive=True)):
        try:
            # Files in memory are mapped and shared: not the decoder's.
            found += sum(part.private_dirty for part in one.memory_maps() if not _file(part.path))
        except psutil.Error:
            continue
    return found / 2**20


def _file(path: str) -> bool:
    return path.startswith("/memfd:")


def _cpu(process: psutil.Process) -> float:
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(found.user + found.system for found in times)


async def _measure(
    one: Format, work: Callable[[bytes], Awaitable[object]], content: bytes
) -> Found:
    process, ended, peak = psutil.Process(), threading.Event(), 0.0
    await work(content)
    before = _held(process)

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.03):
            peak = max(peak, _held(process))

    thread = threading.Thread(target=watch)
    stall, done = 0.0, asyncio.Event()

    async def tick() -> None:
        nonlocal stall
        while not done.is_set():
            began = time.monotonic()
            await asyncio.sleep(0.002)
            stall = max(stall, time.monotonic() - began - 0.002)

    # Speed and memory by turns: to look at memory takes a core.
    free = asyncio.Semaphore(AT_ONCE)

    async def turn() -> None:
        async with free:
            await work(content)

    ticking = asyncio.create_task(tick())
    began, cpu = time.monotonic(), _cpu(process)
    await asyncio.gather(*(turn() for _ in range(one.count)))
    seconds, cpu = time.monotonic() - began, _cpu(process) - cpu
    done.set()
    await ticking
    thread.start()
    await asyncio.gather(*(turn() for _ in range(one.count)))
    ended.set()
    thread.join()
    return Found(one.count / seconds, 1000 * cpu / one.count, max(0.0, peak - before), 1000 * stall)


async def _side(one: Format, side: str, file: Path) -> Found:
    content = await asyncio.to_thread(file.read_bytes)
    if side == "peer":
        _register()
        return await _measure(one, lambda it: asyncio.to_thread(peer, it), content)
    converter = Converter()
    try:
        return await _measure(one, lambda it: _ours(converter, it), content)
    finally:
        converter.stop()


def measure(formats: Sequence[Format] = FORMATS) -> Iterator[Conversion]:
    """Measure formats on both sides, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "picture"
        for one in formats:
            draw(one, file)
            ours, theirs = (_in_process(FORMATS.index(one), side, file) for side in SIDES)
            yield Conversion(one.title, file.stat().st_size / MB, ours, theirs)


def _in_process(place: int, side: str, file: Path) -> Found:
    command = [sys.executable, "-m", "benchmarks.conversion", str(place), side, str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return Found(**json.loads(done.stdout))


SIDES = ("ours", "peer")
_COLUMNS = (
    ("images/s", "images_per_second", 1),
    ("CPU, ms", "cpu_ms", 0),
    ("memory, MiB", "memory_mib", 0),
    ("longest stall, ms", "stall_ms", 0),
)
HEADS = (
    "",
    "file, MB",
    *(f"{head}: {side}" if side == "ours" else side for head, *_ in _COLUMNS for side in SIDES),
)


def rows(found: Iterable[Conversion]) -> Iterator[list[str]]:
    """Give the table's rows, below HEADS."""
    for one in found:
        cells = [
            f"{getattr(side, name):.{digits}f}"
            for _, name, digits in _COLUMNS
            for side in (one.ours, one.peer)
        ]
        yield [one.title, f"{one.file_mb:.1f}", *cells]


def main() -> None:
    """Measure every format, or, as the process for one of them, one side."""
    if len(sys.argv) > 1:
        number, side, name = sys.argv[1:]
        # As deployed: one core, for whatever runs on either side.
        psutil.Process().cpu_affinity([0])
        found = asyncio.run(_side(FORMATS[int(number)], side, Path(name)))
        print(json.dumps(found.__dict__))
        return
    for line in (HEADS, ["---"] * len(HEADS), *rows(measure())):
        print(f"| {' | '.join(line)} |", flush=True)


if __name__ == "__main__":
    main()
