"""What docs/quality.md says is what is measured: its tables, its costs, its digests."""

import math
import re
from pathlib import Path

import pytest

from describer.model.prompt import instructions_for
from describer.settings import Settings
from local.quality.__main__ import PAGE, SET, judges_table, put, sheets_table
from operate.cost import Prices
from operate.quality.checks import SCORES
from operate.quality.measure import Run
from operate.quality.pictures import load_set

TEXT = PAGE.read_text(encoding="utf-8")
PICTURES = load_set(SET)


def section(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n\n(.*?)\n<!-- end of {name} -->", TEXT, re.DOTALL)
    assert found
    return found[1]


def test_the_tables_are_those_of_the_sheets_and_the_judges() -> None:
    """Written by `make eval`, and the same here."""
    assert section("sheets") == sheets_table(PICTURES)
    assert section("judges") == judges_table(PICTURES)


def test_the_servers_are_given_less_than_the_references() -> None:
    """Neither the stand-in nor a model with noise for eyes knows what is in the pictures."""
    (line,) = re.findall(r"^\| recall \|(.*)\|$", section("servers"), re.MULTILINE)
    references, *others = (float(cell.split()[0]) for cell in line.split("|"))
    assert references == 1
    assert len(others) == 2
    assert max(others) < 0.2


def test_every_score_is_explained() -> None:
    """And none that there is not."""
    table = TEXT.partition("## The scores")[2].partition("## The judge")[0]
    rows = re.findall(r"^\| (`.*?) \| ", table, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(SCORES)


@pytest.mark.parametrize("judge", [False, True])
def test_the_cost_of_the_command_is_what_it_tells(tmp_path: Path, *, judge: bool) -> None:
    """With the default model and its list price, rounded up to the cent."""
    environ = {"GOOGLE_CLOUD_PROJECT": "p-1", "IMAGE_INPUT": "inline"}
    run = Run.of(SET, [("default", environ)], Prices(None, None), repeats=3)
    if judge:
        run.add_judge("auto", environ, Prices(0.35, 1.15))
        assert f"`{run.notes[0].removeprefix('Judged by ').rstrip('.')}`" in TEXT
    plan = run.plan(tmp_path)
    told = " ".join(TEXT.split())
    assert f"{plan.calls} calls and" in told or f"{plan.calls} calls, and" in told
    assert f"{math.ceil(plan.most * 100) / 100:.2f} US$ at most" in told


def test_the_digests_are_those_of_today() -> None:
    """So that a change of the prompt is said there."""
    for outputs in ((), ("alt_text",)):
        assert instructions_for("a", Settings(outputs=outputs)).digest in TEXT


def test_a_page_without_marks_is_told() -> None:
    """Rather than left as it is."""
    assert put("<!-- a -->\nold<!-- end of a -->z", "a", "new") == (
        "<!-- a -->\n\nnew\n<!-- end of a -->z"
    )
    with pytest.raises(ValueError, match="no <!-- b -->"):
        put("<!-- a -->", "b", "new")
