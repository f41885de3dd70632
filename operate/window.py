"""Times of day, such as the cheap or the quiet ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta

import click


@dataclass(frozen=True, slots=True)
class Window:
    """From one time of day up to another, which may be past midnight."""

    opens: time
    closes: time

    def __str__(self) -> str:
        return f"{self.opens:%H:%M}-{self.closes:%H:%M}"

    def seconds_to_wait(self, now: datetime) -> float:
        """Give the seconds until it opens; 0 while it is open."""
        at = now.time()
        if self.opens < self.closes:
            is_open = self.opens <= at < self.closes
        else:
            is_open = at >= self.opens or at < self.closes
        if is_open:
            return 0.0
        opens = datetime.combine(now.date(), self.opens, now.tzinfo)
        if at >= self.opens:
            opens += timedelta(days=1)
        return (opens - now).total_seconds()


class WindowType(click.ParamType[Window]):
    """Reads a window from the command line."""

    name = "HH:MM-HH:MM"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Window:
        """See `click.ParamType`."""
        if isinstance(value, Window):
            return value
        opens, _, closes = str(value).partition("-")
        try:
            window = Window(time.fromisoformat(opens), time.fromisoformat(closes))
        except ValueError:
            self.fail(f"{value!r} is not like 22:00-06:00", param, ctx)
        if window.opens == window.closes:
            self.fail(f"{value!r} is never, or always", param, ctx)
        return window


WINDOW = WindowType()
