"""Until when Vertex AI serves a model, as far as its page tells, and who is to be warned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from types import MappingProxyType

from describer.settings import Settings

# Of the page: the day from which a model may be retired; it is not before.
# Source: https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/model-versions
RETIRED_FROM: Mapping[str, date] = MappingProxyType(
    {
        "gemini-3.1-flash-lite": date(2027, 5, 7),
        "gemini-3.5-flash": date(2027, 5, 19),
        "gemini-3.5-flash-lite": date(2027, 7, 21),
        "gemini-3.8-flash": date(2027, 9, 2),
        "gemini-4-argon": date(2027, 10, 13),
    }
)
WARNED_DAYS = 60


def retirements(settings: Settings, today: date) -> Iterator[tuple[str, date]]:
    """Give each model of the settings that may be retired within WARNED_DAYS, and when.

    On Vertex AI only: elsewhere the same name may live on.
    """
    if not settings.on_vertex:
        return
    for model in dict.fromkeys(name.removeprefix("google/") for name in settings.every_model):
        ends = RETIRED_FROM.get(model)
        if ends is not None and (ends - today).days <= WARNED_DAYS:
            yield model, ends
