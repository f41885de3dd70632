"""The executable model with DELETE_RECORDS and EVENTS_TOPIC: in the end, all say the same.

Objects are overwritten and deleted at any time; what tells of it comes early, late, twice, and
meets instances that crash, a store that fails, and a topic that is out of order.
"""

# ruff: noqa: D102 - the name of a rule says it
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as limits
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from describer.delivery.event import REMOVALS
from describer.errors import ObjectGoneError
from describer.images.memory import MemoryBucket
from describer.publishing.memory import MemoryPublisher
from describer.publishing.message import of_deleted, of_finished
from describer.records.record import record_id
from describer.values import Upload
from tests.pictures import JPEG
from tests.unit.test_machine_pipeline import (
    NAMES,
    SETTINGS,
    Event,
    LedgerModel,
    PipelineMachine,
)


class Bucket(MemoryBucket):
    """Objects that stand or do not; each read is of one generation."""

    async def read_range(self, upload: Upload, start: int, size: int) -> bytes:
        if await self.live_generation(upload) != upload.generation:
            raise ObjectGoneError("it is not there")
        return await super().read_range(upload, start, size)


class ReadingModel(LedgerModel):
    """A model that refuses what it cannot read, and is not paid for it."""

    def _script(self, event: Event) -> str:
        live = self._world.bucket.generations.get(event.name)
        if live is None:
            return "denied"
        if live != event.generation:
            # Nothing remembers a deleted generation, of which a copy of the event may come within
            # seconds, or be late by another clock, and meet a newer one under its name.
            self._world.begun.pop((event.name, event.generation), None)
        return super()._script(event)


class RemovalMachine(PipelineMachine):
    """See the module."""

    settings = replace(SETTINGS, delete_records=True, events_topic="events")
    model = ReadingModel

    def __init__(self) -> None:
        super().__init__()
        self.world.bucket = Bucket(dict.fromkeys(NAMES, JPEG))
        self.topic = self.world.publisher = MemoryPublisher()

    @rule(name=st.integers(0, len(NAMES) - 1), kind=st.sampled_from(sorted(REMOVALS)))
    @precondition(lambda self: len(self.events) < 9)
    def upload(self, name: int, kind: str = min(REMOVALS)) -> None:
        self.ends(NAMES[name], kind)
        generation = len(self.events) + 1
        self.world.bucket.generations[NAMES[name]] = generation
        self.events.append(Event(NAMES[name], generation, self.now()))

    @rule(name=st.sampled_from(NAMES), kind=st.sampled_from(sorted(REMOVALS)))
    @precondition(lambda self: len(self.events) < 9)
    def the_object_is_deleted(self, name: str, kind: str) -> None:
        self.ends(name, kind)

    @rule(failing=st.booleans())
    def the_topic_is_out_of_order(self, failing: bool) -> None:
        self.topic.failing = failing

    def heal(self) -> None:
        super().heal()
        self.topic.failing = False

    def judge_release(self, event: Event) -> None:
        # What waits for the topic has not come to any lease yet.
        if not self.topic.failing:
            super().judge_release(event)

    def told(self) -> set[str]:
        """Give the ids of the events that others were told."""
        return {message.id for message in self.topic.messages}

    def ends(self, name: str, kind: str) -> None:
        generation = self.world.bucket.generations.pop(name, None)
        if generation is not None:
            self.events.append(Event(name, generation, self.now(), type=kind))

    def judge_deletion(self, identity: str) -> None:
        before = self.last.pop(identity)
        assert self.world.bucket.generations.get(before["name"]) != before["generation"]
        assert identity not in self.by_hand, "a person's text was deleted"
        assert of_deleted(identity, before).id in self.told()
        for claimed in [key for key in self.owners if key[0] == identity]:
            del self.owners[claimed]

    def is_left_behind(self, name: str, fields: Mapping[str, Any]) -> bool:
        """Tell a claim that nobody looks after: its event is acknowledged by another delivery.

        Its own process has died, or it landed when that had given it up for not written.
        """
        died = any(
            before.crashed
            and before.event.name == name
            and not any(
                after.event is before.event and after.answer and after.answer.status == 200
                for after in self.deliveries[place + 1 :]
            )
            for place, before in enumerate(self.deliveries)
        )
        return fields["status"]["state"] == "PROCESSING" and (died or self.world.landed_late)

    def judge_end(self) -> None:
        documents = self.world.store.documents()
        for name in NAMES:
            identity = record_id("uploads", name)
            if identity in self.erased | self.by_hand:
                continue
            live = self.world.bucket.generations.get(name)
            fields = documents.get(identity)
            if live is None:
                assert fields is None or self.is_left_behind(name, fields), "a record of no object"
                continue
            assert fields is not None
            assert fields["generation"] == live
            assert fields["status"]["state"] in {"COMPLETED", "ERRORED"}
            assert fields["status"]["outcome"] != "gone"
            assert "lease" not in fields
            assert "unpublished" not in fields
            assert of_finished(identity, fields).id in self.told()


@pytest.mark.filterwarnings("error")
def test_in_the_end_records_and_bucket_say_the_same() -> None:
    """Whatever is deleted and overwritten, and in whatever order that is told."""
    run_state_machine_as_test(
        RemovalMachine,
        settings=limits(
            max_examples=150,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
