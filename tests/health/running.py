"""The command, run over APIs that say what a test wants."""

import contextlib
import json

import pytest
from click.testing import CliRunner, Result

from operate.cli import describer
from operate.cloud import EMULATOR, Cloud
from operate.health.reading import Deployment, read_deployment
from tests.health.server import apis
from tests.health.sound import PROJECT, State


def run(state: State, *arguments: str, **environ: str) -> Result:
    """Run the command over APIs that say so."""
    with apis(state) as running:
        env = {EMULATOR: running.host, "GOOGLE_CLOUD_PROJECT": PROJECT, **environ}
        found = CliRunner().invoke(describer, ["doctor", *arguments], env=env)
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found


def asked(state: State, **options: float) -> Deployment:
    """Ask for all that is judged."""
    with apis(state) as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv(EMULATOR, running.host)
        with contextlib.closing(Cloud(PROJECT, None, **options)) as cloud:
            return read_deployment(cloud, "describer", None)


def report(result: Result) -> dict[str, list[dict[str, str]]]:
    """Give the findings by state."""
    found: dict[str, list[dict[str, str]]] = {"ok": [], "wrong": [], "unchecked": []}
    for finding in json.loads(result.stdout)["findings"]:
        found[finding["state"]].append(finding)
    return found


def checks(findings: list[dict[str, str]]) -> list[str]:
    """Give the lines' names."""
    return [finding["check"] for finding in findings]
