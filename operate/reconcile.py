"""`describer reconcile`: what was lost on the way, though nothing should be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from describer.delivery.lost import may_be_on_its_way
from describer.records.record import Record
from operate.address import ADDRESS, Address
from operate.choice import Due, Filters, Left, Verdict, unfinished, unwanted
from operate.output import plain_line, print_json, print_table, progress
from operate.session import Session, with_session
from operate.work import How, Plan, agreed, deliver_all, with_filters, with_work

if TYPE_CHECKING:
    from operate.pairs import Pair
    from operate.records import Stored

_GONE = "recorded, but gone"


@click.command()
@click.argument("address", type=ADDRESS, metavar="gs://bucket[/prefix]")
@click.option(
    "--minutes",
    type=click.IntRange(0),
    default=60,
    show_default=True,
    help="Leave alone what is younger: it may still be on its way.",
)
@click.option("--fix", is_flag=True, help="Deliver again what is due; delete records of no object.")
@with_filters
@with_work
@with_session
def reconcile(
    session: Session,
    *,
    address: Address,
    minutes: int,
    fix: bool,
    filters: Filters,
    how: How,
) -> int:
    """Find pictures without a finished record, stuck ones, and records whose object is gone.

    With EVENTS_TOPIC also records whose event is not published, as long as their object is there.

    Exit status 1 if it finds any, or with --fix if a delivery failed. --fix needs --to. A person's
    text is never deleted. With --json there is one object for each finding, then the counts.
    """
    if fix and how.to is None:
        raise click.UsageError("--fix needs --to URL: what was lost is delivered again.")
    look = _Look(session, address, minutes * 60.0, filters)
    counts: Counter[str] = Counter()
    with progress("Looking") as advance:
        for pair in look.pairs():
            advance()
            lost = look.judge(pair)
            if lost is not None:
                why = lost.why if isinstance(lost, Due) else _GONE
                counts[why] += 1
                name = lost.found.name if isinstance(lost, Due) else lost.name
                _tell(why, f"gs://{address.bucket}/{name}", as_json=how.as_json)
    if how.as_json:
        print_json({"found": dict(counts)})
    elif counts:
        click.echo()
        print_table(("found", "pictures"), counts.most_common())
    else:
        click.echo("Nothing is lost.")
    if not counts or not fix or how.to is None:
        return 1 if counts else 0
    if not how.yes and not agreed("Mend them?"):
        return 1
    return deliver_all(session, look.mended, how, how.to, total=counts.total())


def _tell(why: str, uri: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"finding": why, "uri": uri})
    else:
        click.echo(f"{why}: {plain_line(uri)}")


class _Look:
    """One way of looking at a bucket beside its records."""

    def __init__(
        self, session: Session, address: Address, seconds: float, filters: Filters
    ) -> None:
        self._session = session
        self._address = address
        self._seconds = seconds
        self._filters = filters

    def pairs(self) -> Iterator[Pair]:
        """List both sides."""
        from operate.pairs import pairs
        from operate.records import STATE

        records = self._session.records.below(self._address, STATE)
        return pairs(self._session.objects.below(self._address), records)

    def judge(self, pair: Pair) -> Due | Stored | None:
        """Give what was lost: a picture that is due, or a record of no object."""
        found, stored = pair
        if found is None:
            return stored if stored is not None and self._gone(stored) else None
        if unwanted(found, self._session.settings, self._filters):
            return None
        verdict = unfinished(found, stored)
        if stored is not None and Record.parse(stored.fields).unpublished:
            # The function publishes where it is told of what is finished; nothing is paid.
            verdict = Due(found, "event not published", version=str(stored.version))
        if not isinstance(verdict, Due):
            return None
        made, unchanged = found.upload.event_time, stored.unchanged_seconds if stored else None
        moving = may_be_on_its_way(made, unchanged, datetime.now(UTC), self._seconds)
        return None if moving else verdict

    def _gone(self, stored: Stored) -> bool:
        """Tell whether a record should go; what was uploaded since the listing is there again."""
        if stored.unchanged_seconds < self._seconds or not self._filters.take_name(stored.name):
            return False
        if Record.parse(stored.fields).written_by_person:
            return False
        return self._session.objects.get(self._address.bucket, stored.name) is None

    def mended(self, _: Plan) -> Iterator[Verdict]:
        """Give what is due, and delete the records of no object."""
        from operate.records import ChangedError

        for pair in self.pairs():
            lost = self.judge(pair)
            if isinstance(lost, Due):
                yield lost
            elif lost is not None:
                try:
                    self._session.records.delete(lost)
                except ChangedError:
                    yield Left("changed meanwhile")
                else:
                    yield Left("deleted: no object")
