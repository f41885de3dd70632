"""`describer backfill`: the pictures that were there before, or have no outcome yet."""

from __future__ import annotations

from dataclasses import replace

import click

from operate.address import ADDRESS, Address
from operate.choice import Filters, to_backfill
from operate.outcomes import with_outcomes
from operate.session import Session, with_session
from operate.work import How, carry_out, judged, with_filters, with_work


@click.command()
@click.argument("address", type=ADDRESS, metavar="gs://bucket[/prefix]")
@click.option("--exact", is_flag=True, help="Only the object of exactly this name.")
@with_outcomes("Also what ended so, once more; repeatable.")
@with_filters
@with_work
@with_session
def backfill(
    session: Session,
    *,
    address: Address,
    exact: bool,
    outcomes: tuple[str, ...],
    filters: Filters,
    how: How,
) -> int:
    """Have the function describe what has no finished record.

    Lists the bucket beside the records, tells what it would do, what that costs and how long it
    takes, and asks. Then it hands each picture to the function as the event of an upload, or with
    --queue leaves them to Cloud Tasks, which does so at its own rate. It keeps no state: stopped
    or killed, run it again, and what is finished or under way is left alone.
    """
    wanted = frozenset(outcomes)
    verdicts = judged(
        session,
        replace(address, exact=exact),
        filters,
        lambda found, stored: to_backfill(found, stored, wanted),
    )
    return carry_out(session, verdicts, how)
