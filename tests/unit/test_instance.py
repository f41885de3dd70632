"""The pipeline is built once for all deliveries that wait for it, and a failure is told to all."""

import asyncio
import json
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from describer import instance
from describer.delivery.pipeline import Answer
from describer.errors import TokenError
from describer.instance import Instance
from describer.model import lifetimes
from describer.model.lifetimes import retirements
from describer.settings import DEFAULT_MODEL, Globs, Profile, Settings
from local.servers.events import cloud_event

DELIVERIES = 20


class Built:
    """Stands for a pipeline that was built."""

    async def deliver(self, *_: Any) -> Answer:
        """Answer at once."""
        return Answer(200, "described")


def deliver_together(instance: Instance) -> list[Any]:
    """Deliver twenty events at once; gives answers and exceptions."""
    _, body = cloud_event("b12", "a.jpg", 1)

    async def work() -> list[Any]:
        deliveries = (instance.deliver({}, json.loads(body)) for _ in range(DELIVERIES))
        return await asyncio.gather(*deliveries, return_exceptions=True)

    return asyncio.run(work())


def failing_once(monkeypatch: pytest.MonkeyPatch, exc: Exception) -> list[str]:
    """Have the first build fail; gives the list of builds."""
    builds: list[str] = []

    def build(_: Settings) -> Any:
        builds.append("build")
        time.sleep(0.05)
        if len(builds) == 1:
            raise exc
        return Built()

    monkeypatch.setattr(instance, "build_pipeline", build)
    monkeypatch.setattr(instance, "_shut_down_on_sigterm", lambda _: None)
    return builds


def test_missing_credentials_are_asked_for_once_and_again_with_the_next_event(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One after the other, the last delivery would wait for all the time-outs before its own."""
    builds = failing_once(monkeypatch, TokenError("no credentials"))
    instance = Instance(Settings())
    answers = deliver_together(instance)
    assert {(answer.status, answer.outcome) for answer in answers} == {(503, "retry")}
    assert len(builds) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["severity"] for line in lines] == ["WARNING"] * DELIVERIES
    assert {answer.status for answer in deliver_together(instance)} == {200}
    assert len(builds) == 2


def test_a_defect_while_building_has_its_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is raised, so that the framework answers 500, and the event comes again."""
    failing_once(monkeypatch, ImportError("no such module"))
    raised = deliver_together(Instance(Settings()))
    assert {type(exc) for exc in raised} == {ImportError}
    line = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (line["severity"], line["outcome"], line["status"]) == ("ERROR", "defect", 500)
    assert line["cause"] == "ImportError: no such module"


@pytest.mark.parametrize(
    ("changes", "today", "expected"),
    [
        ({}, date(2026, 11, 24), []),
        ({}, date(2027, 5, 22), ["gemini-3.5-flash-lite"]),
        ({}, date(2028, 1, 1), ["gemini-3.5-flash-lite"]),
        (
            {"model": "gemini-4-argon", "models": ("google/gemini-3.5-flash",)},
            date(2027, 5, 1),
            ["gemini-3.5-flash"],
        ),
        (
            {"profiles": (Profile(Globs(("*",)), model="gemini-3.8-flash"),)},
            date(2027, 7, 5),
            ["gemini-3.5-flash-lite", "gemini-3.8-flash"],
        ),
        ({"openai_base_url": "http://localhost:1/v1"}, date(2028, 1, 1), []),
    ],
)
def test_models_that_end_soon_are_known(
    changes: dict[str, Any], today: date, expected: list[str]
) -> None:
    """Two months before, and from then on; wherever they are named; on Vertex AI alone."""
    assert [model for model, _ in retirements(Settings(**changes), today)] == expected


def test_a_start_warns_of_a_model_that_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line for each, with the day and what to do; a start long before it says nothing."""
    Instance(Settings())
    assert capsys.readouterr().out == ""
    ends = datetime.now(UTC).date() + timedelta(days=59)
    monkeypatch.setattr(lifetimes, "RETIRED_FROM", {"gemini-3.5-flash-lite": ends})
    Instance(Settings())
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["severity"], line["message"]) == ("WARNING", "model retires")
    assert f"gemini-3.5-flash-lite from {ends} on" in line["cause"]


def test_the_default_model_is_known_to_end_some_day() -> None:
    """So that nobody is surprised by it."""
    assert DEFAULT_MODEL.removeprefix("google/") in lifetimes.RETIRED_FROM
