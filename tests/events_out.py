"""What is published, held against the schema that docs/ give consumers; and a topic of ours."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from jsonschema import Draft202012Validator

from local.servers.function import ROOT

_SCHEMA = json.loads((ROOT / "docs" / "events.schema.json").read_text(encoding="utf-8"))
SCHEMA = Draft202012Validator(_SCHEMA)


def event_of(attributes: Mapping[str, str], content: bytes) -> dict[str, Any]:
    """Read a message in binary mode as an event in JSON format, and check it.

    Source: https://github.com/googleapis/google-cloudevents/blob/main/docs/spec/pubsub.md
    """
    event: dict[str, Any] = {
        name.removeprefix("ce-"): value
        for name, value in attributes.items()
        if name.startswith("ce-")
    }
    event["datacontenttype"] = attributes["content-type"]
    event["data"] = json.loads(content)
    SCHEMA.validate(event)
    return event


@contextmanager
def service(answer: Callable[[BaseHTTPRequestHandler], tuple[int, bytes]]) -> Iterator[str]:
    """Run a Pub/Sub that answers so; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, body = answer(self)
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
