"""The models: whether they answer, and for how long they will. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from describer.errors import (
    ModelAccessError,
    ModelBusyError,
    ModelMissingError,
    ModelUnreachableError,
    TokenError,
)
from describer.model.lifetimes import WARNED_DAYS, retirements
from operate.health.economy import why_not_served
from operate.health.finding import Finding, ok, unchecked, wrong
from operate.health.reading import Deployment


def check_models(read: Deployment) -> Iterator[Finding]:
    """Judge what came of one call of each."""
    settings = read.settings
    where = f"at {settings.model_location}" if settings.on_vertex else settings.openai_base_url
    for asked in read.asked:
        check, error = f"model {asked.model}", asked.error
        said = " ".join(str(error).split())[:300]
        if error is None:
            yield ok(check, f"answers {where}")
        elif isinstance(error, ModelMissingError) or (
            isinstance(error, ModelAccessError) and error.http_status == 404
        ):
            remedy = (
                "set model or model_location, and apply; docs/models.md names those that are sold"
            )
            yield wrong(check, f"is not served {where}: {said}", remedy)
        elif isinstance(error, TokenError | ModelAccessError):
            remedy = (
                "give yourself roles/aiplatform.user"
                if settings.on_vertex
                else ("set OPENAI_API_KEY to the key that the function has")
            )
            yield unchecked(check, f"these credentials may not call it: {said}", remedy)
        elif isinstance(error, ModelBusyError):
            yield unchecked(check, f"is busy: {said}", "ask again in a minute")
        elif isinstance(error, ModelUnreachableError) and not settings.on_vertex:
            yield unchecked(check, f"cannot be reached from here: {said}")
        else:
            yield wrong(
                check, f"gave no answer {where}: {said}", "mend what it says; then ask again"
            )


def check_economy(read: Deployment) -> Iterator[Finding]:
    """Say whether `--economy` can be had; that it cannot is nothing wrong."""
    for asked in read.asked_for_less:
        yield ok("cheaper lane", why_not_served(asked) or f"{asked.model} is served there")


def check_retirements(read: Deployment) -> Iterator[Finding]:
    """Look whether a model is about to end."""
    ending = list(retirements(read.settings, read.now.date()))
    for model, day in ending:
        left = (day - read.now.date()).days
        when = f"from {day}, in {left} days" if left > 0 else f"since {day}"
        message = f"{model} may be retired {when}"
        yield wrong("retirement", message, "set model to a newer one, try it, and apply")
    if not ending:
        yield ok("retirement", f"no model of the settings ends within {WARNED_DAYS} days")
