"""The way of an upload to the function, and of what came of it to others. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from describer.delivery.event import FINALIZED, REMOVALS
from operate.cloud import NotReadError
from operate.health.finding import Finding, ok, unchecked, wrong
from operate.health.reading import Deployment, mapping, subscription_of

# As alerts.tf warns by default.
_BACKLOG = timedelta(hours=1)
# Eventarc keeps an event for a day.
# https://docs.cloud.google.com/eventarc/docs/retry-events
_KEPT_SECONDS = 86_400
_LEAST_ACK_SECONDS = 600


def check_buckets(read: Deployment) -> Iterator[Finding]:
    """Look whether each bucket is there, and in this project."""
    for bucket in read.buckets:
        check = f"bucket {bucket}"
        if read.missing(check):
            yield wrong(
                check,
                "it is not there",
                "terraform apply, or take it out of bucket_name or buckets",
            )
            continue
        try:
            found = read.read(check)
        except NotReadError as exc:
            yield unchecked(check, str(exc))
            continue
        if str(found["projectNumber"]) != read.number:
            yield wrong(
                check,
                f"it belongs to project {found['projectNumber']}",
                "deploy into the bucket's project: no trigger elsewhere hears of it",
            )
        else:
            yield ok(check, f"at {str(found['location']).lower()}")


def check_triggers(read: Deployment) -> Iterator[Finding]:
    """Look whether each bucket's uploads come to the function, and how."""
    for bucket in read.buckets:
        if read.missing(f"bucket {bucket}"):
            continue
        for event in (FINALIZED, *_removals(read)):
            what = bucket if event == FINALIZED else f"{bucket}, {event.rpartition('.')[2]}"
            try:
                yield from _way(read, bucket, event, what)
            except NotReadError as exc:
                yield unchecked(f"trigger of {what}", str(exc))


def _removals(read: Deployment) -> list[str]:
    """Give the types of event by which a record goes with its object, where that is asked for."""
    try:
        return sorted(REMOVALS) if read.settings.delete_records else []
    except NotReadError:
        return []


def _way(read: Deployment, bucket: str, event: str, what: str) -> Iterator[Finding]:
    check = f"trigger of {what}"
    own = bucket == read.own_bucket and event == FINALIZED
    place = str(read.read(f"bucket {bucket}")["location"]).lower()
    if own and (at := str(read.trigger["triggerRegion"])) != place:
        message = f"it stands at {at}, the bucket at {place}: no event comes"
        yield wrong(check, message, "terraform apply; it puts the trigger where the bucket is")
        return
    found = read.triggers(bucket, event)
    if not found:
        message = f"there is none at {place} from this bucket to {read.name}: no event comes"
        yield wrong(check, message, "terraform apply")
        return
    if len(found) > 1:
        names = ", ".join(sorted(str(one["name"]) for one in found))
        message = f"there are {len(found)}, so that each event comes as often: {names}"
        remedy = "gcloud eventarc triggers delete those that Terraform does not know"
        yield wrong(check, message, remedy)
        return
    (trigger,) = found
    faults = [
        str(mapping(one).get("message") or name)
        for name, one in mapping(trigger.get("conditions")).items()
    ]
    if own and (policy := read.trigger.get("retryPolicy")) != "RETRY_POLICY_RETRY":
        faults.append(f"its retry policy is {policy}: an event that failed once is dropped")
    if mapping(trigger.get("retryPolicy")).get("maxAttempts"):
        faults.append("an event that failed once is dropped")
    account = str(trigger.get("serviceAccount")).rpartition("/")[2]
    if account != read.account("trigger"):
        faults.append(f"it delivers as {account}, not as {read.account('trigger')}")
    if faults:
        yield wrong(check, "; ".join(faults), "terraform apply")
    else:
        yield ok(check, f"at {place}, retried")
    yield from _subscription(read, what, trigger, own=own)


def _subscription(
    read: Deployment, what: str, trigger: Mapping[str, Any], *, own: bool
) -> Iterator[Finding]:
    check, name = f"subscription of {what}", subscription_of(trigger)
    remedy = (
        f"delete the trigger {trigger['name']} and terraform apply: Eventarc makes both together"
    )
    if not name or read.missing(f"subscription {name}"):
        yield wrong(check, "it is not there: no event comes", remedy)
        return
    try:
        found = read.read(f"subscription {name}")
    except NotReadError as exc:
        yield unchecked(check, str(exc))
    else:
        yield _judge_subscription(check, found, read, remedy, own=own)
    try:
        yield _backlog(read, what, name)
    except NotReadError as exc:
        yield unchecked(f"backlog of {what}", str(exc))


def _judge_subscription(
    check: str, found: Mapping[str, Any], read: Deployment, remedy: str, *, own: bool
) -> Finding:
    identity = str(found["name"]).rpartition("/")[2]
    push = mapping(found.get("pushConfig"))
    as_whom = mapping(push.get("oidcToken")).get("serviceAccountEmail")
    seconds = int(found.get("ackDeadlineSeconds") or 10)
    kept = float(str(found.get("messageRetentionDuration") or "604800s").removesuffix("s"))
    if found.get("topic") == "_deleted-topic_":
        return wrong(check, "its topic is deleted: no event comes", remedy)
    if not push.get("pushEndpoint"):
        return wrong(check, "it pushes nowhere: events wait in it", remedy)
    if found.get("state", "ACTIVE") != "ACTIVE":
        return wrong(check, f"it is {found['state']}", remedy)
    if as_whom != read.account("trigger"):
        return wrong(check, f"it pushes as {as_whom}, not as {read.account('trigger')}", remedy)
    if kept < _KEPT_SECONDS:
        return wrong(
            check,
            f"it keeps an event for {kept:g} s: what cannot be described meanwhile is lost",
            f"gcloud pubsub subscriptions update {identity} --message-retention-duration=1d",
        )
    # Those of further triggers acknowledge within 10 s, which the lease copes with: trigger.tf.
    if own and seconds < _LEAST_ACK_SECONDS:
        return wrong(
            check,
            f"it waits {seconds} s for an answer: what takes longer is delivered again meanwhile",
            f"gcloud pubsub subscriptions update {identity} --ack-deadline={_LEAST_ACK_SECONDS}",
        )
    return ok(check, f"waits {seconds} s for an answer, keeps events for {kept / 3600:g} h")


def _backlog(read: Deployment, what: str, name: str) -> Finding:
    check = f"backlog of {what}"
    series = read.read(f"backlog {name}")["timeSeries"]
    points = [mapping(point) for one in series for point in one.get("points") or []]
    # The newest stands first; a subscription that nothing waits in may have none.
    values = [mapping(point.get("value")) for point in points[:1]]
    oldest = timedelta(seconds=int(values[0].get("int64Value") or 0) if values else 0)
    if oldest <= _BACKLOG:
        return ok(check, f"the oldest event waits for {oldest.total_seconds():,.0f} s")
    return wrong(
        check,
        f"the oldest event has waited for {oldest}",
        f"gcloud logging read 'resource.labels.service_name={read.name} "
        'jsonPayload.outcome="retry"\' --limit=5; each line names its cause',
    )


def check_queue(read: Deployment) -> Iterator[Finding]:
    """Look at the queue for backfills, if there is one; Terraform makes it where it is asked to."""
    if read.missing("queue"):
        return
    try:
        queue = read.read("queue")
    except NotReadError as exc:
        # Where there is no queue, nobody has enabled its API.
        if "not enabled" not in str(exc):
            raise
        return
    if (state := queue["state"]) == "RUNNING":
        yield ok("queue", "running")
    else:
        name = str(queue["name"]).rpartition("/")[2]
        yield wrong(
            "queue",
            f"{name} is {state}: what a backfill left there is not delivered",
            f"gcloud tasks queues resume {name} --location={read.region}, "
            "and paused = false in backfill_queue",
        )


def check_topic(read: Deployment) -> Iterator[Finding]:
    """Look at the topic that hears of each record, if the settings name one."""
    if not read.topic:
        return
    name = read.topic.rpartition("/")[2]
    if read.missing("topic"):
        message = f"{name} is not there: each delivery comes again for what it cannot publish"
        yield wrong("events topic", message, "terraform apply, or take away events_topic")
    else:
        read.read("topic")
        yield ok("events topic", name)
