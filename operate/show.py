"""`describer show`: what is known of one picture."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from describer.model.prompt import instructions_for
from operate.address import ADDRESS, Address
from operate.outcomes import IN_WORDS
from operate.output import plain, plain_line, print_json, print_table
from operate.session import Session, with_session

if TYPE_CHECKING:
    from operate.objects import Found
    from operate.records import Stored


@click.command()
@click.argument("address", type=ADDRESS, metavar="gs://bucket/name")
@click.option("--prompt", is_flag=True, help="Print the whole prompt that would be sent, too.")
@with_session
def show(session: Session, *, address: Address, prompt: bool, as_json: bool) -> int:
    """Show the record of one picture: its text, how it ended and what that means.

    And its deliveries, as far as these credentials may read the function's log.

    Exit status 1 if it has no record, or one that ended without a text.
    """
    address = replace(address, exact=True)
    stored = session.records.get(address.bucket, address.name)
    found = session.objects.get(address.bucket, address.name)
    custom = found.upload.metadata if found else {}
    asked = instructions_for(address.name, session.settings, custom)
    logged = _logged(session, address, found, stored)
    if as_json:
        answer: dict[str, Any] = {
            "uri": address.uri,
            "object": found.resource if found else None,
            "record": stored.fields if stored else None,
        }
        if isinstance(logged, list):
            answer["deliveries"] = logged
        elif logged:
            answer["log"] = logged
        if prompt:
            answer["prompt"] = {
                "model": asked.model,
                "language": asked.language,
                "maxOutputTokens": asked.max_output_tokens,
                "promptHash": asked.digest,
                "system": asked.system,
                "request": asked.request,
                "embedded": list(asked.embedded),
            }
        print_json(answer)
    else:
        print_table(("", ""), _rows(address, found, stored))
        if stored and (text := stored.fields.get("description")):
            click.echo("\n" + textwrap.fill(plain(str(text)), 88))
        if isinstance(logged, list):
            _print_deliveries(logged)
        elif logged:
            click.echo(f"\nIts deliveries are not known: {plain_line(logged)}.")
        if prompt:
            limit = f"at most {asked.max_output_tokens:,} tokens"
            click.echo(f"\nPrompt {asked.digest}, for {plain(asked.model)}, {limit}:\n")
            click.echo(plain(f"{asked.system}\n\n(the picture)\n\n{asked.request}"))
            if asked.embedded:
                click.echo(f"\n(and, as far as the file has them: {', '.join(asked.embedded)})")
    return 0 if stored and stored.fields.get("description") else 1


def _logged(
    session: Session, address: Address, found: Found | None, stored: Stored | None
) -> list[Mapping[str, Any]] | str:
    """Give its deliveries, or why they are not known; "" where there are none to ask for."""
    from operate.cloud import EMULATOR, Unread, connected
    from operate.deliveries import deliveries

    # What an emulator holds is described by a function whose log is somewhere else.
    if os.environ.get("FIRESTORE_EMULATOR_HOST") and not os.environ.get(EMULATOR):
        return ""
    generation = stored.fields.get("generation") if stored else None
    if generation is None and found is not None:
        generation = found.upload.generation
    if generation is None:
        return ""
    with connected(session.settings) as cloud:
        answer = deliveries(cloud, address.bucket, address.name, generation)
    return answer.why if isinstance(answer, Unread) else answer


def _print_deliveries(logged: list[Mapping[str, Any]]) -> None:
    click.echo()
    if not logged:
        click.echo("The log has no delivery of it.")
        return
    heads = ("delivery", "outcome", "attempt", "seconds", "cause")
    keys = ("timestamp", "outcome", "attempt", "total_seconds", "cause")
    rows = [[_cell(line.get(key)) for key in keys] for line in logged]
    print_table(heads, rows)


def _cell(value: object) -> object:
    return plain_line(str(value)) if isinstance(value, str) else "" if value is None else value


def _rows(address: Address, found: Found | None, stored: Stored | None) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [("picture", address.uri)]
    if found is None:
        rows.append(("object", "not there"))
    else:
        upload = found.upload
        kind = upload.content_type or "of no type"
        rows.append(
            ("object", f"{upload.size or 0:,} bytes, {kind}, generation {upload.generation}")
        )
    if stored is None:
        return [*rows, ("record", "none")]
    fields, status = stored.fields, stored.status
    outcome = stored.outcome
    state = f"{status.get('state')} {outcome}".strip()
    rows += [("record", stored.id), ("state", state)]
    if outcome in IN_WORDS:
        rows.append(("", IN_WORDS[outcome]))
    if found is not None and fields.get("generation") != found.upload.generation:
        rows.append(("", f"It speaks of generation {fields.get('generation')}, not of this one."))
    usage = fields.get("usage") or {}
    known = {
        "message": status.get("message"),
        "attempt": status.get("attempt"),
        "refusals": status.get("refusals"),
        "began": status.get("startTime"),
        "ended": status.get("completeTime"),
        "written by": fields.get("source"),
        "model": fields.get("model"),
        "language": fields.get("language"),
        "prompt": fields.get("promptHash"),
        "repaired": fields.get("repaired"),
        "ended by": fields.get("finishReason"),
        "quoted": ", ".join(fields.get("metadataQuoted") or []) or None,
        "same text as": fields.get("reusedFrom"),
        "tokens": usage.get("totalTokens"),
        "event": status.get("eventId"),
        "text so far": fields.get("partialText"),
    }
    return rows + [(name, value) for name, value in known.items() if value is not None]
