"""Objects and records side by side: both come in the order of names, so nothing is held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from describer.errors import DescriberError

if TYPE_CHECKING:
    from operate.objects import Found
    from operate.records import Stored

# At least one of the two is there.
Pair: TypeAlias = "tuple[Found | None, Stored | None]"
T = TypeVar("T", "Found", "Stored")


class OrderError(DescriberError):
    """A listing was not in the order of names, so that pairs made of it would be wrong."""


def pairs(objects: Iterator[Found], records: Iterator[Stored]) -> Iterator[Pair]:
    """Give each object with its record, and what stands alone alone.

    Raises:
        OrderError: one of the two is not in the order of code points, which is that of UTF-8.
    """
    objects, records = _ordered(objects), _ordered(records)
    found, stored = next(objects, None), next(records, None)
    while found is not None or stored is not None:
        if stored is None or (found is not None and found.name < stored.name):
            yield found, None
            found = next(objects, None)
        elif found is None or stored.name < found.name:
            yield None, stored
            stored = next(records, None)
        else:
            yield found, stored
            found, stored = next(objects, None), next(records, None)


def _ordered(items: Iterator[T]) -> Iterator[T]:
    last = ""
    for item in items:
        if item.name < last:
            raise OrderError(f"the listing gave {item.name!r} after {last!r}")
        last = item.name
        yield item
