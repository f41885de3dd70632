"""The cheaper and slower lane of the model's server, where it has one: whether it is to be had.

Vertex AI sells one for half the price, as a preview, at the global endpoint and for some models.
What it does not offer there it refuses, or serves at the whole price without a word but for the
usage's traffic type. So it is tried, with one tiny call, before many are promised the price.

Source: https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/flex-paygo
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from describer.settings import Settings
from operate.cost import FLEX

if TYPE_CHECKING:
    from operate.health.asking import Asked

# Bought beforehand, whether it is used or not; used first where there is some.
_BOUGHT = "PROVISIONED_THROUGHPUT"


def why_not_offered(settings: Settings) -> str:
    """Say why these settings cannot have it; "" if they may."""
    if settings.server.economy is None:
        return f"a server of the kind {settings.server_kind} has none"
    if settings.on_vertex and settings.model_location != "global":
        return f"it is at MODEL_LOCATION global only, not at {settings.model_location}"
    if settings.max_attempts == 1:
        return "MAX_ATTEMPTS of 1 leaves no ordinary attempt after it"
    return ""


def why_not_served(asked: Asked) -> str:
    """Say why a model that was asked for it did not serve it; "" if it did."""
    if asked.error is not None:
        return f"{asked.model} is not to be had: {' '.join(str(asked.error).split())[:300]}"
    if asked.traffic_type in {FLEX, _BOUGHT}:
        return ""
    return f"{asked.model} serves at the whole price ({asked.traffic_type or 'by its silence'})"


def why_not(settings: Settings) -> str:
    """Say why the cheaper lane is not to be had, after a tiny call of each model; "" if it is."""
    if reason := why_not_offered(settings):
        return reason
    from operate.health.asking import ask_models

    asked = ask_models(settings, economy=True)
    return next((reason for one in asked if (reason := why_not_served(one))), "")
