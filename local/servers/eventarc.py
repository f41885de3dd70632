"""A small local Eventarc: storage notifications out of Pub/Sub, as CloudEvents into the function.

It pulls rather than lets Pub/Sub push: the emulator pushes two messages at a time, whatever waits.
What the function answers decides, as in the cloud: acknowledged on success, otherwise delivered
again after the subscription's back-off.

Source: https://cloud.google.com/eventarc/docs/retry-events
"""

import contextlib
import datetime as dt
import logging
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from google.api_core.exceptions import AlreadyExists
from google.cloud import pubsub_v1  # type: ignore[attr-defined,import-untyped,unused-ignore]
from google.cloud.pubsub_v1.subscriber.message import (  # type: ignore[import-untyped,unused-ignore]
    Message,
)
from google.cloud.pubsub_v1.subscriber.scheduler import (  # type: ignore[import-untyped,unused-ignore]
    ThreadScheduler,
)

from local.http import call
from local.servers.emulators import PROJECT
from local.servers.events import FINALIZED, REMOVED, Headers, cloud_event, event_headers

__all__ = ["Delivery", "cloud_event", "create_topic", "deliver", "eventarc", "to_cloud_event"]

SUCCESS = frozenset({102, 200, 201, 202, 204})
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """One arrival of an event at the function.

    Attributes:
        event_id: the CloudEvent's id, the same for each redelivery.
        object_name: what it is about.
        attempt: 1 for the first delivery.
        status: HTTP status of the answer; 0 if there was none.
    """

    event_id: str
    object_name: str
    attempt: int
    status: int

    @property
    def acknowledged(self) -> bool:
        """Tell whether the event is done with."""
        return self.status in SUCCESS


def create_topic(pubsub_host: str, topic: str = "uploads") -> None:
    """Create the topic for storage notifications; one that exists is fine."""
    with _emulator(pubsub_host):
        publisher = pubsub_v1.PublisherClient()
    with publisher, contextlib.suppress(AlreadyExists):
        publisher.create_topic(name=publisher.topic_path(PROJECT, topic))


@contextlib.contextmanager
def eventarc(
    pubsub_host: str,
    function_url: str,
    *,
    topic: str = "uploads",
    removals: bool = False,
    in_flight: int = 64,
    min_backoff_seconds: float = 1.0,
    max_backoff_seconds: float = 5.0,
    timeout_seconds: float = 540.0,
    on_delivery: Callable[[Delivery], None] | None = None,
) -> Iterator[None]:
    """Deliver the topic's storage notifications to the function until the block ends.

    Args:
        pubsub_host: `127.0.0.1:PORT` of the Pub/Sub emulator.
        function_url: where the CloudEvents are posted to.
        topic: topic that Cloud Storage publishes to; it must exist.
        removals: whether there are triggers for deleted objects, too.
        in_flight: how many deliveries run at once.
        min_backoff_seconds: delay before the first redelivery; 10 in the cloud.
        max_backoff_seconds: longest delay between two; 600 in the cloud.
        timeout_seconds: how long one answer may take.
        on_delivery: told of each delivery after its answer, from a worker thread.
    """
    with _emulator(pubsub_host):
        subscriber = pubsub_v1.SubscriberClient()
    subscription = subscriber.subscription_path(PROJECT, f"eventarc-{topic}")
    wanted = {
        "name": subscription,
        "topic": f"projects/{PROJECT}/topics/{topic}",
        "ack_deadline_seconds": 600,
        "retry_policy": {
            "minimum_backoff": dt.timedelta(seconds=min_backoff_seconds),
            "maximum_backoff": dt.timedelta(seconds=max_backoff_seconds),
        },
    }
    with contextlib.suppress(AlreadyExists):
        subscriber.create_subscription(request=wanted)
    redeliveries = _Counter()

    def handle(message: Message) -> None:
        event = to_cloud_event(message, removals=removals)
        if event is None:
            message.ack()
            return
        headers, body = event
        status = _status_of(function_url, headers, body, timeout_seconds)
        delivery = Delivery(
            event_id=message.message_id,
            object_name=message.attributes.get("objectId", ""),
            attempt=redeliveries.next(message.message_id),
            status=status,
        )
        if delivery.acknowledged:
            message.ack()
        else:
            message.nack()
        if on_delivery is not None:
            on_delivery(delivery)

    pool = ThreadPoolExecutor(in_flight, thread_name_prefix="eventarc")
    pull = subscriber.subscribe(
        subscription,
        callback=handle,
        flow_control=pubsub_v1.types.FlowControl(max_messages=in_flight),
        scheduler=ThreadScheduler(pool),
    )
    try:
        yield
    finally:
        pull.cancel()
        with contextlib.suppress(Exception):
            pull.result(timeout=5)
        subscriber.close()
        pool.shutdown(wait=False, cancel_futures=True)


def to_cloud_event(message: Message, *, removals: bool = False) -> tuple[Headers, bytes] | None:
    """Make the CloudEvent of a storage notification; None for those without a trigger."""
    attributes = message.attributes
    triggers = {"OBJECT_FINALIZE": FINALIZED, **(REMOVED if removals else {})}
    event_type = triggers.get(attributes.get("eventType", ""))
    if event_type is None:
        return None
    time = message.publish_time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    headers = event_headers(
        message.message_id, attributes["bucketId"], attributes["objectId"], time, event_type
    )
    return headers, message.data


def deliver(
    function_url: str, event: tuple[Headers, bytes], timeout_seconds: float = 60.0
) -> tuple[int, bytes]:
    """Post one CloudEvent, and give the status and the body of the answer.

    Raises:
        OSError: no answer (refused, cut, timed out).
    """
    headers, body = event
    answer = call("POST", function_url, body=body, headers=headers, timeout_seconds=timeout_seconds)
    return answer.status_code, answer.content


def _status_of(url: str, headers: Headers, body: bytes, timeout_seconds: float) -> int:
    try:
        status, _ = deliver(url, (headers, body), timeout_seconds)
    except OSError as error:
        log.warning("No answer from the function: %r", error)
        return 0
    return status


class _Counter:
    """Counts deliveries per event; the emulator tells attempts only with a dead letter topic."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}

    def next(self, key: str) -> int:
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + 1
            return self._counts[key]


@contextlib.contextmanager
def _emulator(host: str) -> Iterator[None]:
    """Set PUBSUB_EMULATOR_HOST while a client is built, the only time when it is read."""
    before = os.environ.get("PUBSUB_EMULATOR_HOST")
    os.environ["PUBSUB_EMULATOR_HOST"] = host
    try:
        yield
    finally:
        if before is None:
            del os.environ["PUBSUB_EMULATOR_HOST"]
        else:
            os.environ["PUBSUB_EMULATOR_HOST"] = before
