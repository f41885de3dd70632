"""What the page says of itself: its types, its rules, its unit tests, its size, its licences."""

import json
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from local.gallery.page import SOURCES, build, why_no_node
from local.servers.processes import StartError

# No package of these asks for more than its notice, or, of what is only a tool, its own source.
LICENCES = {
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BlueOak-1.0.0",
    "ISC",
    "MIT",
}
TOOLS_ONLY = {"MPL-2.0"}


@pytest.mark.parametrize("check", ["lint", "test"])
def test_page_passes_its_own_checks(tools: None, check: str) -> None:
    """TypeScript is strict, eslint is content, and the pure modules do what their tests say."""
    done = subprocess.run(
        ["npm", "run", "--silent", check],
        cwd=SOURCES,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if check == "test":
        assert int(re.findall(r"(?m)^# pass (\d+)$", done.stdout)[0]) > 30


def test_page_is_small(built: str) -> None:
    """The whole page is at most 175 kB of gzip; the build ends with an error above it."""
    size = re.search(r"([\d.]+) kB gzip of at most 175", built)
    assert size is not None
    assert 100 < float(size[1]) <= 175


def test_licences_are_permissive() -> None:
    """Everything pinned has a licence that this project can ship, or only use."""
    lock = json.loads((SOURCES / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: package for name, package in lock["packages"].items() if name}
    shipped = {
        name: package.get("license")
        for name, package in packages.items()
        if not package.get("dev") and package.get("license") not in LICENCES
    }
    assert shipped == {}
    used = Counter(package.get("license") for package in packages.values())
    assert set(used) <= LICENCES | TOOLS_ONLY


def test_packages_are_exact() -> None:
    """What is asked for is one version, and what is installed is pinned by its digest."""
    asked = json.loads((SOURCES / "package.json").read_text(encoding="utf-8"))
    versions = {**asked["dependencies"], **asked["devDependencies"]}
    assert [name for name, version in versions.items() if not version[0].isdigit()] == []
    lock = json.loads((SOURCES / "package-lock.json").read_text(encoding="utf-8"))
    loose = [name for name, one in lock["packages"].items() if name and "integrity" not in one]
    assert loose == []


@pytest.mark.parametrize(
    ("version", "said"),
    [
        pytest.param(None, "Node.js 20 or later is not installed", id="none"),
        pytest.param("v18.20.4", "Node.js 20 or later is needed, and this is v18.20.4", id="old"),
        pytest.param("?", "Node.js 20 or later is needed, and this is ?", id="strange"),
    ],
)
def test_says_why_it_is_not_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str | None, said: str
) -> None:
    """Without Node.js, or with an old one, there is one sentence that says what to install."""
    if version:
        for name in ("node", "npm"):
            (tmp_path / name).write_text(f"#!/bin/sh\necho '{version}'\n", encoding="utf-8")
            (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert said in str(why_no_node())
    with pytest.raises(StartError, match=re.escape(said)):
        build()
