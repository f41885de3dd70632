"""What the documents promise of themselves."""

import re
from pathlib import Path

import pytest

from local.servers.function import ROOT

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


def test_every_platform_note_has_a_test_that_exists() -> None:
    """A fact whose test was renamed or removed is a claim that nobody checks."""
    notes = (DOCS / "platform-notes.md").read_text(encoding="utf-8")
    rows = [line for line in notes.splitlines() if line.startswith("| ") and "| fact |" not in line]
    assert rows
    for row in rows:
        found = re.search(r"`(tests/\S+\.py)::(\w+)` \|$", row)
        assert found, row
        assert f"def {found[2]}(" in (ROOT / found[1]).read_text(encoding="utf-8"), row
