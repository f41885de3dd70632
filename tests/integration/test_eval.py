"""`describer eval` on a folder of one's own pictures, against a running server."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from local.quality.__main__ import SET
from local.servers.function import ROOT
from local.servers.model import StandInServer, standin_server
from local.standin.faults import chunks, drop, text
from operate.cli import describer

Eval = Callable[..., Result]
FACTS = {
    "cat.webp": ["cat|kitten", "whisker*", "green|yellow*"],
    "coffee.jpg": ["cup|mug", "coffee|espresso", "saucer"],
}
ANSWER = "A cat with whiskers looks at you with green eyes. It is very close."


@pytest.fixture(scope="module")
def standin() -> Iterator[StandInServer]:
    """The model stand-in."""
    with standin_server() as server:
        yield server


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of two pictures with three facts each, and nothing else."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in FACTS:
        shutil.copy(SET / name, folder)
    lines = [json.dumps({"file": name, "facts": facts}) for name, facts in FACTS.items()]
    (folder / "set.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture
def evaluate(standin: StandInServer, own: Path, tmp_path: Path) -> Eval:
    """Run the command on that folder."""
    standin.reset()

    def run(*arguments: str, **settings: str) -> Result:
        env = {"OPENAI_BASE_URL": standin.base_url, "MODEL": "stand-in", **settings}
        command = ["eval", str(own), "--out", str(tmp_path / "out"), *arguments]
        found = CliRunner().invoke(describer, command, env=env)
        if found.exception and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found

    return run


def results(tmp_path: Path) -> Any:
    return json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))


def says(standin: StandInServer, words: str, match: str | None = None) -> None:
    standin.script([text(words)], match=match)


def test_a_folder_of_one_s_own_needs_pictures_and_three_facts_each(
    evaluate: Eval, standin: StandInServer, tmp_path: Path
) -> None:
    """It writes table, picture and JSON; run again, it asks nothing, and changed facts count."""
    says(standin, ANSWER)
    found = evaluate("--repeat", "2")
    assert found.exit_code == 0, found.output
    assert "| recall | 0.50 [0.00, 1.00] |" in found.stdout
    assert len(standin.requests()) == 4
    told = results(tmp_path)
    (row,) = told["rows"]
    assert row["variant"] == {"model": "stand-in", "prompt": "default", "language": "en"}
    assert row["scores"]["alike"]["mean"] == 1
    by_picture = {one["picture"]: one["scores"]["recall"] for one in told["answers"]}
    assert by_picture == {"cat.webp": 1.0, "coffee.jpg": 0.0}
    page = (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
    assert "- coffee.jpg (stand-in): missed cup (2); missed coffee (2); missed saucer (2)" in page
    assert "- cat.webp" not in page
    assert (tmp_path / "out" / "results.svg").read_text().startswith("<svg")

    mine = tmp_path / "mine" / "set.jsonl"
    mine.write_text(mine.read_text().replace("cup|mug", "cup|eyes"))
    again = evaluate("--repeat", "2")
    assert "0 calls, 4 more are answered already" in again.stderr
    assert len(standin.requests()) == 4
    by_picture = {one["picture"]: one["scores"]["recall"] for one in results(tmp_path)["answers"]}
    assert by_picture["coffee.jpg"] == pytest.approx(1 / 3)


def test_models_prompts_and_languages_are_compared(
    evaluate: Eval, standin: StandInServer, tmp_path: Path
) -> None:
    """Each by each, with the words that were meant, and nothing of PROFILES."""
    (tmp_path / "short.txt").write_text("In five words.")
    options = ["--model", "a", "--model", "b", "--language", "en", "--language", "de"]
    options += ["--prompt", "default", "--prompt", str(tmp_path / "short.txt")]
    profiles = '[{"pattern": "*", "prompt": "Never."}]'
    found = evaluate(*options, "--repeat", "1", PROFILES=profiles)
    assert found.exit_code == 0, found.output
    variants = [row["variant"] for row in results(tmp_path)["rows"]]
    assert len({tuple(variant.values()) for variant in variants}) == len(variants) == 8
    assert {variant["prompt"] for variant in variants} == {"default", "short"}
    assert "| a, short, de |" in found.stdout
    asked = {(one["model"], "In five words." in one["prompt"]) for one in standin.requests()}
    assert asked == {(model, short) for model in ("a", "b") for short in (True, False)}
    assert not any("Never." in one["prompt"] for one in standin.requests())


def test_what_may_cost_too_much_is_not_begun(evaluate: Eval, standin: StandInServer) -> None:
    """Nor what has no price, nor what nobody has agreed to."""
    dear = evaluate("--input-price", "1000", "--output-price", "1000")
    assert dear.exit_code == 1
    assert "over --max-cost of 1.00" in dear.stderr
    far = {"OPENAI_BASE_URL": "https://x.test/v1"}
    unpriced = evaluate(**far)
    assert unpriced.exit_code == 1
    assert "No price is known for stand-in" in unpriced.stderr
    asked = evaluate("--input-price", "1", "--output-price", "1", **far)
    assert asked.exit_code == 0
    assert "Nothing is done without --yes" in asked.stderr
    assert not standin.requests()


def test_what_every_call_would_end_in_is_told_after_the_first(evaluate: Eval) -> None:
    """An address where nobody listens."""
    found = evaluate(OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    assert found.exit_code == 1
    assert "the first call failed" in found.stderr


def test_a_call_that_fails_later_is_told_and_asked_again(
    evaluate: Eval, standin: StandInServer, tmp_path: Path
) -> None:
    """What was answered is kept; the exit status says that something is missing."""
    coffee = hashlib.sha256((tmp_path / "mine" / "coffee.jpg").read_bytes()).hexdigest()
    standin.script([chunks(1), drop()], match=coffee)
    says(standin, ANSWER)
    found = evaluate("--repeat", "1")
    assert found.exit_code == 1
    assert "1 calls failed" in found.stderr
    standin.reset()
    again = evaluate("--repeat", "1")
    assert again.exit_code == 0
    assert len(standin.requests()) == 1


def test_texts_from_elsewhere_are_scored_without_a_model(
    evaluate: Eval, standin: StandInServer, tmp_path: Path
) -> None:
    """By person or by another service; a line that is wrong is named."""
    file = tmp_path / "texts.jsonl"
    lines = [{"picture": "cat.webp", "answer": ANSWER, "model": "Ida"}]
    file.write_text("\n".join(map(json.dumps, lines)))
    found = evaluate("--answers", str(file))
    assert found.exit_code == 0, found.output
    assert "| recall | 1.00 [1.00, 1.00] |" in found.stdout
    assert results(tmp_path)["rows"][0]["variant"]["model"] == "Ida"
    file.write_text('{"picture": "dog.jpg", "answer": "x"}')
    wrong = evaluate("--answers", str(file))
    assert wrong.exit_code == 1
    assert "texts.jsonl, line 1" in wrong.stderr
    assert not standin.requests()


def test_a_judge_is_asked_over_the_same_api_and_judged_itself(
    evaluate: Eval, standin: StandInServer, tmp_path: Path
) -> None:
    """Its scores, its agreement with the labels, and a warning where it may be of one family."""
    labels = [
        {"picture": "cat.webp", "claim": "It is a cat.", "true": True},
        {"picture": "cat.webp", "claim": "It is a dog.", "true": False},
        {"picture": "cat.webp", "first": "A cat.", "second": "A dog.", "better": "first"},
    ]
    mine = tmp_path / "mine"
    (mine / "labels.jsonl").write_text("\n".join(map(json.dumps, labels)))
    rows = [json.loads(line) for line in (mine / "set.jsonl").read_text().splitlines()]
    for row in rows:
        row["reference"] = {"en": "A thing is there. It is close."}
    (mine / "set.jsonl").write_text("\n".join(map(json.dumps, rows)))
    says(standin, "A", match="Here are two descriptions")
    says(standin, "1: yes\n2: no", match="Here are a description and")
    says(standin, "1: yes\n2: no", match="judge each of these claims")
    says(standin, "It is a cat.\nIt is big.", match="Take this text apart")
    says(standin, ANSWER, match="You write descriptions")
    found = evaluate("--judge", "qwen3-vl", "--repeat", "1", "--model", "qwen2.5-vl")
    assert found.exit_code == 0, found.output
    told = results(tmp_path)
    (row,) = told["rows"]
    assert row["scores"]["precision"]["mean"] == 0.5
    assert row["scores"]["coverage"]["mean"] == 0.5
    assert row["scores"]["preferred"]["mean"] == 0.5
    assert (row["compared"], row["ties"], row["contradictions"]) == (2, 2, 2)
    assert told["judge"]["claims_agreed"] == 2
    assert told["judge"]["contradictions"] == 1
    page = (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
    assert "qwen3-vl judges qwen2.5-vl, a model of its own family" in page
    assert "agrees with 2 of 2 labelled claims (κ 1.00) and 0 of 1 labelled pairs" in page
    count = len(standin.requests())
    planned = int(found.stderr.partition(" calls")[0].rpartition("\n")[2])
    # For each picture a text, its claims, the reference's, two verdicts and both orders; labels.
    assert count <= planned == 2 * 7 + 3
    again = evaluate("--judge", "qwen3-vl", "--repeat", "1", "--model", "qwen2.5-vl")
    assert again.exit_code == 0
    assert "0 calls" in again.stderr
    assert len(standin.requests()) == count


def test_a_judge_of_another_family_is_chosen_on_vertex_only(evaluate: Eval) -> None:
    """A server of one's own has to be told which."""
    found = evaluate("--judge", "auto")
    assert found.exit_code == 1
    assert "--judge: name a model of http://127.0.0.1" in found.stderr


def test_without_its_libraries_it_says_what_to_install(own: Path) -> None:
    """The other commands do not need them."""
    program = (
        "import sys; sys.modules['rapidfuzz'] = None\n"
        f"sys.argv = ['describer', 'eval', {str(own)!r}]\n"
        "from operate.cli import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no rapidfuzz: what scores texts is installed with pip install '.[eval]'" in done.stderr
