"""The short form of the runs under faults; `make chaos` is the long one."""

from __future__ import annotations

import asyncio

import pytest

from local.servers.model import StandInServer
from local.servers.processes import Server
from tests.chaos import invariants
from tests.chaos.load import burst
from tests.chaos.run import Parts, run
from tests.chaos.schedule import STORE_FAULTS, make

pytestmark = pytest.mark.slow
SEED, UPLOADS = 4, 40


@pytest.fixture
def servers(firestore_server: Server, gcs: Server, standin: StandInServer) -> Parts:
    """The servers of the session; a run makes its own database and bucket in them."""
    return Parts(firestore_server, gcs, standin)


def test_a_seed_is_a_schedule() -> None:
    """Equal seeds, equal runs: what was printed can be replayed."""
    assert make(200, SEED) == make(200, SEED)
    assert make(200, SEED) != make(200, SEED + 1)
    kinds = {strike.kind for strike in make(300, SEED).strikes}
    assert kinds == {"kill", "term", "freeze", *STORE_FAULTS}


def test_the_promise_is_kept_under_faults(servers: Parts) -> None:
    """Crashes, shutdowns, a store and a model that fail, duplicates and overwrites, all mixed."""
    outcome = run(make(UPLOADS, SEED), servers)
    assert invariants.check(outcome) == []
    assert sum(outcome.struck.values()) >= 3


def test_invariants_notice_what_is_broken(servers: Parts) -> None:
    """A check that cannot fail proves nothing: one run, damaged afterwards in every way."""
    outcome = run(make(6, SEED), servers, slots=1)
    assert invariants.check(outcome) == []
    identity, record = next(iter(outcome.records.items()))
    status = record["status"]

    def broken(**changes: object) -> list[str]:
        before = dict(record)
        record.update(changes)
        found = invariants.check(outcome)
        record.clear()
        record.update(before)
        return found

    assert broken(generation=1)
    assert broken(description="something else")
    assert broken(lease={"owner": "x"})
    assert broken(partialText="x")
    assert broken(status=status | {"state": "PROCESSING"})
    assert broken(status=status | {"outcome": "gave_up"})
    outcome.paid.append(outcome.paid[0])
    assert invariants.check(outcome)
    outcome.paid.pop()
    outcome.lines.append(outcome.lines[0])
    assert invariants.check(outcome)
    outcome.lines.pop()
    outcome.lines[0]["severity"] = "ERROR"
    assert invariants.check(outcome)
    outcome.lines[0]["severity"] = "INFO"
    delivery = outcome.deliveries[0]
    delivery.status = 0
    assert invariants.check(outcome)
    delivery.status = 200
    del outcome.records[identity]
    assert invariants.check(outcome)


@pytest.mark.parametrize("case", ["burst", "files"])
def test_more_at_once_than_the_model_takes_is_described_in_the_end(
    servers: Parts, case: str
) -> None:
    """A burst above the model's limit; and one on an instance that runs out of descriptors."""
    load = asyncio.run(burst(servers, 60, case=case))
    assert load.broken(squeezed=case != "burst") == []
