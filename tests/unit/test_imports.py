"""The drawing of the imports: what it shows, and that lint tells when it is old."""

from pathlib import Path

import pytest

from local import imports


def test_an_implied_import_is_left_out() -> None:
    """What other arrows lead to is not drawn; a client is dotted."""
    rooms = {"top": {"middle", "low", "grpc"}, "middle": {"low"}, "low": set()}
    drawn = imports.drawing(rooms)
    assert "  top --> middle" in drawn
    assert "  middle --> low" in drawn
    assert "  top --> low" not in drawn
    assert "  top -.-> grpc([grpc])" in drawn


def test_an_old_page_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check ends with 1 and the command that draws anew, and with 0 after it."""
    monkeypatch.setattr(imports, "PAGE", tmp_path / "imports.md")
    monkeypatch.setattr("sys.argv", ["imports", "--check"])
    assert imports.main() == 1
    assert "python -m local.imports" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["imports"])
    assert imports.main() == 0
    monkeypatch.setattr("sys.argv", ["imports", "--check"])
    assert imports.main() == 0
