"""Backfill, redescribe and reconcile over the emulators and the running function."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from google.cloud import firestore

from describer.records.record import record_id
from local.servers.function import ROOT
from local.servers.tasks import tasks_server
from tests.integration.conftest import SAMPLE, System
from tests.integration.test_operate import ODD, SETTINGS, Cli, answer, cli, described, system

__all__ = ["cli", "system"]
# Where the order of UTF-8 and that of UTF-16, which Java's strings have, differ.
ORDER = ("\uffee.webp", "\U0001f408.webp", "Z.webp", "a.webp", "é.webp")


def home(system: System) -> str:
    return f"gs://{system.bucket.name}"


def put(system: System, *names: str) -> None:
    """Upload without telling anybody."""
    for name in names:
        system.bucket.blob(name).upload_from_string(SAMPLE, content_type="image/webp")


def run(*arguments: str, **settings: str) -> "subprocess.Popen[str]":
    """Run in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "operate", *arguments],
        cwd=ROOT,
        env={**os.environ, **SETTINGS, **settings},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcomes(system: System) -> list[str]:
    return sorted(fields["status"]["outcome"] for fields in system.records())


def test_backfill_describes_what_has_no_record(cli: Cli, system: System) -> None:
    """A plan first; then each once, whatever its name; nothing the second time."""
    described(system, "done.webp")
    put(system, "1.webp", "sub/2.webp", ODD, *ORDER)
    system.bucket.blob("notes.txt").upload_from_string("text", content_type="text/plain")
    plan = answer(cli("backfill", home(system), "--json", "--input-price=1", "--output-price=1"))
    assert plan["delivered"] is None
    assert plan["plan"]["due"] == {"no record": 8}
    assert plan["plan"]["left"] == {"finished": 1, "skipped: not an image": 1}
    usage = system.record("done.webp")["usage"]
    assert plan["plan"]["costUsd"] == pytest.approx(8 * usage["totalTokens"] / 1e6)
    assert system.paid() == 1
    arguments = ("backfill", home(system), "--yes", "--json", f"--to={system.function.url}")
    assert answer(cli(*arguments))["delivered"] == {"described": 8}
    assert outcomes(system) == ["described"] * 9
    assert system.paid() == 9
    assert answer(cli(*arguments))["delivered"] == {}
    assert system.paid() == 9


def test_backfill_takes_what_is_asked_for(cli: Cli, system: System) -> None:
    """By prefix, exact name, globs, size, age and number."""
    put(system, "a/1.webp", "a/2.webp", "a/2.webp.webp", "b/1.webp")
    size = len(SAMPLE)
    for options, expected in (
        (("/a/",), 3),
        (("/a/2.webp",), 2),
        (("/a/2.webp", "--exact"), 1),
        (("", "--include=*/1.webp"), 2),
        (("", "--exclude=*/1.webp", "--limit=1"), 1),
        (("", f"--min-size={size + 1}"), 0),
        (("", f"--max-size={size}"), 4),
        (("", "--newer=1h"), 4),
        (("", "--older=2026-01-01"), 0),
    ):
        place, *more = options
        found = answer(cli("backfill", home(system) + place, "--json", *more))
        assert found["plan"]["pictures"] == expected, options


def test_nothing_is_done_where_nobody_can_be_asked(cli: Cli, system: System) -> None:
    """Without --yes."""
    put(system, "1.webp")
    told = cli("backfill", home(system), f"--to={system.function.url}")
    assert told.exit_code == 0
    assert "--yes" in told.stderr
    assert not system.records()


def test_backfill_takes_up_outcomes(cli: Cli, system: System) -> None:
    """The record is made free under its version; the other outcomes are left alone."""
    rejected = [{"status": 400, "message": "no"}]
    system.model.script(rejected, times=2)
    system.post(system.upload("1.webp"))
    system.post(system.upload("2.webp"))
    described(system, "3.webp")
    assert outcomes(system) == ["described", "rejected", "rejected"]
    arguments = ("backfill", home(system), "--yes", "--json", f"--to={system.function.url}")
    assert answer(cli(*arguments, "--outcome=gave_up"))["delivered"] == {}
    assert answer(cli(*arguments, "--outcome=rejected"))["delivered"] == {"described": 2}
    assert outcomes(system) == ["described"] * 3
    assert {fields["status"]["attempt"] for fields in system.records()} == {1}


def test_economy_is_tried_before_it_is_promised(cli: Cli, start: Callable[..., System]) -> None:
    """Half the price in plan and sums; where the lane is refused, nothing is handed in."""
    system = start(MODEL_SERVER="vertex", IMAGE_INPUT="inline")
    settings = {"OPENAI_BASE_URL": system.model.base_url, "MODEL_SERVER": "vertex"}
    # Never asked in the cheaper lane, so that nobody has to serve it there.
    settings["MODELS"] = "another"
    prices = ("--input-price=1", "--output-price=1", "--json")
    put(system, "1.webp", "2.webp")
    arguments = ("backfill", home(system), *prices, "--economy")
    whole = answer(cli(*arguments[:-1], **settings))["plan"]["costUsd"]
    assert answer(cli(*arguments, **settings))["plan"]["costUsd"] == pytest.approx(whole / 2)
    to = ("--yes", f"--to={system.function.url}")
    system.model.script([{"status": 400, "message": "Flex is not supported"}], match="flex")
    refused = cli(*arguments, *to, **settings)
    assert refused.exit_code != 0
    assert "no cheaper lane: stand-in is not to be had: " in refused.stderr
    assert "Flex is not supported" in refused.stderr
    assert not system.records()
    system.model.control(reset=True)
    assert answer(cli(*arguments, *to, **settings))["delivered"] == {"described": 2}
    usages = [fields["usage"] for fields in system.records()]
    assert {usage["trafficType"] for usage in usages} == {"ON_DEMAND_FLEX"}
    assert [entry["lane"] for entry in system.model.requests()] == ["flex"] * 3
    (day,) = answer(cli("stats", home(system), *prices))["days"].values()
    tokens = sum(usage["totalTokens"] for usage in usages)
    assert day["costUsd"] == pytest.approx(tokens / 2e6, abs=1e-6)


def test_economy_reaches_the_function_by_every_way(cli: Cli, start: Callable[..., System]) -> None:
    """A queue hands it on, and so do reconcile and redescribe; where there is none, all say so."""
    system = start(MODEL_SERVER="vertex", IMAGE_INPUT="inline")
    settings = {"OPENAI_BASE_URL": system.model.base_url, "MODEL_SERVER": "vertex"}
    do = (home(system), "--economy", "--yes", f"--to={system.function.url}")
    put(system, "1.webp")
    refused = cli("reconcile", *do, "--fix", "--minutes=0")
    assert refused.exit_code == 1
    assert "no cheaper lane: a server of the kind unknown has none" in refused.stderr
    assert cli("reconcile", *do, "--fix", "--minutes=0", **settings).exit_code == 0
    assert cli("redescribe", *do, "--all", **settings).exit_code == 0
    put(system, "2.webp")
    with tasks_server(QUEUE) as queue:
        env = {**settings, "CLOUD_TASKS_EMULATOR_HOST": queue.host}
        assert cli("backfill", *do, f"--queue={QUEUE}", **env).exit_code == 0
        until(lambda: queue.left == 0)
    assert outcomes(system) == ["described"] * 2
    # A tiny call before each, and the picture.
    assert [entry["lane"] for entry in system.model.requests()] == ["flex"] * 6
    assert [line["economy"] for line in system.lines()] == [True] * 3


def test_an_address_that_is_no_function_stops_all(cli: Cli, system: System, gcs: Any) -> None:
    """After the first answer, not after thousands."""
    put(system, *(f"{number}.webp" for number in range(50)))
    told = cli("backfill", home(system), "--yes", "--at-once=1", f"--to={gcs.url}/no/such")
    assert told.exit_code == 1
    assert "the address answered 40" in told.stderr


def test_killed_and_run_again_describes_each_once(system: System) -> None:
    """What was under way is the function's to finish; nothing is paid for twice."""
    names = [f"{number:03}.webp" for number in range(60)]
    put(system, *names)
    system.model.pace(0.02)
    arguments = ("backfill", home(system), "--yes", "--json", "--at-once=8")
    first = run(*arguments, f"--to={system.function.url}")
    deadline = time.monotonic() + 60
    while system.paid() < 15 and time.monotonic() < deadline:
        time.sleep(0.05)
    first.kill()
    first.communicate()
    assert 15 <= system.paid() < 60
    second = run(*arguments, f"--to={system.function.url}")
    output, errors = second.communicate(timeout=120)
    assert second.returncode == 0, errors
    deadline = time.monotonic() + 60
    while outcomes_so_far(system) < 60 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert outcomes(system) == ["described"] * 60
    assert system.paid() == 60
    told = json.loads(output)
    assert (
        sum(told["delivered"].values())
        + told["left"].get("under way", 0)
        + told["left"]["finished"]
        == 60
    )


def outcomes_so_far(system: System) -> int:
    return sum("outcome" in fields["status"] for fields in system.records())


def test_ctrl_c_waits_for_what_is_under_way(system: System) -> None:
    """Nothing new is begun, what was begun is told, and the status is 130."""
    put(system, *(f"{number:03}.webp" for number in range(40)))
    system.model.pace(0.05)
    stopped = run(
        "backfill", home(system), "--yes", "--json", "--at-once=4", f"--to={system.function.url}"
    )
    deadline = time.monotonic() + 60
    while system.paid() < 6 and time.monotonic() < deadline:
        time.sleep(0.05)
    stopped.send_signal(signal.SIGINT)
    output, errors = stopped.communicate(timeout=60)
    assert stopped.returncode == 130, errors
    assert "waiting for what is under way" in errors
    told = json.loads(output)["delivered"]["described"]
    assert told == system.paid() == len(system.records()) < 40


def by_hand(system: System, name: str) -> None:
    document = system.database.collection("descriptions").document(
        record_id(str(system.bucket.name), name)
    )
    document.update({"description": "My cat Tom.", "source": "person"})


def test_redescribe_makes_old_texts_anew(
    cli: Cli, system: System, start: Callable[..., System]
) -> None:
    """Those of another language or prompt; a person's never; none twice."""
    described(system, "1.webp", "2.webp", "mine.webp")
    by_hand(system, "mine.webp")
    arguments = ("redescribe", home(system), "--yes", "--json")
    today = {"DESCRIPTION_LANGUAGE": "fr", "PROMPT": "Say it in verse."}
    assert answer(cli(*arguments, **today))["plan"]["due"] == {"another language": 2}
    french = start(**today)
    function = f"--to={french.function.url}"
    assert answer(cli(*arguments, function, **today))["delivered"] == {"described": 2}
    assert {system.record(name)["language"] for name in ("1.webp", "2.webp")} == {"fr"}
    assert system.record("mine.webp")["description"] == "My cat Tom."
    assert system.paid() == 5
    assert answer(cli(*arguments, function, **today))["delivered"] == {}
    one = (*arguments, "--all", "--exact", function)
    assert answer(cli(*one[:1], f"{home(system)}/1.webp", *one[2:], **today))["delivered"] == {
        "described": 1
    }


def test_redescribe_stops_where_the_function_has_other_settings(cli: Cli, system: System) -> None:
    """After one picture: otherwise each run would pay for all of them again."""
    described(system, *(f"{number}.webp" for number in range(5)))
    told = cli(
        *("redescribe", home(system), "--yes", f"--to={system.function.url}"),
        DESCRIPTION_LANGUAGE="fr",
    )
    assert told.exit_code == 1
    assert "another language" in told.stderr
    assert system.paid() == 6


def test_two_redescribes_at_once_pay_once(system: System, start: Callable[..., System]) -> None:
    """The record's version decides which of them makes it free."""
    described(system, *(f"{number}.webp" for number in range(12)))
    today = {"DESCRIPTION_LANGUAGE": "fr"}
    function = start(**today).function
    arguments = ("redescribe", home(system), "--yes", "--json", f"--to={function.url}")
    both = [run(*arguments, **today) for _ in range(2)]
    for one in both:
        _, errors = one.communicate(timeout=120)
        assert one.returncode == 0, errors
    assert {fields["language"] for fields in system.records()} == {"fr"}
    assert system.paid() == 24


def test_reconcile_finds_what_was_lost_and_nothing_else(cli: Cli, system: System) -> None:
    """And mends it; a person's text of a deleted object stays."""
    described(system, "good.webp", "old.webp", "gone.webp", "stuck.webp", "mine.webp", "mute.webp")
    by_hand(system, "mine.webp")
    put(system, "lost.webp", "old.webp")
    system.bucket.blob("notes.txt").upload_from_string("text", content_type="text/plain")
    for name in ("gone.webp", "mine.webp"):
        system.bucket.blob(name).delete()
    records = system.database.collection("descriptions")
    records.document(record_id(str(system.bucket.name), "stuck.webp")).update(
        {"status": {"state": "PROCESSING", "attempt": 1}}
    )
    mute = records.document(record_id(str(system.bucket.name), "mute.webp"))
    mute.update({"unpublished": True})
    arguments = ("reconcile", home(system), "--json")
    assert answer(cli(*arguments))["found"] == {}
    told = cli(*arguments, "--minutes=0")
    assert told.exit_code == 1
    *findings, last = map(json.loads, told.stdout.splitlines())
    assert {found["uri"].rpartition("/")[2]: found["finding"] for found in findings} == {
        "gone.webp": "recorded, but gone",
        "lost.webp": "no record",
        "old.webp": "overwritten since",
        "stuck.webp": "not finished",
        "mute.webp": "event not published",
    }
    assert sum(last["found"].values()) == 5
    # This function has no topic.
    mute.update({"unpublished": firestore.DELETE_FIELD})
    assert cli(*arguments, "--fix", "--yes").exit_code == 2
    fixed = cli(*arguments, "--minutes=0", "--fix", "--yes", f"--to={system.function.url}")
    assert fixed.exit_code == 0
    assert json.loads(fixed.stdout.splitlines()[-1])["delivered"] == {"described": 3}
    assert not system.record("gone.webp")
    assert system.record("mine.webp")["description"] == "My cat Tom."
    assert answer(cli(*arguments, "--minutes=0"))["found"] == {}


QUEUE = "projects/demo-describer/locations/europe-west4/queues/backfill"


def test_a_queue_delivers_by_itself_and_holds_none_twice(cli: Cli, system: System) -> None:
    """Planned twice while it is paused, each picture is there once; refusals come again."""
    put(system, "1.webp", "2.webp", ODD)
    described(system, "old.webp")
    refusal = [{"status": 429}]
    system.model.script(refusal, times=2)
    arguments = ("backfill", home(system), "--yes", "--json", f"--to={system.function.url}")
    with tasks_server(QUEUE, paused=True) as queue:
        env = {"CLOUD_TASKS_EMULATOR_HOST": queue.host}
        queued = (*arguments, f"--queue={QUEUE}", "--invoker=trigger@x.test")
        assert answer(cli(*queued, **env))["delivered"] == {"queued": 3}
        assert answer(cli(*queued, **env))["delivered"] == {"queued already": 3}
        assert len(system.records()) == 1
        queue.resume()
        until(lambda: queue.left == 0)
        assert {answers[-1] for answers in queue.answers.values()} == {200}
    assert outcomes(system) == ["described"] * 4
    assert system.paid() == 4
    assert answer(cli(*arguments))["delivered"] == {}


def test_a_record_made_free_for_a_queue_is_queued_once(cli: Cli, system: System) -> None:
    """Also where the second run finds it free, and waiting."""
    system.model.script([{"status": 400, "message": "no"}], times=1)
    system.post(system.upload("1.webp"))
    arguments = ("backfill", home(system), "--yes", "--json", f"--to={system.function.url}")
    with tasks_server(QUEUE, paused=True) as queue:
        env = {"CLOUD_TASKS_EMULATOR_HOST": queue.host}
        queued = (*arguments, f"--queue={QUEUE}", "--outcome=rejected")
        assert answer(cli(*queued, **env))["delivered"] == {"queued": 1}
        assert system.record("1.webp")["status"]["attempt"] == 0
        assert answer(cli(*queued, **env))["delivered"] == {"queued already": 1}
        queue.resume()
        until(lambda: queue.left == 0)
    assert outcomes(system) == ["described"]


@pytest.mark.parametrize("said", ["y", "n"])
def test_on_a_terminal_it_asks(system: System, said: str) -> None:
    """After the plan; without a yes nothing is done."""
    put(system, "1.webp")
    ours, theirs = pty.openpty()
    asked = subprocess.Popen(
        [
            *(sys.executable, "-m", "operate", "backfill", home(system)),
            f"--to={system.function.url}",
        ],
        cwd=ROOT,
        env={**os.environ, **SETTINGS},
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    )
    os.write(ours, f"{said}\n".encode())
    output, _ = asked.communicate(timeout=60)
    os.close(theirs)
    os.close(ours)
    assert asked.returncode == 0
    assert "1 picture, " in output
    assert len(system.records()) == (1 if said == "y" else 0)


def test_a_queue_that_is_not_there_stops_all(cli: Cli, system: System) -> None:
    """And a name that is none is wrong usage."""
    put(system, "1.webp")
    arguments = ("backfill", home(system), "--yes", f"--to={system.function.url}")
    with tasks_server(QUEUE) as queue:
        told = cli(*arguments, f"--queue={QUEUE}-2", CLOUD_TASKS_EMULATOR_HOST=queue.host)
    assert told.exit_code == 1
    assert "404" in told.stderr
    assert cli(*arguments, "--queue=backfill").exit_code == 2
    assert cli("backfill", home(system), f"--queue={QUEUE}").exit_code == 2


def test_redescribe_through_a_queue_waits_for_the_first(
    cli: Cli, system: System, start: Callable[..., System]
) -> None:
    """It tells whether the function has the settings that are meant; a repeat adds nothing."""
    described(system, *(f"{number}.webp" for number in range(5)))
    today = {"DESCRIPTION_LANGUAGE": "fr"}
    french = start(**today).function.url
    with tasks_server(QUEUE) as queue:
        env = {"CLOUD_TASKS_EMULATOR_HOST": queue.host, **today}
        arguments = ("redescribe", home(system), "--yes", "--json", f"--queue={QUEUE}")
        told = cli(*arguments, f"--to={system.function.url}", **env)
        assert told.exit_code == 1
        assert "another language" in told.stderr
        assert system.paid() == 6
        assert answer(cli(*arguments, f"--to={french}", **env))["delivered"] == {"queued": 5}
        until(lambda: queue.left == 0)
    assert {fields["language"] for fields in system.records()} == {"fr"}
    assert system.paid() == 11


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
