"""Google's APIs on this machine, as far as `describer doctor` asks them.

As the real ones: lists come in pages, an API that is not enabled refuses with its reason, whoever
does not ask for the third version of a policy gets no condition and another role's name, errors
have Google's shape, and the model streams. It shows nothing of rights, which it does not check, of
quotas and delays, and of all that it was not told: what it says is written by hand.
"""

import contextlib
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from local.servers.processes import LOOPBACK
from tests.health.sound import State

# Asked before anything is enabled, or enabled in every project.
_ALWAYS = ("cloudresourcemanager", "serviceusage", "cloudbilling", "iam")
_PAGE = 4
# An object, with none of its fields of the kind that it should be.
SPOILT = {
    "bindings": "none",
    "entries": [{"textPayload": "?"}],
    "fields": 1,
    "functions": 3,
    "location": 7,
    "services": {},
    "timeSeries": "?",
    "triggers": [None],
}


@dataclass
class Apis:
    """The server.

    Attributes:
        host: for GOOGLE_APIS_EMULATOR_HOST.
        asked: method, and host with path, of each request, in order.
        shown: whom each request was from, and for which project it counts: its two headers.
    """

    host: str
    state: State
    asked: list[tuple[str, str]] = field(default_factory=list)
    shown: set[tuple[str | None, str | None]] = field(default_factory=set)


@contextlib.contextmanager
def apis(state: State) -> Iterator[Apis]:
    """Serve until the end of the block."""
    server = ThreadingHTTPServer((LOOPBACK, 0), _Handler)
    server.daemon_threads = True
    released = threading.Event()
    running = Apis(f"{LOOPBACK}:{server.server_port}", state)
    server.apis, server.released = running, released  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        released.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def _state(self) -> State:
        state: State = self.server.apis.state  # type: ignore[attr-defined]
        return state

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Give the services' time."""
        return super().date_time_string(
            (timestamp or time.time()) + self._state.clock_ahead_seconds
        )

    def do_GET(self) -> None:
        """Answer a question."""
        self._note()
        self._answer({})

    def do_POST(self) -> None:
        """Answer a question that has a body."""
        self._note()
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        if self.path.endswith("/chat/completions"):
            self._model(body)
        else:
            self._answer(body)

    def _note(self) -> None:
        asked = (self.command, urlsplit(self.path).path.removeprefix("/"))
        self.server.apis.asked.append(asked)  # type: ignore[attr-defined]
        shown = self.headers.get("authorization"), self.headers.get("x-goog-user-project")
        self.server.apis.shown.add(shown)  # type: ignore[attr-defined]

    def _answer(self, body: dict[str, Any]) -> None:
        address = urlsplit(self.path).path.removeprefix("/")
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        host = address.partition("/")[0]
        if host in self._state.silent:
            self.server.released.wait(30)  # type: ignore[attr-defined]
            self.close_connection = True
            return
        if host in self._state.rubbish:
            self._send(200, b"<html>Sign in</html>", "text/html")
            return
        if host in self._state.spoilt:
            self._json(200, SPOILT)
            return
        if host.removesuffix(".googleapis.com") not in _ALWAYS and not self._state.enabled(host):
            self._refuse(
                403, "PERMISSION_DENIED", f"{host} has not been used", reason="SERVICE_DISABLED"
            )
            return
        found = self._state.answers.get(address)
        if isinstance(found, int):
            words = {403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
            self._refuse(found, words.get(found, "UNAVAILABLE"), "no")
        elif isinstance(found, bytes):
            if query.get("alt") != "media":
                self._json(200, {"name": address, "size": str(len(found))})
            else:
                self._send(200, found, "application/zip")
        elif found is None:
            self._refuse(404, "NOT_FOUND", f"{address} was not found")
        else:
            found = _entries(_series(found, query), body)
            self._json(200, _page(_policy(found, query, body), query))

    def _model(self, body: dict[str, Any]) -> None:
        parts = urlsplit(self.path).path.removeprefix("/").split("/")
        host, location = parts[0], parts[parts.index("locations") + 1]
        prefix = "" if location == "global" else f"{location}-"
        if host != f"{prefix}aiplatform.googleapis.com" or (
            body["model"] not in self._state.models.get(location, set())
        ):
            said = f"Publisher Model `{body['model']}` was not found in {location}"
            error = {"code": 404, "message": said, "status": "NOT_FOUND"}
            self._json(404, [{"error": error}])
            return
        delta = {"role": "assistant", "content": "Grey"}
        first = {"choices": [{"delta": delta, "index": 0}], "object": "chat.completion.chunk"}
        lane = self.headers.get("x-vertex-ai-llm-shared-request-type")
        served = "ON_DEMAND_FLEX" if lane == "flex" and self._state.cheaper else "ON_DEMAND"
        usage = {
            "prompt_tokens": 9,
            "completion_tokens": 1,
            "total_tokens": 10,
            "extra_properties": {"google": {"traffic_type": served}},
        }
        ended = {"delta": {}, "index": 0, "finish_reason": "stop"}
        last = {"choices": [ended], "usage": usage}
        stream = "".join(f"data: {json.dumps(one)}\n\n" for one in (first, last))
        self._send(200, (stream + "data: [DONE]\n\n").encode(), "text/event-stream")

    def _refuse(self, status: int, word: str, message: str, *, reason: str = "") -> None:
        error: dict[str, Any] = {"code": status, "message": message, "status": word}
        if reason:
            kind = "type.googleapis.com/google.rpc.ErrorInfo"
            error["details"] = [{"@type": kind, "reason": reason, "domain": "googleapis.com"}]
        self._json(status, {"error": error})

    def _json(self, status: int, content: Any) -> None:
        self._send(status, json.dumps(content).encode(), "application/json; charset=UTF-8")

    def _send(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _series(found: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
    """Keep the series of the subscription that is asked for."""
    if "timeSeries" not in found:
        return found
    wanted = query["filter"]
    kept = [
        one
        for one in found["timeSeries"]
        if f'"{one["resource"]["labels"]["subscription_id"]}"' in wanted
        and f'"{one["metric"]["type"]}"' in wanted
    ]
    return {"timeSeries": kept} if kept else {}


def _entries(found: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """Keep the log's entries that are asked for, in the order asked for: equality and AND only."""
    if "entries" not in found:
        return found
    wanted = [
        (path.split("."), json.loads(value, strict=False))
        for path, value in re.findall(r'([\w.]+)=("(?:[^"\\]|\\.)*")', body["filter"])
    ]

    def at(entry: Any, path: list[str]) -> Any:
        return entry if not path else at(entry.get(path[0], {}), path[1:])

    kept = [one for one in found["entries"] if all(at(one, path) == v for path, v in wanted)]
    kept.sort(key=lambda one: str(one["timestamp"]), reverse=body["orderBy"] == "timestamp desc")
    return {"entries": kept[: body["pageSize"]]} if kept else {}


def _policy(found: dict[str, Any], query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
    """Hide conditions from whoever asks for an older version than the one that has them.

    Source: https://docs.cloud.google.com/iam/docs/troubleshoot-withcond
    """
    version = (
        query.get("options.requestedPolicyVersion")
        or query.get("optionsRequestedPolicyVersion")
        or body.get("options", {}).get("requestedPolicyVersion")
    )
    if "bindings" not in found or str(version) == "3":
        return found
    hidden = [
        {"role": f"{one['role']}_withcond_1f5b", "members": one["members"]}
        if "condition" in one
        else one
        for one in found["bindings"]
    ]
    return {**found, "bindings": hidden}


def _page(found: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
    """Give a few entries of a list, and where it goes on."""
    for name in ("services", "functions", "fields", "triggers"):
        if isinstance(found.get(name), list):
            start = int(query.get("pageToken") or 0)
            rest = {key: value for key, value in found.items() if key != name}
            page = found[name][start : start + _PAGE]
            if start + _PAGE < len(found[name]):
                rest["nextPageToken"] = str(start + _PAGE)
            return {**rest, name: page} if page else rest
    return found
