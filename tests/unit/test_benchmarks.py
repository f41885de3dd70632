"""What a benchmark's figures become: the page, and the same figures again."""

import dataclasses
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.conversion import FORMATS, SHORT, Conversion, Found


def test_the_page_is_what_its_figures_say() -> None:
    """Nobody has written a number into it by hand."""
    text = report.DOCUMENT.read_text(encoding="utf-8")
    generated = text.partition(report.BEGIN)[2].partition(report.END)[0]
    assert generated.strip() == report.document(report.load()).strip()


def test_conversion_has_a_table_in_the_page_once_it_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And comes back from the file as it went in."""
    found = [Conversion("JPEG", 1.84, Found(9.44, 107.2, 38.0, 5.1), Found(5.3, 190, 637, 81))]
    results = dataclasses.replace(report.load(), conversions=found)
    monkeypatch.setattr(report, "FOLDER", tmp_path)
    monkeypatch.setattr(report, "DATA", tmp_path / "results.json")
    report.save(results)
    assert report.load() == results
    page = report.document(results)
    assert "### Conversion" in page
    assert "| JPEG | 1.8 | 9.4 | 5.3 | 107 | 190 | 38 | 637 | 5 | 81 |" in page


def test_the_short_form_has_the_formats_that_people_upload_most() -> None:
    """Each of them once, and all of them in the whole table, too."""
    assert sorted(one.kind for one in SHORT) == ["GIF", "HEIF", "JPEG", "PNG"]
    assert set(map(id, SHORT)) < set(map(id, FORMATS))
