"""The module inside another configuration, and the folder above it that passes everything on."""

import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.terraform.conftest import (
    PROJECT,
    ROOT,
    Workspace,
    initialise,
    missing,
    reset_state,
)

FOLDER = ROOT / "terraform"
MODULE = FOLDER / "module"

# What each resource of the root was called before the module had a folder of its own is what it is
# called in the module; those that came later were never called anything else.
LATER = {
    "google_apikeys_key.gallery",
    "google_cloud_run_v2_service_iam_member.everybody_opens_gallery",
    "google_cloud_scheduler_job.reconcile",
    "google_cloud_tasks_queue.backfill",
    "google_cloud_tasks_queue_iam_member.operators_enqueue",
    "google_cloudfunctions2_function.gallery",
    "google_eventarc_trigger.removals",
    "google_identity_platform_config.this",
    "google_monitoring_alert_policy.lines",
    "google_project_iam_member.agents",
    "google_project_iam_member.build_reads_copied_gallery",
    "google_project_iam_member.run_traces",
    "google_pubsub_topic.events",
    "google_pubsub_topic_iam_member.run_publishes",
    "google_service_account.gallery",
    "google_service_account_iam_member.gallery_signs",
    "google_service_account_iam_member.operators_act_as_trigger",
    "google_service_account_iam_member.scheduler_signs",
    "google_storage_bucket_iam_member.gallery_creates_images",
    "google_storage_bucket_iam_member.gallery_reads_images",
    "google_storage_bucket_object.gallery",
    "time_sleep.agents",
    "time_static.gallery_key",
}

CALLER = """
variable "revision" {
  type    = string
  default = "one"
}

resource "terraform_data" "before" {
  input = var.revision
}

module "counted" {
  source = "SOURCE"
  count  = 1

  google_cloud_project = "counted-project"
  depends_on           = [terraform_data.before]
}

module "each" {
  source   = "SOURCE"
  for_each = toset(["first-project", "second-project"])

  google_cloud_project = each.key
}

module "existing" {
  source = "SOURCE"

  google_cloud_project = "existing-project"
  bucket_name          = "holiday-pictures"
  create_bucket        = false
  bucket_location      = "us"
  buckets              = { "more-pictures" = { create = false, location = "us" } }
  depends_on           = [terraform_data.before]
}

output "files" {
  value = module.counted[0].source_archive.files
}
"""


def _blocks(path: Path, kind: str) -> dict[str, str]:
    """Give the blocks of one kind in a file, by name."""
    parts = re.split(rf'^{kind} "(\w+)" ', path.read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _argument(block: str, name: str) -> str:
    """Give an argument's expression, whatever the blanks in it."""
    found = re.search(
        rf"^  {name}\s+= (<<-EOT\n.*?^  EOT|.*?(?:\(\{{\n.*?^  \}}\)+)?)$", block, re.M | re.S
    )
    assert found is not None, f"{name} in {block}"
    return re.sub(r"\s+", " ", found[1])


def _resources(folder: Path) -> set[str]:
    return {
        ".".join(name)
        for path in folder.glob("*.tf")
        for name in re.findall(r'^resource "(\w+)" "(\w+)"', path.read_text(), re.MULTILINE)
    }


@pytest.fixture(scope="module")
def caller(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Somebody's configuration, which fetches the module out of a repository."""
    if not workspace.offline:
        missing("planning needs credentials, or the stand-in providers of a mirror")
    made = tmp_path_factory.mktemp("caller")
    repository = made / "repository"
    shutil.copytree(
        workspace.folder.parent,
        repository,
        symlinks=True,
        ignore=shutil.ignore_patterns(".terraform*", "terraformrc", "plan-*"),
    )
    identity = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.com")
    for arguments in (("init", "-q"), ("add", "."), (*identity, "commit", "-q", "-m", "all")):
        subprocess.run(["git", *arguments], cwd=repository, check=True)
    folder = made / "configuration"
    folder.mkdir()
    source = f"git::file://{repository}//terraform/module"
    (folder / "main.tf").write_text(CALLER.replace("SOURCE", source), encoding="utf-8")
    made_of = Workspace(folder, workspace.environ, workspace.offline)
    initialise(made_of)
    return made_of


@pytest.fixture
def applied(caller: Workspace) -> Iterator[Workspace]:
    """The same, applied once."""
    caller.run("apply", "-auto-approve", "-input=false", "-no-color")
    yield caller
    reset_state(caller)


def test_module_is_called_with_count_for_each_and_depends_on(caller: Workspace) -> None:
    """No provider of its own, so that all three are allowed; four deployments are planned."""
    functions = caller.plan().resources("google_cloudfunctions2_function")
    assert {function["address"].split(".google")[0] for function in functions} == {
        "module.counted[0]",
        'module.each["first-project"]',
        'module.each["second-project"]',
        "module.existing",
    }


def test_fetched_module_finds_the_program_beside_it(applied: Workspace) -> None:
    """The archive of each holds what is deployed, though only a folder below it was named."""
    files = set(applied.plan().output("files"))
    assert {"main.py", "requirements.txt", "describer/delivery/pipeline.py"} <= files
    for project in ("counted-project", "first-project", "second-project"):
        packed = applied.folder / ".terraform" / f"{project}-describer-source.zip"
        with zipfile.ZipFile(packed) as archive:
            assert set(archive.namelist()) == files


def test_change_of_what_it_depends_on_replaces_nothing(applied: Workspace) -> None:
    """Terraform then puts off every data source; no role, trigger or archive may hang on one."""
    plan = applied.plan("-var=revision=two")
    assert plan.changes() == {"terraform_data.before": "update"}


def test_example_of_a_caller_can_be_planned(workspace: Workspace) -> None:
    """As it stands, beside the module."""
    example = Workspace(
        workspace.folder / "examples" / "child", workspace.environ, workspace.offline
    )
    initialise(example)
    assert example.plan().output("buckets") == {
        "my-project": ["my-project-describer-images"],
        "my-other-project": ["my-other-project-describer-images"],
    }


def test_module_brings_no_provider() -> None:
    """Neither a provider nor a backend, which only a root may have."""
    for path in MODULE.glob("*.tf"):
        assert not re.search(r"^(provider|import)\b|^  backend\b", path.read_text(), re.M), path


def test_folder_passes_every_variable_on() -> None:
    """Each with the module's type and words, and null for the module's own default."""
    own = _blocks(FOLDER / "variables.tf", "variable")
    # Only a root may import, so this is no variable of the module.
    assert "rules" in own.pop("adopt_rules")
    # Only in files of values is an unknown name let pass; a caller of the module gets an error.
    assert "description_language" in own.pop("language")
    modules: dict[str, str] = {}
    for path in MODULE.glob("variables*.tf"):
        modules |= _blocks(path, "variable")
    (call,) = _blocks(FOLDER / "main.tf", "module").values()
    passed = dict(re.findall(r"^  (\w+)\s+= var\.(\w+)$", call, re.MULTILINE))
    assert passed == {name: name for name in modules}
    assert own.keys() == modules.keys()
    for name, block in modules.items():
        for argument in ("description", "type"):
            assert _argument(own[name], argument) == _argument(block, argument), name
        if name != "google_cloud_project":
            assert _argument(own[name], "default") == "null", name


def test_folder_passes_every_output_on() -> None:
    """With the module's words."""
    own, modules = (_blocks(folder / "outputs.tf", "output") for folder in (FOLDER, MODULE))
    assert list(own) == list(modules)
    for name, block in modules.items():
        assert _argument(own[name], "description") == _argument(block, "description")
        assert _argument(own[name], "value") == f"module.describer.{name}"


def test_every_former_address_is_moved() -> None:
    """A deployment from before the module had a folder of its own is taken along, not made anew."""
    moves = re.findall(r"from = (\S+)\n  to   = (\S+)", (FOLDER / "moved.tf").read_text())
    assert {old for old, _ in moves} == _resources(MODULE) - LATER
    assert all(new == f"module.describer.{old}" for old, new in moves)


def test_former_state_is_moved_and_nothing_is_made_anew(workspace: Workspace) -> None:
    """What the module left as a root is where the folder above it finds it."""
    if not workspace.offline:
        missing("applying needs a project, or the stand-in providers of a mirror")
    former = Workspace(workspace.folder / "module", workspace.environ, workspace.offline)
    initialise(former)
    variable = f"-var=google_cloud_project={PROJECT}"
    try:
        former.run("apply", "-auto-approve", "-input=false", "-no-color", variable)
        shutil.copy(former.folder / "terraform.tfstate", workspace.folder / "former.tfstate")
        plan = workspace.plan("-state=former.tfstate", variable)
    finally:
        reset_state(former)
        (workspace.folder / "former.tfstate").unlink(missing_ok=True)
    made_anew = {
        change["address"]
        for change in plan.content["resource_changes"]
        if change["change"]["actions"] != ["no-op"] and change["mode"] == "managed"
    }
    assert {re.sub(r"^module\.describer\.|\[.*", "", address) for address in made_anew} <= LATER
    kept = [c for c in plan.content["resource_changes"] if "previous_address" in c]
    assert len(kept) > 40
