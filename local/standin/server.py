"""The model stand-in: an OpenAI-compatible server that measures the picture it is sent.

    python -m local.standin.server --port 9000 --pace 0.1

It streams as Vertex AI does (the recorded shape: no finish_reason until the last chunk, which
carries delta, finish_reason and usage), and fails on demand (`faults.py`). For tests it counts:
each request that it was sent is in its log, since each would have been paid for.

    POST   /v1/chat/completions
    GET    /v1/models            one, `stand-in`; any other name is answered, too
    POST   /control              {"match": text|null, "script": [...], "times": n|null}
                                 {"limit": n|null}, {"pace": seconds}, {"reset": true}
    GET    /control/log          list of requests, oldest first
    GET    /control/stats        {"requests", "open", "peak"}

Source: https://docs.cloud.google.com/vertex-ai/generative-ai/docs/migrate/openai/examples
"""

import argparse
import asyncio
import json
import signal
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from local.standin import faults
from local.standin.asked import Asked, RefusedError, answer, parse
from local.standin.faults import Step
from local.standin.http1 import DroppedError, HungUpError, Reply, Request, serving
from local.standin.speech import Entry, Pacing, Speech

LOOPBACK = "127.0.0.1"
LIMIT_MESSAGE = "Resource exhausted. Please try again later."
# Source: https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/flex-paygo
_LANE = "x-vertex-ai-llm-shared-request-type"


@dataclass
class Rule:
    """A script for the requests whose image, model, lane or prompt has `match`; None: for all."""

    match: str | None
    script: list[Step]
    left: int | None


@dataclass
class StandIn:
    """The server's state and its answers.

    Attributes:
        pacing: how fast it speaks.
        limit: requests served at once; above it 429. None: no limit.
        rules: scripts; the first that matches and is not used up is taken.
        log: each request since the start or the last reset.
        open, peak: requests open now, and the most there were at once.
        serving: those of them that were not refused.
    """

    pacing: Pacing = field(default_factory=Pacing)
    limit: int | None = None
    rules: list[Rule] = field(default_factory=list)
    log: list[Entry] = field(default_factory=list)
    open: int = 0
    peak: int = 0
    serving: int = 0

    async def handle(self, request: Request, reply: Reply) -> None:
        """Answer one request."""
        route = (request.method, request.path.split("?")[0].rstrip("/"))
        if route[1].endswith("/chat/completions") and request.method == "POST":
            await self._complete(request, reply)
        elif route[1].endswith("/models") and request.method == "GET":
            model = {"id": "stand-in", "object": "model", "created": 0, "owned_by": "describer"}
            await reply.send(200, {"object": "list", "data": [model]})
        elif route == ("POST", "/control"):
            await self._control(request, reply)
        elif route == ("GET", "/control/log"):
            await reply.send(200, [asdict(entry) for entry in self.log])
        elif route == ("GET", "/control/stats"):
            stats = {"requests": len(self.log), "open": self.open, "peak": self.peak}
            await reply.send(200, stats)
        else:
            await reply.send(404, faults.error_body(404, "No such path.", None, array=False))

    async def _control(self, request: Request, reply: Reply) -> None:
        try:
            self._set(json.loads(request.body))
        except (ValueError, TypeError, AttributeError) as error:
            await reply.send(400, faults.error_body(400, str(error), None, array=False))
            return
        await reply.send(200, {"rules": len(self.rules)})

    def _set(self, wanted: dict[str, Any]) -> None:
        unknown = set(wanted) - {"match", "script", "times", "limit", "pace", "first", "reset"}
        if unknown:
            raise ValueError(f"Unknown: {', '.join(sorted(unknown))}.")
        if wanted.get("reset"):
            self.rules.clear()
            self.log.clear()
            self.limit, self.peak = None, self.open
        if "limit" in wanted:
            self.limit = None if wanted["limit"] is None else int(wanted["limit"])
        self.pacing.pace = float(wanted.get("pace", self.pacing.pace))
        self.pacing.first = float(wanted.get("first", self.pacing.first))
        if "script" in wanted:
            script = faults.check(wanted["script"])
            self.rules.append(Rule(wanted.get("match"), script, wanted.get("times")))

    async def _complete(self, request: Request, reply: Reply) -> None:
        entry = Entry(number=len(self.log) + 1, begun=time.time())
        self.log.append(entry)
        self.open += 1
        self.peak = max(self.peak, self.open)
        try:
            await self._answer(request, reply, entry)
        except RefusedError as error:
            await _refuse(reply, entry, error.step)
        except DroppedError:
            entry.outcome = "dropped"
            raise
        except (HungUpError, ConnectionError):
            entry.outcome = "hung up"
            raise
        finally:
            self.open -= 1
            entry.ended = time.time()

    async def _answer(self, request: Request, reply: Reply, entry: Entry) -> None:
        asked = parse(request.body, request.headers.get(_LANE, ""))
        entry.lane = asked.lane
        entry.model, entry.prompt, entry.image = asked.model, asked.prompt, asked.image
        if self.limit is not None and self.serving >= self.limit:
            raise RefusedError(faults.status(429, message=LIMIT_MESSAGE))
        script = self._script_for(asked)
        if script and "status" in script[0]:
            raise RefusedError(script[0])
        self.serving += 1
        try:
            speech = Speech(self.pacing, reply, entry, await answer(asked))
            await _speak(speech, script, asked)
        finally:
            self.serving -= 1

    def _script_for(self, asked: Asked) -> list[Step]:
        for rule in self.rules:
            if rule.left != 0 and asked.mentions(rule.match):
                rule.left = None if rule.left is None else rule.left - 1
                return rule.script
        return []


async def _speak(speech: Speech, script: list[Step], asked: Asked) -> None:
    if not asked.stream:
        await speech.whole()
        return
    for step in script:
        if await speech.take(step):
            return
    await speech.rest()


async def _refuse(reply: Reply, entry: Entry, step: Step) -> None:
    entry.status, entry.outcome = step["status"], "refused"
    message = step.get("message") or "Scripted failure."
    body = faults.error_body(
        step["status"], message, step.get("google_status"), array=step.get("array", True)
    )
    after = step.get("retry_after")
    headers = None if after is None else {"retry-after": str(after)}
    await reply.send(step["status"], body, headers)


async def run(server: StandIn, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    async with serving(server.handle, LOOPBACK, port):
        await stop.wait()


def main() -> None:
    """Run the server from the command line."""
    parser = argparse.ArgumentParser(description="Model stand-in that measures pictures.")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--pace", type=float, default=0.1, help="seconds between two chunks")
    parser.add_argument("--first", type=float, default=0.5, help="seconds before the first chunk")
    parser.add_argument("--words", type=int, default=Pacing.words, help="words in each chunk")
    options = parser.parse_args()
    server = StandIn(Pacing(options.pace, options.first, options.words))
    print(f"Stand-in: http://{LOOPBACK}:{options.port}/v1", flush=True)
    asyncio.run(run(server, options.port))


if __name__ == "__main__":
    main()
