"""What the documents promise of themselves."""

from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("plot", sorted(DOCS.glob("performance/*.svg")), ids=lambda p: p.stem)
def test_a_plot_is_small(plot: Path) -> None:
    """Plots are written anew by each run of the benchmarks, so each run grows the history."""
    assert plot.stat().st_size < 40_000
