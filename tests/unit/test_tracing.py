"""Spans of a delivery: their tree, their names by the conventions, and what they must not hold."""

import asyncio
import json
from typing import Any

import google.auth
import pytest
from google.auth.credentials import AnonymousCredentials
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from describer.delivery.pipeline import Answer
from describer.errors import ModelBusyError
from describer.images.loading import Images
from describer.images.memory import MemoryBucket
from describer.model.scripted import Script, ScriptedModel, text_script
from describer.model.stream import Chunk
from describer.records.memory import MemoryStore
from describer.settings import Settings
from describer.tracing import (
    TracedModel,
    TracedPipeline,
    Tracing,
    exporter_for,
    traced_bucket,
    traced_store,
)
from describer.values import Usage
from local.servers.events import cloud_event
from tests import virtual

TEXT = "A tabby cat looks up from a windowsill."
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def spans_of(script: Script, **environ: str) -> tuple[Answer, list[ReadableSpan]]:
    """Deliver one upload; give the answer, and the spans in the order of their ends."""
    settings = Settings.from_env({"IMAGE_INPUT": "inline", "PROMPT": "A secret prompt.", **environ})
    exporter = InMemorySpanExporter()
    tracing = Tracing(settings, "p-1", exporter)

    async def work() -> Answer:
        bucket = MemoryBucket({"a.jpg": b"\xff\xd8\xff\xda\0\2\xff\xd9"})
        pipeline = TracedPipeline(
            tracing,
            settings,
            traced_store(tracing.tracer, MemoryStore(virtual.now), settings),
            TracedModel(tracing.tracer, ScriptedModel([script]), settings),
            Images(settings, traced_bucket(tracing.tracer, bucket)),
            now=virtual.now,
        )
        headers, body = cloud_event("b12", "a.jpg", 1, time=virtual.now())
        attributes = {key.removeprefix("ce-"): value for key, value in headers.items()}
        attributes["traceparent"] = f"00-{TRACE}-{PARENT}-01"
        try:
            return await pipeline.deliver(attributes, json.loads(body))
        except ZeroDivisionError:
            return Answer(500, "defect")

    answer = virtual.run(work())
    asyncio.run(tracing.close())
    return answer, list(exporter.get_finished_spans())


def named(spans: list[ReadableSpan], name: str) -> ReadableSpan:
    (found,) = [span for span in spans if span.name == name]
    return found


def parent_of(span: ReadableSpan, spans: list[ReadableSpan]) -> str | None:
    ids = {s.context.span_id: s.name for s in spans if s.context}
    return ids.get(span.parent.span_id) if span.parent else None


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_delivery_is_one_tree_within_the_event_s_trace() -> None:
    """From claim to outcome, each call of bucket, model and store in its place."""
    answer, spans = spans_of(text_script(TEXT))
    assert answer.outcome == "described"
    root = named(spans, "deliver")
    assert root.context is not None
    assert f"{root.context.trace_id:032x}" == TRACE
    assert root.parent is not None
    assert f"{root.parent.span_id:016x}" == PARENT
    assert root.kind is SpanKind.CONSUMER
    assert attributes(root)["cloudevents.event_type"].endswith("finalized")
    assert attributes(root)["describer.outcome"] == "described"
    assert {s.context.trace_id for s in spans if s.context} == {root.context.trace_id}
    tree = {(span.name, parent_of(span, spans)) for span in spans}
    assert tree >= {
        ("claim", "deliver"),
        ("create descriptions", "claim"),
        ("load image", "deliver"),
        ("read object", "load image"),
        ("chat google/gemini-3.5-flash-lite", "deliver"),
        ("write outcome", "deliver"),
        ("update descriptions", "write outcome"),
    }


def test_the_model_s_span_follows_the_conventions() -> None:
    """Names as of https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans."""
    ended = Chunk("", finish_reason="stop", usage=Usage(10, 5, 15))
    _, spans = spans_of(Script([Chunk(TEXT), ended]))
    span = named(spans, "chat google/gemini-3.5-flash-lite")
    found = attributes(span)
    assert found.pop("gen_ai.response.time_to_first_chunk") >= 0
    assert found == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "gcp.vertex_ai",
        "gen_ai.request.stream": True,
        "gen_ai.request.model": "google/gemini-3.5-flash-lite",
        "gen_ai.request.max_tokens": 1024,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
    }
    assert span.kind is SpanKind.CLIENT


def test_a_refusal_is_an_error_by_its_class_alone() -> None:
    """What a server says may quote what it was sent."""
    answer, spans = spans_of(Script(refusal=ModelBusyError("no quota for A secret prompt.")))
    assert answer.status == 503
    asked = [span for span in spans if span.name.startswith("chat ")]
    assert len(asked) > 1, "a refusal is asked again, each time a span"
    for chat in asked:
        assert attributes(chat)["error.type"] == "ModelBusyError"
        assert chat.status.status_code is StatusCode.ERROR
    root = named(spans, "deliver")
    assert root.status.status_code is StatusCode.ERROR


@pytest.mark.parametrize(
    "script", [text_script(TEXT), Script(refusal=ModelBusyError("no quota for A secret prompt."))]
)
def test_no_span_holds_a_prompt_or_a_text(script: Script) -> None:
    """Traces are read by more people than records."""
    _, spans = spans_of(script)
    said = "".join(span.to_json() for span in spans)
    assert "secret" not in said
    assert "tabby" not in said


def test_a_defect_is_told_by_its_class_alone() -> None:
    """Also by the outermost span, out of which it is raised."""
    answer, spans = spans_of(Script([ZeroDivisionError("a secret prompt")]))
    assert answer.outcome == "defect"
    root = named(spans, "deliver")
    assert attributes(root)["error.type"] == "ZeroDivisionError"
    assert root.status.status_code is StatusCode.ERROR
    assert "secret" not in "".join(span.to_json() for span in spans)


@pytest.mark.parametrize(("scheme", "asked"), [("https", 1), ("http", 0)])
def test_no_token_goes_over_plain_http(
    scheme: str, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even to a host that is named as Google's."""
    calls: list[object] = []

    def default(**_: object) -> tuple[AnonymousCredentials, str]:
        calls.append(None)
        return AnonymousCredentials(), "p-1"

    monkeypatch.setattr(google.auth, "default", default)
    address = f"{scheme}://telemetry.googleapis.com/v1/traces"
    exporter, _ = exporter_for(Settings.from_env({"TRACES_ENDPOINT": address}))
    exporter.shutdown()
    assert len(calls) == asked


def test_a_share_is_traced() -> None:
    """The ratio decides, whatever the platform's own sampling said."""
    answer, spans = spans_of(text_script(TEXT), TRACES_RATIO="0.0001")
    assert answer.outcome == "described"
    assert spans == []
