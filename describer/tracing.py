"""Spans of each delivery by OpenTelemetry; imported only where TRACES_ENDPOINT is set.

    deliver ── claim ── create descriptions
           ├── load image ── read object
           ├── chat google/gemini-...
           ├── update descriptions        (each partial write)
           └── write outcome ── update descriptions

Names and numbers only: no prompt, no text, no byte of an image. Attributes are those of the
semantic conventions where these have one.
Sources: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans;
https://opentelemetry.io/docs/specs/semconv/cloudevents/cloudevents-spans/;
https://opentelemetry.io/docs/specs/semconv/db/database-spans/;
https://docs.cloud.google.com/stackdriver/docs/reference/telemetry/overview
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from typing import Any, cast
from urllib.parse import urlsplit

import requests
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from describer.delivery.pipeline import Answer, Pipeline
from describer.images.bucket import Bucket
from describer.images.image import Image
from describer.model.port import Model
from describer.model.prompt import Instructions
from describer.model.stream import Chunk
from describer.records.store import Store
from describer.settings import Settings
from describer.threads import in_thread

# Spans are worth less than what else must happen before the platform kills the process.
_EXPORT_SECONDS = 3.0
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_PROVIDERS = {"vertex": "gcp.vertex_ai", "gemini": "gcp.gemini"}


class Tracing:
    """The spans of one instance, and where they go."""

    def __init__(self, settings: Settings, project: str | None, exporter: SpanExporter) -> None:
        resource = Resource.create(
            {
                "service.name": os.environ.get("K_SERVICE", "describer"),
                **({"gcp.project_id": project} if project else {}),
            }
        )
        self._provider = TracerProvider(
            sampler=TraceIdRatioBased(settings.traces_ratio), resource=resource
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer = self._provider.get_tracer("describer")

    async def close(self) -> None:
        """Send what is left, for at most some seconds; then no more spans are made."""
        try:
            async with asyncio.timeout(_EXPORT_SECONDS):
                await in_thread(self._provider.shutdown)
        except TimeoutError:
            return


def exporter_for(settings: Settings) -> tuple[SpanExporter, str | None]:
    """Build what sends spans to TRACES_ENDPOINT, and find whose project they are. May block.

    Raises:
        GoogleAuthError: it is Google's, and there are no credentials.
    """
    endpoint = settings.traces_endpoint or ""
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    project = settings.google_cloud_project
    # Over plain HTTP anybody on the way would read the token.
    if parts.scheme == "https" and host.endswith(".googleapis.com"):
        import google.auth
        from google.auth.transport.requests import AuthorizedSession

        credentials, found = google.auth.default(scopes=[_SCOPE])
        session: requests.Session = AuthorizedSession(credentials)
        project = project or found
    else:
        session = requests.Session()
        # A collector beside the function is never reached through a proxy.
        session.trust_env = host not in {"localhost", "127.0.0.1", "::1"}
    return OTLPSpanExporter(endpoint, session=session, timeout=_EXPORT_SECONDS), project


class TracedPipeline(Pipeline):
    """A pipeline whose deliveries are spans, over ports whose calls are spans within them."""

    def __init__(self, tracing: Tracing, settings: Settings, *args: Any, **kwargs: Any) -> None:
        super().__init__(settings, *args, **kwargs)
        self._tracing = tracing

    async def deliver(self, attributes: Mapping[str, Any], payload: object) -> Answer:
        """Handle one delivery; see `Pipeline.deliver`."""
        carrier = {"traceparent": str(attributes.get("traceparent", ""))}
        told = {
            f"cloudevents.event_{name}": str(attributes[name])
            for name in ("id", "source", "subject", "type")
            if name in attributes
        }
        with (
            self._tracing.tracer.start_as_current_span(
                "deliver",
                TraceContextTextMapPropagator().extract(carrier),
                SpanKind.CONSUMER,
                told,
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
            _errors_by_class(span),
        ):
            answer = await super().deliver(attributes, payload)
            span.set_attribute("describer.outcome", answer.outcome)
            if answer.status >= 500:
                span.set_status(StatusCode.ERROR, answer.outcome)
            return answer

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Enter a part of a delivery."""
        tracer = self._tracing.tracer
        with (
            _span(tracer, name, SpanKind.INTERNAL) as span,
            trace.use_span(span, record_exception=False, set_status_on_exception=False),
        ):
            yield

    async def close(self) -> None:
        """Close as `Pipeline.close`, and send the spans that are left."""
        await super().close()
        await self._tracing.close()


@contextmanager
def _span(
    tracer: Tracer,
    name: str,
    kind: SpanKind = SpanKind.CLIENT,
    attributes: Mapping[str, Any] | None = None,
) -> Iterator[Span]:
    """Measure a block."""
    span = tracer.start_span(name, kind=kind, attributes=attributes)
    try:
        with _errors_by_class(span):
            yield span
    finally:
        span.end()


@contextmanager
def _errors_by_class(span: Span) -> Iterator[None]:
    """Tell of an error only its class: its message may quote what was sent."""
    try:
        yield
    except BaseException as exc:
        span.set_attribute("error.type", type(exc).__name__)
        span.set_status(StatusCode.ERROR)
        raise


def traced_store(tracer: Tracer, store: Store, settings: Settings) -> Store:
    """Give a store each of whose calls is a span."""
    about = {
        "db.system.name": "gcp.firestore",
        "db.namespace": settings.firestore_database,
        "db.collection.name": settings.firestore_collection,
    }

    def span(operation: str) -> AbstractContextManager[Span]:
        name = f"{operation} {settings.firestore_collection}"
        return _span(tracer, name, attributes=about | {"db.operation.name": operation})

    return cast("Store", _TracedPort(store, span))


def traced_bucket(tracer: Tracer, bucket: Bucket) -> Bucket:
    """Give a bucket each of whose calls is a span."""

    def span(method: str) -> AbstractContextManager[Span]:
        return _span(tracer, f"{method} object", attributes={"gcp.client.service": "storage"})

    return cast("Bucket", _TracedPort(bucket, span))


class _TracedPort:
    """Stands for a port all of whose methods are coroutines."""

    def __init__(self, port: object, span: Callable[[str], AbstractContextManager[Span]]) -> None:
        self._port = port
        self._span = span

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._port, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            with self._span(name):
                return await method(*args, **kwargs)

        return call


class TracedModel:
    """A model each of whose answers is a span, from the question to the last chunk."""

    def __init__(self, tracer: Tracer, model: Model, settings: Settings) -> None:
        self._tracer = tracer
        self._model = model
        kind = settings.server_kind
        self._about = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": _PROVIDERS.get(kind, kind),
            "gen_ai.request.stream": True,
        }

    def stream(
        self, instructions: Instructions, image: Image | None
    ) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """See `Model.stream`."""
        return self._stream(instructions, image)

    @asynccontextmanager
    async def _stream(
        self, instructions: Instructions, image: Image | None
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        asked = {
            "gen_ai.request.model": instructions.model,
            "gen_ai.request.max_tokens": instructions.max_output_tokens,
        }
        began = time.monotonic()
        name = f"chat {instructions.model}"
        with _span(self._tracer, name, attributes=self._about | asked) as span:
            async with self._model.stream(instructions, image) as chunks:
                yield _watched(chunks, span, began)

    async def close(self) -> None:
        """See `Model.close`."""
        await self._model.close()


async def _watched(chunks: AsyncIterator[Chunk], span: Span, began: float) -> AsyncIterator[Chunk]:
    first = True
    async for chunk in chunks:
        if first:
            first = False
            span.set_attribute("gen_ai.response.time_to_first_chunk", time.monotonic() - began)
        if chunk.finish_reason is not None:
            span.set_attribute("gen_ai.response.finish_reasons", [chunk.finish_reason])
        if chunk.usage is not None:
            span.set_attribute("gen_ai.usage.input_tokens", chunk.usage.prompt_tokens)
            span.set_attribute("gen_ai.usage.output_tokens", chunk.usage.completion_tokens)
        yield chunk
