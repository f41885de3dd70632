"""`make bench`: measures all, and writes docs/performance.md anew."""

from __future__ import annotations

import argparse
import asyncio

from rich.console import Console
from rich.table import Table

from benchmarks import runs
from benchmarks.contestants import TITLES


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of the main figures only")
    parser.parse_args()
    console = Console()
    with console.status("Starting") as status:
        results = asyncio.run(runs.quick(status.update))
    table = Table("", "at once", "images/s", "CPU ms", "added p50", "p95", "p99", "MiB", "refused")
    for one in results.samples:
        added = [f"{value:.0f}" for value in one.added_ms]
        at_once = f"{one.at_once}{' spread' if one.spread else ''}"
        row = [TITLES[one.contestant], at_once, f"{one.images_per_second:.1f}"]
        row += [f"{one.cpu_ms:.1f}", *added, f"{one.memory_mib:.0f}", str(one.refused)]
        table.add_row(*row)
    console.print(table)
    for start in results.starts:
        console.print(
            f"{TITLES[start.contestant]}: port {start.port_seconds:.2f} s,"
            f" first event {start.first_seconds:.2f} s"
        )
    console.print(f"Store round trip, idle: {results.idle_round_trip_ms:.1f} ms")


if __name__ == "__main__":
    main()
