"""A burst on one instance, and instances that run out of file descriptors or memory.

    python -m tests.chaos.load --uploads 1000
    python -m tests.chaos.load --uploads 60 --case files
    python -m tests.chaos.load --uploads 60 --case memory

The burst: all events at once, 80 requests at a time, and a model that answers 429 above 40 at
once. Every image must be described, each be paid for once, and memory must not grow with the
number of images. The other two take from the running instance what it needs, let it fail, give it
back, and judge by the invariants of `tests.chaos`. Linux only: limits are set from outside.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx2
import psutil
from rich.console import Console
from rich.progress import Progress

from local.servers.events import cloud_event
from tests.chaos.platform import Eventarc, Slot
from tests.chaos.run import Parts, parts, png, read_records

AT_ONCE = 80
MODEL_LIMIT = 40
SQUEEZE_SECONDS = 4.0
# What the heap may grow by while nine tenths of the images pass; a leak of one picture each,
# or of one open request each, is far more.
GROWTH_MIB = 40.0


@dataclass
class Load:
    """What came of it.

    Attributes:
        resident_mib: of the worker process, a tenth of the images after another.
        squeezed: answers while the instance lacked something.
    """

    uploads: int
    seconds: float
    outcomes: Counter[str]
    answers: Counter[str]
    severities: Counter[str]
    defects: set[str]
    asked: int
    paid: int
    peak: int
    attempts: int
    left_over: int
    resident_mib: list[float] = field(default_factory=list)

    def broken(self, *, squeezed: bool) -> list[str]:
        """Give a sentence for each thing that must hold and does not."""
        rules = {
            f"all described: {dict(self.outcomes)}": self.outcomes == {"described": self.uploads},
            f"nothing held or half written: {self.left_over}": self.left_over == 0,
        }
        if not squeezed:
            growth = max(self.resident_mib) - self.resident_mib[0]
            rules |= {
                f"each paid for once: {self.paid}": self.paid == self.uploads,
                # Two tries in a delivery, and some deliveries each: no spin.
                f"no spin: {self.asked} requests": self.asked <= 6 * self.uploads,
                f"memory is flat: grew by {growth:.0f} MiB": growth < GROWTH_MIB,
                f"nothing loud: {dict(self.severities)}": "ERROR" not in self.severities,
            }
        return [text for text, holds in rules.items() if not holds]

    def lines(self) -> list[str]:
        """Tell it."""
        return [
            f"{self.uploads} uploads in {self.seconds:.1f} s",
            f"records     {dict(self.outcomes)}",
            f"answers     {dict(self.answers)}",
            f"log lines   {dict(self.severities)} {sorted(self.defects)}",
            f"model       {self.asked} requests, {self.paid} begun, {self.peak} at once at most",
            f"attempts    {self.attempts} at most for one image",
            f"resident    {', '.join(f'{mib:.0f}' for mib in self.resident_mib)} MiB",
        ]


async def burst(
    servers: Parts, uploads: int, *, case: str = "burst", bar: Progress | None = None
) -> Load:
    """Run one case."""
    model = servers.model
    model.reset()
    model.control(pace=0.01, first=0.3, limit=MODEL_LIMIT)
    project, bucket = f"demo-{os.urandom(4).hex()}", f"load-{os.urandom(4).hex()}"
    env = {
        "GOOGLE_CLOUD_PROJECT": project,
        "FIRESTORE_EMULATOR_HOST": servers.firestore.host,
        "STORAGE_EMULATOR_HOST": servers.storage.url,
        "OPENAI_BASE_URL": model.base_url,
        "MODEL": "stand-in",
        "LEASE_SECONDS": "20",
        "CHUNK_TIMEOUT_SECONDS": "15",
    }
    slot = Slot(0, env)
    await slot.start()
    assert slot.current is not None
    server = slot.current.server
    eventarc = Eventarc([slot], 1, at_once=AT_ONCE)
    try:
        # A picture of 3 MB for the case of memory, so that a few are too many.
        size = 3_000_000 if case == "memory" else 48
        events = await _upload(servers, bucket, uploads, size)
        # One first, so that the instance has built and imported what it needs.
        name, generation, event = events.pop()
        eventarc.publish(name, generation, event)
        await eventarc.quiet()
        worker = _worker(server.process.pid)
        squeeze = asyncio.ensure_future(_squeeze(worker, case))
        began, resident = time.monotonic(), [_resident_mib(worker)]
        marks = {uploads * tenth // 10 for tenth in range(1, 10)}
        done = 0
        task = bar.add_task(case, total=uploads) if bar else None

        def on_delivery(delivery: object) -> None:
            nonlocal done
            done += getattr(delivery, "status", 0) == 200
            if bar is not None and task is not None:
                bar.update(task, completed=done)
            if done in marks:
                marks.discard(done)
                resident.append(_resident_mib(worker))

        eventarc.on_delivery = on_delivery
        for name, generation, event in events:
            eventarc.publish(name, generation, event)
        await asyncio.wait_for(eventarc.quiet(), 400)
        await squeeze
        seconds = time.monotonic() - began
        resident.append(_resident_mib(worker))
    finally:
        await eventarc.close()
        await slot.stop()
    records = read_records(servers.firestore, project)
    lines = server.deliveries()
    return Load(
        uploads=uploads,
        seconds=seconds,
        outcomes=Counter(str(record["status"].get("outcome")) for record in records.values()),
        answers=Counter(str(d.status or "none") for d in eventarc.deliveries),
        severities=Counter(line["severity"] for line in lines),
        defects={line["cause"][:120] for line in lines if line["outcome"] == "defect"},
        asked=len(model.requests()),
        paid=sum(entry["status"] == 200 for entry in model.requests()),
        peak=model.stats()["peak"],
        attempts=max(record["status"]["attempt"] for record in records.values()),
        left_over=sum("lease" in r or "partialText" in r for r in records.values()),
        resident_mib=resident,
    )


async def _upload(
    servers: Parts, bucket: str, uploads: int, size: int
) -> list[tuple[str, int, tuple[dict[str, str], bytes]]]:
    chance = random.Random(1)
    events = []
    async with httpx2.AsyncClient(base_url=servers.storage.url, trust_env=False) as http:
        (await http.post("/storage/v1/b", json={"name": bucket})).raise_for_status()
        for number in range(uploads):
            name, content = f"{number}.png", png(chance.randbytes(size), 4 if size < 100 else 1000)
            answer = await http.post(
                f"/upload/storage/v1/b/{bucket}/o",
                params={"uploadType": "media", "name": name},
                headers={"content-type": "image/png"},
                content=content,
            )
            generation = int(answer.raise_for_status().json()["generation"])
            event = cloud_event(
                bucket, name, generation, content_type="image/png", size_bytes=len(content)
            )
            events.append((name, generation, event))
    return events


async def _squeeze(worker: psutil.Process, case: str) -> None:
    """Take from the process what it needs for some seconds, then give it back."""
    if case == "burst":
        return
    if case == "files":
        kind, least = psutil.RLIMIT_NOFILE, worker.num_fds() + 12
    else:
        kind, least = psutil.RLIMIT_AS, worker.memory_info().vms + 48 * 1024 * 1024
    before = worker.rlimit(kind)
    worker.rlimit(kind, (least, before[1]))
    await asyncio.sleep(SQUEEZE_SECONDS)
    with contextlib.suppress(psutil.NoSuchProcess):
        worker.rlimit(kind, before)


def _worker(master: int) -> psutil.Process:
    """Find the process that serves: the only child of the one that was started."""
    (worker,) = psutil.Process(master).children()
    return worker


def _resident_mib(process: psutil.Process) -> float:
    """Give 0 where the process died of what it lacked; its master has started another."""
    try:
        return float(process.memory_info().rss / 2**20)
    except psutil.NoSuchProcess:
        return 0.0


def main() -> int:
    """Run one case from the command line."""
    parser = argparse.ArgumentParser(description="A burst on one instance.")
    parser.add_argument("--uploads", type=int, default=1000)
    parser.add_argument("--case", choices=["burst", "files", "memory"], default="burst")
    options = parser.parse_args()
    console = Console(highlight=False)
    with parts() as servers, Progress(console=console) as bar:
        load = asyncio.run(burst(servers, options.uploads, case=options.case, bar=bar))
    console.print("\n".join(load.lines()), markup=False)
    broken = load.broken(squeezed=options.case != "burst")
    for sentence in broken:
        console.print(f"BROKEN: {sentence}", markup=False)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
