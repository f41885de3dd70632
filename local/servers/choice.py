"""Which model answers: a server one names, Vertex AI where credentials are, else the stand-in."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from describer.settings import DEFAULT_MODEL, Settings
from local.servers.emulators import PROJECT
from local.standin.samples import profiles_for


@dataclass(frozen=True)
class ModelChoice:
    """The model that local runs use.

    Attributes:
        kind: `server` (OPENAI_BASE_URL), `vertex` or `stand-in`.
        project: value for GOOGLE_CLOUD_PROJECT.
        line: says which it is and why, in one line.
        profiles: for the stand-in: which images are samples, whose texts it replays.
    """

    kind: Literal["server", "vertex", "stand-in"]
    project: str
    line: str
    profiles: str = ""

    def replaying(self, files: Mapping[str, Path]) -> "ModelChoice":
        """Have the stand-in replay the texts of the samples among these files, by object name."""
        return replace(self, profiles=profiles_for(files)) if self.kind == "stand-in" else self

    def env(self, standin_url: str = "") -> dict[str, str]:
        """Give the settings that lead the function to this model.

        Args:
            standin_url: the stand-in's base URL, needed for `stand-in` only.
        """
        if self.kind == "vertex":
            # Vertex AI cannot read a bucket that is on this machine.
            return {"GOOGLE_CLOUD_PROJECT": self.project, "IMAGE_INPUT": "inline"}
        if self.kind == "server":
            return {"GOOGLE_CLOUD_PROJECT": self.project}
        return {
            "GOOGLE_CLOUD_PROJECT": self.project,
            "OPENAI_BASE_URL": standin_url,
            "OPENAI_API_KEY": "",
            "MODEL": "stand-in",
            "PROFILES": self.profiles,
            "IMAGE_INPUT": "inline",
        }


def choose_model(environ: Mapping[str, str] = os.environ) -> ModelChoice:
    """Choose by what the environment offers; the network is not asked."""
    project = environ.get("GOOGLE_CLOUD_PROJECT", "").strip()
    model = environ.get("MODEL", "").strip() or DEFAULT_MODEL
    server = environ.get("OPENAI_BASE_URL", "").strip()
    if server:
        line = f"{model} at {server} (OPENAI_BASE_URL)"
        return ModelChoice("server", project or PROJECT, line)
    if project and credentials_file(environ):
        location = environ.get("MODEL_LOCATION", "").strip() or Settings().model_location
        line = f"{model} on Vertex AI, project {project}, location {location}; calls are billed"
        return ModelChoice("vertex", project, line)
    line = (
        "a stand-in that measures pixels and sees nothing. For a real one set OPENAI_BASE_URL,"
        " or GOOGLE_CLOUD_PROJECT after `gcloud auth application-default login`"
    )
    return ModelChoice("stand-in", PROJECT, line)


def credentials_file(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Find the file with application default credentials, where google-auth would.

    Source: https://cloud.google.com/docs/authentication/application-default-credentials
    """
    named = environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    folder = environ.get("CLOUDSDK_CONFIG") or "~/.config/gcloud"
    path = Path(named or Path(folder, "application_default_credentials.json")).expanduser()
    return path if path.is_file() else None
