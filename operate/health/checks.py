"""All checks, in the order of the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from operate.cloud import NotReadError
from operate.health.access import check_rights
from operate.health.events import check_buckets, check_queue, check_topic, check_triggers
from operate.health.finding import Finding, unchecked, wrong
from operate.health.function import (
    check_accounts,
    check_archive,
    check_billing,
    check_clock,
    check_function,
    check_project,
    check_revision,
    check_services,
    check_settings,
)
from operate.health.gallery import check_gallery, check_sign_in
from operate.health.models import check_economy, check_models, check_retirements
from operate.health.reading import Deployment
from operate.health.records import check_database, check_indexes, check_rules
from operate.health.schedule import check_schedule

Check = Callable[[Deployment], Iterable[Finding]]

_FIRST: Mapping[str, Check] = {"project": check_project, "clock": check_clock}
_CHECKS: Mapping[str, Check] = {
    "billing": check_billing,
    "APIs": check_services,
    "function": check_function,
    "settings": check_settings,
    "revision": check_revision,
    "archive": check_archive,
    "models": check_models,
    "cheaper lane": check_economy,
    "retirement": check_retirements,
    "buckets": check_buckets,
    "triggers": check_triggers,
    "database": check_database,
    "indexes": check_indexes,
    "rules": check_rules,
    "queue": check_queue,
    "reconcile": check_schedule,
    "events topic": check_topic,
    "gallery": check_gallery,
    "sign-in": check_sign_in,
    "accounts": check_accounts,
    "rights": check_rights,
}


def examine(read: Deployment) -> list[Finding]:
    """Make every check; without the function there is nothing to make most of them on."""
    found = [*_made(_FIRST, read), *_function_found(read)]
    return found if len(read.found) != 1 else [*found, *_made(_CHECKS, read)]


def _function_found(read: Deployment) -> Iterator[Finding]:
    try:
        listed = read.read("functions")
    except NotReadError as exc:
        yield unchecked("function", f"nothing else is checked: {exc}")
        return
    if len(read.found) > 1:
        places = ", ".join(str(one["name"]).split("/")[3] for one in read.found)
        message = f"there are {len(read.found)} of the name {read.name}: {places}"
        yield wrong("function", message, "say which with --region")
    elif not read.found and (silent := listed.get("unreachable")):
        yield unchecked("function", f"{', '.join(map(str, silent))} did not answer")
    elif not read.found:
        message = f"there is none of the name {read.name}, so that nothing else is checked"
        yield wrong("function", message, "terraform apply, or say its --function and --region")


def _made(checks: Mapping[str, Check], read: Deployment) -> Iterator[Finding]:
    for name, check in checks.items():
        try:
            yield from check(read)
        except NotReadError as exc:
            yield unchecked(name, str(exc))
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            # An answer of another shape than the API's reference tells.
            said = f"{type(exc).__name__}: {exc}"
            yield unchecked(name, f"an answer is not as expected ({said})")
