"""What a picture costs at the model: by prices that are given, or the list prices known here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

# US dollars for a million tokens, in and out. Read on pages that quote Google's list, in November
# 2026: check before relying, and give your own.
# https://cloud.google.com/vertex-ai/generative-ai/pricing
_LIST_PRICES = {
    "gemini-3.5-flash-lite": (0.30, 2.50),
    "gemini-3.8-flash": (0.75, 3.75),
}
# Vertex AI's cheaper lane, and what part of the ordinary price it asks.
# https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/flex-paygo
FLEX, FLEX_PRICE = "ON_DEMAND_FLEX", 0.5
# Where no record tells: the picture at its default resolution, the prompt, and a paragraph.
_USUAL_INPUT, _USUAL_OUTPUT = 1270.0, 250.0


def with_prices(command: F) -> F:
    """Give a command `--input-price` and `--output-price`."""
    help_text = "US dollars for a million tokens {}; by default the model's list price, if known."
    amount = click.FloatRange(min=0)
    click.option("--output-price", type=amount, help=help_text.format("out"))(command)
    return click.option("--input-price", type=amount, help=help_text.format("in"))(command)


@dataclass(frozen=True, slots=True)
class Prices:
    """What is asked for a million tokens; None where nobody told."""

    input: float | None
    output: float | None

    def of(self, model: str) -> tuple[float, float] | None:
        """Give the prices for a model, or None."""
        listed = _LIST_PRICES.get(model.removeprefix("google/"))
        price_in = listed[0] if self.input is None and listed else self.input
        price_out = listed[1] if self.output is None and listed else self.output
        return None if price_in is None or price_out is None else (price_in, price_out)

    def cost(
        self, model: str, input_tokens: float, output_tokens: float, *, share: float = 1.0
    ) -> float | None:
        """Give US dollars, or None where there is no price.

        Args:
            share: of the price that is paid.
        """
        prices = self.of(model)
        if prices is None:
            return None
        return share * (input_tokens * prices[0] + output_tokens * prices[1]) / 1e6


def share_paid(usage: object) -> float:
    """Give what part of the ordinary price a record's `usage` was paid for with."""
    traffic_type = usage.get("trafficType") if isinstance(usage, Mapping) else None
    return FLEX_PRICE if traffic_type == FLEX else 1.0


@dataclass(slots=True)
class Tokens:
    """Tokens of so many pictures, of which the model told."""

    pictures: int = 0
    input: int = 0
    output: int = 0

    def add(self, usage: object) -> tuple[int, int] | None:
        """Add a record's `usage`; gives what was added."""
        if not isinstance(usage, Mapping):
            return None
        prompt, total = usage.get("promptTokens"), usage.get("totalTokens")
        if type(prompt) is not int or type(total) is not int:
            return None
        self.pictures += 1
        self.input += prompt
        # Thinking is paid as output, and counted in the total only.
        self.output += total - prompt
        return prompt, total - prompt

    @property
    def each(self) -> tuple[float, float]:
        """What one picture takes, in and out: as these did, or as is usual."""
        if not self.pictures:
            return _USUAL_INPUT, _USUAL_OUTPUT
        return self.input / self.pictures, self.output / self.pictures
