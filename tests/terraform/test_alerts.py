"""What is counted: alerts and dashboard use the outcomes and fields that the function logs."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from describer import errors
from tests.terraform.conftest import PROJECT, ROOT, Workspace

ARGUMENTS = (f"-var=google_cloud_project={PROJECT}",)


def _outcomes(branch: type[Exception]) -> Iterator[str]:
    for leaf in branch.__subclasses__():
        yield from _outcomes(leaf)
        if "outcome" in vars(leaf):
            yield vars(leaf)["outcome"]


def _listed(name: str) -> set[str]:
    text = (ROOT / "terraform" / "module" / "alerts.tf").read_text()
    found = re.search(rf"^  {name}\s+= \[(.*)\]$", text, re.MULTILINE)
    assert found is not None
    return set(re.findall(r'"(\w+)"', found[1]))


def test_every_recorded_outcome_is_counted_as_finished() -> None:
    """An outcome that the function gains is an outcome that shares are taken of."""
    assert _listed("finished") == {"described", "truncated", *_outcomes(errors.PermanentError)}


def test_failures_are_what_is_nobodys_will() -> None:
    """Refusals and the brake have alerts of their own; a deleted object is nobody's failure."""
    others = {"described", "truncated", "blocked", "gone", "over_limit"}
    assert _listed("failed") == _listed("finished") - others


def test_whatever_is_delivered_again_counts_as_late() -> None:
    """An upload that one outcome leaves unfinished is as late as with any other."""
    text = (ROOT / "terraform" / "module" / "alerts.tf").read_text()
    (listed,) = re.findall(r"event_age_seconds = \{.*?outcome=\((.*?)\)", text, re.DOTALL)
    again = {errors.TransientError.outcome, *_outcomes(errors.TransientError)}
    assert set(re.findall(r'"(\w+)\\"', listed)) == again


def test_each_query_reads_a_metric_that_is_made(workspace: Workspace) -> None:
    """A misspelt metric would be silent for ever, since its absence is no error."""
    plan = workspace.plan(*ARGUMENTS)
    made = set()
    for metric in plan.resources("google_logging_metric"):
        name = metric["values"]["name"].replace("/", "_")
        kind = metric["values"]["metric_descriptor"][0]["value_type"]
        endings = ("_bucket", "_sum") if kind == "DISTRIBUTION" else ("",)
        made |= {f"logging_googleapis_com:user_{name}{ending}" for ending in endings}
    policies = json.dumps(plan.resources("google_monitoring_alert_policy"))
    (dashboard,) = plan.resources("google_monitoring_dashboard")
    text = policies + dashboard["values"]["dashboard_json"]
    read = re.findall(r"(logging_googleapis_com:\w+)(.?)", text)
    assert {name for name, _ in read} <= made
    assert all(after == "{" for _, after in read), "each query names the monitored resource"
    assert len(read) > 30


def test_what_is_asked_for_is_watched(workspace: Workspace) -> None:
    """One alert for each number that an operator is promised."""
    plan = workspace.plan(*ARGUMENTS)
    titles = {
        policy["values"]["display_name"].removeprefix("describer: ")
        for policy in plan.resources("google_monitoring_alert_policy")
    }
    assert titles == {
        "an image was given up",
        "the day's limit on calls of the model is reached",
        "the function failed in a way it has no answer for",
        "an upload waits for its description",
        "an unfinished upload is delivered late",
        "many images end without a description",
        "many images are refused by the safety filter",
        "the model throttles",
        "first text comes late",
        "descriptions take long",
        "many tokens in a day",
        "estimated spend of a day",
    }


def test_what_was_lost_is_told_where_it_is_looked_for(workspace: Workspace) -> None:
    """By the outcome that such a run is logged with."""
    plan = workspace.plan(*ARGUMENTS, "-var=reconcile={}")
    policies = json.dumps(plan.resources("google_monitoring_alert_policy"))
    assert "something was lost on the way" in policies
    assert 'jsonPayload.outcome=\\"lost\\"' in policies


def test_no_alert_waits_for_a_metric(workspace: Workspace) -> None:
    """A threshold on a metric just made is refused with 404 for up to ten minutes."""
    policies = workspace.plan(*ARGUMENTS).resources("google_monitoring_alert_policy")
    for policy in policies:
        (condition,) = policy["values"]["conditions"]
        kinds = {
            kind: block[0]
            for kind, block in condition.items()
            if kind.startswith("condition_") and block
        }
        if query := kinds.pop("condition_prometheus_query_language", None):
            assert query["disable_metric_validation"] is True
        else:
            (strategy,) = policy["values"]["alert_strategy"]
            assert "jsonPayload.outcome=" in kinds.pop("condition_matched_log")["filter"]
            # Such a condition is refused without a limit on its notices.
            assert strategy["notification_rate_limit"][0]["period"]
        assert not kinds, policy["values"]["display_name"]
    assert not [
        sleep
        for sleep in workspace.plan(*ARGUMENTS).resources("time_sleep")
        if sleep["name"] == "metrics"
    ]


@pytest.mark.parametrize("labels", [{"app": "describer"}, {}])
def test_dashboard_holds_nothing_that_comes_back_omitted(
    workspace: Workspace, labels: dict[str, str]
) -> None:
    """Zeros, false and empty values are left out of the answer, and would be planned for ever."""
    plan = workspace.plan(*ARGUMENTS, f"-var=labels={json.dumps(labels)}")
    (dashboard,) = plan.resources("google_monitoring_dashboard")
    content = json.loads(dashboard["values"]["dashboard_json"])
    assert list(_omitted(content)) == []
    places = {
        (tile.get("xPos", 0), tile.get("yPos", 0)) for tile in content["mosaicLayout"]["tiles"]
    }
    assert len(places) == len(content["mosaicLayout"]["tiles"]) > 10
    assert (0, 0) in places


def _omitted(value: Any, path: str = "") -> Iterator[str]:
    inner: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for key, part in inner:
        if not part:
            yield f"{path}.{key}"
        yield from _omitted(part, f"{path}.{key}")


def test_regular_expression_fits_the_subscriptions_names(workspace: Workspace) -> None:
    """The function's own trigger, and those of further buckets, but no other function's."""
    plan = workspace.plan(*ARGUMENTS)
    policies = plan.resources("google_monitoring_alert_policy")
    (found,) = re.findall(r'subscription_id=~\\"(.*?)\\"', json.dumps(policies))
    pattern = re.compile(found)
    assert pattern.fullmatch("eventarc-us-central1-describer-123456-sub-789")
    assert pattern.fullmatch("eventarc-us-central1-describer-0a1b2c3d-sub-789")
    assert not pattern.fullmatch("eventarc-us-central1-describer-two-123456-sub-789")
