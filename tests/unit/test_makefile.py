"""What `make` sets up and cleans away; what it passes on is in `test_local_names.py`."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from local.servers.function import ROOT


def make(folder: Path, *arguments: str) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    subprocess.run(["make", "-s", *arguments], cwd=folder, check=True, capture_output=True)


def test_the_installer_is_the_pinned_one(tmp_path: Path) -> None:
    """Taken out of what `make lock` writes, with all its hashes, so that the two cannot differ."""
    make(ROOT, f"VENV={tmp_path}", f"{tmp_path}/uv.txt")
    first, *hashes = (tmp_path / "uv.txt").read_text().replace("\\\n", "").split()
    pinned = re.search(r'"(uv==[\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert pinned is not None
    assert first == pinned[1]
    assert len(hashes) > 5
    assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", text) for text in hashes)


def test_clean_removes_what_the_targets_made_and_nothing_else(tmp_path: Path) -> None:
    """Caches go; what Terraform keeps of a deployment stays, and so does all that is not ours."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    made = [
        *(".venv/bin", ".cache/logs", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
        *(".import_linter_cache", "__pycache__", "local/demo/__pycache__"),
        *("tests/unit/__pycache__", "describer/__pycache__", "benchmarks/__pycache__"),
        *("gallery/__pycache__", "operate/quality/__pycache__"),
    ]
    others = ["terraform/.terraform", "other/__pycache__", "local/demo/samples"]
    for folder in (*made, *others):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "file").touch()
    (tmp_path / ".coverage").touch()
    make(tmp_path, "clean")
    left = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert left == {"Makefile", *(f"{folder}/file" for folder in others)}
