"""Who may do what, whole: the list below is what is granted, and nothing else is."""

import json
import re
import subprocess
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from tests.terraform.conftest import PROJECT, Workspace, all_resources, missing, reset_state

# (member, role, on what, under which condition)
Grant = tuple[str, str, str, str]

RUN = f"serviceAccount:describer-run@{PROJECT}.iam.gserviceaccount.com"
TRIGGER = f"serviceAccount:describer-trigger@{PROJECT}.iam.gserviceaccount.com"
BUILD = f"serviceAccount:describer-build@{PROJECT}.iam.gserviceaccount.com"
GALLERY = f"serviceAccount:describer-gallery@{PROJECT}.iam.gserviceaccount.com"
PREDICT = f"projects/{PROJECT}/roles/describer_predict"
RECORDS = f"projects/{PROJECT}/roles/describer_records"
ON_PROJECT = f"project {PROJECT}"
IMAGES = f"{PROJECT}-describer-images"
ONE_DATABASE = f'resource.name == "projects/{PROJECT}/databases/(default)"'

ALWAYS: set[Grant] = {
    (RUN, RECORDS, ON_PROJECT, ONE_DATABASE),
    (RUN, "roles/storage.objectViewer", f"bucket {IMAGES}", ""),
    (TRIGGER, "roles/eventarc.eventReceiver", ON_PROJECT, ""),
    (TRIGGER, "roles/run.invoker", "service describer", ""),
    (BUILD, "roles/logging.logWriter", ON_PROJECT, ""),
    (BUILD, "roles/artifactregistry.writer", "repository describer", ""),
    (BUILD, "roles/storage.objectViewer", f"bucket {PROJECT}-describer-source-us-central1", ""),
    (
        BUILD,
        "roles/storage.objectViewer",
        ON_PROJECT,
        "copies of the source",
    ),
    ("agent storage", "roles/pubsub.publisher", ON_PROJECT, ""),
    ("agent eventarc", "roles/eventarc.serviceAgent", ON_PROJECT, ""),
    (
        "agent pubsub",
        "roles/iam.serviceAccountOpenIdTokenCreator",
        "account describer-trigger",
        "",
    ),
}
ON_VERTEX: set[Grant] = {
    (RUN, PREDICT, ON_PROJECT, ""),
    ("agent aiplatform", "roles/storage.objectViewer", f"bucket {IMAGES}", ""),
}
ENCRYPT = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
KEY = "projects/keys/locations/us-central1/keyRings/r/cryptoKeys/"
DEPLOYER = "group:deployers@example.com"
OPERATOR = "user:ada@example.com"
LABELS = {"team": "pictures", "stage": "test"}


@dataclass(frozen=True)
class Life:
    """One deployment against the stand-in providers.

    Attributes:
        resources: all of them after apply, with every value known.
        second_plan: what Terraform would change right after, if that was asked.
        goodbye: what it said on destroying, likewise.
    """

    resources: list[dict[str, Any]]
    second_plan: subprocess.CompletedProcess[str] | None = None
    goodbye: str = ""

    def values(self, address: str) -> dict[str, Any]:
        """Give the values of one resource."""
        address = f"module.describer.{address}"
        (found,) = (resource for resource in self.resources if resource["address"] == address)
        values: dict[str, Any] = found["values"]
        return values


def live(workspace: Workspace, *, to_the_end: bool, **variables: Any) -> Life:
    """Apply, look, and with `to_the_end` plan again and destroy."""
    if not workspace.offline:
        missing("applying needs a project, or the stand-in providers of a mirror")
    given = [
        f"-var={name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in {"google_cloud_project": PROJECT, **variables}.items()
    ]
    usual = ("-input=false", "-no-color", *given)
    try:
        workspace.run("apply", "-auto-approve", *usual)
        shown = json.loads(workspace.run("show", "-json").stdout)
        resources = all_resources(shown["values"]["root_module"])
        if not to_the_end:
            return Life(resources)
        second_plan = workspace.run("plan", "-detailed-exitcode", *usual, check=False)
        goodbye = workspace.run("destroy", "-auto-approve", *usual).stdout
    finally:
        reset_state(workspace)
    return Life(resources, second_plan, goodbye)


@pytest.fixture(scope="module")
def usual(workspace: Workspace) -> Life:
    """A fresh project, nothing set but its name."""
    return live(workspace, to_the_end=True)


@pytest.fixture(scope="module")
def unusual(workspace: Workspace) -> Life:
    """Another model, own keys, a second bucket, someone else who deploys, a queue, a gallery."""
    return live(
        workspace,
        to_the_end=False,
        openai_base_url="https://example.com/v1",
        openai_api_key={"secret": "model-key"},
        model="some-model",
        buckets={"more-images": {"create": False}},
        kms_keys={use: KEY + use for use in ("function", "bucket", "database")},
        deployers=[DEPLOYER],
        labels=LABELS,
        alert_emails=["ada@example.com"],
        reuse=True,
        delete_records=True,
        events_topic="descriptions",
        reconcile={},
        backfill_queue={"operators": [OPERATOR]},
        enable_gallery=True,
        readers="signed_in",
        writers=["ada@example.com"],
    )


_COPIES = {
    "build_reads_copied_source": "copies of the source",
    "build_reads_copied_gallery": "copies of the gallery's source",
}


def _grants(resources: list[dict[str, Any]]) -> set[Grant]:
    agents = {
        resource["values"]["member"]: f"agent {resource['index']}"
        for resource in resources
        if resource["type"] == "google_project_service_identity"
    }
    agents |= {
        resource["values"]["member"]: "agent storage"
        for resource in resources
        if resource["type"] == "google_storage_project_service_account"
    }
    grants = [
        resource
        for resource in resources
        if "_iam_" in resource["type"] and "custom_role" not in resource["type"]
    ]
    # Bindings and policies would take roles away from others; members only add.
    assert {resource["type"].rsplit("_", 1)[1] for resource in grants} == {"member"}
    found: list[Grant] = []
    for resource in grants:
        values = resource["values"]
        condition = values.get("condition") or [{"expression": ""}]
        found.append(
            (
                agents.get(values["member"], values["member"]),
                values["role"],
                _place(resource["type"], values),
                # What it admits is asked below.
                _COPIES.get(resource["name"], condition[0]["expression"]),
            )
        )
    assert len(found) == len(set(found)), "granted twice"
    return set(found)


def _place(kind: str, values: dict[str, Any]) -> str:
    match kind:
        case "google_project_iam_member":
            return f"project {values['project']}"
        case "google_storage_bucket_iam_member":
            return f"bucket {values['bucket'].removeprefix('b/')}"
        case "google_cloud_run_v2_service_iam_member":
            return f"service {values['name']}"
        case "google_artifact_registry_repository_iam_member":
            return f"repository {values['repository'].rsplit('/')[-1]}"
        case "google_secret_manager_secret_iam_member":
            return f"secret {values['secret_id'].rsplit('/')[-1]}"
        case "google_service_account_iam_member":
            return f"account {values['service_account_id'].rsplit('/')[-1].split('@')[0]}"
        case "google_pubsub_topic_iam_member":
            return f"topic {values['topic'].rsplit('/')[-1]}"
        case "google_cloud_tasks_queue_iam_member":
            return f"queue {values['name']}"
        case "google_kms_crypto_key_iam_member":
            return f"key {values['crypto_key_id'].rsplit('/')[-1]}"
    raise AssertionError(f"a grant on something new: {kind}")


def test_default_deployment(usual: Life) -> None:
    """A fresh project: eleven grants, and two for Vertex AI."""
    assert _grants(usual.resources) == ALWAYS | ON_VERTEX


def test_every_grant_to_an_agent_waits_for_it(module: Workspace) -> None:
    """An identity made a moment ago is not found by whoever grants to it."""
    text = (module.folder / "iam.tf").read_text()
    blocks = re.split(r"^(?=resource )", text, flags=re.MULTILINE)[1:]
    granting = [block for block in blocks if "google_project_service_identity.agents[" in block]
    assert len(granting) == 6
    assert all("time_sleep.agents" in block for block in granting)


def _own_roles(life: Life) -> dict[str, set[str]]:
    return {
        resource["values"]["role_id"]: set(resource["values"]["permissions"])
        for resource in life.resources
        if resource["type"] == "google_project_iam_custom_role"
    }


def test_own_roles_hold_what_the_program_calls(usual: Life, unusual: Life) -> None:
    """One to call a model, three to read and write a record, one each to reuse and to delete."""
    records = {f"datastore.entities.{verb}" for verb in ("create", "get", "update")}
    assert _own_roles(usual) == {
        "describer_predict": {"aiplatform.endpoints.predict"},
        "describer_records": records,
    }
    assert _own_roles(unusual) == {
        "describer_records": records | {f"datastore.entities.{verb}" for verb in ("list", "delete")}
    }


def test_every_option_grants_what_it_needs_alone(unusual: Life) -> None:
    """Without Vertex AI its two grants are gone; each option adds its own."""
    keys = ("artifactregistry", "cloudfunctions", "eventarc", "run", "storage")
    accounts = ("run", "trigger", "build", "gallery")
    reads = "roles/storage.legacyObjectReader"
    assert _grants(unusual.resources) == ALWAYS | {
        (RUN, "roles/storage.objectViewer", "bucket more-images", ""),
        (RUN, "roles/secretmanager.secretAccessor", "secret model-key", ""),
        (RUN, "roles/pubsub.publisher", "topic descriptions", ""),
        *((f"agent {agent}", ENCRYPT, "key function", "") for agent in keys),
        ("agent storage", ENCRYPT, "key bucket", ""),
        ("agent firestore", ENCRYPT, "key database", ""),
        *(
            (f"agent {agent}", f"roles/{agent}.serviceAgent", ON_PROJECT, "")
            for agent in ("artifactregistry", "cloudfunctions", "run")
        ),
        *(
            (DEPLOYER, "roles/iam.serviceAccountUser", f"account describer-{a}", "")
            for a in accounts
        ),
        (
            "agent cloudscheduler",
            "roles/iam.serviceAccountOpenIdTokenCreator",
            "account describer-trigger",
            "",
        ),
        (OPERATOR, "roles/cloudtasks.enqueuer", "queue describer-backfill", ""),
        (OPERATOR, "roles/iam.serviceAccountUser", "account describer-trigger", ""),
        (BUILD, "roles/storage.objectViewer", ON_PROJECT, "copies of the gallery's source"),
        # It has no right on the database: whoever asks reads with their own.
        (GALLERY, reads, f"bucket {IMAGES}", ""),
        (GALLERY, reads, "bucket more-images", ""),
        (GALLERY, "roles/storage.objectCreator", f"bucket {IMAGES}", ""),
        (GALLERY, "roles/iam.serviceAccountTokenCreator", "account describer-gallery", ""),
        ("allUsers", "roles/run.invoker", "service describer-gallery", ""),
    }


class _Name(str):
    """A string with the functions that IAM's conditions know."""

    def startsWith(self, prefix: str) -> bool:  # noqa: N802
        return self.startswith(prefix)

    def extract(self, template: str) -> "_Name":
        before, after = template.split("{object}")
        assert not after
        return _Name(self.partition(before)[2])


def _admits(life: Life, name: str, kind: str, grant: str = "build_reads_copied_source") -> bool:
    """Evaluate the condition on copied sources, whose operators are Python's by another name."""
    values = life.values(f"google_project_iam_member.{grant}")
    expression = values["condition"][0]["expression"].replace("&&", "and").replace("||", "or")
    number = re.findall(r"gcf-v2-sources-(\d+)-", expression)[0]
    resource = SimpleNamespace(
        name=_Name(f"projects/_/buckets/gcf-v2-sources-{number}-{name}"),
        type=f"storage.googleapis.com/{kind}",
    )
    return bool(eval(expression, {"__builtins__": {}}, {"resource": resource}))


@pytest.mark.parametrize(
    ("name", "kind", "admitted"),
    [
        pytest.param("us-central1", "Bucket", True, id="bucket"),
        pytest.param("us-central1/objects/describer/function-source.zip", "Object", True, id="own"),
        pytest.param(
            "us-central1/objects/payroll/function-source.zip", "Object", False, id="other"
        ),
        pytest.param("us-central1/objects/describer-2/source.zip", "Object", False, id="longer"),
        pytest.param("us-central12/objects/describer/source.zip", "Object", False, id="region"),
        pytest.param("us-central1-5f/objects/describer/source.zip", "Object", False, id="key"),
    ],
)
def test_build_reads_its_own_copied_source(
    usual: Life, name: str, kind: str, admitted: bool
) -> None:
    """Not that of every function in the region; the bucket's own name is asked for lists."""
    assert _admits(usual, name, kind) is admitted


@pytest.mark.parametrize(
    ("name", "kind", "admitted"),
    [
        pytest.param("us-central1-5f", "Bucket", True, id="bucket"),
        pytest.param("us-central1-5f/objects/describer/source.zip", "Object", True, id="own"),
        pytest.param("us-central1-5f/objects/payroll/source.zip", "Object", False, id="other"),
        pytest.param("us-central1/objects/describer/source.zip", "Object", False, id="no-key"),
        pytest.param("us-east1-5f/objects/describer/source.zip", "Object", False, id="region"),
        pytest.param(
            "us-central1-5f/objects/payroll/objects/describer/x", "Object", False, id="nested"
        ),
    ],
)
def test_build_reads_its_own_encrypted_source(
    unusual: Life, name: str, kind: str, admitted: bool
) -> None:
    """The same where the bucket's name ends in the hash of a key."""
    assert _admits(unusual, name, kind) is admitted


@pytest.mark.parametrize(("name", "admitted"), [("describer-gallery", True), ("describer", False)])
def test_build_reads_the_gallery_s_copied_source(
    unusual: Life, name: str, *, admitted: bool
) -> None:
    """By a grant of its own."""
    name = f"us-central1-5f/objects/{name}/source.zip"
    grant = "build_reads_copied_gallery[0]"
    assert _admits(unusual, name, "Object", grant) is admitted


def test_everything_that_takes_labels_has_them(unusual: Life) -> None:
    """`labels` reaches every resource that has labels of its own."""
    taken: dict[str, Any] = {}
    for resource in unusual.resources:
        values = resource["values"]
        if resource["mode"] != "managed":
            continue
        if resource["type"] == "google_monitoring_dashboard":
            taken[resource["address"]] = json.loads(values["dashboard_json"])["labels"]
        elif "user_labels" in values or "labels" in values:
            taken[resource["address"]] = values.get("user_labels", values.get("labels"))
    assert len(taken) > 10
    assert {address: labels for address, labels in taken.items() if labels != LABELS} == {}


def test_nothing_changes_on_the_second_apply(usual: Life) -> None:
    """No argument that the next plan would want to change again."""
    assert usual.second_plan is not None
    assert usual.second_plan.returncode == 0, usual.second_plan.stdout


def test_destroy_abandons_images_and_records(usual: Life) -> None:
    """Bucket and database are left where they are, whatever else goes."""
    bucket = usual.values(f'google_storage_bucket.images["{IMAGES}"]')
    database = usual.values("google_firestore_database.records[0]")
    assert (bucket["deletion_policy"], bucket["force_destroy"]) == ("ABANDON", False)
    assert database["deletion_policy"] == "ABANDON"
    assert database["delete_protection_state"] == "DELETE_PROTECTION_ENABLED"
    assert "Destroy complete!" in usual.goodbye
