"""`describer show` over the log of the running function, as Cloud Logging gives it."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from local.servers.emulators import PROJECT
from local.standin import faults
from operate.cli import describer
from operate.cloud import EMULATOR
from tests.health.server import apis
from tests.health.sound import State, sound
from tests.integration.conftest import System

LOG = "logging.googleapis.com/v2/entries:list"
ODD = 'odd/\\"quoted"\n é.webp'


@pytest.fixture
def system(start: Callable[..., System]) -> System:
    return start()


def logged(system: System) -> State:
    """Give the APIs with what the function has written for this bucket."""
    state, minutes = sound(), itertools.count()
    state.answers[LOG] = {
        "entries": [
            {
                "timestamp": f"2026-01-01T00:{next(minutes):02}:00Z",
                "resource": {"type": "cloud_run_revision"},
                "jsonPayload": line,
            }
            for line in system.lines()
        ]
    }
    return state


def show(system: System, name: str, *arguments: str, state: State | None = None) -> Result:
    """Run the command over that log."""
    environ = {"GOOGLE_CLOUD_PROJECT": PROJECT, "OPENAI_BASE_URL": "http://x/v1", "MODEL": "m"}
    uri = f"gs://{system.bucket.name}/{name}"
    with apis(state or logged(system)) as running:
        env = environ | {EMULATOR: running.host}
        found = CliRunner().invoke(describer, ["show", uri, *arguments], env=env)
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found


@pytest.mark.parametrize("name", ["a.webp", ODD], ids=["plain", "odd"])
def test_the_deliveries_stand_below_the_record(system: System, name: str) -> None:
    """Those of this generation of this object, the oldest first, with what went wrong."""
    system.model.script([faults.status(429)], times=2)
    event = system.upload(name)
    system.post(event)
    system.model.reset()
    for one in (event, system.upload("other.webp"), event):
        system.post(one)
    told = show(system, name)
    assert told.exit_code == 0
    rows = [line.split() for line in told.stdout.partition("\ndelivery ")[2].splitlines()[1:]]
    assert [row[1] for row in rows] == ["retry", "described", "duplicate"]
    assert rows[0][0] == "2026-01-01T00:00:00Z"
    assert "429" in told.stdout
    found = json.loads(show(system, name, "--json").stdout)
    assert [line["outcome"] for line in found["deliveries"]] == ["retry", "described", "duplicate"]


def test_a_log_without_it_is_said(system: System) -> None:
    """Logs are kept for thirty days, records for ever."""
    system.post(system.upload("old.webp"))
    state = logged(system)
    state.answers[LOG]["entries"].clear()
    assert "The log has no delivery of it." in show(system, "old.webp", state=state).stdout


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(lambda s: s.answers.update({LOG: 403}), "logging.logEntries.list", id="right"),
        pytest.param(lambda s: s.disable("logging.googleapis.com"), "is not enabled", id="api"),
        pytest.param(lambda s: s.rubbish.add("logging.googleapis.com"), "no JSON", id="rubbish"),
        pytest.param(
            lambda s: s.spoilt.add("logging.googleapis.com"), "something else", id="shape"
        ),
    ],
)
def test_a_log_that_cannot_be_read_is_one_line(
    system: System, change: Callable[[State], Any], said: str
) -> None:
    """And changes neither the record nor the exit status."""
    system.post(system.upload("a.webp"))
    state = logged(system)
    change(state)
    told = show(system, "a.webp", state=state)
    assert told.exit_code == 0
    assert "COMPLETED described" in told.stdout
    (line,) = (line for line in told.stdout.splitlines() if "deliveries" in line)
    assert said in line
    found = json.loads(show(system, "a.webp", "--json", state=state).stdout)
    assert said in found["log"]
    assert "deliveries" not in found
