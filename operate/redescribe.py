"""`describer redescribe`: texts that today's settings would not make so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from operate.address import ADDRESS, Address
from operate.choice import Filters, difference, to_redescribe
from operate.outcomes import with_outcomes
from operate.session import Session, with_session
from operate.work import How, carry_out, judged, with_filters, with_work

if TYPE_CHECKING:
    from operate.deliver import Delivered


@click.command()
@click.argument("address", type=ADDRESS, metavar="gs://bucket[/prefix]")
@click.option("--exact", is_flag=True, help="Only the object of exactly this name.")
@click.option("--all", "all_", is_flag=True, help="Also what is as today's settings would have it.")
@with_outcomes("Also what ended so; repeatable.")
@with_filters
@with_work
@with_session
def redescribe(
    session: Session,
    *,
    address: Address,
    exact: bool,
    all_: bool,
    outcomes: tuple[str, ...],
    filters: Filters,
    how: How,
) -> int:
    """Have texts made anew where model, language or prompt are not today's any more.

    Give the deployed function's settings (--env-file): the first new text is compared with them,
    and if the function works by others, all is stopped. An old text stays until the new one is
    finished. What a person has written is never touched. It keeps no state: run it again, and
    what is current is left alone.
    """
    wanted = frozenset(outcomes)
    verdicts = judged(
        session,
        replace(address, exact=exact),
        filters,
        lambda found, stored: to_redescribe(found, stored, session.settings, wanted, all_=all_),
    )

    def check(delivered: Delivered) -> None:
        from operate.deliver import RefusedError

        if delivered.stored is None or delivered.outcome not in {"described", "truncated"}:
            return
        differs = difference(delivered.due.found, delivered.stored, session.settings)
        if differs:
            raise RefusedError(
                f"the function has described {delivered.stored.name} with another {differs} than "
                "these settings say; give those of the deployed function (--env-file)"
            )

    return carry_out(session, verdicts, how, check=check)
