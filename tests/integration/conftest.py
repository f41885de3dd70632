"""The function itself over the real parts, and helpers to talk to it as Eventarc does."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from google.cloud import firestore, storage
from google.cloud.firestore_v1.base_query import FieldFilter

from describer.records.record import record_id
from local.servers.emulators import PROJECT
from local.servers.events import cloud_event
from local.servers.function import ROOT, FunctionServer, function_server
from local.servers.model import StandInServer
from local.servers.processes import Server

Event = tuple[dict[str, str], bytes]

SAMPLE = (ROOT / "local" / "demo" / "samples" / "cat.webp").read_bytes()


@dataclass
class System:
    """One running function and what it works with."""

    function: FunctionServer
    model: StandInServer
    database: firestore.Client
    bucket: storage.Bucket

    def upload(
        self,
        name: str,
        content: bytes = SAMPLE,
        content_type: str | None = "image/webp",
        metadata: dict[str, str] | None = None,
    ) -> Event:
        """Put an object into the bucket and make its finalize event."""
        blob = self.bucket.blob(name)
        blob.upload_from_string(content, content_type=content_type or "application/octet-stream")
        return self.event(name, blob.generation, content_type, len(content), metadata)

    def event(
        self,
        name: str,
        generation: int,
        content_type: str | None,
        size: int,
        metadata: dict[str, str] | None = None,
    ) -> Event:
        """Make a finalize event."""
        return cloud_event(
            str(self.bucket.name),
            name,
            generation,
            content_type=content_type,
            size_bytes=size,
            overrides={"metadata": metadata},
        )

    def post(self, *events: Event, at_once: int = 500) -> list[httpx2.Response]:
        """Deliver events, so many at once, and give the answers in order."""

        async def work() -> list[httpx2.Response]:
            limits = httpx2.Limits(max_connections=at_once)
            async with httpx2.AsyncClient(timeout=120, limits=limits, trust_env=False) as client:
                url = self.function.url
                posts = (client.post(url, headers=h, content=b) for h, b in events)
                return await asyncio.gather(*posts)

        return asyncio.run(work())

    def record(self, name: str) -> dict[str, Any]:
        """Read the record of an object; empty if there is none."""
        identity = record_id(str(self.bucket.name), name)
        found: dict[str, Any] | None = (
            self.database.collection("descriptions").document(identity).get().to_dict()
        )
        return found or {}

    def records(self) -> list[dict[str, Any]]:
        """Read the records of this bucket."""
        return [found.to_dict() for found in self.query.stream()]

    @property
    def query(self) -> Any:
        """The records of this bucket."""
        mine = FieldFilter("bucket", "==", self.bucket.name)
        return self.database.collection("descriptions").where(filter=mine)

    def outcomes(self) -> Counter[str]:
        """Count the outcomes of the deliveries for this bucket, as logged."""
        return Counter(str(line["outcome"]) for line in self.lines())

    def lines(self) -> list[dict[str, Any]]:
        """Give the log lines of the deliveries for this bucket."""
        lines = self.function.deliveries()
        return [line for line in lines if line.get("bucket") == self.bucket.name]

    def paid(self) -> int:
        """Count the requests that the model began to answer."""
        return sum(1 for entry in self.model.requests() if entry["status"] == 200)


Run = Callable[[dict[str, str]], FunctionServer]


@pytest.fixture(scope="session")
def run(firestore_server: Server, gcs: Server, _standin: StandInServer) -> Iterator[Run]:
    """Start the function, each combination of settings once."""
    running: dict[str, FunctionServer] = {}
    with ExitStack() as stack:

        def start_or_reuse(settings: dict[str, str]) -> FunctionServer:
            key = str(sorted(settings.items()))
            if key not in running or running[key].process.poll() is not None:
                env = {
                    "FIRESTORE_EMULATOR_HOST": firestore_server.host,
                    "GOOGLE_CLOUD_PROJECT": PROJECT,
                    "OPENAI_BASE_URL": _standin.base_url,
                    "MODEL": "stand-in",
                    "MODEL_SERVER": "gemini",
                    "STORAGE_EMULATOR_HOST": gcs.url,
                    **settings,
                }
                running[key] = stack.enter_context(function_server(env))
            return running[key]

        yield start_or_reuse


@pytest.fixture
def start(run: Run, bucket: storage.Bucket, standin: StandInServer) -> Callable[..., System]:
    """Give the function with these settings, and a bucket that only this test uses."""
    database = firestore.Client(project=PROJECT)
    return lambda **settings: System(run(settings), standin, database, bucket)
