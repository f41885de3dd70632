"""What must hold after any run, judged from records, writes, the model's log and the function's."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from describer.records.record import record_id
from tests.chaos.run import MAX_ATTEMPTS, Generation, Outcome

_ANSWERS = frozenset({200, 503})
_LOUD = frozenset({"gave_up", "rejected"})


def check(outcome: Outcome) -> list[str]:
    """Give a sentence for each thing that is broken; none if the promise was kept."""
    return [
        *_every_event_is_acknowledged(outcome),
        *_every_delivery_is_answered(outcome),
        *_every_shutdown_ends_in_time(outcome),
        *_one_line_for_each_delivery(outcome),
        *_errors_only_where_nobody_tries_again(outcome),
        *_partial_text_is_no_description(outcome),
        *_one_honest_record_for_each_object(outcome),
        *_nothing_is_paid_twice(outcome),
    ]


def _every_event_is_acknowledged(outcome: Outcome) -> Iterator[str]:
    for event_id in outcome.dropped:
        yield f"event {event_id} was never acknowledged: the upload is lost"
    answered = {d.event_id for d in outcome.deliveries if d.status == 200}
    for generation in outcome.generations:
        if generation.event_id not in answered:
            yield f"{_tell(generation)} has no acknowledged delivery"


def _every_delivery_is_answered(outcome: Outcome) -> Iterator[str]:
    for delivery in outcome.deliveries:
        if delivery.status == 0 and not delivery.excused:
            yield f"a delivery of {delivery.object_name} got no answer: {delivery.why}"
        if delivery.status not in _ANSWERS | {0}:
            yield f"a delivery of {delivery.object_name} was answered {delivery.status}"


def _every_shutdown_ends_in_time(outcome: Outcome) -> Iterator[str]:
    for incarnation in outcome.incarnations:
        if incarnation.told_at is not None and incarnation.killed_at is not None:
            yield f"port {incarnation.server.port}: not done within the grace time of SIGTERM"


def _one_line_for_each_delivery(outcome: Outcome) -> Iterator[str]:
    owners = Counter(line["owner"] for line in outcome.lines)
    for owner, count in owners.items():
        if count > 1:
            yield f"owner {owner} has {count} log lines"
    lines = Counter(line["event_id"] for line in outcome.lines)
    answered = Counter(d.event_id for d in outcome.deliveries if d.status)
    begun = Counter(d.event_id for d in outcome.deliveries)
    for event_id, count in begun.items():
        if not answered[event_id] <= lines[event_id] <= count:
            yield (
                f"event {event_id}: {lines[event_id]} log lines for {answered[event_id]} answers "
                f"to {count} deliveries"
            )


def _errors_only_where_nobody_tries_again(outcome: Outcome) -> Iterator[str]:
    for noise in outcome.noise:
        yield f"noise in a log: {noise[:200]}"
    for line in outcome.lines:
        loud = line["severity"] in {"ERROR", "CRITICAL"}
        if loud != (line["outcome"] in _LOUD):
            yield f"{line['severity']} for {line['outcome']}: {line.get('cause')}"
        if loud and line["status"] != 200:
            yield f"an ERROR line for what is tried again: {line}"
        if loud and not {"bucket", "object_name", "generation", "cause"} <= set(line):
            yield f"an ERROR line that does not say what it is about: {line}"


def _partial_text_is_no_description(outcome: Outcome) -> Iterator[str]:
    for commit in outcome.writes:
        if commit.has_description and commit.state != "COMPLETED":
            yield f"a {commit.step} write of {commit.record_id} has a description"


def _one_honest_record_for_each_object(outcome: Outcome) -> Iterator[str]:
    newest = {generation.name: generation for generation in outcome.generations}
    left = dict(outcome.records)
    texts: dict[str, set[str]] = defaultdict(set)
    for entry in outcome.paid:
        texts[_digest(entry)].add(entry["text"].strip())
    for name, generation in newest.items():
        record = left.pop(record_id(outcome.bucket, name), None)
        if record is None:
            yield f"{_tell(generation)} has no record"
            continue
        yield from _honest(record, generation, texts[generation.digest], outcome)
    for identity in left:
        yield f"record {identity} belongs to no object"


def _honest(
    record: dict[str, Any], generation: Generation, texts: set[str], outcome: Outcome
) -> Iterator[str]:
    status = record["status"]
    said = f"{_tell(generation)}: {status.get('outcome')} ({status.get('message', '')[:200]})"
    if record["generation"] != generation.number:
        yield f"{said} speaks of generation {record['generation']}, not {generation.number}"
    if status["state"] not in {"COMPLETED", "ERRORED"}:
        yield f"{said} is {status['state']} although all is quiet"
    if "lease" in record or "partialText" in record:
        yield f"{said} has a lease or partial text left"
    if ("description" in record) != (status["state"] == "COMPLETED"):
        yield f"{said} has a description in state {status['state']}, or none"
    if "description" in record and record["description"] not in texts:
        yield f"{said} says what the model did not: {record['description'][:100]!r}"
    # The stand-in's limit on tokens cuts nothing, so a text that is not whole would show here.
    allowed = {"described"}
    allowed |= {fault.final for fault in generation.put.failures if fault.final}
    allowed |= {"gone"} if generation.gone else set()
    if status.get("outcome") == "gave_up":
        if status["attempt"] != MAX_ATTEMPTS:
            yield f"{said} after {status['attempt']} attempts"
        loud = [
            line
            for line in outcome.lines
            if line["outcome"] == "gave_up" and line["event_id"] == generation.event_id
        ]
        # A process that dies between the record and the line takes the line with it.
        cut = any(d.cut and d.event_id == generation.event_id for d in outcome.deliveries)
        if len(loud) > 1 or (not loud and not cut):
            yield f"{said} with {len(loud)} ERROR lines"
        if not all("last cause" in line["cause"] for line in loud):
            yield f"{said} without its last cause in the log"
        return
    if status.get("outcome") not in allowed:
        yield f"{said}, expected one of {sorted(allowed)}"


def _nothing_is_paid_twice(outcome: Outcome) -> Iterator[str]:
    paid: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in outcome.paid:
        paid[_digest(entry)].append(entry)
    for generation in outcome.generations:
        calls = paid.pop(generation.digest, [])
        broken = sum(
            MAX_ATTEMPTS if fault.name.endswith("for ever") else fault.paid
            for fault in generation.put.failures
        )
        around = outcome.breaks[record_id(outcome.bucket, generation.name)]
        if len(calls) > 1 + broken + around:
            yield (
                f"{_tell(generation)} was paid for {len(calls)} times; {broken} attempts were "
                f"broken by the model, {around} by the surroundings"
            )
        for one, two in pairwise(calls):
            # What the stand-in needs to notice that a client is gone.
            if one["ended"] is None or one["ended"] > two["begun"] + 1.0:
                yield f"{_tell(generation)} was streamed twice at once"
    for digest in paid:
        yield f"the model was sent {digest}, which nobody uploaded"


def _digest(entry: dict[str, Any]) -> str:
    return str(entry["image"]).removeprefix("sha256:")


def _tell(generation: Generation) -> str:
    return f"put {generation.put.number} ({generation.name})"
