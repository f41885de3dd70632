"""What every command is given: the settings, and connections that are made when they are used."""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from describer.settings import Settings

if TYPE_CHECKING:
    from operate.objects import Objects
    from operate.records import FirestoreRecords

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Session:
    """Settings and connections of one run.

    Attributes:
        cleanup: closes the connections at the end.
    """

    settings: Settings
    cleanup: contextlib.ExitStack

    @functools.cached_property
    def records(self) -> FirestoreRecords:
        """The records in Firestore, or its emulator."""
        from operate.records import connect

        return self.cleanup.enter_context(contextlib.closing(connect(self.settings)))

    @functools.cached_property
    def objects(self) -> Objects:
        """The buckets in Cloud Storage, or its emulator."""
        from operate.objects import connect

        return self.cleanup.enter_context(contextlib.closing(connect(self.settings)))


def with_session(command: F) -> F:
    """Give a command `--env-file` and `--json`, and as its first argument the session."""

    @functools.wraps(command)
    def run(env_file: Path | None, **options: Any) -> Any:
        environ = dict(os.environ)
        if env_file is not None:
            environ |= read_env_file(env_file)
        with contextlib.ExitStack() as cleanup:
            return command(Session(Settings.from_env(environ), cleanup), **options)

    click.option("--json", "as_json", is_flag=True, help="Print JSON, for other programs.")(run)
    click.option(
        "--env-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="The function's settings, NAME=value lines or JSON; they win over the environment.",
    )(run)
    return run  # type: ignore[return-value]


def read_env_file(path: Path) -> Mapping[str, str]:
    """Read settings from lines of NAME=value, or from JSON.

    Lines may be quoted as JSON strings are; `#` begins a comment line. Of what `gcloud functions
    describe --format=json` prints, the environment is taken.
    """
    text = path.read_text(encoding="utf-8")
    if text.lstrip().startswith("{"):
        try:
            found = json.loads(text)
        except ValueError as exc:
            raise click.UsageError(f"{path}: not JSON: {exc}") from exc
        environment = found.get("serviceConfig", {}).get("environmentVariables", found)
        return {str(name): str(value) for name, value in environment.items()}
    settings = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if not name or name.startswith("#"):
            continue
        if not equals:
            raise click.UsageError(f"{path}, line {number}: expected NAME=value")
        value = value.strip()
        if value[:1] == '"':
            try:
                value = str(json.loads(value, strict=False))
            except ValueError as exc:
                raise click.UsageError(f"{path}, line {number}: the quotes do not close") from exc
        elif value[:1] == "'" == value[-1:]:
            value = value[1:-1]
        settings[name.strip()] = value
    return settings
