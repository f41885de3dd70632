"""Where the demo runs: the full stack, or the same pipeline in this process over memory."""

import asyncio
import contextlib
import os
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from describer.build import build_model
from describer.delivery.pipeline import Pipeline
from describer.images.loading import Images
from describer.records.memory import MemoryStore
from describer.settings import Settings
from local.demo.records import (
    Fields,
    Records,
    Unrecorded,
    firestore_records,
    newest,
    unrecorded,
)
from local.servers.bucket import BUCKET, content_type_of, upload, upload_url
from local.servers.choice import ModelChoice
from local.servers.events import FINALIZED
from local.servers.function import ROOT
from local.servers.model import start_standin
from local.servers.place import BUCKET_PORT, FIRESTORE_PORT, Demo
from local.servers.processes import free_port, wait_ready
from local.servers.stack import (
    COLLECTION,
    STANDIN_FIRST_SECONDS,
    STANDIN_PACE_SECONDS,
    Ports,
    Stack,
    running_stack,
)
from operate.quality.files import LocalFiles

_WANTED = Ports(BUCKET_PORT, FIRESTORE_PORT)
_LAST_LINES = 5
_REDELIVERY_SECONDS = 2.0


@dataclass(frozen=True)
class Site:
    """What the demo does with wherever it runs.

    Attributes:
        upload: puts a file into the bucket under a name, and so sets everything off.
        records: gives the records as they are now, and why there is none where none will be.
        last_log_lines: what to look at when something failed.
        demo: where it can be found while it stays up; None if it cannot stay.
        addresses: title and command of what one can do then.
        pause: waits so many seconds.
    """

    upload: Callable[[str, Path], Any]
    records: Records
    last_log_lines: Callable[[], list[str]]
    demo: Demo | None = None
    addresses: Sequence[tuple[str, str]] = ()
    pause: Callable[[float], None] = time.sleep


@contextlib.contextmanager
def stack_site(
    model: ModelChoice,
    say: Callable[[str], Any],
    note: Callable[[str], Any],
    wanted: Ports = _WANTED,
) -> Iterator[Site]:
    """Run on the full stack.

    Args:
        model: what answers.
        say: told of each step, for a progress display.
        note: told what is to stay on the screen.
        wanted: its ports if they are free, by default the demo's own.
    """
    ports = Ports(*map(free_port, wanted))
    for part, first, port in zip(("the bucket", "Firestore"), wanted, ports, strict=True):
        if port != first:
            note(f"Port {first} is taken, so {part} is at {port} this time.")
    # What gets no record is told of in lines of this level.
    env = {"LOG_LEVEL": "INFO"}
    with (
        running_stack(model, env=env, ports=ports, say=say) as stack,
        firestore_records(stack.firestore.host, stack.project, COLLECTION) as records,
    ):
        skipped = Unrecorded(stack.function.log)
        demo = Demo(stack.storage.url, stack.records_url, str(stack.function.log))
        yield Site(
            upload=lambda name, file: upload(stack.storage.url, file, name),
            records=lambda: newest(records(), skipped.records()),
            last_log_lines=lambda: stack.function.tail(_LAST_LINES).splitlines(),
            demo=demo,
            addresses=_addresses(stack),
        )


@contextlib.contextmanager
def memory_site(
    model: ModelChoice, *, pace: float = STANDIN_PACE_SECONDS, first: float = STANDIN_FIRST_SECONDS
) -> Iterator[Site]:
    """Run the function's own pipeline in this process, with neither bucket nor Firestore.

    Args:
        model: what answers.
        pace: seconds between the stand-in's chunks.
        first: seconds before its first one.
    """
    with contextlib.ExitStack() as cleanup:
        url = ""
        if model.kind == "stand-in":
            standin = start_standin(pace=pace, first=first)
            cleanup.callback(standin.stop)
            wait_ready(standin)
            url = standin.base_url
        environment = {**os.environ, "FLUSH_SECONDS": "0.4", **model.env(url)}
        # Its log goes to this very terminal; what went wrong is in the records, too.
        environment |= {"IMAGE_INPUT": "inline", "LOG_LEVEL": "ERROR"}
        settings = Settings.from_env(environment)
        files: dict[str, Path] = {}
        store = MemoryStore()
        images = Images(settings, LocalFiles(files))
        pipeline = Pipeline(settings, store, build_model(settings), images)
        loop = cleanup.enter_context(_loop())
        ended = threading.Event()
        cleanup.callback(
            lambda: asyncio.run_coroutine_threadsafe(pipeline.close(), loop).result(timeout=10)
        )

        cleanup.callback(ended.set)
        skipped: dict[str, Fields] = {}

        def put(name: str, file: Path) -> None:
            files[name] = file
            asyncio.run_coroutine_threadsafe(_deliver(pipeline, name, file, skipped, ended), loop)

        def records() -> Mapping[str, Fields]:
            recorded = {fields["name"]: fields for fields in store.documents().values()}
            return newest(recorded, dict(skipped))

        yield Site(upload=put, records=records, last_log_lines=list)


async def _deliver(
    pipeline: Pipeline, name: str, file: Path, skipped: dict[str, Fields], ended: threading.Event
) -> None:
    """Deliver until it is acknowledged, as Eventarc does, or all has ended."""
    attributes, content = event_for(file, name)
    while True:
        answer = await pipeline.deliver(attributes, content)
        if answer.outcome in Unrecorded.OUTCOMES:
            generation = int(content["generation"])
            skipped[name] = unrecorded(name, generation, answer.outcome, answer.message)
        if ended.is_set() or answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return
        await asyncio.sleep(_REDELIVERY_SECONDS)


def event_for(file: Path, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make the attributes and the content of an event for a local file under this name."""
    attributes = {"id": f"local-{name}", "type": FINALIZED}
    content = {
        "bucket": BUCKET,
        "name": name,
        "generation": str(time.time_ns() // 1000),
        "contentType": content_type_of(file),
        "size": str(file.stat().st_size),
    }
    return attributes, content


@contextlib.contextmanager
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="pipeline", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _addresses(stack: Stack) -> list[tuple[str, str]]:
    url = stack.storage.url
    return [
        (
            "describe pictures of yours, from any folder",
            f"make -sC {shlex.quote(str(ROOT))} upload FILE=photo.jpg",
        ),
        (
            "the same with curl",
            f"curl --data-binary @photo.jpg '{upload_url(url, 'photo.jpg')}'",
        ),
        ("read the records", f"curl '{stack.records_url}'"),
        ("read them with a client library", f"FIRESTORE_EMULATOR_HOST={stack.firestore.host}"),
        ("the function's log", f"tail -f {shlex.quote(str(stack.function.log))}"),
    ]
