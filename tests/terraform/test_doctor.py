"""What `describer doctor` takes for sound is what Terraform makes, one by one."""

import json
import re
from typing import Any

import pytest

from tests.health import sound as google
from tests.health import variants
from tests.health.running import report, run
from tests.health.sound import IMAGES, MORE, NUMBER, PROJECT, REGION, State, sound
from tests.health.variants import announced, gallery, own_keys, removals, reuse, schedule, traces
from tests.terraform.conftest import Workspace
from tests.terraform.test_permissions import KEY, Life, live

# Google gives this one itself when its API is enabled.
# https://docs.cloud.google.com/iam/docs/service-agents
_GOOGLES_OWN = {("gcp-sa-cloudtasks", "roles/cloudtasks.serviceAgent", "project", "")}
# The stand-in provider names all agents alike; these two have names of their own.
# https://docs.cloud.google.com/iam/docs/service-agents
_NAMED_OTHERWISE = {
    "gcp-sa-cloudfunctions": "gcf-admin-robot",
    "gcp-sa-run": "serverless-robot-prod",
}
_FIELD = "google_firestore_field"
Grant = tuple[str, str, str, str]


@pytest.fixture(scope="module")
def life(workspace: Workspace) -> Life:
    """The same deployment: a further bucket in the multi-region `eu`, and a queue."""
    return live(
        workspace,
        to_the_end=False,
        buckets={MORE: {"location": "eu"}},
        backfill_queue={},
    )


@pytest.fixture(scope="module")
def more(workspace: Workspace) -> Life:
    """All that adds a grant: from keys of one's own to a gallery."""
    return live(
        workspace,
        to_the_end=False,
        kms_keys={use: KEY + use for use in ("function", "bucket", "database")},
        delete_records=True,
        reuse=True,
        traces_endpoint="https://telemetry.googleapis.com/v1/traces",
        reconcile={},
        events_topic="descriptions",
        enable_gallery=True,
        readers="signed_in",
        writers=["ada@example.com"],
    )


def with_more() -> State:
    """Give what the APIs say of that."""
    state = sound()
    for change in (own_keys, removals, reuse, traces, schedule, announced, gallery):
        change(state)
    return state


def of(life: Life, kind: str) -> list[dict[str, Any]]:
    """Give the values of all resources of a type."""
    return [one["values"] for one in life.resources if one["type"] == kind]


def _named(life: Life, name: str) -> dict[str, Any]:
    """Give the function of a name."""
    (found,) = (one for one in of(life, "google_cloudfunctions2_function") if one["name"] == name)
    return found


@pytest.fixture(scope="module")
def function(life: Life) -> dict[str, Any]:
    return _named(life, "describer")


def _who(member: str) -> str:
    """Give an agent by its kind, and an account by its name: numbers are stand-ins."""
    name = re.sub(r"serviceAccount:(service-\d+@)?([\w-]+).*", r"\2", member)
    return _NAMED_OTHERWISE.get(name, name)


def _condition(expression: str) -> str:
    return re.sub(r"gcf-v2-sources-\d+-", f"gcf-v2-sources-{NUMBER}-", expression)


def _made(life: Life) -> set[Grant]:
    places = {
        "repository": "repository",
        "service_account_id": "account",
        "bucket": "bucket",
        "crypto_key_id": "key",
        "topic": "topic",
    }
    found = set()
    for resource in life.resources:
        if not resource["type"].endswith("_iam_member"):
            continue
        values = resource["values"]
        kind = next((key for key in places if values.get(key)), "")
        name = str(values.get(kind, "")).rpartition("/")[2].partition("@")[0]
        place = f"{places[kind]} {name}" if kind else "project"
        place = f"service {values['name']}" if "run_v2_service" in resource["type"] else place
        condition = (values.get("condition") or [{"expression": ""}])[0]["expression"]
        found.add((_who(values["member"]), values["role"], place, _condition(condition)))
    return found


def _expected(state: State) -> set[Grant]:
    found = set()
    for address, answer in state.answers.items():
        if not isinstance(answer, dict) or "bindings" not in answer:
            continue
        name = address.removesuffix(":getIamPolicy").removesuffix("/iam").rpartition("/")[2]
        kind = {
            "artifactregistry.googleapis.com": "repository",
            "cloudkms.googleapis.com": "key",
            "cloudresourcemanager.googleapis.com": "project",
            "iam.googleapis.com": "account",
            "pubsub.googleapis.com": "topic",
            "run.googleapis.com": "service",
            "storage.googleapis.com": "bucket",
        }[address.partition("/")[0]]
        place = kind if kind == "project" else f"{kind} {name.partition('%40')[0]}"
        for binding in answer["bindings"]:
            condition = binding.get("condition", {}).get("expression", "")
            found |= {
                (_who(one), binding["role"], place, condition)
                for one in binding["members"]
                if one.startswith(("serviceAccount:", "allUsers"))
            }
    return found


def test_every_grant_is_looked_for(life: Life) -> None:
    """Member, role, place and condition: as applied, and no more."""
    assert _expected(sound()) == _made(life) | _GOOGLES_OWN


def test_every_grant_of_the_options_is_looked_for(more: Life) -> None:
    """The same with all that adds one."""
    assert _expected(with_more()) == _made(more)


def test_own_roles_hold_the_same(life: Life, more: Life) -> None:
    """Permission by permission."""
    for made, state in ((life, sound()), (more, with_more())):
        assert {
            f"projects/{PROJECT}/roles/{one['role_id']}": sorted(one["permissions"])
            for one in of(made, "google_project_iam_custom_role")
        } == {
            name: sorted(state.answers[f"{google.ROLES}/{name}"]["includedPermissions"])
            for name in (google.PREDICT, google.RECORDS)
        }


def test_every_trigger_is_looked_for(more: Life) -> None:
    """Bucket, type of event and place; the function's own stands in the function."""
    made = {
        (
            *sorted(one["value"] for one in values["matching_criteria"]),
            values["location"],
        )
        for values in of(more, "google_eventarc_trigger")
    }
    expected = {
        (*sorted(one["value"] for one in trigger["eventFilters"]), trigger["name"].split("/")[3])
        for address, answer in with_more().answers.items()
        if address.startswith(google.TRIGGERS)
        for trigger in answer["triggers"]
        if trigger["name"] != google.OWN_TRIGGER
    }
    assert made == expected


def test_the_same_apis_are_enabled(life: Life, more: Life) -> None:
    """Besides one that others use."""
    for applied, state in ((life, sound()), (more, with_more())):
        made = {one["service"] for one in of(applied, "google_project_service")}
        listed = state.answers[google.SERVICES]["services"]
        assert {one["config"]["name"] for one in listed} == made | {"bigquery.googleapis.com"}


def test_the_same_fields_are_exempt(life: Life) -> None:
    """From all indexes."""
    made = of(life, "google_firestore_field")
    assert sorted(one["field"] for one in made) == sorted(google.UNINDEXED.split())
    assert all(one["collection"] == "descriptions" for one in made)


def test_the_function_is_the_same(life: Life, function: dict[str, Any]) -> None:
    """In all that is judged, and in the names that others are found by."""
    told = sound().function
    build, service = function["build_config"][0], function["service_config"][0]
    (trigger,) = function["event_trigger"]
    assert (
        told["name"]
        == f"projects/{PROJECT}/locations/{function['location']}/functions/" + (function["name"])
    )
    config, said = told["serviceConfig"], told["buildConfig"]
    assert (said["runtime"], said["entryPoint"]) == (build["runtime"], build["entry_point"])
    assert said["dockerRepository"].endswith(build["docker_repository"].rpartition("/")[2])
    assert (
        said["source"]["storageSource"]["bucket"]
        == of(life, "google_storage_bucket_object")[0]["bucket"]
    )
    assert config["timeoutSeconds"] == service["timeout_seconds"]
    assert config["ingressSettings"] == service["ingress_settings"]
    assert told["eventTrigger"]["retryPolicy"] == trigger["retry_policy"]
    assert told["eventTrigger"]["triggerRegion"] == trigger["trigger_region"] == REGION
    assert trigger["event_filters"][0]["value"] == IMAGES
    (queue,) = of(life, "google_cloud_tasks_queue")
    assert google.QUEUE.endswith(f"/{queue['location']}/queues/{queue['name']}")
    (further,) = of(life, "google_eventarc_trigger")
    assert google.FURTHER_TRIGGER.endswith(f"/{further['location']}/triggers/{further['name']}")
    assert further["retry_policy"] == []


def test_the_schedule_is_the_same(more: Life) -> None:
    """In all that is judged; the function's own address is what a stand-in made of it."""
    (job,) = of(more, "google_cloud_scheduler_job")
    (target,) = job["http_target"]
    (token,) = target["oidc_token"]
    told = with_more().answers[variants.JOB]
    asked = told["httpTarget"]
    uri = _named(more, "describer")["service_config"][0]["uri"]
    assert variants.JOB_NAME.endswith(f"/locations/{job['region']}/jobs/{job['name']}")
    assert (told["schedule"], told["timeZone"]) == (job["schedule"], job["time_zone"])
    assert (target["uri"], token["audience"]) == (uri, uri)
    assert token["service_account_email"] == asked["oidcToken"]["serviceAccountEmail"]
    assert (target["http_method"], target["body"]) == (asked["httpMethod"], asked["body"])
    assert asked["headers"] == {"User-Agent": "Google-Cloud-Scheduler", **target["headers"]}


def test_topic_and_sign_in_are_the_same(more: Life) -> None:
    """As far as they are judged."""
    (topic,) = of(more, "google_pubsub_topic")
    assert variants.TOPIC.endswith(f"/topics/{topic['name']}")
    (made,) = of(more, "google_identity_platform_config")
    told = with_more().answers[variants.SIGN_IN]
    (email,) = made["sign_in"][0]["email"]
    assert email["enabled"] is told["signIn"]["email"]["enabled"] is True
    (permissions,) = made["client"][0]["permissions"]
    assert permissions["disabled_user_signup"] is True
    assert told["client"]["permissions"]["disabledUserSignup"] is True


def test_the_gallery_is_the_same(more: Life) -> None:
    """In all that is judged; its key is what a stand-in made."""
    made = _named(more, "describer-gallery")
    state = with_more()
    told = state.answers[google.FUNCTIONS]["functions"][-1]
    service = made["service_config"][0]
    assert told["name"].endswith(f"/locations/{made['location']}/functions/{made['name']}")
    assert told["buildConfig"]["entryPoint"] == made["build_config"][0]["entry_point"]
    assert told["serviceConfig"]["ingressSettings"] == service["ingress_settings"]
    assert told["serviceConfig"]["serviceAccountEmail"] == service["service_account_email"]
    given = {**service["environment_variables"], "API_KEY": "key"}
    assert variants.gallery_environment(state) == given


def test_the_gallery_is_ordered_by_what_is_indexed(more: Life) -> None:
    """The time of the beginning, the newest first; all else is exempt as ever."""
    made = {one["field"]: one["index_config"][0]["indexes"] for one in of(more, _FIELD)}
    told = {
        one["name"].rpartition("/")[2]: one["indexConfig"].get("indexes", [])
        for one in with_more().answers[google.FIELDS]["fields"]
    }
    assert {name for name, indexes in made.items() if indexes} == {"status.startTime"}
    (index,) = made["status.startTime"]
    (said,) = told["status.startTime"]
    assert index["order"] == said["fields"][0]["order"] == "DESCENDING"
    assert index["query_scope"] == said["queryScope"]
    assert {name: bool(of) for name, of in told.items()} == {
        name: bool(of) for name, of in made.items()
    }


def test_it_is_sound_with_all_that_is_deployed(more: Life) -> None:
    """The variables of both functions and the rules of the plan, in place of those by hand."""
    state = with_more()
    for name, environ in (
        ("describer", state.environment),
        ("describer-gallery", variants.gallery_environment(state)),
    ):
        environ.clear()
        environ.update(_named(more, name)["service_config"][0]["environment_variables"])
    (ruleset,) = of(more, "google_firebaserules_ruleset")
    content = ruleset["source"][0]["files"][0]["content"]
    state.answers[google.RULES]["source"]["files"][0]["content"] = content
    found = report(run(state, "--json", "--readers=signed_in"))
    assert (found["wrong"], found["unchecked"]) == ([], [])


def test_it_is_sound_with_the_settings_and_rules_that_are_deployed(
    life: Life, function: dict[str, Any]
) -> None:
    """Those of the plan in place of the shorter ones written by hand."""
    state = sound()
    state.environment.clear()
    state.environment.update(function["service_config"][0]["environment_variables"])
    (ruleset,) = of(life, "google_firebaserules_ruleset")
    content = ruleset["source"][0]["files"][0]["content"]
    state.answers[google.RULES]["source"]["files"][0]["content"] = content
    result = run(state, "--json", "--readers=none")
    found = report(result)
    assert (found["wrong"], found["unchecked"]) == ([], [])
    assert json.loads(result.stdout)["ok"] == len(found["ok"])
