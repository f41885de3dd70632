"""Run the function under faults from the command line.

    python -m tests.chaos --uploads 300 --seed 7

Prints the schedule, which the seed alone decides, and what came of it. Exit status 1 if anything
that must hold does not; each broken invariant is a line.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from functools import partial

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from local.servers.emulators import why_no_firestore, why_no_gcs
from local.servers.processes import keep_logs
from tests.chaos import invariants
from tests.chaos.run import Outcome, parts, run
from tests.chaos.schedule import make


def main() -> int:
    """Run one schedule for each seed."""
    parser = argparse.ArgumentParser(description="The function under faults.")
    parser.add_argument("--uploads", type=int, default=300, help="generations in each run")
    parser.add_argument("--seed", type=int, nargs="+", default=[7], help="one run for each")
    parser.add_argument("--rate", type=float, default=6.0, help="uploads in a second")
    parser.add_argument("--slots", type=int, default=3, help="instances of the function")
    parser.add_argument("--quiet", action="store_true", help="do not print the schedule")
    options = parser.parse_args()
    console = Console(highlight=False)
    if missing := [why for why in (why_no_firestore(), why_no_gcs()) if why]:
        console.print("\n".join(missing))
        return 2
    broken = 0
    for seed in options.seed:
        schedule = make(options.uploads, seed, slots=options.slots, rate=options.rate)
        console.print(f"[bold]seed {seed}, {options.uploads} uploads[/bold]")
        if not options.quiet:
            console.print("\n".join(schedule.lines()), markup=False)
        columns = (TextColumn("acknowledged"), BarColumn(), MofNCompleteColumn())
        with parts() as servers, Progress(*columns, TimeElapsedColumn(), console=console) as bar:
            task = bar.add_task("uploads", total=options.uploads)
            outcome = run(
                schedule,
                servers,
                slots=options.slots,
                on_progress=partial(_show, bar, task),
            )
        console.print(summary(outcome), markup=False)
        for sentence in invariants.check(outcome):
            broken += 1
            console.print(f"BROKEN: {sentence}", markup=False)
    if broken:
        console.print(f"{broken} broken; logs are kept in {keep_logs()}", markup=False)
    return 1 if broken else 0


def _show(bar: Progress, task: TaskID, done: int, _: int) -> None:
    bar.update(task, completed=done)


def summary(outcome: Outcome) -> str:
    """Tell a run in some lines."""
    states = Counter(record["status"].get("outcome") for record in outcome.records.values())
    answers = Counter(str(delivery.status or "none") for delivery in outcome.deliveries)
    lines = Counter(line["outcome"] for line in outcome.lines)
    unanswered = Counter(d.why.partition(":")[0] for d in outcome.deliveries if not d.status)
    return "\n".join(
        [
            f"{len(outcome.generations)} uploads of {len(outcome.records)} objects in "
            f"{outcome.seconds:.0f} s",
            f"records     {_tell(states)}",
            f"answers     {_tell(answers)} to {len(outcome.deliveries)} deliveries",
            f"unanswered  {_tell(unanswered)}",
            f"log lines   {_tell(lines)}",
            f"paid calls  {len(outcome.paid)} for {len(outcome.generations)} uploads",
            f"processes   {len(outcome.incarnations)}",
            f"struck      {_tell(outcome.struck)}",
        ]
    )


def _tell(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items(), key=str)) or "none"


if __name__ == "__main__":
    sys.exit(main())
