"""The process's life: the pipeline is built with its first event, and shut down at its end."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Mapping
from datetime import UTC, date, datetime
from types import FrameType
from typing import Any

from describer.build import build_pipeline
from describer.delivery.logs import Log, Severity
from describer.delivery.pipeline import Answer, Pipeline
from describer.errors import TokenError
from describer.model.lifetimes import retirements
from describer.settings import Settings
from describer.threads import in_thread


class Instance:
    """The pipeline of this process, built with the first event and shared by all deliveries."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._warn_of_retirements(datetime.now(UTC).date())
        if settings.always_inline:
            # Every image is read whole then; imported by the first one, it would hold up the loop.
            import google.cloud.storage  # noqa: F401
        self._pipeline: Pipeline | None = None
        self._building: asyncio.Task[Pipeline] | None = None

    def _warn_of_retirements(self, today: date) -> None:
        log = Log(self._settings.log_level, self._settings.google_cloud_project)
        for model, ends in retirements(self._settings, today):
            text = f"Vertex AI may retire {model} from {ends} on; change MODEL, or set MODELS"
            log.write("WARNING", "model retires", {"model": model, "cause": text})

    async def deliver(self, attributes: Mapping[str, Any], payload: object) -> Answer:
        """Handle one delivery; see `Pipeline.deliver`."""
        try:
            pipeline = self._pipeline or await self._build()
        except TokenError as exc:
            answer = Answer(503, exc.outcome, str(exc))
            self._write_log("WARNING", answer)
            return answer
        except Exception as exc:
            self._write_log("ERROR", Answer(500, "defect", f"{type(exc).__name__}: {exc}"))
            raise
        return await pipeline.deliver(attributes, payload)

    async def _build(self) -> Pipeline:
        """Build once for all deliveries that wait, which share a failure, too."""
        if self._building is None:
            self._building = asyncio.create_task(self._build_now())
            self._building.add_done_callback(self._built)
        return await asyncio.shield(self._building)

    async def _build_now(self) -> Pipeline:
        built = await in_thread(build_pipeline, self._settings)
        _shut_down_on_sigterm(built)
        self._pipeline = built
        return built

    def _built(self, task: asyncio.Task[Pipeline]) -> None:
        self._building = None
        # Looked at here, since all that waited may have been cancelled.
        _ = task.cancelled() or task.exception()

    def _write_log(self, severity: Severity, answer: Answer) -> None:
        """Log a delivery that ended before there was a pipeline to do so."""
        fields = {"outcome": answer.outcome, "status": answer.status, "cause": answer.message}
        project = self._settings.google_cloud_project
        Log(self._settings.log_level, project).write(severity, "delivery", fields)


def _shut_down_on_sigterm(pipeline: Pipeline) -> None:
    """Have SIGTERM stop the work first, then do what the server set up for it."""
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGTERM)
    closing: set[asyncio.Task[None]] = set()

    def stop(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(lambda: closing.add(loop.create_task(pipeline.close())))
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGTERM, stop)
