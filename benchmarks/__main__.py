"""`make bench`: measures everything, and writes docs/performance.md and docs/scale.md anew."""

from __future__ import annotations

import argparse
import asyncio
import time

from rich.console import Console
from rich.table import Table

from benchmarks import conversion, report, runs, scale
from benchmarks.contestants import TITLES
from local.servers.function import ROOT

_QUIET_SHARE = 0.02


def main() -> None:
    """Measure, show, and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round; writes nothing")
    parser.add_argument("--report", action="store_true", help="from the last run's figures")
    arguments = parser.parse_args()
    console = Console()
    began = time.monotonic()
    if arguments.report:
        results = report.load()
    else:
        with console.status("Starting") as status:
            results = asyncio.run((runs.quick if arguments.quick else runs.full)(status.update))
        console.print(_table(results))
        console.print(_conversions(results))
        console.print(f"Took {time.monotonic() - began:.0f} s.")
        if results.stolen_share > _QUIET_SHARE:
            console.print(
                f"The machine's host took {results.stolen_share:.1%} of the cores' time for others,"
                " which slows what is bound by CPU. Run again when it is quiet."
            )
    if not arguments.quick:
        # Only here is the library for it installed.
        from benchmarks import plots

        report.save(results)
        plots.draw(results, report.FOLDER)
        for target in report.targets(results):
            console.print(f"{target.verdict:>7}  {target.what}: {target.found}")
        for document in (report.write(results), scale.write()):
            console.print(f"Written: {document.relative_to(ROOT)}")


def _table(results: runs.Results) -> Table:
    table = Table(box=None)
    table.add_column(no_wrap=True)
    for heading in ("at once", "chunks", "images/s", "CPU ms", "added p50", "p95", "p99"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("MiB", "held", "refused"):
        table.add_column(heading, justify="right")
    for one in results.samples:
        row = [TITLES[one.contestant], f"{one.at_once}{' spread' if one.spread else ''}"]
        row += [str(one.chunks), f"{one.images_per_second:.1f}", f"{one.cpu_ms:.1f}"]
        row += [f"{value:.0f}" for value in one.added_ms]
        table.add_row(*row, f"{one.memory_mib:.0f}", str(one.held), str(one.refused))
    return table


def _conversions(results: runs.Results) -> Table:
    table = Table(box=None)
    for place, heading in enumerate(conversion.HEADS):
        table.add_column(heading, justify="right" if place else "left", no_wrap=not place)
    for row in conversion.rows(results.conversions):
        table.add_row(*row)
    return table


if __name__ == "__main__":
    main()
