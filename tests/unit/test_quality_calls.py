"""Answers are kept as they come, equal questions asked once, and money is minded."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from describer.errors import ModelBusyError
from describer.model.outputs import Wanted
from describer.model.prompt import Instructions
from describer.model.scripted import Script, ScriptedModel, text_script
from describer.model.stream import Chunk
from describer.settings import Settings
from describer.values import Usage
from local.quality.__main__ import SET
from operate.cost import Prices
from operate.quality.calls import (
    Asker,
    Budget,
    BudgetError,
    Call,
    Kept,
    Planner,
    Server,
    played,
)
from operate.quality.checks import Answer
from operate.quality.measure import all_of
from operate.quality.pictures import load_set

SETTINGS = Settings(model="m", openai_base_url="https://x.test/v1", image_input="inline")
CAT = next(picture for picture in load_set(SET) if picture.file == "astronaut.jpg")
ASKED = Instructions("m", "en", 100, "Describe.")
CALL = Call("x", ASKED, CAT)


def server(*scripts: Script, price: float | None = 1.0) -> tuple[Server, ScriptedModel]:
    model = ScriptedModel(list(scripts) or [text_script("A cat sits.")])
    return Server(SETTINGS, Prices(price, price), model=model), model


def ask(asked: Server, kept: Kept, budget: Budget, *calls: Call) -> list[Answer]:
    async def run() -> list[Answer]:
        asker = Asker(kept, budget)
        try:
            return await all_of(asker.ask(asked, call) for call in calls)
        finally:
            kept.close()
            await asked.close()

    return asyncio.run(run())


def test_an_answer_is_the_function_s_own_with_what_the_model_wrote(tmp_path: Path) -> None:
    """Text, outcome and tokens as in the record, thinking among those out; and the raw words."""
    steps = [Chunk("<think>hm</think>A cat"), Chunk(" sits.", "stop", Usage(10, 5, 40))]
    asked, _ = server(Script(steps))
    (answer,) = ask(asked, Kept(tmp_path / "a"), Budget(1), CALL)
    assert (answer.outcome, answer.text, answer.usage) == ("described", "A cat sits.", (10, 30))
    assert answer.raw == "<think>hm</think>A cat sits."
    assert answer.seconds is not None
    assert answer.first_seconds is not None
    assert answer.first_seconds <= answer.seconds


def test_what_the_model_wrote_first_is_kept_of_an_answer_that_was_mended(tmp_path: Path) -> None:
    """The record's fields are of the second call, which is counted in what may be spent."""
    prose = text_script("A cat sits.")
    mended = text_script('{"description": "A cat sits.", "altText": "A cat"}')
    instructions = replace(ASKED, wanted=Wanted(outputs=("alt_text",)))
    call = replace(CALL, instructions=instructions)
    asked, model = server(prose, mended)
    (answer,) = ask(asked, Kept(tmp_path / "a"), Budget(1), call)
    assert (answer.raw, answer.fields) == ("A cat sits.", {"altText": "A cat"})
    assert len(model.begun) == 2
    assert call.most_tokens[1] == 2 * CALL.most_tokens[1]
    assert call.most_tokens[0] > CALL.most_tokens[0] + ASKED.max_output_tokens


def test_what_was_answered_is_not_asked_again(tmp_path: Path) -> None:
    """Nor in the next run, even if a crash has cut the last line and another was written since."""
    path = tmp_path / "answers.jsonl"
    asked, model = server()
    ask(asked, Kept(path), Budget(1), CALL, CALL)
    assert len(model.begun) == 1
    path.write_bytes(path.read_bytes() + b'{"key": "torn')
    other = replace(CALL, repeat=1)
    asked, model = server()
    ask(asked, Kept(path), Budget(1), CALL, other)
    assert len(model.begun) == 1
    asked, model = server()
    ask(asked, Kept(path), Budget(0), CALL, other)
    assert not model.begun


def test_a_failure_is_not_kept_but_asked_again_the_next_time(tmp_path: Path) -> None:
    """And not twice in one run."""
    path = tmp_path / "answers.jsonl"
    broken = Script([Chunk("A c")])
    asked, model = server(broken)
    answers = ask(asked, Kept(path), Budget(1), CALL, CALL)
    assert [answer.outcome for answer in answers] == ["failed", "failed"]
    assert len(model.begun) == 1
    assert not path.exists()
    asked, model = server()
    (answer,) = ask(asked, Kept(path), Budget(1), CALL)
    assert answer.text == "A cat sits."


@pytest.mark.parametrize(
    "change",
    [
        {"server": "y"},
        {"repeat": 1},
        {"instructions": replace(ASKED, system="Tell.")},
        {"instructions": replace(ASKED, question="Look.")},
        {"instructions": replace(ASKED, model="n")},
        {"instructions": replace(ASKED, max_output_tokens=9)},
        {"instructions": replace(ASKED, reasoning_effort="low")},
        {"instructions": replace(ASKED, image_detail="high")},
        {"picture": replace(CAT, digest="1")},
    ],
    ids=str,
)
def test_another_question_has_another_key(change: dict[str, object]) -> None:
    """In whatever the answer may depend on; the facts may change, and nothing is asked anew."""
    assert replace(CALL, **change).key != CALL.key  # type: ignore[arg-type]
    assert replace(CALL, picture=replace(CAT, facts=CAT.facts[:1])).key == CALL.key


def test_a_call_that_may_cost_more_than_is_left_is_not_made(tmp_path: Path) -> None:
    """Also where others are under way, whose cost is not known yet; those are kept."""
    most = sum(CALL.most_tokens) / 1e6
    asked, model = server(text_script("A cat.", chunk_seconds=0.01))
    calls = [replace(CALL, repeat=number) for number in range(4)]
    with pytest.raises(BudgetError, match="--max-cost"):
        ask(asked, Kept(tmp_path / "a"), Budget(most * 2.5), *calls)
    assert len(model.begun) == 2
    assert len((tmp_path / "a").read_text().splitlines()) == 2


def test_what_was_spent_is_what_the_model_counted_or_else_the_most(tmp_path: Path) -> None:
    """A model that does not tell is taken to have used all that it might."""
    told = Script([Chunk("A cat.", "stop", Usage(1000, 0, 3000))])
    budget = Budget(1)
    ask(server(told)[0], Kept(tmp_path / "a"), budget, CALL)
    assert budget.spent == pytest.approx(3000 / 1e6)
    budget = Budget(1)
    ask(server()[0], Kept(tmp_path / "b"), budget, CALL)
    assert budget.spent == pytest.approx(sum(CALL.most_tokens) / 1e6)


def test_a_plan_counts_what_is_not_kept_and_its_most(tmp_path: Path) -> None:
    """Each question once; and the models that have no price."""
    path = tmp_path / "answers.jsonl"
    ask(server()[0], Kept(path), Budget(1), CALL)
    planner = Planner(Kept(path))
    asked, _ = server()
    free, _ = server(price=None)
    other = replace(CALL, repeat=1)

    async def run() -> None:
        for call in (CALL, other, other):
            await planner.ask(asked, call)
        await planner.ask(free, replace(CALL, repeat=2))

    asyncio.run(run())
    assert (planner.already, planner.calls, planner.unpriced) == (1, 2, {"m"})
    assert planner.most == pytest.approx(sum(CALL.most_tokens) / 1e6)


def test_a_server_on_this_machine_costs_nothing() -> None:
    """Where nobody says otherwise."""
    local = replace(SETTINGS, openai_base_url="http://127.0.0.1:1/v1")
    assert Server(local, Prices(None, None)).cost("m", 1e6, 1e6) == 0
    assert Server(local, Prices(1, 1)).cost("m", 1e6, 0) == 1
    assert Server(SETTINGS, Prices(None, None)).cost("m", 1, 1) is None


def test_a_refusal_that_cost_nothing_is_a_failure(tmp_path: Path) -> None:
    """With its sentence, after the one more try of the function."""
    busy = Script(refusal=ModelBusyError("come again", retry_after_seconds=0.0))
    (answer,) = ask(server(busy)[0], Kept(tmp_path / "a"), Budget(1), CALL)
    assert (answer.outcome, answer.message) == ("failed", "come again")


def test_a_text_from_elsewhere_is_read_as_a_model_s_answer() -> None:
    """Its outcome, too."""

    def outcome(**row: str) -> str:
        return asyncio.run(played(ASKED, row)).outcome

    assert outcome(answer="A cat.") == "described"
    assert outcome(answer="A ca", finishReason="length") == "truncated"
    assert outcome(answer="A cat.", finishReason="content_filter") == "blocked"
    assert outcome(answer=" ") == "empty"
    assert outcome(answer="I'm sorry, but I can't help with that.") == "blocked"


def test_a_line_of_answers_holds_what_was_answered(tmp_path: Path) -> None:
    """As JSON, for whoever looks."""
    path = tmp_path / "answers.jsonl"
    ask(server()[0], Kept(path), Budget(1), CALL)
    (row,) = map(json.loads, path.read_text().splitlines())
    assert (row["key"], row["text"], row["outcome"]) == (CALL.key, "A cat sits.", "described")
