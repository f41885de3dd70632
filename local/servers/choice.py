"""Which model answers: a server one names, Vertex AI where credentials are, else the stand-in."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal

from describer.errors import SettingsError
from describer.settings import DEFAULT_MODEL, Settings
from local.http import call
from local.servers.emulators import PROJECT
from local.standin.samples import profiles_for

STANDIN_MODEL = "stand-in"
_ASK_SECONDS = 10.0
_NAMES_SHOWN = 30
# What stands in the prompts of cmd.exe, which exports PROMPT=$P$G, and of zsh, where some do.
# Sources: https://learn.microsoft.com/windows-server/administration/windows-commands/prompt
# https://zsh.sourceforge.io/Doc/Release/Prompt-Expansion.html
_SHELL_PROMPT = re.compile(
    r"\$[PGpg](?=[$>\s]|\Z)|%(?:[nmM~#]|[0-9]+~)(?![A-Za-z0-9])|%[FK]?\{|%\(\?|\x1b"
)


@dataclass(frozen=True)
class ModelChoice:
    """The model that local runs use.

    Attributes:
        kind: `server` (OPENAI_BASE_URL), `vertex` or `stand-in`.
        project: value for GOOGLE_CLOUD_PROJECT.
        line: says which it is and why, in one line.
        model: value for MODEL; empty: as the environment says.
        inline: whether bytes are sent, whatever IMAGE_INPUT says.
        keeps_prompt: whether PROMPT is meant for the model.
        measures_all: whether the stand-in is to replay no text of a sample.
        profiles: for the stand-in: which images are samples, whose texts it replays.
        notes: what of the environment is not followed and why, a sentence each.
    """

    kind: Literal["server", "vertex", "stand-in"]
    project: str
    line: str
    model: str = ""
    inline: bool = True
    keeps_prompt: bool = True
    measures_all: bool = False
    profiles: str = ""
    notes: tuple[str, ...] = ()

    def replaying(self, files: Mapping[str, Path]) -> "ModelChoice":
        """Have the stand-in replay the texts of the samples among these files, by object name."""
        if self.kind != "stand-in" or self.measures_all:
            return self
        return replace(self, profiles=profiles_for(files))

    def env(self, standin_url: str = "") -> dict[str, str]:
        """Give the settings that lead the function to this model.

        Args:
            standin_url: the stand-in's base URL, needed for `stand-in` only.
        """
        settings = {"GOOGLE_CLOUD_PROJECT": self.project}
        if self.model:
            settings["MODEL"] = self.model
        if self.kind == "stand-in":
            settings |= {"OPENAI_BASE_URL": standin_url, "OPENAI_API_KEY": ""}
            # As which it streams, and takes each of its formats.
            settings["MODEL_SERVER"] = "gemini"
            settings.setdefault("MODEL", STANDIN_MODEL)
        if self.profiles:
            settings["PROFILES"] = self.profiles
        if self.inline:
            settings["IMAGE_INPUT"] = "inline"
        if not self.keeps_prompt:
            settings["PROMPT"] = ""
        return settings


def choose_model(
    environ: Mapping[str, str] = os.environ, *, bucket: str | None = None, by_uri: bool = False
) -> ModelChoice:
    """Choose by what the environment offers; a server is asked what it serves if MODEL is not set.

    Args:
        environ: with the function's settings, all of which are checked.
        bucket: where uploads go, if they do.
        by_uri: whether a server on this machine can read `gs://` there.

    Raises:
        SettingsError: the function would refuse its settings, or skip the bucket, or the server
            does not serve exactly one model.
    """

    def value(name: str) -> str:
        return environ.get(name, "").strip()

    keeps_prompt = not _SHELL_PROMPT.search(environ.get("PROMPT", ""))
    notes = [] if keeps_prompt else ["PROMPT looks like a shell's own, and is not used"]
    # Checked as the function will get it, but for a model yet to be found.
    given = {"MODEL": STANDIN_MODEL} if value("OPENAI_BASE_URL") else {}
    given |= {name: text for name, text in environ.items() if text.strip()}
    settings = Settings.from_env(given | ({} if keeps_prompt else {"PROMPT": ""}))
    if bucket and settings.buckets and bucket not in settings.buckets:
        raise SettingsError(
            f"BUCKETS={value('BUCKETS')!r}: the bucket here is `{bucket}`, and all that is"
            f" uploaded to it would be skipped; add it, or unset BUCKETS"
        )
    project, model = value("GOOGLE_CLOUD_PROJECT"), value("MODEL")
    kind: Literal["server", "vertex", "stand-in"] = "stand-in"
    if settings.openai_base_url:
        kind, named = "server", "OPENAI_BASE_URL"
        if not model:
            model = _served(settings.openai_base_url, settings.openai_api_key)
            named += ", which serves no other"
        elif bucket:
            # The function would try again for a day, and the demo would wait.
            _check_it_answers(settings.openai_base_url)
        line = f"{model} at {settings.openai_base_url} ({named})"
    elif project and credentials_file(environ):
        kind = "vertex"
        line = (
            f"{model or DEFAULT_MODEL} on Vertex AI, project {project},"
            f" location {settings.model_location}; calls are billed"
        )
    else:
        project = ""
        line = "a stand-in that measures pixels and sees nothing"
        line += f", under the name {model} (MODEL). " if model else ". "
        line += _what_is_missing(environ)
    inline = not by_uri or kind == "vertex"
    if inline and settings.image_input == "uri":
        notes.append("IMAGE_INPUT=uri needs a bucket that the model can read; bytes are sent")
    choice = ModelChoice(
        kind,
        project or PROJECT,
        line,
        model="" if kind == "vertex" else model,
        inline=inline,
        keeps_prompt=keeps_prompt,
        # Who names a model wants to see that name.
        measures_all=bool(model or settings.profiles),
        notes=tuple(notes),
    )
    Settings.from_env({**environ, **choice.env("http://localhost/v1")})
    return choice


def credentials_file(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Find the file with application default credentials, where google-auth would.

    Source: https://cloud.google.com/docs/authentication/application-default-credentials
    """
    named = environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    folder = environ.get("CLOUDSDK_CONFIG") or "~/.config/gcloud"
    path = Path(named or Path(folder, "application_default_credentials.json")).expanduser()
    return path if path.is_file() else None


def _what_is_missing(environ: Mapping[str, str]) -> str:
    """Say what a real model needs that is not there."""
    if named := environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
        if not credentials_file(environ):
            return f"GOOGLE_APPLICATION_CREDENTIALS names no file ({named})"
    elif environ.get("GOOGLE_CLOUD_PROJECT", "").strip():
        return (
            "GOOGLE_CLOUD_PROJECT is set, but nobody is logged in for it:"
            " `gcloud auth application-default login`"
        )
    if credentials_file(environ):
        return "Credentials are there: for Vertex AI set GOOGLE_CLOUD_PROJECT"
    return (
        "For a real one set OPENAI_BASE_URL,"
        " or GOOGLE_CLOUD_PROJECT after `gcloud auth application-default login`"
    )


def _check_it_answers(base_url: str) -> None:
    """Look whether anything listens; whatever it says is for the function to judge."""
    try:
        call("GET", f"{base_url}/models", timeout_seconds=_ASK_SECONDS, anywhere=True)
    except ConnectionError as exc:
        raise SettingsError(f"OPENAI_BASE_URL: the server does not answer: {exc}") from exc


def _served(base_url: str, key: str | None) -> str:
    """Ask a server for the one model that it serves.

    Raises:
        SettingsError: it serves none or several, or does not say.
    """
    url = f"{base_url}/models"
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        # Through the proxy that the environment may name, as the function's own requests.
        response = call("GET", url, headers=headers, timeout_seconds=_ASK_SECONDS, anywhere=True)
    except ConnectionError as error:
        raise _no_model(f"the server does not answer: {str(error)[:200]}") from error
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        state = "was refused" if key else "is not set"
        raise _no_model(f"{url} answered 401: OPENAI_API_KEY {state}")
    try:
        names = _names(response.json() if response.is_success else None)
    except (ValueError, RecursionError):
        names = None
    if names is None:
        kind = response.headers.get("content-type", "no Content-Type")[:80]
        raise _no_model(f"{url} answered {response.status_code} with {kind}, no list of models")
    if len(names) != 1:
        shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
        raise _no_model(f"{base_url} serves {len(names)} models{shown and f': {shown}'}")
    return names[0]


def _names(content: Any) -> list[str] | None:
    """Read the ids in a list of models; None if it is not one."""
    try:
        names = [str(model["id"]) for model in content["data"]]
    except (TypeError, KeyError):
        return None
    return ["".join(letter for letter in name if letter.isprintable()) for name in names]


def _no_model(why: str) -> SettingsError:
    return SettingsError(f"OPENAI_BASE_URL, MODEL: MODEL is not set, and {why}")
