"""Hands pictures to a queue of Cloud Tasks, which delivers them to the function by its own rate.

Over the REST API: the one call that is needed is not worth a client library.

Source: https://docs.cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks/create
"""

from __future__ import annotations

import base64
import hashlib
import os
from typing import TYPE_CHECKING, Any

import httpx2

from operate.credentials import AccessToken
from operate.deliver import Handed

if TYPE_CHECKING:
    from operate.choice import Due

_SERVICE = "https://cloudtasks.googleapis.com"
# The function's own limits are below it. From 15 s to 30 min.
_DISPATCH_DEADLINE = "900s"


class QueueDoor:
    """See `operate.deliver.Door`. A task's name is that of the work, so that none is there twice.

    Cloud Tasks knows a name for an hour after its task has ended, too.
    """

    def __init__(
        self, queue: str, to: str, *, invoker: str | None, at_once: int, economy: bool = False
    ) -> None:
        """Keep where the queue is; the emulator at CLOUD_TASKS_EMULATOR_HOST is honoured.

        Args:
            queue: its resource name.
            to: the function's address, which the queue calls.
            invoker: the account whose identity it shows there; None: it shows none.
            at_once: connections to be kept.
            economy: whether the model's cheaper lane is asked for.
        """
        emulator = os.environ.get("CLOUD_TASKS_EMULATOR_HOST")
        self._queue = queue
        self._url = f"{f'http://{emulator}' if emulator else _SERVICE}/v2/{queue}/tasks"
        self._to = to
        self._invoker = invoker
        self._economy = economy
        self._access = None if emulator else AccessToken()
        self._client = httpx2.Client(
            timeout=httpx2.Timeout(30.0, connect=10.0),
            limits=httpx2.Limits(max_connections=at_once),
            trust_env=not emulator,
        )

    def close(self) -> None:
        """See `Door.close`."""
        self._client.close()

    def hand_in(self, due: Due, version: str) -> Handed:
        """See `Door.hand_in`."""
        headers = {"authorization": f"Bearer {self._access()}"} if self._access else {}
        try:
            response = self._client.post(
                self._url, headers=headers, json={"task": self.task(due, version)}
            )
        except httpx2.TransportError as exc:
            return Handed(0, f"no answer from Cloud Tasks: {exc or type(exc).__name__}")
        if response.status_code == 409:
            return Handed(409, outcome="queued already")
        if response.is_success:
            return Handed(response.status_code, outcome="queued")
        return Handed(response.status_code, response.text[:300])

    def task(self, due: Due, version: str) -> dict[str, Any]:
        """Make the task: the event of an upload, to be posted to the function."""
        # Nobody knows when its turn comes, so that its time says nothing of it.
        headers, body = due.found.event(None, economy=self._economy)
        upload = due.found.upload
        work = f"{upload.uri}#{upload.generation}#{version}"
        # By hash: names that come in order make Cloud Tasks slow.
        name = f"{self._queue}/tasks/{hashlib.sha256(work.encode()).hexdigest()}"
        # The event's id names the work likewise, and stays the same in each try.
        headers["ce-id"] = f"describer-{name.rpartition('/')[2][:32]}"
        request: dict[str, Any] = {
            "url": self._to,
            "httpMethod": "POST",
            "headers": headers,
            "body": base64.b64encode(body).decode(),
        }
        if self._invoker is not None:
            request["oidcToken"] = {"serviceAccountEmail": self._invoker, "audience": self._to}
        return {"name": name, "dispatchDeadline": _DISPATCH_DEADLINE, "httpRequest": request}
