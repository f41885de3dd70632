"""The security rules for `writers`, in the Firestore emulator: what they may, and nothing else."""

import base64
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from local.http import call
from local.servers.emulators import firestore_emulator, why_no_firestore
from tests.terraform.conftest import missing, rendered_rules

COLLECTION = "picture-texts"
DOCUMENTS = "projects/demo-rules/databases/(default)/documents"
ADA = {"sub": "ada", "email": "ada@example.com", "email_verified": True}
MODEL, OWN = "A cat.", "My cat Tibbles."


class Records:
    """One record after the other, each as the function left it."""

    def __init__(self, url: str) -> None:
        self._url = url

    def make(self, state: str = "COMPLETED", **fields: Any) -> str:
        """Write a record as the function; give its id."""
        made = os.urandom(8).hex()
        whole = {"status": {"state": state}, "name": "cat.jpg", **fields}
        assert self.write(None, made, whole) == 200
        return made

    def described(self) -> str:
        """Write one with a model's words."""
        return self.make(description=MODEL, source="model", altText="A cat")

    def write(
        self,
        who: dict[str, Any] | None,
        record: str,
        fields: dict[str, Any],
        *,
        signed: str | None = None,
        timed: bool = True,
        exists: bool | None = None,
    ) -> int:
        """Update these fields as somebody; give the status.

        Args:
            who: the claims of their token; None: the server.
            record: its id.
            fields: what is written.
            signed: user id for `approved.by`, with the model's words under `fields`' own key.
            timed: whether `approved.time` is the server's.
            exists: a precondition.
        """
        approved = dict(fields.get("approved", {}))
        if signed is not None:
            approved["by"] = signed
            fields = {**fields, "approved": approved}
        name = f"{DOCUMENTS}/{COLLECTION}/{record}"
        update: dict[str, Any] = {
            "update": {"name": name, "fields": {key: value_of(one) for key, one in fields.items()}},
            "updateMask": {"fieldPaths": sorted(fields)},
        }
        if signed is not None and timed:
            transform = {"fieldPath": "approved.time", "setToServerValue": "REQUEST_TIME"}
            update["updateTransforms"] = [transform]
        if exists is not None:
            update["currentDocument"] = {"exists": exists}
        return self._commit(who, update)

    def delete(self, who: dict[str, Any], record: str) -> int:
        """Delete one as somebody."""
        return self._commit(who, {"delete": f"{DOCUMENTS}/{COLLECTION}/{record}"})

    def _commit(self, who: dict[str, Any] | None, write: dict[str, Any]) -> int:
        token = "owner" if who is None else token_of(who)
        url = f"{self._url}/v1/{DOCUMENTS}:commit"
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        body = json.dumps({"writes": [write]}).encode()
        return call("POST", url, body=body, headers=headers).status_code


def token_of(claims: dict[str, Any]) -> str:
    """Make a token; the emulator takes those without a signature."""
    whole = {"user_id": claims["sub"], "aud": "demo-rules", "iat": 0, "exp": 4102444800, **claims}
    parts = (json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, whole))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


def value_of(value: Any) -> dict[str, Any]:
    """Give a value in the form of Firestore's REST API."""
    if isinstance(value, dict):
        return {"mapValue": {"fields": {key: value_of(one) for key, one in value.items()}}}
    kind = {bool: "booleanValue", int: "integerValue"}.get(type(value), "stringValue")
    return {kind: value}


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Records]:
    """The emulator under rules that let Ada write."""
    if reason := why_no_firestore():
        missing(reason)
    folder = tmp_path_factory.mktemp("rules")
    rules = rendered_rules("public", COLLECTION, folder, ("ada@example.com", "bob@example.com"))
    with firestore_emulator(rules=rules) as server:
        yield Records(server.url)


CORRECTED = {"description": OWN, "source": "person", "approved": {"modelDescription": MODEL}}


def test_writer_corrects_and_approves(records: Records) -> None:
    """A correction keeps the model's words; a second one, and an approval, keep them too."""
    record = records.described()
    assert records.write(ADA, record, {}, signed="ada") == 200
    assert records.write(ADA, record, CORRECTED, signed="ada") == 200
    again = {**CORRECTED, "description": "Tibbles."}
    assert records.write(ADA, record, again, signed="ada") == 200
    kept = {"approved": {"modelDescription": MODEL}}
    assert records.write(ADA, record, kept, signed="ada") == 200


def test_writer_describes_what_has_no_words(records: Records) -> None:
    """What was blocked gets a person's words, with none of a model's beside them."""
    record = records.make("ERRORED")
    own = {"description": OWN, "source": "person"}
    assert records.write(ADA, record, own, signed="ada") == 200


@pytest.mark.parametrize(
    "who",
    [
        pytest.param(
            {"sub": "eve", "email": "eve@example.com", "email_verified": True}, id="other"
        ),
        pytest.param({**ADA, "email_verified": False}, id="not-verified"),
        pytest.param({"sub": "ada"}, id="without-address"),
        pytest.param({**ADA, "email": "ADA@example.com"}, id="another-spelling"),
    ],
)
def test_nobody_else_writes(records: Records, who: dict[str, Any]) -> None:
    """Neither others, nor who has not shown that the address is theirs."""
    record = records.described()
    assert records.write(who, record, CORRECTED, signed=who["sub"]) == 403
    assert records.write(who, record, {}, signed=who["sub"]) == 403


@pytest.mark.parametrize(
    ("fields", "how"),
    [
        pytest.param(CORRECTED | {"name": "x"}, {}, id="other-field"),
        pytest.param(CORRECTED | {"status": {"state": "COMPLETED", "a": "b"}}, {}, id="status"),
        pytest.param(CORRECTED | {"source": "model"}, {}, id="as-model"),
        pytest.param({"description": OWN, "source": "person"}, {}, id="without-models-words"),
        pytest.param(CORRECTED | {"approved": {"modelDescription": "x"}}, {}, id="other-words"),
        pytest.param(
            CORRECTED | {"approved": {"modelDescription": MODEL, "x": "y"}}, {}, id="more-signed"
        ),
        pytest.param(CORRECTED, {"signed": "bob"}, id="as-somebody-else"),
        pytest.param(CORRECTED, {"timed": False}, id="without-time"),
        pytest.param(CORRECTED, {"signed": None}, id="unsigned"),
        pytest.param(CORRECTED | {"description": ""}, {}, id="empty"),
        pytest.param(CORRECTED | {"description": 7}, {}, id="no-text"),
        pytest.param(CORRECTED | {"description": "x" * 65_537}, {}, id="too-long"),
        pytest.param({"approved": {"modelDescription": MODEL}}, {}, id="approval-with-words"),
    ],
)
def test_writer_writes_nothing_else(
    records: Records, fields: dict[str, Any], how: dict[str, Any]
) -> None:
    """Any other field, any other shape, any other name or time is refused."""
    record = records.described()
    assert records.write(ADA, record, fields, **{"signed": "ada", **how}) == 403


def test_model_s_words_cannot_be_changed_later(records: Records) -> None:
    """Nor taken away, by a second correction or an approval."""
    record = records.described()
    assert records.write(ADA, record, CORRECTED, signed="ada") == 200
    for words in ({"modelDescription": "x"}, {}):
        assert records.write(ADA, record, {**CORRECTED, "approved": words}, signed="ada") == 403
        assert records.write(ADA, record, {"approved": words}, signed="ada") == 403


def test_nothing_is_approved_without_words(records: Records) -> None:
    """There is nothing to approve in a failure."""
    assert records.write(ADA, records.make("ERRORED"), {}, signed="ada") == 403


def test_what_is_being_written_is_left_alone(records: Records) -> None:
    """Until it is finished it is the function's."""
    record = records.make("PROCESSING", description=MODEL, source="model")
    assert records.write(ADA, record, CORRECTED, signed="ada") == 403


def test_writer_neither_makes_nor_deletes(records: Records) -> None:
    """Records are the function's to make."""
    made = records.write(ADA, "new", CORRECTED, signed="ada", exists=False)
    assert made == 403
    assert records.delete(ADA, records.described()) == 403
