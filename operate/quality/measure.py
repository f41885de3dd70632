"""One run: every picture, by every model, prompt and language, so many times; then the judge."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from describer.errors import DescriberError
from describer.model.prompt import Instructions, instructions_for
from describer.settings import Settings
from operate.cost import Prices
from operate.quality import judge as judging
from operate.quality.calls import (
    FAILED,
    Asker,
    Asks,
    Budget,
    Call,
    Kept,
    Planner,
    Server,
    cost_of,
    played,
)
from operate.quality.checks import Answer
from operate.quality.judge import Agreement, Ask, Judged
from operate.quality.language import primary
from operate.quality.pictures import Picture, SetError, load_labels, load_set
from operate.quality.scores import Row, Scored, Variant, score, summarize

T = TypeVar("T")

# A judge that thinks before it answers needs room for that.
_JUDGE_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class Job:
    """One answer that is to be had, or is there already.

    Attributes:
        text: the line of the file of answers; None where a model is asked.
    """

    variant: Variant
    instructions: Instructions
    server: Server
    picture: Picture
    repeat: int
    text: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Results:
    """What came of a run.

    Attributes:
        spent: US dollars.
        failed: calls without an answer, the last of which said `message`.
    """

    rows: tuple[Row, ...]
    scored: tuple[Scored, ...]
    agreement: Agreement | None
    spent: float
    failed: int
    message: str


@dataclass
class Run:
    """What is to be measured.

    Attributes:
        notes: what whoever reads the numbers should know.
    """

    folder: Path
    pictures: tuple[Picture, ...]
    jobs: list[Job]
    notes: list[str] = field(default_factory=list)
    _judge: tuple[Server, Instructions] | None = None

    @classmethod
    def of(
        cls,
        folder: Path,
        variants: Sequence[tuple[str, Mapping[str, str]]],
        prices: Prices,
        *,
        repeats: int,
        answers: Path | None = None,
    ) -> Run:
        """Read the set, and lay out what is to be asked.

        Args:
            variants: the prompt's name and the environment of each.
            answers: lines of texts that are there already; then nothing is asked.

        Raises:
            SetError, SettingsError: set, answers or settings are not as they should be.
        """
        pictures = load_set(folder)
        run = cls(folder, pictures, [])
        for prompt, environ in variants:
            settings = Settings.from_env(environ)
            server = Server(settings, prices)
            instructions = instructions_for("", settings)
            variant = Variant(instructions.model, prompt, instructions.language)
            if answers is not None:
                run.jobs += _of_texts(answers, pictures, variant, instructions, server)
                continue
            run.jobs += [
                Job(variant, instructions, server, picture, repeat)
                for repeat in range(repeats)
                for picture in pictures
            ]
        return run

    def add_judge(self, model: str, environ: Mapping[str, str], prices: Prices) -> None:
        """Have a model judge, too.

        Args:
            model: `auto` for one of another family, which only Vertex AI has beside others.
            environ: the settings of its server.

        Raises:
            SetError: there is nothing to choose from.
        """
        models = list(dict.fromkeys(job.variant.model for job in self.jobs))
        if model == "auto":
            url = environ.get("OPENAI_BASE_URL", "").strip()
            if url:
                raise SetError(f"--judge: name a model of {url}")
            model = judging.default_judge(models)
        limit = {"MAX_OUTPUT_TOKENS": str(_JUDGE_TOKENS)}
        settings = Settings.from_env({**environ, **limit, "MODEL": model})
        base = instructions_for("", settings)
        self._judge = Server(settings, prices), base
        model = base.model
        warning = judging.warning_for(model, models)
        self.notes += [f"Judged by {model}.", *([warning] if warning else [])]

    def plan(self, out: Path) -> Planner:
        """Count what is to be asked yet."""
        planner = Planner(Kept(out / "answers.jsonl"))
        asyncio.run(self._measure(planner))
        return planner

    async def measured(
        self, out: Path, max_cost: float, at_once: int, on_done: Callable[[], None]
    ) -> Results:
        """Ask, judge and score.

        Raises:
            BudgetError: the next call might cost more than is left; what was answered is kept.
            DescriberError: the first call failed, as all others would.
        """
        kept, budget = Kept(out / "answers.jsonl"), Budget(max_cost)
        asker = Asker(kept, budget, at_once, on_done)
        try:
            await self._first(asker)
            scored, agreement = await self._measure(asker)
        finally:
            kept.close()
            await self._close()
        failures = list(asker.failures.values())
        return Results(
            summarize(scored),
            tuple(scored),
            agreement,
            budget.spent,
            len(failures),
            failures[-1] if failures else "",
        )

    async def _first(self, asker: Asker) -> None:
        """Ask once before asking many at once: an address or key that is wrong is so for all."""
        asked = next((job for job in self.jobs if job.text is None), None)
        if asked is None:
            return
        answer = await asker.ask(asked.server, _call(asked))
        if answer.outcome == FAILED:
            raise DescriberError(f"the first call failed: {answer.message}")

    async def _measure(self, asks: Asks) -> tuple[list[Scored], Agreement | None]:
        scored = await all_of(self._one(job, asks) for job in self.jobs)
        agreement = None
        if self._judge is not None:
            claims, pairs = load_labels(self.folder)
            if claims or pairs:
                ask = self._asks_judge(asks)
                agreement = await judging.agreement(ask, self.pictures, claims, pairs)
        return scored, agreement

    async def _one(self, job: Job, asks: Asks) -> Scored:
        picture, instructions, server = job.picture, job.instructions, job.server
        if job.text is not None:
            answer = await played(instructions, job.text)
            cost: float | None = None
        else:
            answer = await asks.ask(server, _call(job))
            cost = cost_of(server, instructions.model, answer)
        judged = await self._judged(job, answer, asks)
        return score(
            job.variant,
            picture,
            job.repeat,
            answer,
            instructions.wanted,
            cost=cost,
            judged=judged,
        )

    async def _judged(self, job: Job, answer: Answer, asks: Asks) -> Judged | None:
        if self._judge is None or not answer.text:
            return None
        reference = job.picture.reference.get(primary(job.variant.language))
        return await judging.judge(self._asks_judge(asks), job.picture, answer.text, reference)

    def _asks_judge(self, asks: Asks) -> Ask:
        if self._judge is None:
            raise AssertionError("no judge")
        server, base = self._judge

        async def ask(request: str, picture: Picture) -> str:
            instructions = judging.instructions_for_judge(base, request)
            return (await asks.ask(server, Call(server.address, instructions, picture))).text

        return ask

    async def _close(self) -> None:
        servers = {id(job.server): job.server for job in self.jobs}
        if self._judge is not None:
            servers[id(self._judge[0])] = self._judge[0]
        for server in servers.values():
            await server.close()


async def all_of(work: Iterable[Awaitable[T]]) -> list[T]:
    """Do all of it, then raise the first error: what is under way is paid for, and is kept."""
    results = await asyncio.gather(*work, return_exceptions=True)
    done = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        done.append(result)
    return done


def _call(job: Job) -> Call:
    return Call(job.server.address, job.instructions, job.picture, job.repeat)


def _of_texts(
    path: Path,
    pictures: Sequence[Picture],
    variant: Variant,
    instructions: Instructions,
    server: Server,
) -> list[Job]:
    """Read lines of texts: `picture` and `answer`, and perhaps `model`, `finishReason`."""
    by_file = {picture.file: picture for picture in pictures}
    seen: dict[tuple[str, str], int] = {}
    jobs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
            picture, model = by_file[row["picture"]], str(row.get("model", path.stem))
            row["answer"].encode()
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise SetError(
                f"{where}: expected an object with a picture of the set, and an answer"
            ) from exc
        repeat = seen[model, picture.file] = seen.get((model, picture.file), -1) + 1
        named = Variant(model, "given", variant.language)
        jobs.append(Job(named, instructions, server, picture, repeat, row))
    if not jobs:
        raise SetError(f"{path}: no answers in it")
    return jobs
