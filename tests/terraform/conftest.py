"""Terraform in a copy of the tree, and Firestore with our rules; what is missing is said."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "test-project"

_MIRROR_VARIABLE = "DESCRIBER_TERRAFORM_MIRROR"
_SIBLING = ROOT.parent / "shared" / "terraform-mirror"


def missing(reason: str) -> None:
    """Skip for what is not installed or not reachable; in CI that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"in CI nothing may be missing: {reason}", pytrace=False)
    pytest.skip(reason)


def all_resources(module: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give a module's resources and those of the modules below it."""
    found: list[dict[str, Any]] = [*module.get("resources", ())]
    for child in module.get("child_modules", ()):
        found += all_resources(child)
    return found


@dataclass(frozen=True)
class Plan:
    """One plan, as `terraform show -json` gives it.

    Attributes:
        content: the whole document.
        file: where it lies, for tools that read it themselves.
    """

    content: Mapping[str, Any]
    file: Path

    def resources(self, kind: str = "") -> list[dict[str, Any]]:
        """Give the managed resources of one type, or all, with what is known of their values."""
        return [
            resource
            for resource in all_resources(self.content["planned_values"]["root_module"])
            if resource["mode"] == "managed" and (not kind or resource["type"] == kind)
        ]

    def changes(self) -> dict[str, str]:
        """Give what is to be done, such as `update` or `delete create`, by address."""
        return {
            change["address"]: " ".join(change["change"]["actions"])
            for change in self.content["resource_changes"]
            if change["change"]["actions"] not in (["no-op"], ["read"])
        }

    def output(self, name: str) -> Any:
        """Give the value of an output that is known before apply."""
        return self.content["planned_values"]["outputs"][name]["value"]

    def environment(self) -> dict[str, str]:
        """Give the environment variables of the function."""
        (function,) = self.resources("google_cloudfunctions2_function")
        variables: dict[str, str] = function["values"]["service_config"][0]["environment_variables"]
        return variables


@dataclass
class Workspace:
    """A copy of what Terraform needs, initialised, so that nothing is left in the tree.

    Attributes:
        folder: the copy of `terraform/`, or another folder beside it.
        offline: whether the providers are stand-ins, which plan without credentials.
    """

    folder: Path
    environ: dict[str, str]
    offline: bool
    _plans: dict[str, Plan] = field(default_factory=dict)

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `terraform` in the copy."""
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done

    def plan(self, *arguments: str) -> Plan:
        """Plan with variables given as on the command line; each plan is made once."""
        if not self.offline:
            missing("planning needs credentials, or the stand-in providers of a mirror")
        key = " ".join(arguments)
        if key not in self._plans:
            name = f"plan-{len(self._plans)}"
            self.run("plan", "-input=false", "-no-color", f"-out={name}", *arguments)
            shown = self.run("show", "-json", name).stdout
            file = self.folder / f"{name}.json"
            file.write_text(shown, encoding="utf-8")
            self._plans[key] = Plan(json.loads(shown), file)
        return self._plans[key]


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The module beside the program, in a temporary folder."""
    if shutil.which("terraform") is None:
        missing("terraform is not installed (https://developer.hashicorp.com/terraform/install)")
    copy = tmp_path_factory.mktemp("terraform") / "describer"
    shutil.copytree(
        ROOT / "terraform",
        copy / "terraform",
        symlinks=True,
        ignore=shutil.ignore_patterns(
            ".terraform*", "*.tfstate*", "*.auto.tfvars", "terraform.tfvars"
        ),
    )
    shutil.copytree(ROOT / "describer", copy / "describer")
    shutil.copytree(ROOT / "gallery", copy / "gallery")
    shutil.copytree(ROOT / "web" / "src", copy / "web" / "src")
    for name in ("build.mjs", "package-lock.json"):
        shutil.copy(ROOT / "web" / name, copy / "web" / name)
    stub_page(copy, copy / ".cache" / "web")
    for name in ("main.py", "requirements.txt"):
        shutil.copy(ROOT / name, copy / name)
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TF_VAR_", "GOOGLE_"))
    }
    environ |= {"TF_IN_AUTOMATION": "1", "TF_SCHEMA_MIRROR_QUIET": "1", "CHECKPOINT_DISABLE": "1"}
    mirror = _mirror()
    if mirror is not None:
        configuration = copy / "terraformrc"
        subprocess.run([mirror / "use-mirror", configuration], check=True, capture_output=True)
        environ["TF_CLI_CONFIG_FILE"] = str(configuration)
    made = Workspace(copy / "terraform", environ, offline=mirror is not None)
    initialise(made)
    return made


@pytest.fixture(scope="session")
def module(workspace: Workspace) -> Workspace:
    """The module itself, without the providers that the folder above it adds."""
    made = Workspace(workspace.folder / "module", workspace.environ, workspace.offline)
    initialise(made)
    return made


def initialise(workspace: Workspace) -> None:
    """Fetch providers and modules, or say why that cannot be done."""
    begun = workspace.run("init", "-backend=false", "-input=false", "-no-color", check=False)
    if begun.returncode != 0:
        if workspace.offline:
            pytest.fail(f"terraform init failed with the mirror:\n{begun.stderr}")
        missing(
            f"no registry of Terraform providers is reachable, and {_MIRROR_VARIABLE} is not set"
        )


def _mirror() -> Path | None:
    named = os.environ.get(_MIRROR_VARIABLE)
    if named:
        mirror = Path(named).resolve()
        if not (mirror / "use-mirror").is_file():
            pytest.fail(f"{_MIRROR_VARIABLE} names no mirror: {mirror}", pytrace=False)
        return mirror
    return _SIBLING if (_SIBLING / "use-mirror").is_file() else None


def rendered_rules(
    readers: str, collection: str, folder: Path, writers: tuple[str, ...] = ()
) -> Path:
    """Write the security rules for `readers` and `writers` into an empty folder."""
    if shutil.which("terraform") is None:
        missing("terraform is not installed (https://developer.hashicorp.com/terraform/install)")
    template = ROOT / "terraform" / "module" / "firestore.rules.tftpl"
    variables = json.dumps({"collection": collection, "readers": readers, "writers": list(writers)})
    # In an empty folder, where the console needs no provider.
    done = subprocess.run(
        ["terraform", "console"],
        cwd=folder,
        input=f"jsonencode(templatefile({json.dumps(str(template))}, {variables}))",
        capture_output=True,
        text=True,
        check=True,
    )
    rules = folder / "firestore.rules"
    rules.write_text(json.loads(json.loads(done.stdout)), encoding="utf-8")
    return rules


def stub_page(tree: Path, folder: Path) -> None:
    """Leave in a folder what stands for a page built from the sources in this tree."""
    folder.mkdir(parents=True)
    for name in ("app.js", "icon.svg", "index.html", "style.css"):
        (folder / name).write_text(f"the page's {name}", encoding="utf-8")
    sources = sorted(path.name for path in (tree / "web" / "src").iterdir())
    names = ["build.mjs", "package-lock.json", *(f"src/{name}" for name in sources)]
    digests = {name: sha256((tree / "web" / name).read_bytes()).hexdigest() for name in names}
    lines = "\n".join(f"web/{name} {digest}" for name, digest in digests.items())
    (folder / "sources.sha256").write_text(f"{sha256(lines.encode()).hexdigest()}\n")


def reset_state(workspace: Workspace) -> None:
    """Forget what a test applied."""
    for name in ("terraform.tfstate", "terraform.tfstate.backup"):
        with contextlib.suppress(FileNotFoundError):
            (workspace.folder / name).unlink()
