"""`describer stats`: how the pictures ended, when, and what they took."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from operate.address import ADDRESS, Address
from operate.cost import Prices, Tokens, share_paid, with_prices
from operate.output import print_json, print_table, progress
from operate.plot import bars
from operate.session import Session, with_session

if TYPE_CHECKING:
    from operate.records import Stored

_BAR = 40


@dataclass
class Day:
    """What was finished on one day (UTC)."""

    pictures: int = 0
    seconds: float = 0.0
    timed: int = 0
    tokens: Tokens = field(default_factory=Tokens)
    cost: float = 0.0

    @property
    def seconds_each(self) -> float:
        """From the claim to the outcome, on average."""
        return self.seconds / self.timed if self.timed else 0.0


@dataclass
class Sums:
    """What the records say, added up; its size grows with the days only."""

    prices: Prices
    outcomes: Counter[str] = field(default_factory=Counter)
    days: dict[str, Day] = field(default_factory=lambda: defaultdict(Day))
    unpriced: Counter[str] = field(default_factory=Counter)

    def add(self, stored: Stored) -> None:
        """Add one record."""
        status = stored.status
        self.outcomes[stored.outcome or str(status.get("state", "?"))] += 1
        ended = status.get("completeTime")
        if not isinstance(ended, datetime):
            return
        day = self.days[ended.date().isoformat()]
        day.pictures += 1
        began = status.get("startTime")
        if isinstance(began, datetime):
            day.seconds += (ended - began).total_seconds()
            day.timed += 1
        usage = stored.fields.get("usage")
        taken = day.tokens.add(usage)
        if taken:
            model = str(stored.fields.get("model", ""))
            cost = self.prices.cost(model, *taken, share=share_paid(usage))
            if cost is None:
                self.unpriced[model] += 1
            else:
                day.cost += cost


@click.command()
@click.argument("address", type=ADDRESS, required=False, metavar="[gs://bucket/prefix]")
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also draw the pictures of each day into this file, as SVG.",
)
@with_prices
@with_session
def stats(
    session: Session,
    *,
    address: Address | None,
    plot: Path | None,
    input_price: float | None,
    output_price: float | None,
    as_json: bool,
) -> int:
    """Count outcomes, tokens, cost and time by day, below gs://bucket/prefix or in all.

    Each record tells of its last description only: what was described again was paid for again.
    """
    sums = Sums(Prices(input_price, output_price))
    with progress("Reading") as advance:
        only = ("uri", "status", "usage", "model")
        for stored in session.records.below(address, only):
            sums.add(stored)
            advance()
    days = sorted(sums.days.items())
    if plot is not None and days:
        counts = [(date, day.pictures) for date, day in days]
        plot.write_text(bars("Pictures finished each day (UTC)", counts), encoding="utf-8")
    if as_json:
        print_json(
            {
                "outcomes": dict(sums.outcomes),
                "days": {
                    date: {
                        "pictures": day.pictures,
                        "inputTokens": day.tokens.input,
                        "outputTokens": day.tokens.output,
                        "costUsd": round(day.cost, 6),
                        "secondsEach": round(day.seconds_each, 3),
                    }
                    for date, day in days
                },
                "withoutPrice": dict(sums.unpriced),
            }
        )
        return 0
    print_table(("outcome", "records"), sums.outcomes.most_common())
    click.echo()
    most = max((day.pictures for _, day in days), default=1)
    heads = ("day (UTC)", "pictures", "tokens in", "out", "US$", "seconds each", "")
    rows = [
        (
            date,
            day.pictures,
            day.tokens.input,
            day.tokens.output,
            day.cost,
            day.seconds_each,
            "█" * max(1, round(_BAR * day.pictures / most)),
        )
        for date, day in days
    ]
    print_table(heads, rows)
    for model, count in sums.unpriced.items():
        click.echo(
            f"\nNo price is known for {count:,} of {model}: give --input-price, --output-price."
        )
    return 0
