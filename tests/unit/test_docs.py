"""What the documents promise of themselves."""

import ast
import json
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from describer import errors
from describer.delivery.claim import NothingToDo
from describer.delivery.removal import Removal
from describer.images.formats import CONVERTIBLE_TYPES
from describer.model.description import Description
from describer.model.scripted import Script, ScriptedModel
from describer.model.stream import Chunk
from describer.values import Usage
from local.servers.function import ROOT
from tests.unit.test_pipeline import Bench, bench

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("plot", sorted(DOCS.glob("performance/*.svg")), ids=lambda p: p.stem)
def test_a_plot_is_small(plot: Path) -> None:
    """Plots are written anew by each run of the benchmarks, so each run grows the history."""
    assert plot.stat().st_size < 40_000


def test_the_hosted_workflow_takes_fixed_code_only() -> None:
    """A tag can be moved; each action is named by a whole commit."""
    text = (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
    actions = re.findall(r"uses: (\S+)", text)
    assert actions
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action) for action in actions)


def _logged() -> set[str]:
    """Give the outcomes that a log line can have: of errors, of claims, and those named there."""
    found = {Description("a", reason, None).outcome for reason in ("stop", "length")}
    found |= set(get_args(get_type_hints(NothingToDo)["outcome"]))
    found |= set(get_args(Removal)) - {"absent"}
    kinds: list[type[Exception]] = [errors.PermanentError, errors.TransientError]
    for kind in kinds:
        kinds += kind.__subclasses__()
        found |= {vars(kind)["outcome"]} if "outcome" in vars(kind) else set()
    for file in (ROOT / "describer").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Answer":
                outcome = node.args[1]
                if isinstance(outcome, ast.Constant):
                    found.add(str(outcome.value))
    return found


def test_the_page_of_outcomes_has_each_that_a_log_line_can_have() -> None:
    """And none besides: first those that a record has, too, then those of the log alone."""
    page = (DOCS / "outcomes.md").read_text(encoding="utf-8")
    recorded, _, rest = page.partition("## In the log only")
    tables = [recorded, rest.partition("\n## ")[0]]
    rows = [set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) for table in tables]
    assert rows[0] | rows[1] == _logged()
    assert not rows[0] & rows[1]


def test_the_readmes_record_is_one_that_is_written() -> None:
    """With the fields that a described image's record has, no more and no fewer."""

    async def scenario(b: Bench) -> None:
        await b.deliver()

    model = ScriptedModel([Script([Chunk("A cat", "stop", Usage(1, 2, 3))])])
    written = bench(scenario, model=model).record
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```json\n(.*?)```", readme, re.DOTALL)
    shown = json.loads(block)
    assert set(shown) == set(written)
    assert all(set(shown[name]) == set(written[name]) for name in ("status", "usage"))


def test_every_make_command_of_the_documents_is_there() -> None:
    """Whatever follows `make` in a block of commands is a target."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set()
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("*.md")):
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            named |= set(re.findall(r"^(?:\w+=\S+ )*make (?:-\S+ \S+ )?(\w+)", block, re.MULTILINE))
    assert {"demo", "test", "upload", "describe", "bench"} <= named <= targets


def test_every_platform_note_has_a_test_that_exists() -> None:
    """A fact whose test was renamed or removed is a claim that nobody checks."""
    notes = (DOCS / "platform-notes.md").read_text(encoding="utf-8")
    rows = [line for line in notes.splitlines() if line.startswith("| ") and "| fact |" not in line]
    assert rows
    for row in rows:
        found = re.search(r"`(tests/\S+\.py)::(\w+)` \|$", row)
        assert found, row
        assert f"def {found[2]}(" in (ROOT / found[1]).read_text(encoding="utf-8"), row


def test_the_page_of_images_has_each_type_that_is_read() -> None:
    """In the table of what is taken, and none besides."""
    page = (DOCS / "images.md").read_text(encoding="utf-8")
    table = page.partition("## What is taken")[2].partition("Left as")[0]
    assert set(re.findall(r"`(image/[^`]+)`", table)) == CONVERTIBLE_TYPES
