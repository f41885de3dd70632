"""Each example can be planned as it stands, and deploys settings that the function accepts."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from describer.records.record import record_id
from describer.settings import Settings
from tests.terraform.conftest import ROOT, Plan, Workspace

EXAMPLES = sorted(path.name for path in (ROOT / "terraform" / "examples").glob("*.tfvars"))


def _plan(workspace: Workspace, example: str) -> Plan:
    return workspace.plan(f"-var-file=examples/{example}")


def test_there_are_examples() -> None:
    """The three that docs/deploy.md speaks of."""
    assert EXAMPLES == ["europe.tfvars", "existing.tfvars", "own-model.tfvars"]


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_deploys_settings_that_start(workspace: Workspace, example: str) -> None:
    """The function would not refuse them at its start."""
    settings = Settings.from_env(_plan(workspace, example).environment())
    assert settings.google_cloud_project == "my-project"


def test_variables_file_to_copy_is_enough(workspace: Workspace) -> None:
    """The project is all that has to be filled in."""
    plan = workspace.plan("-var-file=terraform.tfvars.example")
    assert (
        plan.output("upload_command")
        == "gcloud storage cp IMAGE.jpg gs://my-project-describer-images/ --project=my-project"
    )


def test_existing_project_keeps_bucket_database_and_rules(workspace: Workspace) -> None:
    """Nothing that holds data is made, so nothing can be replaced or destroyed."""
    plan = _plan(workspace, "existing.tfvars")
    kinds = {resource["type"] for resource in plan.resources()}
    assert not kinds & {"google_firestore_database", "google_firebaserules_release"}
    assert [bucket["name"] for bucket in plan.resources("google_storage_bucket")] == ["source"]
    assert plan.output("bucket_names") == ["my-project-pictures"]


def test_european_example_names_no_place_outside_europe(workspace: Workspace) -> None:
    """Bucket, database, function, trigger and model are all in Europe."""
    plan = _plan(workspace, "europe.tfvars")
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
    assert plan.output("trigger_regions") == {"my-project-describer-images": "eu"}
    assert plan.environment()["MODEL_LOCATION"] == "eu"


def test_own_model_gets_its_key_from_secret_manager_alone(workspace: Workspace) -> None:
    """No key in the environment, and no Vertex AI."""
    plan = _plan(workspace, "own-model.tfvars")
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
