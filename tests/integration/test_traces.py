"""The function sends its spans to a collector, and is none the slower for one that hangs."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.integration.conftest import System

Start = Callable[..., System]


class Collector(ThreadingHTTPServer):
    """Takes OTLP over HTTP, as a collector does; or never answers."""

    daemon_threads = True

    def __init__(self, *, hangs: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hangs = hangs
        self.names: list[str] = []
        self.asked = threading.Event()

    @property
    def endpoint(self) -> str:
        """Where spans are posted to."""
        return f"http://127.0.0.1:{self.server_port}/v1/traces"


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.set()
        if self.server.hangs:
            time.sleep(60)
        told = ExportTraceServiceRequest.FromString(body)
        for resource in told.resource_spans:
            for scope in resource.scope_spans:
                self.server.names += [span.name for span in scope.spans]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def collector(request: pytest.FixtureRequest) -> Iterator[Collector]:
    server = Collector(hangs=getattr(request, "param", False))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_spans_of_a_delivery_arrive(start: Start, collector: Collector) -> None:
    """The last ones when the instance ends: it need not be asked once more."""
    system = start(TRACES_ENDPOINT=collector.endpoint, OTEL_BSP_SCHEDULE_DELAY="60000")
    assert [r.status_code for r in system.post(system.upload("a.webp"))] == [200]
    assert collector.names == []
    system.function.process.send_signal(signal.SIGTERM)
    assert system.function.process.wait(15) == 0
    assert {"deliver", "claim", "load image", "chat stand-in", "write outcome"} <= set(
        collector.names
    )


@pytest.mark.parametrize("collector", [True], indirect=True)
def test_a_collector_that_hangs_holds_up_nothing(start: Start, collector: Collector) -> None:
    """Neither a delivery, nor the end of the instance beyond its grace time."""
    system = start(TRACES_ENDPOINT=collector.endpoint, OTEL_BSP_SCHEDULE_DELAY="100")
    assert [r.status_code for r in system.post(system.upload("a.webp"))] == [200]
    assert collector.asked.wait(10)
    began = time.monotonic()
    events = [system.upload(f"{n}.webp") for n in range(20)]
    assert {r.status_code for r in system.post(*events)} == {200}
    system.function.process.send_signal(signal.SIGTERM)
    assert system.function.process.wait(15) == 0
    assert time.monotonic() - began < 15
