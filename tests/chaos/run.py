"""One run: start everything, let the schedule happen, wait for quiet, collect what is left."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
import struct
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx2
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore

from describer.records.record import record_id
from local.servers.emulators import firestore_emulator, gcs_server
from local.servers.events import cloud_event
from local.servers.model import StandInServer, standin_server
from local.servers.processes import Server
from local.servers.store_proxy import PASS, Judge, StoreProxy, Verdict
from tests.chaos.commit import Commit, read_commit
from tests.chaos.platform import Delivery, Eventarc, Incarnation, Slot, freeze
from tests.chaos.schedule import STORE_FAULTS, Put, Schedule, Strike

# Short, so that a run is; their relations are those of the defaults. A freeze of the store is
# shorter than half a lease, as one of thirty seconds is for a lease of sixty.
FUNCTION = {
    "MODEL": "stand-in",
    "FLUSH_SECONDS": "0.3",
    "CHUNK_TIMEOUT_SECONDS": "3",
    "STREAM_TIMEOUT_SECONDS": "12",
    "LEASE_SECONDS": "6",
    "MAX_ATTEMPTS": "12",
}
# Requests that the platform gives to one instance at a time.
CONCURRENCY = 40
MAX_ATTEMPTS = int(FUNCTION["MAX_ATTEMPTS"])
# How a strike's stage is seen on the way to the store; a delivery's other steps may be missing.
_STEPS = {
    "claim": "claim",
    "after claim": "claim",
    "mid-stream": "partial",
    "record": "outcome",
    "after record": "outcome",
}


@dataclass(frozen=True)
class Parts:
    """The servers that a run uses and does not start itself."""

    firestore: Server
    storage: Server
    model: StandInServer


@dataclass(eq=False)
class Generation:
    """One upload, as it came to be.

    Attributes:
        number: the object's generation in the bucket.
        digest: SHA-256 of its bytes, by which the model's log speaks of it.
        event_id: of its event.
        gone: it was deleted or overwritten at some time.
    """

    put: Put
    name: str
    number: int
    digest: str
    event_id: str
    gone: bool = False


@dataclass
class Outcome:
    """What a run left behind; `invariants.check` judges it.

    Attributes:
        writes: every commit that the proxies saw, refused ones too.
        breaks: by record id, how many attempts the surroundings broke after the model had begun.
        struck: how often each strike's kind and stage came to pass.
    """

    schedule: Schedule
    bucket: str
    generations: list[Generation]
    deliveries: list[Delivery]
    dropped: list[str]
    incarnations: list[Incarnation]
    records: dict[str, dict[str, Any]]
    paid: list[dict[str, Any]]
    writes: list[Commit]
    breaks: Counter[str]
    struck: Counter[str]
    seconds: float
    lines: list[dict[str, Any]] = field(default_factory=list)
    noise: list[str] = field(default_factory=list)


@contextlib.contextmanager
def parts() -> Iterator[Parts]:
    """Start the servers of a run."""
    with firestore_emulator() as store, gcs_server() as storage, standin_server() as model:
        yield Parts(store, storage, model)


class Run:
    """See the module."""

    def __init__(
        self,
        schedule: Schedule,
        parts: Parts,
        *,
        slots: int = 3,
        on_progress: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> None:
        self._schedule = schedule
        self._parts = parts
        self._on_progress = on_progress
        self._project = f"demo-{os.urandom(4).hex()}"
        self._bucket = f"chaos-{os.urandom(4).hex()}"
        self._armed: list[tuple[Strike, list[int]]] = []
        self._writes: list[Commit] = []
        self._breaks: Counter[str] = Counter()
        self._struck: Counter[str] = Counter()
        self._generations: list[Generation] = []
        self._bytes = random.Random(schedule.seed)
        self._http = httpx2.AsyncClient(base_url=parts.storage.url, trust_env=False, timeout=30)
        self._proxies = [
            StoreProxy(parts.firestore.host, self._judge_of(number)) for number in range(slots)
        ]
        self._slots: list[Slot] = []
        self._deliveries: Sequence[Delivery] = ()

    async def go(self) -> Outcome:
        """Run to the end."""
        began = time.monotonic()
        self._parts.model.reset()
        self._parts.model.control(pace=0.03, first=0.15)
        eventarc = await self._start()
        eventarc.on_delivery = self._progress(eventarc)
        try:
            started = time.monotonic()
            await asyncio.gather(
                *(self._put(put, started, eventarc) for put in self._schedule.puts),
                *(self._strike(strike, started) for strike in self._schedule.strikes),
            )
            await eventarc.quiet()
        finally:
            await eventarc.close()
            await asyncio.gather(*(slot.stop() for slot in self._slots))
            for proxy in self._proxies:
                await proxy.stop()
            await self._http.aclose()
        return self._collect(eventarc, time.monotonic() - began)

    async def _start(self) -> Eventarc:
        (await self._http.post("/storage/v1/b", json={"name": self._bucket})).raise_for_status()
        for number, proxy in enumerate(self._proxies):
            await proxy.start()
            env = {
                **FUNCTION,
                "GOOGLE_CLOUD_PROJECT": self._project,
                "FIRESTORE_EMULATOR_HOST": proxy.host,
                "STORAGE_EMULATOR_HOST": self._parts.storage.url,
                "OPENAI_BASE_URL": self._parts.model.base_url,
            }
            self._slots.append(Slot(number, env))
        await asyncio.gather(*(slot.start() for slot in self._slots))
        return Eventarc(self._slots, self._schedule.seed, at_once=CONCURRENCY * len(self._slots))

    async def _put(self, put: Put, started: float, eventarc: Eventarc) -> None:
        await asyncio.sleep(max(0.0, started + put.at - time.monotonic()))
        name = f"folder {put.object_number % 7}/ö {put.object_number}.png"
        path = f"/storage/v1/b/{self._bucket}/o/{quote(name, safe='')}"
        if put.deleted_first:
            await self._http.delete(path)
        content = png(self._bytes.randbytes(48))
        digest = hashlib.sha256(content).hexdigest()
        for fault in put.failures:
            times = None if fault.name.endswith("for ever") else 1
            await asyncio.to_thread(
                self._parts.model.script, list(fault.script), match=digest, times=times
            )
        answer = await self._http.post(
            f"/upload/storage/v1/b/{self._bucket}/o",
            params={"uploadType": "media", "name": name},
            headers={"content-type": "image/png"},
            content=content,
        )
        number = int(answer.raise_for_status().json()["generation"])
        event = cloud_event(
            self._bucket, name, number, content_type="image/png", size_bytes=len(content)
        )
        for other in self._generations:
            other.gone = other.gone or other.name == name
        self._generations.append(Generation(put, name, number, digest, event[0]["ce-id"]))
        eventarc.publish(name, number, event, copies=put.copies)
        if put.deleted_after is not None:
            await asyncio.sleep(put.deleted_after)
            # Also one that was put meanwhile.
            for other in self._generations:
                other.gone = other.gone or other.name == name
            await self._http.delete(path)

    async def _strike(self, strike: Strike, started: float) -> None:
        await asyncio.sleep(max(0.0, started + strike.at - time.monotonic()))
        if strike.kind == "freeze":
            self._struck["freeze"] += 1
            await freeze(self._parts.firestore, strike.seconds)
        else:
            self._armed.append((strike, [strike.calls]))

    def _judge_of(self, number: int) -> Judge:
        def judge(method: str, request: bytes) -> Verdict:
            if method != "Commit":
                return PASS
            commit = read_commit(request)
            self._writes.append(commit)
            for armed in self._armed:
                strike, left = armed
                if strike.slot == number and _STEPS[strike.stage] == commit.step:
                    left[0] -= 1
                    if strike.kind not in STORE_FAULTS or left[0] <= 0:
                        self._armed.remove(armed)
                    self._struck[f"{strike.kind} at {strike.stage}"] += 1
                    return self._verdict(strike, commit)
            return PASS

        return judge

    def _verdict(self, strike: Strike, commit: Commit) -> Verdict:
        if strike.kind in STORE_FAULTS:
            if commit.step == "outcome":
                # The text was whole and may not be recorded: that attempt broke.
                self._breaks[commit.record_id] += 1
            lost = strike.kind == "lost"
            return Verdict(status=None if lost else strike.kind, lost=lost)
        slot = self._slots[strike.slot]

        async def strike_now() -> None:
            self._end(slot, strike.kind)

        async def strike_soon() -> None:
            asyncio.get_running_loop().call_later(0.05, self._end, slot, strike.kind)

        if strike.stage == "after claim":
            return Verdict(after=strike_soon)
        if strike.stage == "after record":
            return Verdict(after=strike_now)
        # A process killed before it sends has sent nothing; one that is told to end sends on.
        dropped = strike.kind == "kill" and strike.stage != "mid-stream"
        return Verdict(before=strike_now, status="UNAVAILABLE" if dropped else None)

    def _end(self, slot: Slot, kind: str) -> None:
        """End the process in a slot; whatever it was working on is an attempt that broke."""
        dying = slot.current
        if dying is None:
            return
        for delivery in self._deliveries:
            if delivery.incarnation is dying and delivery.ended is None:
                self._breaks[record_id(self._bucket, delivery.object_name)] += 1
        if kind == "kill":
            slot.kill()
        else:
            slot.terminate()

    def _progress(self, eventarc: Eventarc) -> Callable[[Delivery], None]:
        self._deliveries = eventarc.deliveries
        done: set[str] = set()

        def on_delivery(delivery: Delivery) -> None:
            if delivery.status == 200:
                done.add(delivery.event_id)
                self._on_progress(len(done), len(self._schedule.puts))

        return on_delivery

    def _collect(self, eventarc: Eventarc, seconds: float) -> Outcome:
        incarnations = [past for slot in self._slots for past in slot.past]
        outcome = Outcome(
            schedule=self._schedule,
            bucket=self._bucket,
            generations=self._generations,
            deliveries=eventarc.deliveries,
            dropped=eventarc.dropped,
            incarnations=incarnations,
            records=read_records(self._parts.firestore, self._project),
            paid=[entry for entry in self._parts.model.requests() if entry["status"] == 200],
            writes=self._writes,
            breaks=self._breaks,
            struck=self._struck,
            seconds=seconds,
        )
        for log, servers in _by_log(incarnations).items():
            outcome.lines += servers[0].server.deliveries()
            text = log.read_text(encoding="utf-8", errors="replace")
            outcome.noise += [
                line
                for line in text.splitlines()
                if "Traceback" in line or "never retrieved" in line
            ]
        return outcome


def _by_log(incarnations: Sequence[Incarnation]) -> dict[Any, list[Incarnation]]:
    found: dict[Any, list[Incarnation]] = {}
    for incarnation in incarnations:
        found.setdefault(incarnation.server.log, []).append(incarnation)
    return found


def read_records(server: Server, project: str) -> dict[str, dict[str, Any]]:
    """Read all records, past every proxy."""
    before = os.environ.get("FIRESTORE_EMULATOR_HOST")
    os.environ["FIRESTORE_EMULATOR_HOST"] = server.host
    try:
        client = firestore.Client(project=project, credentials=AnonymousCredentials())
        found = {doc.id: doc.to_dict() or {} for doc in client.collection("descriptions").stream()}
        client.close()
    finally:
        if before is None:
            del os.environ["FIRESTORE_EMULATOR_HOST"]
        else:
            os.environ["FIRESTORE_EMULATOR_HOST"] = before
    return found


def png(pixels: bytes, width: int = 4) -> bytes:
    """Make a small picture of these bytes, three to a pixel; other bytes, another digest."""
    height = len(pixels) // (3 * width)
    rows = b"".join(
        b"\0" + pixels[row * 3 * width : (row + 1) * 3 * width] for row in range(height)
    )
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def run(
    schedule: Schedule,
    servers: Parts,
    *,
    slots: int = 3,
    on_progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Outcome:
    """Run a schedule."""

    async def work() -> Outcome:
        return await Run(schedule, servers, slots=slots, on_progress=on_progress).go()

    return asyncio.run(work())
