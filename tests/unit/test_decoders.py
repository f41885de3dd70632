"""The decoders by themselves, without the walls around their process, over the whole corpus."""

import io
import json
import subprocess
import sys
import tempfile

from PIL import Image

from describer.images.formats import sniff
from describer.images.worker.decoders import DECODERS
from describer.images.worker.job import MB, Job, RefusedError
from local.servers.function import ROOT
from tests.corpus import cases

PROGRAM = "from tests.unit.test_decoders import decode_all; decode_all()"


def decode_all() -> None:
    """Say in JSON what becomes of each case whose decoder is known: its size, or the refusal."""
    from describer.images.worker import jpeg, pillow, vips

    vips.prepare()
    pillow.prepare()
    became: dict[str, object] = {}
    for case in cases():
        content_type = sniff(case.content[:512])
        if content_type not in DECODERS:
            continue
        job = Job(content_type, 3072, 200_000_000, 7_000_000, 96 * MB, 20)
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
            source.write(case.content)
            source.flush()
            try:
                answer = jpeg.convert(job, source, target)
                target.seek(0)
                made = Image.open(io.BytesIO(target.read(int(answer["size"]))), formats=["JPEG"])
                made.load()
                became[case.name] = made.size
            except RefusedError as exc:
                became[case.name] = exc.kind
            except Exception as exc:  # noqa: BLE001 - the process says so, too
                became[case.name] = f"unreadable: {exc}"
    print(json.dumps(became))


def test_the_walls_around_the_decoders_change_nothing() -> None:
    """What is converted behind them is converted without them, and nothing else breaks down."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    became = json.loads(done.stdout)
    wanted = {
        case.name
        for case in cases()
        if case.outcome == "described" and case.words and sniff(case.content[:512]) in DECODERS
    }
    assert len(wanted) > 40
    assert {name: became[name] for name in wanted if not isinstance(became[name], list)} == {}
    kinds = {kind.partition(":")[0] for kind in became.values() if isinstance(kind, str)}
    assert kinds <= {"unreadable", "too_large", "unsupported", "memory"}
