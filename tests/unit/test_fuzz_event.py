"""Whatever is delivered gets one of three answers, one log line, and at most one sound record."""

import json
from typing import Any

import pytest
from google.cloud.firestore_v1 import _helpers
from google.cloud.firestore_v1.types import Document
from hypothesis import example, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from describer.delivery.event import FINALIZED
from describer.delivery.pipeline import Answer, Pipeline
from describer.errors import ModelAccessError, ModelRejectedError
from describer.images.loading import Images
from describer.images.memory import MemoryBucket
from describer.model.scripted import Script, ScriptedModel, text_script
from describer.records.memory import MemoryStore
from describer.records.record import record_id
from describer.records.store import REMOVE, Fields, Version
from describer.settings import Settings
from tests import virtual
from tests.pictures import JPEG

# Source: https://firebase.google.com/docs/firestore/quotas
_DOCUMENT_BYTES = 1024 * 1024

# With lone surrogates, which a JSON escape can carry and UTF-8 cannot.
any_text = st.text(st.characters(), max_size=40)
any_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | any_text
    | st.sampled_from(["1", "0", "-1", "٣", "9" * 19, "9" * 5000, "1e3", " 1", "x" * 2_000_000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=6,
)
SOUND = {
    "bucket": "uploads",
    "name": "a/b.jpg",
    "generation": "7",
    "contentType": "image/jpeg",
    "size": "100",
    "timeCreated": "2026-01-01T00:00:00Z",
}
ATTRIBUTES = {
    "id": "1",
    "source": "//storage.googleapis.com/projects/_/buckets/uploads",
    "type": FINALIZED,
    "time": "2026-01-01T00:00:00Z",
    "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01",
}


class FirestoreLike(MemoryStore):
    """Refuses what Firestore's client or server refuses, as an error that nobody translates."""

    def _write(self, record_id: str, before: dict[str, Any], fields: Fields) -> int:
        sent = {name: value for name, value in fields.items() if value is not REMOVE}
        size = len(Document.serialize(Document(fields=_helpers.encode_dict(sent))))
        if size >= _DOCUMENT_BYTES:
            raise ValueError(f"a document of {size} bytes")
        return super()._write(record_id, before, fields)

    async def read(self, record_id: str) -> Any:
        """Refuse an id that is none."""
        assert len(record_id) == 64
        return await super().read(record_id)

    async def create(self, record_id: str, fields: Fields) -> Version:
        """Refuse an id that is none."""
        assert len(record_id) == 64
        return await super().create(record_id, fields)


def deliver(
    attributes: dict[str, Any], payload: object, script: Script, settings: Settings | None = None
) -> tuple[Answer, FirestoreLike]:
    """Deliver one event to a pipeline of its own."""
    settings = settings or Settings(image_input="uri")
    name = str(payload.get("name")) if isinstance(payload, dict) else ""

    async def work() -> tuple[Answer, FirestoreLike]:
        store = FirestoreLike(virtual.now)
        pipeline = Pipeline(
            settings,
            store,
            ScriptedModel([script]),
            Images(settings, MemoryBucket({name: JPEG})),
            now=virtual.now,
        )
        return await pipeline.deliver(attributes, payload), store

    return virtual.run(work())


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Take the log lines written since the last call; each must be JSON on a line of its own."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@st.composite
def mutated(draw: st.DrawFn, sound: dict[str, Any]) -> dict[str, Any]:
    """Give the sound map with some of its entries removed or replaced."""
    changed = dict(sound)
    for key in draw(st.sets(st.sampled_from(sorted(sound)), max_size=3)):
        if draw(st.booleans()):
            del changed[key]
        else:
            changed[key] = draw(any_json)
    return changed


@given(
    mutated(ATTRIBUTES) | st.dictionaries(any_text, any_json, max_size=3),
    mutated(SOUND) | mutated(SOUND) | any_json,
)
@example(ATTRIBUTES, SOUND | {"contentType": "image/\ud800"})
@example(ATTRIBUTES, SOUND | {"contentType": "image/" + "x" * 2_000_000})
@example(ATTRIBUTES, SOUND | {"name": "x" * 2_000_000})
@example(ATTRIBUTES, SOUND | {"name": "ü" * 513})
@example(ATTRIBUTES | {"id": "\ud800"}, SOUND)
@example(ATTRIBUTES | {"time": "0001-01-01T00:00:00+23:59"}, SOUND)
@example(ATTRIBUTES | {"time": "9999-12-31T23:59:59-23:59"}, SOUND)
@example(ATTRIBUTES, SOUND | {"name": 'a"}\n{"severity": "ERROR", "message": "forged"}.jpg'})
@limits(deadline=None)
def test_any_event_is_answered_and_logged_once(attributes: dict[str, Any], payload: object) -> None:
    """No event raises, and none makes a record that Firestore would refuse."""
    # Not the fixture: Hypothesis runs many examples within one test.
    with pytest.MonkeyPatch.context() as patch:
        written: list[str] = []
        patch.setattr("sys.stdout", _Lines(written))
        answer, store = deliver(attributes, payload, text_script("A cat."))
    assert answer.status in {200, 400}
    (line,) = [json.loads(line) for line in "".join(written).splitlines()]
    assert line["message"] == "delivery"
    assert line["status"] == answer.status
    if answer.outcome in {"malformed", "skipped"}:
        assert store.documents() == {}
    else:
        assert isinstance(payload, dict)
        assert list(store.documents()) == [record_id(payload["bucket"], payload["name"])]


class _Lines:
    """A standard output that takes only what UTF-8 can hold."""

    def __init__(self, written: list[str]) -> None:
        self._written = written

    def write(self, text: str) -> int:
        text.encode()
        self._written.append(text)
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ModelRejectedError("no: \ud800"), id="refused for good"),
        pytest.param(ModelAccessError("no: \ud800"), id="delivered again"),
    ],
)
def test_the_models_words_cannot_break_record_log_or_answer(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error message may hold half a surrogate pair, and goes into all three."""
    answer, store = deliver(ATTRIBUTES, SOUND, Script(refusal=error))
    answer.message.encode()
    (record,) = store.documents().values()
    assert "lease" not in record
    assert "no: " in record["status"]["message"]
    assert [line["status"] for line in lines_of(capsys)] == [answer.status]


@given(any_text.filter(bool), any_text.filter(bool))
@example("0", "\ud800")
@limits(deadline=None)
def test_no_name_changes_what_the_log_says_of_others(one: str, other: str) -> None:
    """A name can neither end its line nor add a field to it."""
    with pytest.MonkeyPatch.context() as patch:
        written: list[str] = []
        patch.setattr("sys.stdout", _Lines(written))
        deliver(ATTRIBUTES, SOUND | {"name": one + other + ".jpg"}, text_script("A cat."))
    (line,) = [json.loads(line) for line in "".join(written).splitlines()]
    # Half a surrogate pair makes no name; all others are described.
    assert (line["severity"], line["outcome"]) in {("INFO", "described"), ("WARNING", "malformed")}
    assert line.get("object_name", one + other + ".jpg") == one + other + ".jpg"
