"""Every kind of image that people upload, through the real storage and the function itself."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.corpus import AS_IT_IS, Case, cases, packed
from tests.integration.conftest import Event, System

CASES = cases()


def test_the_corpus_is_large_and_names_differ() -> None:
    """Or a case would hide another."""
    assert len(CASES) >= 80
    assert len({case.name for case in CASES}) == len(CASES)


# Too heavy for a request, but not for an address.
BY_ADDRESS_AS_IT_IS = {"odd/heavy.png"}


def wrong(case: Case, record: dict[str, object], status: int) -> str | None:
    """Say what is not as it is to be."""
    told = record.get("status")
    outcome = told.get("outcome") if isinstance(told, dict) else None
    message = told.get("message", "") if isinstance(told, dict) else ""
    if status != 200 or not re.fullmatch(case.outcome, str(outcome)):
        return f"{case.name}: {status} {outcome} {message}"
    converted = record.get("converted")
    if outcome == "described" and case.words == AS_IT_IS and case.outcome == "described":
        if converted is not None:
            return f"{case.name}: {converted}"
    elif not re.search(case.words, str(converted if outcome == "described" else message)):
        return f"{case.name}: {converted} {message}"
    if case.found not in {None, record["contentType"]}:
        return f"{case.name}: {record['contentType']}"
    return None


@pytest.mark.slow
@pytest.mark.parametrize("image_input", ["inline", "uri"])
def test_every_image_has_the_outcome_that_it_is_to_have(
    start: Callable[..., System], image_input: str
) -> None:
    """All at once; none is lost, none takes another along, and none is paid for twice.

    By its address goes what is as it should be, and nothing else.
    """
    system = start(MODEL_SERVER="gemini", IMAGE_INPUT=image_input)
    system.model.reset()
    cases = CASES
    if image_input == "uri":
        cases = [
            replace(case, words=AS_IT_IS) if case.name in BY_ADDRESS_AS_IT_IS else case
            for case in CASES
        ]
    events = [system.upload(case.name, case.content, case.declared) for case in cases]
    answers = system.post(*events)
    faults = [
        fault
        for case, answer in zip(cases, answers, strict=True)
        if (fault := wrong(case, system.record(case.name), answer.status_code))
    ]
    # What the stand-in cannot decode it refuses, as a model would: sent as it is, it says so.
    assert faults == []
    assert system.paid() == system.outcomes()["described"]
    home = f"gs://{system.bucket.name}/"
    by_address = {
        one["image"].removeprefix(home)
        for one in system.model.requests()
        if one["image"].startswith(home)
    }
    sound = {
        case.name
        for case in cases
        if (case.outcome, case.words) == ("described", AS_IT_IS) or case.outcome == "rejected"
    }
    # Its declared type is no server's, so it is read; then it goes as it is.
    sound.remove("types/unheard of.jpg")
    assert by_address == (sound if image_input == "uri" else set())


def test_a_packed_object_is_unpacked_and_converted(start: Callable[..., System]) -> None:
    """Stored with Content-Encoding gzip, as `gcloud storage cp -Z` does."""
    system = start()
    (case,) = (case for case in CASES if case.name == "formats/photo.bmp")
    blob = system.bucket.blob("packed.bmp")
    blob.content_encoding = "gzip"
    blob.upload_from_string(packed(case), content_type="image/bmp")
    event: Event = system.event("packed.bmp", blob.generation, "image/bmp", len(packed(case)))
    (answer,) = system.post(event)
    assert (answer.status_code, system.record("packed.bmp")["converted"]) == (
        200,
        "converted to JPEG",
    )


def test_on_vertex_what_can_go_by_uri_does_and_the_rest_is_converted(
    start: Callable[..., System],
) -> None:
    """The address of a JPEG; the bytes of a GIF."""
    system = start(IMAGE_INPUT="uri", MODEL_SERVER="gemini")
    system.model.reset()
    for name in ("good/photo.jpg", "formats/photo.gif"):
        (case,) = (case for case in CASES if case.name == name)
        (answer,) = system.post(system.upload(name, case.content, case.declared))
        assert answer.status_code == 200
    assert "converted" not in system.record("good/photo.jpg")
    assert system.record("formats/photo.gif")["converted"] == "converted to JPEG"
    assert system.record("formats/photo.gif")["contentType"] == "image/gif"
