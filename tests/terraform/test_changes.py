"""What a change of a variable does to a deployment, and how a former one is taken up."""

from collections.abc import Iterator

import pytest

from tests.terraform.conftest import PROJECT, Workspace, missing

FRESH = (f"-var=google_cloud_project={PROJECT}",)
RELEASE = "module.describer.google_firebaserules_release.records[0]"
RULESET = "module.describer.google_firebaserules_ruleset.records[0]"


# A state of its own, so that tests of fresh projects do not find it.
STATE = "-state=standing.tfstate"


@pytest.fixture(scope="module")
def standing(workspace: Workspace) -> Iterator[Workspace]:
    """A fresh project, nothing set but its name, applied."""
    if not workspace.offline:
        missing("applying needs a project, or the stand-in providers of a mirror")
    workspace.run("apply", "-auto-approve", "-input=false", "-no-color", STATE, *FRESH)
    yield workspace
    for path in workspace.folder.glob("standing.tfstate*"):
        path.unlink()


def test_readers_change_the_release_after_the_rules(standing: Workspace) -> None:
    """The release is made anew, and for that moment clients are refused; see docs/deploy.md."""
    changes = standing.plan(STATE, *FRESH, "-var=readers=public").changes()
    assert changes == {RELEASE: "delete create", RULESET: "create delete"}


@pytest.mark.parametrize(
    ("database", "release"),
    [("(default)", "cloud.firestore"), ("pictures", "cloud.firestore/pictures")],
)
def test_released_rules_are_taken_over(workspace: Workspace, database: str, release: str) -> None:
    """What was released before is imported, and replaced by what `readers` says."""
    plan = workspace.plan(
        *FRESH,
        "-var=create_database=false",
        f"-var=firestore_database={database}",
        "-var=manage_rules=true",
        "-var=readers=signed_in",
        "-var=adopt_rules=true",
    )
    (change,) = (c for c in plan.content["resource_changes"] if c["address"] == RELEASE)
    assert change["change"]["importing"]["id"] == f"projects/{PROJECT}/releases/{release}"
    # Deleted first: made while it is there, it would be refused.
    assert change["change"]["actions"] == ["delete", "create"]


def test_rules_of_others_are_not_taken_over(workspace: Workspace) -> None:
    """Where rules are not managed there is nothing to import them to."""
    plan = workspace.plan(*FRESH, "-var=create_database=false", "-var=adopt_rules=true")
    assert not [c for c in plan.content["resource_changes"] if "importing" in c["change"]]


def test_rules_taken_over_stay_so(standing: Workspace) -> None:
    """The variable may stay set: what is in the state is not imported again."""
    assert standing.plan(STATE, *FRESH, "-var=adopt_rules=true").changes() == {}


DATA = {"google_storage_bucket.images", "google_firestore_database.records"}


@pytest.mark.parametrize("deletable", [False, True])
def test_another_region_touches_no_data(standing: Workspace, *, deletable: bool) -> None:
    """Bucket and database stay where they were made, and so does the trigger; the rest moves."""
    plan = standing.plan(
        STATE,
        *FRESH,
        "-var=region=europe-west1",
        "-var=check_model_location=false",
        f"-var=delete_data_on_destroy={str(deletable).lower()}",
    )
    changes = plan.changes()
    touched = {
        address: what
        for address, what in changes.items()
        if any(f".{kind}[" in address for kind in DATA)
    }
    assert set(touched.values()) <= ({"update"} if deletable else set())
    assert changes["module.describer.google_cloudfunctions2_function.describe"] == "delete create"
    (function,) = plan.resources("google_cloudfunctions2_function")
    assert function["values"]["location"] == "europe-west1"
    assert function["values"]["event_trigger"][0]["trigger_region"] == "us-central1"
    # Under another name, so that it can be there before the old one is gone.
    source = "module.describer.google_storage_bucket.source"
    assert changes[source] == "create delete"
    (made,) = (b for b in plan.resources("google_storage_bucket") if b["name"] == "source")
    assert made["values"]["name"] == f"{PROJECT}-describer-source-europe-west1"


@pytest.mark.parametrize(
    ("variable", "what"),
    [
        ("bucket_location=eu", "bucket_location is eu"),
        ("firestore_location=eur3", "firestore_location is eur3"),
    ],
)
def test_data_is_not_moved(standing: Workspace, variable: str, what: str) -> None:
    """A location that is named and is not where the data is, is refused, not carried out."""
    refused = standing.run(
        "plan", "-input=false", "-no-color", STATE, *FRESH, f"-var={variable}", check=False
    )
    assert refused.returncode != 0
    assert what in " ".join(refused.stderr.split())
