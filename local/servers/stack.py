"""The whole stack on this machine, in the order that makes its first event quick.

bucket -> notification -> Pub/Sub -> Eventarc -> the function -> the model
`-> Firestore
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from local.servers.bucket import BUCKET, create_bucket
from local.servers.choice import ModelChoice
from local.servers.emulators import (
    FIRESTORE_READY,
    GCS_READY,
    start_firestore,
    start_gcs,
    start_pubsub,
)
from local.servers.eventarc import Delivery, create_topic, eventarc
from local.servers.function import FunctionServer, start_function
from local.servers.model import start_standin
from local.servers.processes import LOOPBACK, Server, free_port, wait_ready

COLLECTION = "descriptions"

# So that one picture takes about four seconds, which is what a hosted model takes.
STANDIN_PACE_SECONDS, STANDIN_FIRST_SECONDS = 0.08, 0.7


class Ports(NamedTuple):
    """The ports that people are told of."""

    storage: int
    firestore: int


@dataclass
class Stack:
    """All parts, running.

    Attributes:
        project: the project id under which the records stand.
        deliveries: what Eventarc delivered so far, in order of the answers.
    """

    project: str
    storage: Server
    firestore: Server
    pubsub: Server
    function: FunctionServer
    servers: list[Server]
    deliveries: list[Delivery] = field(default_factory=list)

    @property
    def records_url(self) -> str:
        """Address of the records in the Firestore emulator's REST API."""
        path = f"projects/{self.project}/databases/(default)/documents/{COLLECTION}"
        return f"{self.firestore.url}/v1/{path}"


@contextlib.contextmanager
def running_stack(
    model: ModelChoice,
    *,
    env: dict[str, str] | None = None,
    ports: Ports | None = None,
    say: Callable[[str], Any] = lambda _: None,
) -> Iterator[Stack]:
    """Run everything, with an empty bucket `uploads`, until the block ends.

    Args:
        model: what answers.
        env: more settings for the function.
        ports: where people reach it; free ones by default.
        say: told of each step, for a progress display.

    Raises:
        StartError, FileNotFoundError: a part did not start, or is not installed.
    """
    with contextlib.ExitStack() as cleanup:

        def started(server: Server) -> Server:
            cleanup.callback(server.stop)
            servers.append(server)
            return server

        servers: list[Server] = []
        say("Starting the Firestore and Pub/Sub emulators")
        storage_port, firestore_port = ports or (free_port(), free_port())
        storage_url = f"http://{LOOPBACK}:{storage_port}"
        firestore, pubsub = started(start_firestore(port=firestore_port)), started(start_pubsub())
        standin_url = ""
        if model.kind == "stand-in":
            standin = start_standin(
                pace=STANDIN_PACE_SECONDS, first=STANDIN_FIRST_SECONDS, storage_url=storage_url
            )
            started(standin)
            standin_url = standin.base_url
        settings = {
            "FIRESTORE_EMULATOR_HOST": firestore.host,
            "STORAGE_EMULATOR_HOST": storage_url,
            # Where EVENTS_TOPIC is, if it is set.
            "PUBSUB_EMULATOR_HOST": pubsub.host,
            # The emulator has no price and no limit per document, and a demo should look alive.
            "FLUSH_SECONDS": os.environ.get("FLUSH_SECONDS") or "0.4",
            "FIRESTORE_DATABASE": "",
            "FIRESTORE_COLLECTION": COLLECTION,
            "BUCKETS": os.environ.get("BUCKETS") or BUCKET,
            **model.env(standin_url),
            **(env or {}),
        }
        function = start_function(settings)
        started(function)
        wait_ready(pubsub)
        create_topic(pubsub.host)
        if topic := os.environ.get("EVENTS_TOPIC"):
            create_topic(pubsub.host, topic)
        say("Starting the bucket")
        storage = started(start_gcs(pubsub.host, port=storage_port))
        wait_ready(storage, GCS_READY)
        create_bucket(storage.url)
        say("Starting the function")
        wait_ready(firestore, FIRESTORE_READY)
        for server in servers:
            wait_ready(server)
        stack = Stack(model.project, storage, firestore, pubsub, function, servers)
        removals = {**os.environ, **settings}.get("DELETE_RECORDS") == "true"
        cleanup.enter_context(
            eventarc(
                pubsub.host,
                function.url,
                removals=removals,
                on_delivery=stack.deliveries.append,
            )
        )
        yield stack
