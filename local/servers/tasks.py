"""A small Cloud Tasks on this machine: one queue, what is used of its REST API, deliveries.

As the real one: a name is known as long as its task is there and for an hour after; what is not
answered 2xx comes again, later each time; a paused queue keeps its tasks. It shows nothing of
quotas, latencies and rights, and its identity token is signed by nobody.

Source: https://docs.cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues
"""

import base64
import contextlib
import heapq
import itertools
import json
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from local.http import call
from local.servers.processes import LOOPBACK

_TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,500}\Z")
_MOST_BYTES = 1024 * 1024
_KNOWN_SECONDS = 3600.0


@dataclass
class Queue:
    """One queue.

    Attributes:
        name: its resource name.
        host: for CLOUD_TASKS_EMULATOR_HOST.
        answers: status of each try, by task name, in order.
        paused: whether it delivers nothing for now.
    """

    name: str
    host: str = ""
    at_once: int = 20
    first_pause_seconds: float = 0.1
    longest_pause_seconds: float = 2.0
    most_tries: int = 100
    paused: bool = False
    answers: dict[str, list[int]] = field(default_factory=dict)
    _known: dict[str, float] = field(default_factory=dict)
    _waiting: list[tuple[float, int, dict[str, Any]]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _under_way: int = 0
    _closed: bool = False

    @property
    def left(self) -> int:
        """How many tasks it holds, those under way among them."""
        with self._changed:
            return len(self._waiting) + self._under_way

    def create(self, task: dict[str, Any]) -> tuple[int, str]:
        """Take a task, or say why not, as HTTP status and Google's word for it."""
        name = task.get("name", "")
        parent, _, task_id = name.rpartition("/tasks/")
        if parent != self.name or not _TASK_ID.match(task_id):
            return 400, "INVALID_ARGUMENT"
        request = task.get("httpRequest", {})
        if not str(request.get("url", "")).startswith(("http://", "https://")):
            return 400, "INVALID_ARGUMENT"
        # 1: as the client library names it.
        if (
            request.get("httpMethod", "POST") not in {"POST", 1}
            or len(json.dumps(task)) > _MOST_BYTES
        ):
            return 400, "INVALID_ARGUMENT"
        seconds = float(task.get("dispatchDeadline", "600s").removesuffix("s"))
        if not 15 <= seconds <= 1800:
            return 400, "INVALID_ARGUMENT"
        base64.b64decode(request.get("body", ""), validate=True)
        with self._changed:
            if self._known.get(name, 0.0) > time.monotonic():
                return 409, "ALREADY_EXISTS"
            self._known[name] = float("inf")
            heapq.heappush(self._waiting, (time.monotonic(), next(self._numbers), task))
            self._changed.notify_all()
        return 200, ""

    def resume(self) -> None:
        """Deliver what is there."""
        with self._changed:
            self.paused = False
            self._changed.notify_all()

    def close(self) -> None:
        """Deliver nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def run(self) -> None:
        """Deliver until it is closed."""
        with ThreadPoolExecutor(self.at_once) as pool:
            while (task := self._next()) is not None:
                pool.submit(self._deliver, task)

    def _next(self) -> dict[str, Any] | None:
        with self._changed:
            while True:
                if self._closed:
                    return None
                now = time.monotonic()
                wait = None
                if self._waiting and not self.paused and self._under_way < self.at_once:
                    if self._waiting[0][0] <= now:
                        self._under_way += 1
                        return heapq.heappop(self._waiting)[2]
                    wait = self._waiting[0][0] - now
                self._changed.wait(wait)

    def _deliver(self, task: dict[str, Any]) -> None:
        request, name = task["httpRequest"], task["name"]
        tries = self.answers.setdefault(name, [])
        headers = {
            **request.get("headers", {}),
            "X-CloudTasks-QueueName": self.name.rpartition("/")[2],
            "X-CloudTasks-TaskName": name.rpartition("/")[2],
            "X-CloudTasks-TaskRetryCount": str(len(tries)),
        }
        if "oidcToken" in request:
            claims = json.dumps(request["oidcToken"]).encode()
            headers["Authorization"] = f"Bearer {base64.urlsafe_b64encode(claims).decode()}"
        try:
            status = call(
                "POST",
                request["url"],
                body=base64.b64decode(request.get("body", "")),
                headers=headers,
                timeout_seconds=float(task.get("dispatchDeadline", "600s").removesuffix("s")),
            ).status_code
        except ConnectionError:
            status = 0
        pause = min(self.longest_pause_seconds, self.first_pause_seconds * 2 ** len(tries))
        with self._changed:
            tries.append(status)
            self._under_way -= 1
            if not 200 <= status < 300 and len(tries) < self.most_tries:
                again = (time.monotonic() + pause, next(self._numbers), task)
                heapq.heappush(self._waiting, again)
            else:
                self._known[name] = time.monotonic() + _KNOWN_SECONDS
            self._changed.notify_all()


@contextlib.contextmanager
def tasks_server(name: str, *, paused: bool = False) -> Iterator[Queue]:
    """Run a queue of this name; `.host` is the value for CLOUD_TASKS_EMULATOR_HOST."""
    queue = Queue(name, paused=paused)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            status, word = 404, "NOT_FOUND"
            answer: dict[str, Any] = {}
            if self.path.partition("?")[0] == f"/v2/{queue.name}/tasks":
                answer = json.loads(content)["task"]
                status, word = queue.create(answer)
            if word:
                answer = {"error": {"code": status, "status": word, "message": word}}
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    queue.host = f"{LOOPBACK}:{server.server_port}"
    threads = [threading.Thread(target=work) for work in (server.serve_forever, queue.run)]
    for thread in threads:
        thread.start()
    try:
        yield queue
    finally:
        queue.close()
        server.shutdown()
        server.server_close()
        for thread in threads:
            thread.join()
