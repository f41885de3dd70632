"""One fault at a time, at one step of a delivery: what comes of it, as the rows of a table.

    python -m tests.chaos.table
    python -m tests.chaos.table --only "kill at record"

Each row of the first table is a run of its own: some uploads at once on two instances, and the
fault strikes each instance once. The second is one run with one upload for each fault of the model.
The invariants of `tests.chaos` are judged after each run; exit status 1 if one is broken.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict

from rich.console import Console

from describer.records.record import record_id
from tests.chaos import invariants
from tests.chaos.run import Outcome, Parts, parts, run
from tests.chaos.schedule import MODEL_FAULTS, STAGES, STORE_FAULTS, Put, Schedule, Strike

UPLOADS = 8
SLOTS = 2
# More than the store's client tries within one call: the call fails.
MANY = 60
_COLUMNS = "| fault | strikes | records | answers | attempts | paid | broken |"


def cells() -> dict[str, list[Strike]]:
    """Give the rows: a name, and what strikes."""
    found: dict[str, list[Strike]] = {}
    for stage in STAGES:
        for kind in ("kill", "term"):
            found[f"{kind} at {stage}"] = [Strike(0.0, kind, stage, slot) for slot in range(SLOTS)]
    for stage in ("claim", "mid-stream", "record"):
        for kind in STORE_FAULTS:
            for calls in (1, MANY):
                name = f"{kind} x{calls} at {stage}"
                found[name] = [Strike(0.0, kind, stage, slot, calls=calls) for slot in range(SLOTS)]
    found["freeze"] = [Strike(0.3, "freeze", seconds=2.0)]
    return found


def one(name: str, strikes: list[Strike], servers: Parts) -> tuple[str, list[str]]:
    """Run one row; give it, and what is broken."""
    puts = tuple(Put(number, 0.0, number) for number in range(UPLOADS))
    outcome = run(Schedule(1, puts, tuple(strikes)), servers, slots=SLOTS)
    broken = invariants.check(outcome)
    struck = sum(outcome.struck.values())
    cells = (name, str(struck), *_told(outcome), str(len(broken) or "none"))
    return f"| {' | '.join(cells)} |", broken


def _told(outcome: Outcome) -> tuple[str, str, str, str]:
    states = Counter(str(r["status"].get("outcome")) for r in outcome.records.values())
    answers = Counter(str(d.status or "no answer") for d in outcome.deliveries)
    attempts = Counter(r["status"]["attempt"] for r in outcome.records.values())
    return (
        ", ".join(f"{count} {what}" for what, count in sorted(states.items())),
        ", ".join(f"{count} {what}" for what, count in sorted(answers.items())),
        f"{min(attempts)} to {max(attempts)}",
        f"{len(outcome.paid)} for {len(outcome.generations)}",
    )


def model(servers: Parts) -> tuple[list[str], list[str]]:
    """Run each fault of the model once; give a row for each, and what is broken."""
    puts = tuple(
        Put(number, number * 0.2, number, failures=(fault,))
        for number, fault in enumerate(MODEL_FAULTS)
    )
    outcome = run(Schedule(1, puts), servers, slots=SLOTS)
    lines = defaultdict(list)
    for line in outcome.lines:
        lines[line["event_id"]].append(f"{line['status']} {line['outcome']}")
    rows = []
    for generation in outcome.generations:
        record = outcome.records[record_id(outcome.bucket, generation.name)]
        paid = sum(entry["image"].endswith(generation.digest) for entry in outcome.paid)
        status = record["status"]
        told = Counter(lines[generation.event_id])
        shown = ", ".join(f"{count} x {what}" for what, count in sorted(told.items(), reverse=True))
        (fault,) = generation.put.failures
        rows.append(
            f"| {fault.name} | {status['outcome']} | {shown} | {status['attempt']} | {paid} |"
        )
    return rows, invariants.check(outcome)


def main() -> int:
    """Run all rows, or one."""
    parser = argparse.ArgumentParser(description="Fault by stage.")
    parser.add_argument("--only", help="one row, by its name, or `model`")
    options = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    broken: list[str] = []
    with parts() as servers:
        console.print(_COLUMNS, markup=False)
        console.print("|---" * _COLUMNS.count(" | ") + "|---|", markup=False)
        for name, strikes in cells().items():
            if options.only in {None, name}:
                row, found = one(name, strikes, servers)
                broken += [f"{name}: {sentence}" for sentence in found]
                console.print(row, markup=False)
        if options.only in {None, "model"}:
            rows, found = model(servers)
            broken += found
            console.print("\n| the model's first answer | record | deliveries | attempt | paid |")
            console.print("|---|---|---|---|---|")
            console.print("\n".join(rows), markup=False)
    for sentence in broken:
        console.print(f"BROKEN: {sentence}", markup=False)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
