"""`describer doctor`: whether what is deployed is sound, and what to do where it is not."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from operate.output import plain_line, print_json, print_table, say
from operate.session import Session, with_session

if TYPE_CHECKING:
    from operate.health.finding import Finding

# Nothing is wrong, as far as could be looked.
_PARTLY = 3
_SIGNS = {"ok": "ok", "wrong": "WRONG", "unchecked": "?"}


@click.command()
@click.option("--function", "name", default="describer", show_default=True, help="Its name.")
@click.option("--region", help="Where it is; looked for everywhere by default.")
@click.option(
    "--readers",
    type=click.Choice(["none", "signed_in", "public"]),
    help="What `readers` is in Terraform, which the security rules are held against.",
)
@with_session
def doctor(
    session: Session, *, name: str, region: str | None, readers: str | None, as_json: bool
) -> int:
    """Examine what is deployed: roles, trigger, model, database and all between.

    Reads through Google's APIs, changes nothing, and calls each model once, which is billed;
    where it may have a cheaper lane, once more there.

    Exit status 1 if something is wrong; 3 if nothing is, but not all could be looked at.
    """
    findings = _examine(session, name, region, readers)
    counts = {state: sum(f.state == state for f in findings) for state in _SIGNS}
    if as_json:
        print_json({"function": name, "findings": [asdict(f) for f in findings], **counts})
    else:
        _print(findings)
        say(f"{counts['ok']} ok, {counts['wrong']} wrong, {counts['unchecked']} not checked")
    if counts["wrong"]:
        return 1
    return _PARTLY if counts["unchecked"] else 0


def _examine(session: Session, name: str, region: str | None, readers: str | None) -> list[Finding]:
    from operate.cloud import NotReadError, connected
    from operate.health.asking import ask_models
    from operate.health.checks import examine
    from operate.health.economy import why_not_offered
    from operate.health.reading import read_deployment

    with connected(session.settings) as cloud:
        read = read_deployment(cloud, name, region)
        read.readers = readers
        if len(read.found) == 1:
            with contextlib.suppress(NotReadError):
                key = session.settings.openai_api_key
                settings = replace(read.settings, openai_api_key=key)
                read.asked = ask_models(settings, cloud)
                if not why_not_offered(settings):
                    read.asked_for_less = ask_models(settings, cloud, economy=True)
    return examine(read)


def _print(findings: list[Finding]) -> None:
    rows = []
    for finding in findings:
        rows.append((_SIGNS[finding.state], finding.check, plain_line(finding.message)))
        if finding.remedy:
            rows.append(("", "", f"-> {plain_line(finding.remedy)}"))
    print_table(("", "", ""), rows)
