"""`describer doctor`: silent on a sound deployment, and honest about what it cannot look at."""

import subprocess
import sys
from datetime import timedelta

import pytest
from click.testing import CliRunner

from describer.model.lifetimes import RETIRED_FROM, WARNED_DAYS
from describer.settings import DEFAULT_MODEL
from operate.cli import describer
from operate.cloud import EMULATOR, Unread
from operate.health import asking
from operate.health.checks import examine
from operate.health.function import check_archive
from operate.health.reading import Deployment
from tests.health.faults import (
    Break,
    both,
    gone,
    put,
    rules,
)
from tests.health.running import asked, checks, report, run
from tests.health.server import apis
from tests.health.sound import (
    FUNCTIONS,
    IMAGES,
    MORE,
    PROJECT,
    QUEUE,
    REGION,
    RELEASE,
    ROOT,
    SERVICE,
    State,
    sound,
)
from tests.health.variants import (
    GALLERY_ACCOUNT,
    GALLERY_SERVICE_POLICY,
    JOB,
    SIGN_IN,
    TOPIC,
    announced,
    another_database,
    another_model,
    broader_roles,
    gallery,
    gallery_environment,
    own_keys,
    public_gallery,
    removals,
    reuse,
    schedule,
    traces,
    with_all,
    without_more,
)

# --- A sound deployment --------------------------------------------------------------------------


def own_rules(state: State) -> None:
    """A database that was there before, with rules that do not speak of the records."""
    rules("recipes/{id}", "read: if true")(state)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(own_rules, id="own-rules"),
        pytest.param(gone(RELEASE), id="no-rules"),
        pytest.param(lambda state: None, id="two-buckets-and-a-queue"),
        pytest.param(without_more, id="by-default"),
        pytest.param(own_keys, id="customer-managed-keys"),
        pytest.param(broader_roles, id="broader-roles"),
        pytest.param(reuse, id="reuse"),
        pytest.param(removals, id="records-go-with-objects"),
        pytest.param(traces, id="traces"),
        pytest.param(another_database, id="another-database"),
        pytest.param(schedule, id="schedule"),
        pytest.param(
            both(schedule, put(JOB, "httpTarget", "oidcToken", "audience", value=None)),
            id="schedule-without-audience",
        ),
        pytest.param(announced, id="events"),
        pytest.param(gallery, id="gallery"),
        pytest.param(public_gallery, id="public-gallery"),
        pytest.param(both(own_keys, gallery), id="gallery-and-customer-managed-keys"),
    ],
)
def test_a_sound_deployment_is_sound(change: Break) -> None:
    """Every line is ok, and so is the exit status."""
    state = sound()
    change(state)
    result = run(state, "--json")
    found = report(result)
    assert (found["wrong"], found["unchecked"], result.exit_code) == ([], [], 0)
    assert len(found["ok"]) >= 30
    assert all(not finding["remedy"] for finding in found["ok"])


def test_no_schedule_is_said_to_be_off() -> None:
    """No setting of the function asks for one, so none is missing."""
    found = report(run(sound(), "--json"))
    (told,) = (one for one in found["ok"] if one["check"] == "reconcile")
    assert told["message"] == "off: there is no job describer-reconcile"


@pytest.mark.parametrize(
    ("cheaper", "told"),
    [(True, f"{DEFAULT_MODEL} is served there"), (False, "serves at the whole price (ON_")],
)
def test_the_cheaper_lane_is_tried(told: str, *, cheaper: bool) -> None:
    """Nobody has to have it, so that it is never wrong."""
    state = sound()
    state.cheaper = cheaper
    result = run(state, "--json")
    (found,) = (one for one in report(result)["ok"] if one["check"] == "cheaper lane")
    assert told in found["message"]
    assert result.exit_code == 0


def test_the_cheaper_lane_has_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request may wait for its turn there; how long, the ordinary one's limit does not say."""
    monkeypatch.setattr(asking, "_SECONDS", 0.0)
    found = report(run(sound(), "--json"))
    assert f"model {DEFAULT_MODEL}" in checks(found["wrong"])
    (lane,) = (one for one in found["ok"] if one["check"] == "cheaper lane")
    assert lane["message"] == f"{DEFAULT_MODEL} is served there"


def test_the_cheaper_lane_is_asked_for_nowhere_else() -> None:
    """It is at the global endpoint only."""
    state = sound()
    state.environment["MODEL_LOCATION"] = "europe-west4"
    state.models["europe-west4"] = {DEFAULT_MODEL}
    found = report(run(state, "--json"))
    assert f"model {DEFAULT_MODEL}" in checks(found["ok"])
    assert "cheaper lane" not in checks(found["ok"])


def test_rules_are_held_against_the_readers_that_are_named() -> None:
    """Those of the sound deployment let in whoever is signed in."""
    told = run(sound(), "--readers=signed_in")
    assert told.exit_code == 0
    assert "descriptions may be read if request.auth != null" in told.stdout


def test_a_model_that_cannot_be_reached_from_here_is_not_called_wrong() -> None:
    """A server of one's own may stand in a network that the function alone is in."""
    state = sound()
    another_model(state)
    result = run(state, "--json")
    found = report(result)
    assert found["wrong"] == []
    assert checks(found["unchecked"]) == ["model own"]
    assert result.exit_code == 3
    assert "run reads model-key" in checks(found["ok"])
    assert not any(name.startswith("Vertex AI") for name in checks(found["ok"]))


def test_it_is_told_in_words() -> None:
    """One line for each check; what to do stands below what is wrong, and the sum at the end."""
    told = run(sound())
    assert told.exit_code == 0
    assert all(line.startswith("ok ") for line in told.stdout.splitlines())
    assert told.stderr.endswith(" ok, 0 wrong, 0 not checked\n")
    state = sound()
    state.answers[QUEUE]["state"] = "PAUSED"
    told = run(state)
    assert told.exit_code == 1
    (line, remedy) = (line for line in told.stdout.splitlines() if not line.startswith("ok "))
    assert line.split()[:2] == ["WRONG", "queue"]
    assert remedy.strip().startswith("-> gcloud tasks queues resume describer-backfill")


def test_it_reads_and_writes_nothing() -> None:
    """Each request is a GET, or a POST that only asks."""
    with apis(sound()) as running:
        env = {EMULATOR: running.host, "GOOGLE_CLOUD_PROJECT": PROJECT}
        CliRunner().invoke(describer, ["doctor"], env=env)
    assert len(running.asked) > 40
    assert {method for method, _ in running.asked} == {"GET", "POST"}
    posted = [address for method, address in running.asked if method == "POST"]
    assert all(address.endswith((":getIamPolicy", "/chat/completions")) for address in posted)


def test_a_model_near_its_end_is_told() -> None:
    """From so many days before, and after; on the day before that, nothing is said."""
    model = DEFAULT_MODEL.removeprefix("google/")
    read = asked(sound())
    for days, told in ((WARNED_DAYS + 1, 0), (WARNED_DAYS, 1), (-1, 1)):
        day = RETIRED_FROM[model] - timedelta(days=days)
        read.now = read.now.replace(year=day.year, month=day.month, day=day.day)
        wrong = [one for one in examine(read) if one.state == "wrong"]
        assert [one.check for one in wrong] == ["retirement"] * told


def test_an_installed_program_compares_its_package_alone() -> None:
    """It has neither entry point nor pins beside it; a change of the package is found."""
    read = asked(sound())
    read.here = {name: text for name, text in read.here.items() if name.startswith("describer/")}
    assert [one.state for one in check_archive(read)] == ["ok"]
    read.here = {**read.here, "describer/values.py": b"# newer"}
    (told,) = check_archive(read)
    assert told.state == "wrong"
    assert "changed: describer/values.py" in told.message


# --- What cannot be looked at --------------------------------------------------------------------

HOSTS = sorted({address.partition("/")[0] for address in with_all().answers})


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("status", [403, 503])
def test_what_may_not_be_read_is_neither_well_nor_wrong(host: str, status: int) -> None:
    """One API that refuses, or fails: nothing is called wrong for it, and nothing well."""
    state = with_all()
    for address in state.answers:
        if address.startswith(f"{host}/"):
            state.answers[address] = status
    result = run(state, "--json")
    found = report(result)
    assert found["wrong"] == []
    assert found["unchecked"]
    assert result.exit_code == 3
    reasons = " ".join(finding["message"] for finding in found["unchecked"])
    assert "no right to look (" in reasons if status == 403 else f"{host} answered 503" in reasons


@pytest.mark.parametrize(
    ("address", "line"),
    [
        (JOB, "reconcile"),
        (TOPIC, "events topic"),
        (f"{TOPIC}:getIamPolicy", "run publishes events"),
        (GALLERY_ACCOUNT, "account that serves the gallery"),
        (f"{GALLERY_ACCOUNT}:getIamPolicy", "gallery signs"),
        (GALLERY_SERVICE_POLICY, "gallery is open"),
        (SIGN_IN, "sign-in"),
    ],
    ids=lambda value: str(value).rpartition("/")[2],
)
def test_one_answer_that_is_refused_leaves_one_line_unchecked(address: str, line: str) -> None:
    """And it names the permission that would show it."""
    state = with_all()
    state.answers[address] = 403
    found = report(run(state, "--json"))
    assert (found["wrong"], checks(found["unchecked"])) == ([], [line])
    assert "no right to look (" in found["unchecked"][0]["message"]


def test_a_deployment_under_way_is_not_judged() -> None:
    """Neither the two functions nor the revision is what it is going to be."""
    state = with_all()
    state.function["state"] = "DEPLOYING"
    put(FUNCTIONS, "functions", -1, "state", value="DEPLOYING")(state)
    state.answers[SERVICE] |= {"reconciling": True, "latestCreatedRevision": "a/new"}
    result = run(state, "--json")
    found = report(result)
    assert found["wrong"] == []
    assert checks(found["unchecked"]) == ["function", "revision", "gallery"]
    assert {finding["remedy"] for finding in found["unchecked"]} == {"ask again in some minutes"}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("how", ["rubbish", "spoilt"])
def test_an_answer_that_nobody_expects_breaks_nothing(host: str, how: str) -> None:
    """A login page in place of JSON, or JSON of another shape: nobody knows, and it says so."""
    state = with_all()
    getattr(state, how).add(host)
    result = run(state, "--json")
    found = report(result)
    assert result.exit_code in {1, 3}
    assert found["unchecked"] or found["wrong"]
    if how == "rubbish":
        assert found["wrong"] == []


def test_a_schedule_that_somebody_deleted_is_not_said_to_be_off() -> None:
    """The right that it was given is still there."""
    state = sound()
    both(schedule, gone(JOB))(state)
    result = run(state, "--json")
    found = report(result)
    assert (found["wrong"], checks(found["unchecked"])) == ([], ["reconcile"])
    (told,) = found["unchecked"]
    assert told["message"].startswith("there is no job describer-reconcile; but")
    assert told["remedy"].startswith("terraform apply")


def test_accounts_that_anybody_may_make_are_told_but_may_be_meant() -> None:
    """Where sign-in was there before; and where everybody reads anyway, they show no more."""
    state = sound()
    both(gallery, put(SIGN_IN, "client", value={}))(state)
    found = report(run(state, "--json"))
    assert (found["wrong"], checks(found["unchecked"])) == ([], ["sign-in"])
    assert "manage_sign_in" in found["unchecked"][0]["remedy"]
    gallery_environment(state)["READERS"] = "public"
    found = report(run(state, "--json"))
    assert (found["wrong"], found["unchecked"]) == ([], [])


def test_a_silent_api_is_waited_for_so_long() -> None:
    """And not for each of its questions one after the other."""
    state = sound()
    state.silent.add("eventarc.googleapis.com")
    read = asked(state, timeout_seconds=0.3)
    unread = {
        what: answer.why
        for what, answer in read.answers.items()
        if isinstance(answer, Unread) and "not enabled" not in answer.why
    }
    assert unread == {
        f"triggers {at}": "eventarc.googleapis.com gave no answer in time" for at in (REGION, "eu")
    }
    unchecked = [one.check for one in examine(read) if one.state == "unchecked"]
    assert unchecked == [f"trigger of {IMAGES}", f"trigger of {MORE}"]


def test_nobody_answers_at_all() -> None:
    """A line for each, no traceback."""
    result = CliRunner().invoke(
        describer, ["doctor"], env={EMULATOR: "127.0.0.1:9", "GOOGLE_CLOUD_PROJECT": PROJECT}
    )
    assert result.exit_code == 3
    assert "gave no answer" in result.stdout


def test_an_emulator_elsewhere_is_refused() -> None:
    """What stands in for the APIs is asked without a token, so it has to be on this machine."""
    result = CliRunner().invoke(
        describer, ["doctor"], env={EMULATOR: "10.0.0.1:80", "GOOGLE_CLOUD_PROJECT": PROJECT}
    )
    assert result.exit_code == 2


def test_a_check_asks_nothing() -> None:
    """Over what was read alone; with nothing read, nothing is said to be well."""
    read = Deployment(PROJECT, "describer")
    assert {finding.state for finding in examine(read)} == {"unchecked"}


def test_help_is_there_at_once() -> None:
    """The command's own help loads none of what it asks with."""
    program = "import sys; from operate.cli import main; main(); print(sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program, "doctor", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    modules = done.stdout.rsplit("\n[", 1)[1]
    for module in ("httpx2", "google.auth", "openai", "operate.cloud"):
        assert f"'{module}'" not in modules
