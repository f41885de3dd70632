"""The one function that takes a delivery from event to record, and turns errors into answers.

described, or an outcome that stands    -> 2xx
never will work                         -> the record says why, 2xx
may work later                          -> the lease is freed if it is ours, 503
not an event                            -> 400
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast

from describer.delivery.announcer import Announcer
from describer.delivery.brake import Brake
from describer.delivery.claim import Claim, NothingToDo, claim
from describer.delivery.event import FINALIZED, REMOVALS, read_upload, reason_to_skip
from describer.delivery.logs import Log, Severity
from describer.delivery.progress import Progress
from describer.delivery.reconcile import REQUESTED, Reconciler, Report, Window
from describer.delivery.removal import Removal, remove
from describer.errors import (
    DescriberError,
    LeaseHeldError,
    LeaseLostError,
    MalformedEventError,
    ModelAccessError,
    ModelBusyError,
    ModelError,
    ModelMissingError,
    ModelRejectedError,
    ModelTimeoutError,
    ObjectGoneError,
    OverLimitError,
    PermanentError,
    ShuttingDownError,
    StoreError,
    TransientError,
)
from describer.images.image import Image
from describer.images.loading import Images
from describer.model.description import Accumulator, Description, describe
from describer.model.port import Model
from describer.model.prompt import Instructions, fallbacks_for, instructions_for
from describer.publishing.port import Publisher
from describer.records.record import may_be_reused, record_id
from describer.records.store import Store
from describer.settings import Settings
from describer.values import Upload, Usage

# Of the ten seconds that the platform leaves between SIGTERM and the end.
_RELEASE_SECONDS_AT_SHUTDOWN = 4.0
# The rest is for a text that has ended but for its usage: it is paid for, so it is written.
_USAGE_SECONDS_AT_SHUTDOWN = 3.0
# Events come within one or two; for what is older, the bucket is asked before the model is paid.
_LATE_SECONDS = 10.0
# Records of the same bytes and words; the first whole text of the same model is taken.
_REUSE_LOOKS_AT = 10


@dataclass(frozen=True, slots=True)
class Answer:
    """What a delivery is answered.

    Attributes:
        status: 200, 400 or 503, as HTTP.
        outcome: the word for it in the log.
    """

    status: int
    outcome: str
    message: str = ""


@dataclass(slots=True)
class Delivery:
    """What is known of one delivery so far; in the end, its log line."""

    owner: str
    started: float
    upload: Upload | None = None
    attempt: int | None = None
    refusals: int = 0
    may_have_begun: bool = False
    waited: float = 0.0
    converted: str | None = None
    ignored: str | None = None
    model: str | None = None
    economy: bool | None = None
    reused_from: str | None = None
    passed_over: list[str] = field(default_factory=list)
    first_text: float | None = None
    gathered: Accumulator | None = None
    repaired: bool | None = None
    usage: Usage | None = None
    error: Exception | None = None
    report: Mapping[str, Any] = field(default_factory=dict)


class Pipeline:
    """Holds what is built once per instance; `deliver` may run any number of times at once."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        model: Model,
        images: Images,
        publisher: Publisher | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._store = store
        self._model = model
        self._images = images
        self._now = now
        self._removals = REMOVALS if settings.delete_records else frozenset[str]()
        self._announcer = Announcer(store, publisher)
        self._brake = Brake(store, settings.daily_limit, now)
        self._log = Log(settings.log_level, settings.google_cloud_project)
        self._under_way: dict[asyncio.Task[Any], Delivery] = {}
        self._delivering: set[asyncio.Task[Any]] = set()
        self._shutting_down = False

    def shut_down(self) -> None:
        """Stop all work, so that leases are released within the grace time. Does not wait."""
        self._shutting_down = True
        for task, delivery in self._under_way.items():
            if delivery.gathered is not None and delivery.gathered.maybe_ended:
                task.get_loop().call_later(_USAGE_SECONDS_AT_SHUTDOWN, self._stop, task)
            else:
                task.cancel()

    def _stop(self, task: asyncio.Task[Any]) -> None:
        # What is not under way any more is being written.
        if task in self._under_way:
            task.cancel()

    async def close(self) -> None:
        """Shut down, and close the connections when all that needs them has ended."""
        self.shut_down()
        while self._under_way:
            await asyncio.wait(self._under_way)
        self._images.close()
        await self._model.close()
        # What has ended is written and published yet.
        while self._delivering:
            await asyncio.wait(self._delivering)
        await self._announcer.close()

    def stage(self, name: str) -> AbstractContextManager[None]:  # noqa: ARG002
        """Enter a part of a delivery: for whoever measures them, and here nobody does."""
        return nullcontext()

    async def deliver(self, attributes: Mapping[str, Any], payload: object) -> Answer:
        """Handle one delivery of a CloudEvent, and log it in one line.

        Args:
            attributes: the event's context attributes; `type`, `id` and `time` are used.
            payload: its decoded JSON.

        Raises:
            Exception: only for a defect of this package; the lease is released before.
        """
        delivery = Delivery(uuid.uuid4().hex, time.monotonic())
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._delivering.add(task)
        try:
            answer = await self._answer(delivery, attributes, payload)
        except Exception as exc:
            delivery.error = exc
            self._write_log(delivery, Answer(500, "defect", f"{type(exc).__name__}: {exc}"))
            raise
        finally:
            self._delivering.discard(task)
        self._write_log(delivery, answer)
        return answer

    async def _answer(
        self, delivery: Delivery, attributes: Mapping[str, Any], payload: object
    ) -> Answer:
        try:
            event_type = str(attributes.get("type", ""))
            if event_type == REQUESTED:
                return await self._reconcile(delivery, Window.read(payload))
            try:
                delivery.upload = upload = read_upload(attributes, payload)
            except MalformedEventError:
                # Of another kind of event nothing is known, so nothing is wrong with it either.
                if event_type in {"", FINALIZED, *self._removals}:
                    raise
                return Answer(200, "skipped", "not a finalize event")
            reason = reason_to_skip(event_type, upload, self._settings)
            if reason is not None:
                return Answer(200, "skipped", reason)
            if event_type in self._removals:
                removal = await self._remove(upload)
                if removal == "absent":
                    return Answer(200, "skipped", "no record")
                return Answer(200, removal)
            answer = await self._in_step_with_the_bucket(delivery, upload)
            if answer.status == 200:
                await self._announcer.finished(record_id(upload.bucket, upload.name))
        except MalformedEventError as exc:
            delivery.error = exc
            return Answer(400, "malformed", str(exc))
        except TransientError as exc:
            delivery.error = exc
            return Answer(503, exc.outcome, str(exc))
        else:
            return answer

    async def _reconcile(self, delivery: Delivery, window: Window) -> Answer:
        """Look for what was lost on the way, and have it done, or until a shutdown stops it.

        What was found is told also where the run breaks off: nothing finds it again.
        """
        self._check_shutdown()
        reconciler = Reconciler(
            self._settings,
            self._store,
            self._images,
            self._announcer,
            deliver=self._deliver_lost,
            now=self._now,
        )
        report, end = Report(), Answer(200, "reconciled")
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._under_way[task] = delivery
        try:
            await reconciler.run(window, report)
        except asyncio.CancelledError:
            if not self._shutting_down:
                raise
            task.uncancel()
            delivery.error = exc = ShuttingDownError("the instance was told to shut down")
            end = Answer(503, exc.outcome, str(exc))
        except TransientError as exc:
            delivery.error = exc
            end = Answer(503, exc.outcome, str(exc))
        finally:
            del self._under_way[task]
            delivery.report = report.fields()
        if not report.found:
            return end
        told = f"{report.found} found that was lost on the way"
        return Answer(end.status, "lost", f"{told}; {end.message}" if end.message else told)

    async def _deliver_lost(self, attributes: Mapping[str, Any], payload: object) -> str:
        return (await self.deliver(attributes, payload)).outcome

    async def _recorded(
        self, delivery: Delivery, upload: Upload, *, overwritten: bool = False
    ) -> Answer:
        """Have the record say how the upload ended.

        Args:
            overwritten: another generation is known to stand there.
        """
        try:
            return Answer(200, await self._record(delivery, upload, overwritten=overwritten))
        except PermanentError as exc:
            delivery.error = exc
            delivery.usage = exc.usage
            return Answer(200, exc.outcome, str(exc))
        except LeaseLostError as exc:
            delivery.error = exc
            if exc.superseded:
                return Answer(200, "superseded", str(exc))
            return Answer(503, exc.outcome, str(exc))

    async def _in_step_with_the_bucket(self, delivery: Delivery, upload: Upload) -> Answer:
        """Have it recorded; with DELETE_RECORDS, as long as the object is there."""
        if not self._settings.delete_records:
            return await self._recorded(delivery, upload)
        gone = Answer(200, ObjectGoneError.outcome, "the object was deleted, and so is its record")
        live: int | None = upload.generation
        if upload.age_seconds(self._now()) >= _LATE_SECONDS:
            # Nothing remembers a deleted generation: a copy of its event would be paid for again.
            live = await self._images.live_generation(upload)
        if live is None:
            removal = await self._remove(upload)
            return gone if removal in {"deleted", "absent"} else Answer(200, removal)
        answer = await self._recorded(delivery, upload, overwritten=live != upload.generation)
        if answer.outcome in {"superseded", "by_person"}:
            return answer
        # The deletion's event may have come first, and found no record yet.
        removal = await self._remove(upload)
        return gone if removal in {"deleted", "absent"} else answer

    async def _remove(self, upload: Upload) -> Removal:
        return await remove(self._store, self._images, self._announcer, upload)

    async def _record(self, delivery: Delivery, upload: Upload, *, overwritten: bool) -> str:
        """Claim, describe, and write the outcome; or say why there is nothing to do."""
        self._check_shutdown()
        with self.stage("claim"):
            claimed = await claim(
                self._store,
                upload,
                owner=delivery.owner,
                settings=self._settings,
                now=self._now,
            )
        if isinstance(claimed, NothingToDo):
            return claimed.outcome
        delivery.attempt, delivery.refusals = claimed.draft.attempt, claimed.draft.refusals
        try:
            if overwritten:
                gone = ObjectGoneError(f"generation {upload.generation} is overwritten")
                await claimed.fail(gone)
                raise gone  # noqa: TRY301 - as an image that cannot be read any more
            outcome = await self._work_to_outcome(delivery, claimed, upload)
        except (LeaseLostError, PermanentError):
            raise
        except Exception as exc:
            # Also for a defect: what cannot have been paid for is no attempt, and age ends it.
            refused = not delivery.may_have_begun
            delivery.refusals += refused
            await self._release(claimed, exc, refused=refused)
            raise
        return outcome

    async def _work_to_outcome(self, delivery: Delivery, claimed: Claim, upload: Upload) -> str:
        found = await self._reusable(claimed, upload)
        if found is not None:
            delivery.reused_from = found["uri"]
            await claimed.reuse(found)
            return "described"
        try:
            description = await self._work(delivery, claimed, upload)
        except PermanentError as exc:
            with self.stage("write outcome"):
                await claimed.fail(exc)
            raise
        delivery.usage, delivery.repaired = description.usage, description.repaired
        with self.stage("write outcome"):
            await claimed.complete(description)
        return description.outcome

    async def _reusable(self, claimed: Claim, upload: Upload) -> Mapping[str, Any] | None:
        """Look for a finished text of the same bytes: in what was claimed, then elsewhere."""
        if not (self._settings.reuse and upload.md5_hash):
            return None
        asked = instructions_for(upload.name, self._settings, upload.metadata)
        if may_be_reused(claimed.before, upload, asked):
            return claimed.before
        found = await self._store.find(
            {"md5Hash": upload.md5_hash, "promptHash": asked.digest}, limit=_REUSE_LOOKS_AT
        )
        return next((fields for fields in found if may_be_reused(fields, upload, asked)), None)

    async def _release(self, claimed: Claim, cause: Exception, *, refused: bool) -> None:
        """Free the lease as well as can be; if it cannot, the lease runs out by itself."""
        patience = _RELEASE_SECONDS_AT_SHUTDOWN
        try:
            async with asyncio.timeout(patience):
                await claimed.release(_cause(cause), refused=refused, timeout_seconds=patience)
        except (TimeoutError, LeaseLostError, StoreError):
            return

    async def _work(self, delivery: Delivery, claimed: Claim, upload: Upload) -> Description:
        """Describe, or until a shutdown cancels it."""
        self._check_shutdown()
        settings = self._settings
        progress = Progress(
            claimed, flush_seconds=settings.flush_seconds, lease_seconds=settings.lease_seconds
        )
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._under_way[task] = delivery
        try:
            return await progress.during(self._describe(delivery, claimed, upload, progress))
        except asyncio.CancelledError:
            if self._shutting_down:
                task.uncancel()
                if delivery.gathered is not None and delivery.gathered.ended:
                    return delivery.gathered.finish()
            self._check_shutdown()
            raise
        finally:
            del self._under_way[task]

    def _check_shutdown(self) -> None:
        if self._shutting_down:
            raise ShuttingDownError("the instance was told to shut down")

    async def _describe(
        self, delivery: Delivery, claimed: Claim, upload: Upload, progress: Progress
    ) -> Description:
        """Describe within the time allowed, which begins when there is memory for the image."""
        self._images.check(upload)
        limit = self._settings.stream_timeout_seconds
        began = time.monotonic()
        async with self._images.room_for(upload) as share:
            delivery.waited = time.monotonic() - began
            try:
                async with asyncio.timeout(limit):
                    asked = instructions_for(upload.name, self._settings, upload.metadata)
                    delivery.ignored = asked.ignored or None
                    with self.stage("load image"):
                        image = await self._images.load(upload, share, asked.embedded)
                    return await self._describe_image(delivery, claimed, image, asked, progress)
            except TimeoutError as exc:
                if delivery.gathered is not None and delivery.gathered.ended:
                    return delivery.gathered.finish()
                raise ModelTimeoutError(
                    f"not done within STREAM_TIMEOUT_SECONDS of {limit:g}"
                ) from exc

    async def _describe_image(
        self,
        delivery: Delivery,
        claimed: Claim,
        image: Image,
        first: Instructions,
        progress: Progress,
    ) -> Description:
        """Describe with MODEL, or with the first of MODELS that takes what those before refused.

        The cheaper lane, where that is asked for, has one try: what it refuses for good, or for
        long, or leaves unfinished, takes the ordinary one.
        """
        upload = claimed.draft.upload
        economy = upload.economy and claimed.draft.attempt == 1
        instructions = replace(first.with_embedded(image.metadata), economy=economy)
        fallbacks = iter(fallbacks_for(upload.name, self._settings, upload.metadata))
        while True:
            delivery.economy = instructions.economy if upload.economy else None
            try:
                return await self._ask(delivery, claimed, image, instructions, progress)
            except (ModelError, ModelRejectedError) as exc:
                if instructions.economy and self._ordinary_instead(delivery, claimed, exc):
                    instructions = replace(instructions, economy=False)
                    continue
                if not isinstance(exc, ModelError):
                    raise
                following = next(fallbacks, None)
                if following is None or not self._falls_back(delivery, claimed, exc):
                    raise
                delivery.passed_over.append(instructions.model)
                instructions = following.with_embedded(image.metadata)

    def _falls_back(self, delivery: Delivery, claimed: Claim, exc: ModelError) -> bool:
        """Tell whether another model is to be asked: never after one that may have been paid."""
        if delivery.may_have_begun or not isinstance(exc, ModelBusyError | ModelAccessError):
            return False
        return isinstance(exc, ModelMissingError) or self._out_of_patience(claimed)

    def _ordinary_instead(
        self, delivery: Delivery, claimed: Claim, exc: ModelError | ModelRejectedError
    ) -> bool:
        """Tell whether the ordinary lane is to be asked after the cheaper one, likewise.

        A model that is not offered there is refused as any wrong request is.
        """
        if delivery.may_have_begun:
            return False
        return isinstance(exc, ModelAccessError | ModelRejectedError) or (
            isinstance(exc, ModelBusyError) and self._out_of_patience(claimed)
        )

    def _out_of_patience(self, claimed: Claim) -> bool:
        since = claimed.draft.refused_since or self._now()
        refused_seconds = (self._now() - since).total_seconds()
        return refused_seconds >= self._settings.fallback_after_seconds

    async def _ask(
        self,
        delivery: Delivery,
        claimed: Claim,
        image: Image,
        instructions: Instructions,
        progress: Progress,
    ) -> Description:
        upload = claimed.draft.upload
        delivery.model = instructions.model
        delivery.converted = image.converted
        claimed.draft = claimed.draft.with_image(image, instructions)
        overwritten: asyncio.Task[bool] | None = None

        def on_begun(text: Accumulator) -> None:
            delivery.gathered = text

        def on_text(text: Accumulator) -> None:
            nonlocal overwritten
            if overwritten is None and image.uri is not None:
                # By now the model has read it; asked beside the stream, it costs no time.
                overwritten = asyncio.create_task(self._images.is_overwritten(upload))
            if delivery.first_text is None:
                delivery.first_text = time.monotonic()
                claimed.draft = claimed.draft.with_first_text(self._now())
            progress.show(text)

        def on_asked(may_have_begun: bool) -> None:  # noqa: FBT001
            delivery.may_have_begun = may_have_begun

        day = await self._brake.take()
        try:
            description = await describe(
                self._model,
                instructions,
                image,
                on_text=on_text,
                on_begun=on_begun,
                on_asked=on_asked,
                paying=self._paying,
            )
            # Of a text that was held back to its end, it was not asked yet.
            if image.uri is not None and await (overwritten or self._images.is_overwritten(upload)):
                raise ObjectGoneError(
                    f"generation {upload.generation} was overwritten while it was described",
                    finish_reason=description.finish_reason,
                    usage=description.usage,
                )
        except (ModelAccessError, ModelRejectedError) as exc:
            # A deleted object and a wrong configuration are answered alike.
            if image.uri is not None and await self._images.is_gone(upload):
                raise ObjectGoneError(
                    f"generation {upload.generation} is not there any more; {exc}"
                ) from exc
            if instructions.economy and delivery.gathered is None:
                # Refused before its answer: only the ordinary call counts, for the day as well.
                delivery.may_have_begun = False
            raise
        finally:
            if overwritten is not None:
                overwritten.cancel()
            if not delivery.may_have_begun:
                self._brake.give_back(day)
        return description

    @asynccontextmanager
    async def _paying(self) -> AsyncIterator[None]:
        """Count one more call of the model, which is not begun any more at a shutdown."""
        self._check_shutdown()
        day = await self._brake.take()
        try:
            yield
        except TransientError as exc:
            if not exc.model_may_have_begun:
                self._brake.give_back(day)
            raise

    def _write_log(self, delivery: Delivery, answer: Answer) -> None:
        upload, usage, error = delivery.upload, delivery.usage, delivery.error
        ended = time.monotonic()
        first = delivery.first_text
        failure = delivery.gathered.repair_failure if delivery.gathered else None
        fields: dict[str, Any] = {
            "outcome": answer.outcome,
            "status": answer.status,
            "cause": answer.message[:1000] or None,
            "error": type(error).__name__ if error else None,
            "error_status": getattr(error, "http_status", None),
            "owner": delivery.owner,
            "attempt": delivery.attempt,
            "refusals": delivery.refusals or None,
            "model": delivery.model,
            "economy": delivery.economy,
            "reused_from": delivery.reused_from,
            "passed_over": ", ".join(delivery.passed_over) or None,
            "waited_for_room_seconds": round(delivery.waited, 3) or None,
            "converted": delivery.converted,
            "ignored": delivery.ignored,
            "repaired": delivery.repaired,
            "repair_error": str(failure)[:300] if failure else None,
            "first_text_seconds": None if first is None else round(first - delivery.started, 3),
            "total_seconds": round(ended - delivery.started, 3),
            **delivery.report,
        }
        if upload is not None:
            fields |= {
                "bucket": upload.bucket,
                "object_name": upload.name,
                "generation": str(upload.generation),
                "event_id": upload.event_id,
                "event_age_seconds": round(upload.age_seconds(self._now()), 3),
            }
        if usage is not None:
            fields |= {
                "prompt_tokens": usage.prompt_tokens,
                "completion_tokens": usage.completion_tokens,
                "total_tokens": usage.total_tokens,
                "traffic_type": usage.traffic_type,
            }
        trace = upload.trace if upload else None
        self._log.write(_severity(answer), "delivery", fields, trace=trace)


def _severity(answer: Answer) -> Severity:
    """ERROR where nobody will try again and somebody should look; WARNING where it may go on."""
    if answer.outcome in {"gave_up", "rejected", "defect"}:
        return "ERROR"
    if answer.outcome in {OverLimitError.outcome, "lost"}:
        return "WARNING"
    if answer.status == 200 or answer.outcome == LeaseHeldError.outcome:
        return "INFO"
    return "WARNING"


def _cause(exc: Exception) -> str:
    """Say the cause for the record; the words of a foreign exception stay in the log."""
    return str(exc) if isinstance(exc, DescriberError) else f"a defect: {type(exc).__name__}"
