"""What backfill, redescribe and reconcile have in common: a plan, a question, the deliveries."""

from __future__ import annotations

import contextlib
import functools
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import click

from describer.settings import Globs
from operate.address import Address, UrlType
from operate.choice import Due, Filters, Verdict, unwanted
from operate.cost import FLEX_PRICE, Prices, Tokens, with_prices
from operate.output import plain_line, print_json, print_table, progress, say
from operate.session import Session
from operate.window import WINDOW, Window

if TYPE_CHECKING:
    from operate.deliver import Delivered, Door
    from operate.objects import Found
    from operate.records import Stored

F = TypeVar("F", bound=Callable[..., Any])

_QUEUE_NAME = re.compile(r"projects/[^/]+/locations/[^/]+/queues/[A-Za-z0-9-]{1,100}\Z")
# For the time that a plan tells: what a hosted model takes for one picture.
_USUAL_SECONDS = 4.0
_FAILURES_SHOWN = 20
_FIRST_SECONDS = 600.0


@dataclass(frozen=True)
class How:
    """How the work is to be done, as the command line says."""

    to: str | None
    queue: str | None
    invoker: str | None
    at_once: int
    rate: float | None
    between: Window | None
    limit: int | None
    economy: bool
    yes: bool
    prices: Prices
    as_json: bool


def with_work(command: F) -> F:
    """Give a command the options of `How`, as its argument `how`."""

    @functools.wraps(command)
    def run(
        *args: Any,
        to: str | None,
        queue: str | None,
        invoker: str | None,
        at_once: int,
        rate: float | None,
        between: Window | None,
        limit: int | None,
        economy: bool,
        yes: bool,
        input_price: float | None,
        output_price: float | None,
        as_json: bool,
        **options: Any,
    ) -> Any:
        prices = Prices(input_price, output_price)
        if queue is not None and to is None:
            raise click.UsageError("--queue needs --to URL, which the queue calls.")
        if queue is not None and between is not None:
            raise click.UsageError("--between holds for no queue; pause and resume the queue.")
        how = How(to, queue, invoker, at_once, rate, between, limit, economy, yes, prices, as_json)
        return command(*args, how=how, **options)

    with_prices(run)
    click.option("--yes", is_flag=True, help="Do it, without a plan and a question before.")(run)
    click.option(
        "--economy",
        is_flag=True,
        help="In the model's cheaper, slower lane, where it has one; tried by a tiny call first.",
    )(run)
    click.option("--limit", type=click.IntRange(1), help="At most so many pictures.")(run)
    click.option(
        "--between", type=WINDOW, help="Begin pictures at these times of day only, by this clock."
    )(run)
    click.option("--rate", type=click.FloatRange(0, min_open=True), help="Pictures a minute.")(run)
    click.option(
        "--at-once",
        type=click.IntRange(1, 500),
        default=20,
        show_default=True,
        help="Pictures under way at the same time.",
    )(run)
    click.option(
        "--invoker",
        metavar="ACCOUNT",
        envvar="DESCRIBER_INVOKER",
        help="With --queue: the account that calls the function. Also DESCRIBER_INVOKER.",
    )(run)
    click.option(
        "--queue",
        metavar="projects/P/locations/L/queues/Q",
        envvar="DESCRIBER_QUEUE",
        callback=_queue_name,
        help="Leave them to a queue of Cloud Tasks, and end. Also DESCRIBER_QUEUE.",
    )(run)
    click.option(
        "--to",
        type=UrlType(),
        metavar="URL",
        envvar="DESCRIBER_URL",
        help="The function's address; without it there is a plan only. Also DESCRIBER_URL.",
    )(run)
    return run  # type: ignore[return-value]


def _queue_name(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and not _QUEUE_NAME.match(value):
        raise click.BadParameter("expected projects/P/locations/L/queues/Q")
    return value


def with_filters(command: F) -> F:
    """Give a command the options of `Filters`, as its argument `filters`."""

    @functools.wraps(command)
    def run(
        *args: Any,
        include: tuple[str, ...],
        exclude: tuple[str, ...],
        newer: datetime | None,
        older: datetime | None,
        min_size: int | None,
        max_size: int | None,
        types: tuple[str, ...],
        **options: Any,
    ) -> Any:
        filters = Filters(
            Globs(include), Globs(exclude), newer, older, min_size, max_size, Globs(types)
        )
        return command(*args, filters=filters, **options)

    click.option(
        "--type",
        "types",
        multiple=True,
        help="Only content types like this (image/gif); repeatable.",
    )(run)
    size = _Size()
    click.option("--max-size", type=size, help="Likewise.")(run)
    click.option("--min-size", type=size, help="Bytes; also 500k, 20M, 1G.")(run)
    when = _Moment()
    click.option("--older", type=when, help="Made before a date (2026-11-01), or 30d, 12h ago.")(
        run
    )
    click.option("--newer", type=when, help="Made since; likewise.")(run)
    click.option("--exclude", multiple=True, help="Not names like this; repeatable.")(run)
    click.option(
        "--include", multiple=True, help="Only names like this (*.jpg; * matches /); repeatable."
    )(run)
    return run  # type: ignore[return-value]


@dataclass
class Plan:
    """What would be done; it grows with the kinds of reasons only."""

    due: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    tokens: Tokens = field(default_factory=Tokens)

    @property
    def pictures(self) -> int:
        """How many would be described."""
        return self.due.total()

    def add(self, verdict: Verdict) -> None:
        """Add one."""
        counts = self.due if isinstance(verdict, Due) else self.left
        counts[verdict.why] += 1


def judged(
    session: Session,
    address: Address,
    filters: Filters,
    judge: Callable[[Found, Stored | None], Verdict],
) -> Callable[[Plan], Iterator[Verdict]]:
    """Give what lists a bucket beside its records, and judges each object that is wanted."""

    def verdicts(plan: Plan) -> Iterator[Verdict]:
        from operate.pairs import pairs
        from operate.records import STATE

        records = session.records.below(address, STATE)
        for found, stored in pairs(session.objects.below(address), records):
            if stored is not None:
                plan.tokens.add(stored.fields.get("usage"))
            if found is not None:
                yield unwanted(found, session.settings, filters) or judge(found, stored)

    return verdicts


def carry_out(
    session: Session,
    verdicts: Callable[[Plan], Iterable[Verdict]],
    how: How,
    *,
    check: Callable[[Delivered], None] | None = None,
) -> int:
    """Plan, ask, deliver, and tell how it ended.

    Args:
        verdicts: lists and judges anew at each call; adds the usage that it sees to the plan.
        check: looks at each delivered picture; what it raises stops all. The first is delivered
            alone then.

    Returns:
        The exit status: 1 if any failed.
    """
    total = None
    if how.economy:
        _check_economy(session, tried=False)
    if not how.yes or how.to is None:
        plan = _planned(verdicts, how)
        _tell(plan, session, how)
        if not plan.pictures or how.to is None or not agreed("Describe them?"):
            if how.as_json:
                print_json({"plan": _as_json(plan, session, how), "delivered": None})
            return 0
        total = plan.pictures
    return deliver_all(session, verdicts, how, how.to, total=total, check=check)


def _check_economy(session: Session, *, tried: bool) -> None:
    """Stop all where there is no cheaper lane: by the settings, or as a tiny call tells."""
    from operate.deliver import RefusedError
    from operate.health.economy import why_not, why_not_offered

    if reason := (why_not if tried else why_not_offered)(session.settings):
        raise RefusedError(f"no cheaper lane: {reason}; leave --economy out")


def _planned(verdicts: Callable[[Plan], Iterable[Verdict]], how: How) -> Plan:
    plan = Plan()
    with progress("Looking") as advance:
        for verdict in verdicts(plan):
            plan.add(verdict)
            advance()
            if plan.pictures == how.limit:
                break
    return plan


def agreed(question: str) -> bool:
    """Ask, where somebody is there."""
    if not sys.stdin.isatty():
        say("Nothing is done without --yes where nobody can be asked.")
        return False
    return click.confirm(question, err=True)


def deliver_all(
    session: Session,
    verdicts: Callable[[Plan], Iterable[Verdict]],
    how: How,
    to: str,
    *,
    total: int | None,
    check: Callable[[Delivered], None] | None = None,
) -> int:
    """Deliver what is due, and tell how it ended; gives the exit status. See `carry_out`."""
    from operate.deliver import Deliverer

    if how.economy:
        _check_economy(session, tried=True)
    door = session.cleanup.enter_context(contextlib.closing(_door(how, to)))
    deliverer = Deliverer(
        door, session.records, at_once=how.at_once, per_minute=how.rate, between=how.between
    )
    seen = Plan()
    failures: list[tuple[str, str]] = []
    first: list[Delivered] = []

    def due() -> Iterator[Due]:
        for verdict in verdicts(seen):
            seen.add(verdict)
            if isinstance(verdict, Due):
                yield verdict
            if seen.pictures == how.limit:
                return

    with progress("Describing", total) as advance:

        def on_done(delivered: Delivered) -> None:
            advance()
            if not first:
                first.append(delivered)
            if delivered.outcome == "failed" and len(failures) < _FAILURES_SHOWN:
                failures.append((delivered.due.found.name, delivered.message))
            if check is not None:
                check(delivered)

        try:
            dues = due()
            if check is not None:
                deliverer.run(islice(dues, 1), on_done)
                if how.queue is not None and first:
                    check(_once_finished(session, first[0]))
            deliverer.run(dues, on_done)
        finally:
            _conclude(how, seen, deliverer.outcomes, failures)
    return 1 if deliverer.outcomes["failed"] else 0


def _door(how: How, to: str) -> Door:
    from operate.deliver import HttpDoor
    from operate.queue import QueueDoor

    if how.queue is None:
        return HttpDoor(to, at_once=how.at_once, economy=how.economy)
    return QueueDoor(how.queue, to, invoker=how.invoker, at_once=how.at_once, economy=how.economy)


def _once_finished(session: Session, delivered: Delivered) -> Delivered:
    """Wait for what the function makes of the first picture in the queue."""
    from operate.deliver import Delivered, RefusedError

    found = delivered.due.found
    say("Waiting for the first picture, before the others are queued.")
    deadline = time.monotonic() + _FIRST_SECONDS
    while time.monotonic() < deadline:
        stored = session.records.get(str(found.resource["bucket"]), found.name)
        if stored is not None and stored.outcome:
            return Delivered(delivered.due, stored.outcome, stored=stored)
        time.sleep(0.5)
    raise RefusedError(
        f"the first picture was not described within {_FIRST_SECONDS:.0f} s; is the queue paused?"
    )


def _conclude(
    how: How, seen: Plan, outcomes: Counter[str], failures: list[tuple[str, str]]
) -> None:
    if how.as_json:
        named = [{"name": name, "message": message} for name, message in failures]
        answer = {"delivered": dict(outcomes), "left": dict(seen.left), "failed": named}
        print_json(answer)
        return
    rows = [(outcome, count, "") for outcome, count in outcomes.most_common()]
    rows += [(why, count, "left alone") for why, count in seen.left.most_common()]
    print_table(("ended as", "pictures", ""), rows)
    for name, message in failures:
        say(f"failed: {plain_line(name)}: {plain_line(message)}")
    if outcomes["failed"]:
        say("Run it again: what is finished is left alone.")


def _tell(plan: Plan, session: Session, how: How) -> None:
    if how.as_json:
        return
    rows = [(why, count, "to be described") for why, count in plan.due.most_common()]
    rows += [(why, count, "left alone") for why, count in plan.left.most_common()]
    print_table(("", "pictures", ""), rows)
    facts = _as_json(plan, session, how)
    cost, seconds = facts["costUsd"], facts["seconds"]
    price = f"about US$ {cost:,.2f}" if cost is not None else "of unknown price"
    basis = f"as {plan.tokens.pictures:,} records say" if plan.tokens.pictures else "as is usual"
    click.echo(
        f"\n{plan.pictures:,} picture{'' if plan.pictures == 1 else 's'}, "
        f"{price} at the model ({basis}), "
        f"about {_span(seconds)} at this rate."
    )
    if how.to is None and plan.pictures:
        say("To have them described, name the function: --to URL.")


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def _as_json(plan: Plan, session: Session, how: How) -> dict[str, Any]:
    tokens_in, tokens_out = plan.tokens.each
    model = session.settings.model
    count = plan.pictures
    seconds = count * _USUAL_SECONDS / how.at_once
    if how.rate:
        seconds = max(seconds, count * 60 / how.rate)
    return {
        "pictures": count,
        "due": dict(plan.due),
        "left": dict(plan.left),
        "costUsd": how.prices.cost(
            model,
            count * tokens_in,
            count * tokens_out,
            share=FLEX_PRICE if how.economy else 1.0,
        ),
        "seconds": round(seconds, 1),
    }


class _Moment(click.ParamType[datetime]):
    name = "date|age"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        text = str(value)
        if match := re.fullmatch(r"([0-9]{1,6})([mhd])", text):
            unit = {"m": "minutes", "h": "hours", "d": "days"}[match[2]]
            return datetime.now(UTC) - timedelta(**{unit: int(match[1])})
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(
                f"{text!r} is neither a date such as 2026-11-01 nor an age such as 30d", param, ctx
            )
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class _Size(click.ParamType[int]):
    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        match = re.fullmatch(r"([0-9]{1,15})([kMG]?)", str(value))
        if not match:
            self.fail(f"{value!r} is not a size such as 500000, 500k or 20M", param, ctx)
        return int(match[1]) * {"": 1, "k": 1024, "M": 1024**2, "G": 1024**3}[match[2]]
