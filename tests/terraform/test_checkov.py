"""A linter for cloud configurations, over the plan; what it may not say is explained in place."""

import json
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from tests.terraform.conftest import PROJECT, ROOT, Workspace, missing

GALLERY = ("-var=enable_gallery=true", "-var=readers=signed_in", '-var=writers=["a@b.example"]')
PINS = ROOT / "tests" / "terraform" / "requirements-checkov.txt"


@pytest.fixture(scope="session")
def checkov() -> Path:
    """The linter in an environment of its own: its hundred dependencies would clash with ours."""
    digest = sha256(PINS.read_bytes()).hexdigest()[:12]
    environment = ROOT / ".cache" / f"checkov-{digest}"
    program = environment / "bin" / "checkov"
    done = environment / "complete"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
        installed = subprocess.run(
            [environment / "bin" / "pip", "install", "--quiet", "--no-deps", "-r", PINS],
            capture_output=True,
            text=True,
            check=False,
        )
        if installed.returncode != 0:
            missing(f"checkov cannot be installed:\n{installed.stderr[-2000:]}")
        done.touch()
    return program


def test_plan_passes(workspace: Workspace, checkov: Path) -> None:
    """No finding that is not explained beside the resource, in the plan with the most parts."""
    plan = workspace.plan(
        f"-var=google_cloud_project={PROJECT}", "-var-file=examples/own-model.tfvars", *GALLERY
    )
    done = subprocess.run(
        [
            *(checkov, "--file", plan.file, "--framework", "terraform_plan"),
            # Finds the explanations, which a plan does not carry.
            *("--repo-root-for-plan-enrichment", workspace.folder),
            *("--skip-download", "--output", "json"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(done.stdout)
    failed = [
        f"{check['check_id']} {check['resource']}: {check['check_name']}"
        for check in report["results"]["failed_checks"]
    ]
    assert failed == []
    assert report["summary"]["passed"] > 30
    assert done.returncode == 0, done.stderr


def test_every_exception_is_explained_and_needed(workspace: Workspace, checkov: Path) -> None:
    """Without the explanations, exactly those findings come back."""
    key = {"function": "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k"}
    found = set()
    topic = "-var=events_topic=events"
    for arguments in ([*GALLERY, topic], [f"-var=kms_keys={json.dumps(key)}"]):
        plan = workspace.plan(f"-var=google_cloud_project={PROJECT}", *arguments)
        done = subprocess.run(
            [
                *(checkov, "--file", plan.file, "--framework", "terraform_plan"),
                *("--skip-download", "--output", "json"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        found |= {
            (
                re.sub(r"\[.*", "", check["resource"].removeprefix("module.describer.")),
                check["check_id"],
            )
            for check in json.loads(done.stdout)["results"]["failed_checks"]
        }
    explained = set()
    for path in (ROOT / "terraform" / "module").glob("*.tf"):
        resource = ""
        for line in path.read_text().splitlines():
            if begun := re.match(r'resource "(\w+)" "(\w+)"', line):
                resource = ".".join(begun.groups())
            elif skipped := re.match(r"\s+#checkov:skip=(\w+):(.*)", line):
                assert len(skipped[2].split()) > 3, f"{path.name}: {line}"
                explained.add((resource, skipped[1]))
    assert found == explained
