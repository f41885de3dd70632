"""What is built once for each instance, and what is said where it cannot be."""

from dataclasses import replace
from typing import Any

import google.auth
import google.auth.exceptions
import pytest
from google.auth.credentials import AnonymousCredentials

from describer.build import build_model, build_pipeline, build_store, connect_storage
from describer.errors import TokenError
from describer.settings import Settings

OWN = Settings(openai_base_url="http://127.0.0.1:9/v1", model="m")


def credentials(project: str | None) -> Any:
    return lambda **_: (AnonymousCredentials(), project)


def test_without_credentials_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's own words come with it."""

    def none(**_: object) -> None:
        raise google.auth.exceptions.DefaultCredentialsError("no file")

    monkeypatch.delenv("FIRESTORE_EMULATOR_HOST", raising=False)
    monkeypatch.setattr(google.auth, "default", none)
    with pytest.raises(TokenError, match=r"no credentials: DefaultCredentialsError.*no file"):
        build_pipeline(OWN)


def test_without_credentials_for_traces_it_says_so_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token server that fails at the last question is no defect: the event comes again."""

    def none(**_: object) -> None:
        raise google.auth.exceptions.DefaultCredentialsError("no file")

    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:9")
    monkeypatch.setattr(google.auth, "default", none)
    settings = replace(
        OWN, google_cloud_project="p", traces_endpoint="https://telemetry.googleapis.com/v1/traces"
    )
    with pytest.raises(TokenError, match="no credentials: DefaultCredentialsError"):
        build_pipeline(settings)


@pytest.mark.parametrize("build", [build_store, build_model])
def test_without_a_project_it_says_which_setting(build: Any, monkeypatch: Any) -> None:
    """The credentials of a person name none."""
    monkeypatch.delenv("FIRESTORE_EMULATOR_HOST", raising=False)
    monkeypatch.setattr(google.auth, "default", credentials(None))
    with pytest.raises(TokenError, match="GOOGLE_CLOUD_PROJECT"):
        build(Settings())


def test_the_project_of_the_credentials_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the model's address, where nothing else is set."""
    monkeypatch.setattr(google.auth, "default", credentials("p-7"))
    model: Any = build_model(Settings())
    assert "/projects/p-7/locations/global/" in str(model._client.base_url)


def test_the_storage_client_is_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """It connects to the emulator where one is named."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    client = connect_storage(Settings(google_cloud_project="p-8"))
    assert client.project == "p-8"
    client.close()


def test_all_is_built_over_the_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    """No call is made before the first delivery."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:9")
    assert build_pipeline(
        Settings(google_cloud_project="p-9", openai_base_url="http://h/v1", model="m")
    )
