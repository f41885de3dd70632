"""Where the demo can be found: its ports, and what it leaves in the checkout's `.cache`.

Locks on files tell what is alive: the kernel gives them back however a process ends.
"""

import contextlib
import fcntl
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

CACHE = Path(__file__).resolve().parents[2] / ".cache"

# The same at each `make demo`, if nothing else listens there. Tests take others, from `PORTS`.
BUCKET_PORT = 18_421
FIRESTORE_PORT = 18_422
PAGE_PORT = 18_423

_STATE = CACHE / "demo.json"
_LOGS = CACHE / "logs"
_KEPT = "kept"
_KEEP_SECONDS = 7 * 86_400


@dataclass(frozen=True)
class Demo:
    """A demo that stays up.

    Attributes:
        bucket_url: address of the bucket's server.
        records_url: address of the records in Firestore's REST API.
        function_log: the function's log file.
    """

    bucket_url: str
    records_url: str
    function_log: str


@contextlib.contextmanager
def standing(demo: Demo, state: Path = _STATE) -> Iterator[bool]:
    """Let this demo be found until the block ends; False if another one is found already."""
    state.parent.mkdir(parents=True, exist_ok=True)
    with state.open("a+", encoding="utf-8") as file:
        # Somebody who looks holds it for a moment.
        deadline = time.monotonic() + 0.5
        while not (alone := _lock(file, fcntl.LOCK_EX)) and time.monotonic() < deadline:
            time.sleep(0.05)
        if alone:
            file.truncate(0)
            json.dump(asdict(demo), file)
            file.flush()
        yield alone
        if alone:
            file.truncate(0)


def find_demo(state: Path = _STATE) -> Demo | None:
    """Find the demo that stays up, if there is one."""
    with contextlib.suppress(FileNotFoundError), state.open(encoding="utf-8") as file:
        if not _lock(file, fcntl.LOCK_SH):
            told = file.read()
            return Demo(**json.loads(told)) if told else None
    return None


def new_log_folder(parent: Path = _LOGS) -> tuple[Path, IO[str]]:
    """Make a folder that is this process's own while the file given with it is open.

    Those of processes that were killed are removed; kept ones after a week.
    """
    parent.mkdir(parents=True, exist_ok=True)
    with (parent / ".lock").open("a", encoding="utf-8") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        for folder in parent.glob("run-*"):
            if _is_left(folder):
                shutil.rmtree(folder, ignore_errors=True)
        made = Path(tempfile.mkdtemp(prefix="run-", dir=parent))
        own = (made / ".lock").open("a", encoding="utf-8")
        _lock(own, fcntl.LOCK_EX)
    return made, own


def keep_folder(folder: Path) -> None:
    """Keep a log folder for a week, though its process ends."""
    (folder / _KEPT).touch()


def _is_left(folder: Path) -> bool:
    """Tell whether nobody needs a log folder any more."""
    with contextlib.suppress(FileNotFoundError), (folder / ".lock").open(encoding="utf-8") as file:
        if not _lock(file, fcntl.LOCK_SH):
            return False
    with contextlib.suppress(FileNotFoundError):
        return time.time() > (folder / _KEPT).stat().st_mtime + _KEEP_SECONDS
    return True


def _lock(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
