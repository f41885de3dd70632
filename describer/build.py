"""Builds, once per instance, what the pipeline works with.

Nothing here runs at import: the framework imports the function in its master process and forks
afterwards, and neither channels nor event loops survive that.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import google.auth
import grpc.aio
import httpx2
import openai
from google.auth.exceptions import GoogleAuthError
from google.cloud.firestore_v1.services.firestore.transports.grpc_asyncio import (
    FirestoreGrpcAsyncIOTransport,
)

from describer.delivery.pipeline import Pipeline
from describer.errors import TokenError
from describer.images.cloud_storage import CloudStorage
from describer.images.loading import Images
from describer.model.chat import NO_KEY, OpenAIModel, vertex_base_url
from describer.model.port import Model
from describer.model.token import SCOPE, AccessToken
from describer.model.transport import HttpClient
from describer.publishing.pubsub import HOST, PubSub
from describer.records.firestore import FirestoreStore
from describer.settings import Settings

_CONNECT_SECONDS = 10.0
# The client's own limit, but not its five seconds: uploads come in bursts, with pauses between,
# and to connect anew costs each of them several round trips and milliseconds of CPU.
_LIMITS = httpx2.Limits(
    max_connections=openai.DEFAULT_CONNECTION_LIMITS.max_connections, keepalive_expiry=60.0
)
# As the library's own client sets it.
_KEEPALIVE = [("grpc.keepalive_time_ms", 30_000)]


def build_pipeline(settings: Settings) -> Pipeline:
    """Build the pipeline over Firestore and the model that the settings name. May block.

    Raises:
        TokenError: no credentials, or no project to be found.
    """
    try:
        store = build_store(settings)
        model = build_model(settings)
        publisher = build_publisher(settings)
        bucket = CloudStorage(lambda: connect_storage(settings))
        if settings.traces_endpoint is not None:
            return _build_traced(settings, store, model, bucket, publisher)
    except (GoogleAuthError, OSError) as exc:
        raise TokenError(f"no credentials: {type(exc).__name__}: {str(exc)[:300]}") from exc
    return Pipeline(settings, store, model, Images(settings, bucket), publisher)


def _build_traced(
    settings: Settings,
    store: FirestoreStore,
    model: Model,
    bucket: CloudStorage,
    publisher: PubSub | None,
) -> Pipeline:
    from describer.tracing import (
        TracedModel,
        TracedPipeline,
        Tracing,
        exporter_for,
        traced_bucket,
        traced_store,
    )

    exporter, project = exporter_for(settings)
    tracing = Tracing(settings, project, exporter)
    images = Images(settings, traced_bucket(tracing.tracer, bucket))
    return TracedPipeline(
        tracing,
        settings,
        traced_store(tracing.tracer, store, settings),
        TracedModel(tracing.tracer, model, settings),
        images,
        publisher,
    )


def build_store(settings: Settings) -> FirestoreStore:
    """Build the client of Firestore, or of the emulator at FIRESTORE_EMULATOR_HOST. May block.

    Raises:
        TokenError: no project can be found.
        GoogleAuthError: there are no credentials.
    """
    emulator = os.environ.get("FIRESTORE_EMULATOR_HOST")
    if emulator:
        project = settings.google_cloud_project
        metadata = [("authorization", "Bearer owner")]
        channel = partial(grpc.aio.insecure_channel, emulator)
    else:
        credentials, found = google.auth.default(scopes=FirestoreGrpcAsyncIOTransport.AUTH_SCOPES)
        project = settings.google_cloud_project or found
        metadata = []
        channel = partial(
            FirestoreGrpcAsyncIOTransport.create_channel,
            f"{FirestoreGrpcAsyncIOTransport.DEFAULT_HOST}:443",
            credentials=credentials,
            options=_KEEPALIVE,
        )
    if not project:
        raise TokenError("no project: set GOOGLE_CLOUD_PROJECT")
    return FirestoreStore(
        channel,
        project=project,
        database=settings.firestore_database,
        collection=settings.firestore_collection,
        metadata=metadata,
    )


def build_model(settings: Settings) -> Model:
    """Build the client of Vertex AI, or of the server at OPENAI_BASE_URL. May block.

    Raises:
        TokenError: Vertex AI is meant, and no project can be found.
        GoogleAuthError: Vertex AI is meant, and there are no credentials.
    """
    timeout = httpx2.Timeout(settings.chunk_timeout_seconds, connect=_CONNECT_SECONDS)
    http = HttpClient(timeout=timeout, limits=_LIMITS)
    if settings.openai_base_url is not None:
        client = openai.AsyncOpenAI(
            base_url=settings.openai_base_url,
            api_key=settings.openai_api_key or NO_KEY,
            max_retries=0,
            http_client=http,
        )
        return OpenAIModel(client, server=settings.server)
    credentials, found = google.auth.default(scopes=[SCOPE])
    project = settings.google_cloud_project or found
    if not project:
        raise TokenError("no project: set GOOGLE_CLOUD_PROJECT")
    token = AccessToken(credentials)
    client = openai.AsyncOpenAI(
        base_url=vertex_base_url(project, settings.model_location),
        api_key=token,
        max_retries=0,
        http_client=http,
    )
    return OpenAIModel(client, token, settings.server)


def build_publisher(settings: Settings) -> PubSub | None:
    """Build the client of EVENTS_TOPIC, or of the emulator at PUBSUB_EMULATOR_HOST. May block.

    Raises:
        TokenError: no project can be found.
        GoogleAuthError: there are no credentials.
    """
    if settings.events_topic is None:
        return None
    emulator = os.environ.get("PUBSUB_EMULATOR_HOST")
    project, token = settings.google_cloud_project, None
    if not emulator:
        credentials, found = google.auth.default(scopes=[SCOPE])
        project, token = project or found, AccessToken(credentials)
    if not project:
        raise TokenError("no project: set GOOGLE_CLOUD_PROJECT")
    records = f"databases/{settings.firestore_database}/documents/{settings.firestore_collection}"
    return PubSub(
        HttpClient(timeout=httpx2.Timeout(_CONNECT_SECONDS), limits=_LIMITS),
        f"projects/{project}/topics/{settings.events_topic}",
        host=f"http://{emulator}" if emulator else HOST,
        source=f"//firestore.googleapis.com/projects/{project}/{records}",
        token=token,
    )


def connect_storage(settings: Settings) -> Any:
    """Build the Cloud Storage client. May block."""
    from google.cloud import storage

    return storage.Client(project=settings.google_cloud_project)
