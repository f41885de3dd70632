"""What the guide has its reader do is done here, from its own text, with each of the examples."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from describer.records.record import record_id
from describer.settings import Settings
from tests.terraform.conftest import ROOT, Plan, Workspace, missing

EXAMPLES = sorted(path.name for path in (ROOT / "terraform" / "examples").glob("*.tfvars"))


# The reader's, who edits what is called my-project.
PROJECT = "stranger-project"
README, GUIDE = ROOT / "README.md", ROOT / "docs" / "deploy.md"
FILLED_IN = "# and put your project's id into it"


def _block(text: Path, heading: str) -> str:
    """Give the only shell block of a section."""
    section = re.split(r"^##+ ", text.read_text().split(f"# {heading}\n", 1)[1], flags=re.M)[0]
    (block,) = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return str(block)


def _follow(block: str, folder: Path, workspace: Workspace) -> str:
    """Run a block in a fresh checkout, as the reader with a project and a gcloud of their own."""
    if not workspace.offline:
        missing("planning needs credentials, or the stand-in providers of a mirror")
    shutil.copytree(
        workspace.folder.parent,
        folder / "checkout",
        symlinks=True,
        ignore=shutil.ignore_patterns(".terraform*", "plan-*"),
    )
    gcloud = folder / "bin" / "gcloud"
    gcloud.parent.mkdir()
    gcloud.write_text('#!/bin/sh\necho "gcloud $*"\n', encoding="utf-8")
    gcloud.chmod(0o755)
    assert FILLED_IN in block
    edit = f"&& sed -i.bak s/my-project/{PROJECT}/ terraform.tfvars"
    done = subprocess.run(
        ["bash", "-e", "-c", block.replace("my-project", PROJECT).replace(FILLED_IN, edit)],
        cwd=folder / "checkout",
        env={
            **workspace.environ,
            "PATH": f"{gcloud.parent}:{os.environ['PATH']}",
            "TF_CLI_ARGS_apply": "-auto-approve -input=false -no-color",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def guided(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A checkout in which somebody did what stands under "Apply", up to the apply itself."""
    folder = tmp_path_factory.mktemp("guided")
    block = _block(GUIDE, "Apply").replace("terraform apply", "terraform plan -input=false")
    _follow(block, folder, workspace)
    return Workspace(folder / "checkout" / "terraform", workspace.environ, workspace.offline)


def _plan(guided: Workspace, example: str) -> Plan:
    """Plan what the guide applies, with this example in place of the one that it prints."""
    command = shlex.split(_block(GUIDE, "Which way"))
    assert command == ["terraform", "apply", "-var-file=examples/existing.tfvars"]
    return guided.plan(command[2].replace("existing.tfvars", example))


def test_there_are_examples() -> None:
    """The three that docs/deploy.md speaks of."""
    assert EXAMPLES == ["europe.tfvars", "existing.tfvars", "own-model.tfvars"]


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_deploys_settings_that_start(guided: Workspace, example: str) -> None:
    """In the reader's project and nowhere else; the function would not refuse them at its start."""
    plan = _plan(guided, example)
    settings = Settings.from_env(plan.environment())
    assert settings.google_cloud_project == PROJECT
    projects = {resource["values"].get("project", PROJECT) for resource in plan.resources()}
    assert projects == {PROJECT}


def test_variables_file_to_copy_is_enough(guided: Workspace) -> None:
    """The project is all that has to be filled in."""
    assert (
        guided.plan().output("upload_command")
        == f"gcloud storage cp IMAGE.jpg gs://{PROJECT}-describer-images/ --project={PROJECT}"
    )


def test_readme_deploys_into_the_project_of_its_reader(
    workspace: Workspace, tmp_path: Path
) -> None:
    """Its commands as they are printed, the apply among them, up to what to do next."""
    said = _follow(_block(README, "Deploy"), tmp_path, workspace)
    logins, rest = said.split("gcloud services enable", 1)
    assert logins.split("\n")[:2] == ["gcloud auth login", "gcloud auth application-default login"]
    assert f"--project={PROJECT}" in rest.split("\n")[0]
    assert "Apply complete!" in rest
    steps = rest.split("Apply complete!")[1]
    assert f"gcloud storage cp IMAGE.jpg gs://{PROJECT}-describer-images/" in steps
    assert "my-project" not in said


def test_readme_and_guide_say_the_same() -> None:
    """The same commands in the same order, and the same versions before them."""
    readme = _block(README, "Deploy")
    before = _block(GUIDE, "Before").replace("MY-PROJECT", "my-project")
    assert readme.startswith(before + _block(GUIDE, "Apply"))
    (required,) = re.findall(
        r'required_version = ">= ([\d.]+)"',
        (ROOT / "terraform" / "module" / "versions.tf").read_text(),
    )
    for text in (README, GUIDE):
        (said,) = re.findall(r"/terraform/install\) ([\d.]+) or later", text.read_text())
        assert said == required


def test_existing_project_keeps_bucket_database_and_rules(guided: Workspace) -> None:
    """Nothing that holds data is made, so nothing can be replaced or destroyed."""
    plan = _plan(guided, "existing.tfvars")
    kinds = {resource["type"] for resource in plan.resources()}
    assert not kinds & {"google_firestore_database", "google_firebaserules_release"}
    assert [bucket["name"] for bucket in plan.resources("google_storage_bucket")] == ["source"]
    assert plan.output("bucket_names") == ["my-project-pictures"]


def test_european_example_names_no_place_outside_europe(guided: Workspace) -> None:
    """Bucket, database, function, trigger and model are all in Europe."""
    plan = _plan(guided, "europe.tfvars")
    places = {
        resource["values"].get("location") or resource["values"].get("location_id")
        for resource in plan.resources()
        if resource["type"]
        in {
            "google_storage_bucket",
            "google_firestore_database",
            "google_cloudfunctions2_function",
            "google_artifact_registry_repository",
        }
    }
    assert places == {"EU", "EUROPE-WEST1", "eur3", "europe-west1"}
    assert plan.output("trigger_regions") == {f"{PROJECT}-describer-images": "eu"}
    assert plan.environment()["MODEL_LOCATION"] == "eu"


def test_own_model_gets_its_key_from_secret_manager_alone(guided: Workspace) -> None:
    """No key in the environment, and no Vertex AI."""
    plan = _plan(guided, "own-model.tfvars")
    assert "OPENAI_API_KEY" not in plan.environment()
    (function,) = plan.resources("google_cloudfunctions2_function")
    (secret,) = function["values"]["service_config"][0]["secret_environment_variables"]
    assert (secret["key"], secret["secret"], secret["version"]) == (
        "OPENAI_API_KEY",
        "model-key",
        "latest",
    )
    services = {
        service["values"]["service"] for service in plan.resources("google_project_service")
    }
    assert "aiplatform.googleapis.com" not in services
    assert "secretmanager.googleapis.com" in services


def test_guide_names_every_example() -> None:
    """Each file that the guide sends its reader to is there, and the other way round."""
    guide = (ROOT / "docs" / "deploy.md").read_text()
    assert set(re.findall(r"examples/([\w-]+\.tfvars)", guide)) == set(EXAMPLES)


def _commands(path: Path) -> list[str]:
    """Give the gcloud commands of a text, those over several lines as one."""
    text = path.read_text().replace("\\\n", " ")
    return re.findall(r"^[#\s|]*((?:.*\| )?gcloud [a-z].*)$", text, re.MULTILINE)


def test_every_command_names_its_project(workspace: Workspace) -> None:
    """Whatever project the reader's gcloud is set to, the commands go to the one deployed to."""
    texts = [
        ROOT / "README.md",
        ROOT / "docs" / "deploy.md",
        *(ROOT / "terraform").rglob("*.tfvars"),
    ]
    commands = [command for text in texts for command in _commands(text)]
    assert len(commands) > 8
    wrong = [
        command
        for command in commands
        if "--project=" not in command
        and not command.startswith(("gcloud auth", "gcloud components"))
    ]
    assert wrong == []
    steps = workspace.plan("-var-file=terraform.tfvars.example").output("next_steps")
    assert "/ --project=my-project" in steps


def test_reader_logs_in_twice_and_enables_what_the_plan_calls() -> None:
    """Terraform and gcloud each have credentials; three services come before the first plan."""
    guide, readme = (ROOT / "docs" / "deploy.md").read_text(), (ROOT / "README.md").read_text()
    assert {"gcloud auth login", "gcloud auth application-default login"} <= set(guide.split("\n"))
    for text in (guide, readme):
        (enabled,) = re.findall(r"gcloud services enable ((?:[\w.]+ ?|\\\n *)+)", text)
        assert set(re.findall(r"(\w+)\.googleapis\.com", enabled)) == {
            "cloudresourcemanager",
            "serviceusage",
            "cloudbilling",
        }


def test_state_can_be_kept_remotely(workspace: Workspace, tmp_path: Path) -> None:
    """The example is a backend that Terraform knows, and that locks."""
    shutil.copy(workspace.folder / "backend.tf.example", tmp_path / "backend.tf")
    done = subprocess.run(
        ["terraform", "init", "-backend=false", "-no-color"],
        cwd=tmp_path,
        env=workspace.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert 'backend "gcs"' in (tmp_path / "backend.tf").read_text()


def test_guide_finds_the_record_as_the_function_names_it(workspace: Workspace) -> None:
    """The shell line of guide and output gives the id that the record has."""
    guide = (ROOT / "docs" / "deploy.md").read_text()
    steps = workspace.plan("-var-file=terraform.tfvars.example").output("next_steps")
    for text, bucket in (
        (guide.replace("MY-PROJECT", "my-project"), "my-project-describer-images"),
        (steps, "my-project-describer-images"),
    ):
        line = re.search(r"^ *id=\$\((.*)\)$", text, re.MULTILINE)
        assert line is not None
        done = subprocess.run(["sh", "-c", line[1]], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == record_id(bucket, "IMAGE.jpg")
