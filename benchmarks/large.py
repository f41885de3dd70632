"""The memory of an instance that is sent large images, all at once, measured from outside.

    python -m benchmarks.large

Prints the peak for each load, the function's processes together, shared pages counted once.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import httpx2
import psutil
from PIL import Image
from rich.console import Console
from rich.table import Table

from local.servers.bucket import SAMPLES
from local.servers.emulators import PROJECT, firestore_emulator, gcs_server
from local.servers.events import cloud_event
from local.servers.function import FunctionServer, function_server
from local.servers.model import standin_server

MB = 1_000_000


@dataclass(frozen=True)
class Picture:
    """A picture to be made: a noisy photograph.

    Attributes:
        format: Pillow's name.
    """

    format: str
    width: int
    height: int

    @property
    def small(self) -> bool:
        """Whether it takes next to nothing."""
        return self.width * self.height < MB

    @property
    def content_type(self) -> str:
        """Its type."""
        return f"image/{self.format.lower()}"


@dataclass(frozen=True)
class Load:
    """What arrives at once.

    Attributes:
        sizes: bytes of each image.
        packed: stored with Content-Encoding gzip, and much smaller.
        pictures: in place of the sizes, files that are converted, by the type that they are of.
    """

    name: str
    sizes: list[int]
    packed: bool = False
    pictures: tuple[Picture, ...] = ()

    @property
    def count(self) -> int:
        """How many images."""
        return len(self.sizes) + len(self.pictures)


LOADS = (
    Load("one of 20 MB", [20 * MB]),
    Load("sixty of 15 MB", [15 * MB] * 60),
    Load("ten of 20 MB among fifty of 2 MB", [2 * MB] * 25 + [20 * MB] * 10 + [2 * MB] * 25),
    Load("thirty of 20 MB, packed", [20 * MB] * 30, packed=True),
    # Over the 20 MB of a request; a JPEG of 60 megapixels, and a small one on either side.
    Load(
        "twenty of 60 megapixels among forty small",
        [],
        pictures=(Picture("GIF", 300, 200), Picture("JPEG", 9500, 6320), Picture("GIF", 300, 200))
        * 20,
    ),
    # What can only be decoded whole.
    Load(
        "ten of 12 megapixels, decoded whole, among ten small",
        [],
        pictures=(Picture("BMP", 4032, 3024), Picture("GIF", 300, 200)) * 10,
    ),
)


@dataclass(frozen=True)
class Run:
    """What came of a load.

    Attributes:
        before_mib, peak_mib: memory before the first image, and at most.
        statuses: the answers to the deliveries.
        waited: seconds until each.
    """

    bucket: str
    before_mib: float
    peak_mib: float
    seconds: float
    statuses: list[int]
    waited: list[float]


async def run(load: Load, function: FunctionServer, storage_url: str) -> Run:
    """Upload to a bucket of its own, then deliver all events at once."""
    bucket = f"large-{os.urandom(4).hex()}"
    async with httpx2.AsyncClient(timeout=300, trust_env=False) as http:
        made = await http.post(f"{storage_url}/storage/v1/b", json={"name": bucket})
        made.raise_for_status()
        url, events = f"{storage_url}/upload/storage/v1/b/{bucket}/o", []
        for name, content_type, content in _objects(load):
            asked = {"uploadType": "media", "name": name}
            if load.packed:
                asked["contentEncoding"] = "gzip"
            headers = {"content-type": content_type}
            answer = await http.post(url, params=asked, headers=headers, content=content)
            generation = int(answer.raise_for_status().json()["generation"])
            size = len(content)
            events.append(
                cloud_event(bucket, name, generation, content_type=content_type, size_bytes=size)
            )
        began = time.monotonic()

        async def post(headers: dict[str, str], body: bytes) -> tuple[int, float]:
            answer = await http.post(function.url, headers=headers, content=body)
            return answer.status_code, time.monotonic() - began

        before = memory_mib(function.process.pid)
        with peak_of(function.process.pid) as peak:
            answers = await asyncio.gather(*(post(h, b) for h, b in events))
        seconds = time.monotonic() - began
    statuses, waited = [status for status, _ in answers], [wait for _, wait in answers]
    return Run(bucket, before, peak(), seconds, statuses, waited)


def _objects(load: Load) -> Iterator[tuple[str, str, bytes]]:
    """Give name, type and content of each; equal ones are made once."""
    sample = (SAMPLES / "cat.webp").read_bytes()
    contents: dict[int | Picture, bytes] = {}
    for place, size in enumerate(load.sizes):
        if size not in contents:
            # What follows the picture's end is of no interest to anybody.
            content = sample + bytes(size - len(sample))
            contents[size] = gzip.compress(content, compresslevel=1) if load.packed else content
        yield f"{place}.webp", "image/webp", contents[size]
    for place, picture in enumerate(load.pictures):
        if picture not in contents:
            contents[picture] = _drawn(picture)
        yield f"{place}.{picture.format.lower()}", picture.content_type, contents[picture]


def _drawn(picture: Picture) -> bytes:
    into = io.BytesIO()
    part = Image.effect_noise((picture.width // 4, picture.height // 4), 60)
    made = part.resize((picture.width, picture.height), Image.Resampling.NEAREST).convert("RGB")
    made.save(into, picture.format, **({"quality": 97} if picture.format == "JPEG" else {}))
    return into.getvalue()


def memory_mib(master: int) -> float:
    """Give the memory of a process and its children; pages that they share count once."""
    root, found = psutil.Process(master), 0
    for process in (root, *root.children(recursive=True)):
        # One may end, or be another program in a moment, while it is looked at.
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError):
            found += process.memory_full_info().pss
    return found / 2**20


@contextmanager
def peak_of(master: int) -> Iterator[Callable[[], float]]:
    """Sample `memory_mib` fifty times a second during the block; gives the most there was."""
    peak, ended = 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.02):
            peak = max(peak, memory_mib(master))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: peak
    finally:
        ended.set()
        thread.join()


def main() -> None:
    """Run every load, and print what it took."""
    console, table = Console(), Table(box=None)
    for heading in ("at once", "before, MiB", "peak, MiB", "seconds", "answered 200"):
        table.add_column(heading, justify="left" if heading == "at once" else "right")
    with (
        console.status("Starting") as status,
        firestore_emulator() as firestore,
        gcs_server() as storage,
        standin_server() as model,
    ):
        env = {
            "FIRESTORE_EMULATOR_HOST": firestore.host,
            "STORAGE_EMULATOR_HOST": storage.url,
            "OPENAI_BASE_URL": model.base_url,
            "MODEL": "stand-in",
            # Takes WebP of that size.
            "MODEL_SERVER": "vllm",
            "GOOGLE_CLOUD_PROJECT": PROJECT,
        }
        for load in LOADS:
            status.update(load.name)
            with function_server(env) as function:
                found = asyncio.run(run(load, function, storage.url))
            row = [found.before_mib, found.peak_mib, found.seconds]
            good = f"{found.statuses.count(200)} of {len(found.statuses)}"
            table.add_row(load.name, *(f"{value:.0f}" for value in row), good)
    console.print(table)


if __name__ == "__main__":
    main()
