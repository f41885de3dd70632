"""The parts of the program `describer` that need no service."""

# ruff: noqa: D102 - the doubles stand behind ports that say it

import io
import itertools
import json
import os
import pty
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from rich.console import Console

from describer.delivery.event import read_upload
from describer.errors import ModelBusyError
from describer.model.prompt import instructions_for
from describer.records.record import asked_again
from describer.settings import Globs, Settings
from local.servers.function import ROOT
from operate.address import Address
from operate.ahead import in_order
from operate.choice import (
    Due,
    Filters,
    Left,
    difference,
    to_backfill,
    to_redescribe,
    unfinished,
    unwanted,
)
from operate.cli import describer
from operate.copies import with_texts
from operate.cost import Prices, Tokens
from operate.deliver import Delivered, Deliverer, Handed, RefusedError
from operate.export import COLUMNS, cell
from operate.health.asking import Asked
from operate.health.economy import why_not_offered, why_not_served
from operate.objects import Found
from operate.output import plain
from operate.pairs import OrderError, pairs
from operate.plot import bars
from operate.queue import QueueDoor
from operate.records import ChangedError, Stored
from operate.session import read_env_file
from operate.watch import Tally, drawn, finished_line
from operate.window import WINDOW, Window
from operate.xmp import place_below, sidecar

NOW = datetime(2026, 11, 24, tzinfo=UTC)
SETTINGS = Settings(model="stand-in", openai_base_url="http://x.test/v1")


def found(name: str = "a.jpg", **resource: Any) -> Found:
    """Make an object."""
    usual = {"bucket": "uploads", "generation": "2", "size": "9", "contentType": "image/jpeg"}
    return Found({**usual, "name": name, **resource})


def stored(name: str = "a.jpg", state: str = "COMPLETED", **fields: Any) -> Stored:
    """Make a record."""
    outcome = {"COMPLETED": "described", "ERRORED": "gave_up"}.get(state)
    usual = {
        "uri": f"gs://uploads/{name}",
        "generation": 2,
        "status": {"state": state, "attempt": 1, **({"outcome": outcome} if outcome else {})},
    }
    return Stored(name, {**usual, **fields}, 1, NOW, 30.0)


@given(st.sets(st.text(min_size=1)), st.sets(st.text(min_size=1)))
def test_pairs_are_all_there_once(objects: set[str], records: set[str]) -> None:
    """Each name once, with what there is of it, in order."""
    made = list(
        pairs(iter([found(n) for n in sorted(objects)]), iter([stored(n) for n in sorted(records)]))
    )
    names = [(one or other).name for one, other in made if one or other]  # type: ignore[union-attr]
    assert names == sorted(objects | records)
    assert {one.name for one, _ in made if one} == objects
    assert {other.name for _, other in made if other} == records
    assert all(one.name == other.name for one, other in made if one and other)


def test_pairs_hold_nothing() -> None:
    """An endless listing is paired as it comes."""
    endless = (found(f"{number:09}") for number in itertools.count())
    assert len(list(itertools.islice(pairs(endless, iter(())), 1000))) == 1000


def test_listings_are_read_at_once_and_given_in_order() -> None:
    """However late the first one is; no more is read ahead than is said."""
    lock, begun, read = threading.Lock(), threading.Event(), Counter[int]()

    def listing(number: int) -> Iterator[list[int]]:
        if number == 0:
            assert begun.wait(10), "the others wait for the first"
        for page in range(5):
            with lock:
                read[number] += 1
            if number == 7:
                begun.set()
            yield [100 * number + 10 * page + item for item in range(3)]

    given = in_order([partial(listing, number) for number in range(20)])
    first = next(given)
    time.sleep(0.3)
    with lock:
        assert first == 0
        # Two pages wait, and the third is at hand; those beyond the eighth have no thread yet.
        assert {number: read[number] for number in range(1, 9)} == {
            **dict.fromkeys(range(1, 8), 3),
            8: 0,
        }
    assert [first, *given] == [
        100 * n + 10 * p + i for n in range(20) for p in range(5) for i in range(3)
    ]


def test_what_ends_a_listing_ends_all() -> None:
    """In its place, and no thread is left; nor where nobody wants the rest."""

    def broken(number: int) -> Iterator[list[int]]:
        yield [number]
        if number == 3:
            raise OSError("gone")
        yield [number]

    given = in_order([partial(broken, number) for number in range(40)])
    assert list(islice(given, 7)) == [0, 0, 1, 1, 2, 2, 3]
    with pytest.raises(OSError, match="gone"):
        next(given)
    before = threading.active_count()
    rest = in_order([partial(broken, number) for number in range(40)])
    assert next(rest) == 0
    rest.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_a_listing_out_of_order_is_told() -> None:
    """Its pairs would be wrong, and records be taken for such of no object."""
    with pytest.raises(OrderError, match="'a' after 'b'"):
        list(pairs(iter([found("b"), found("a")]), iter(())))


LEASE = {"owner": "x", "expireTime": NOW + timedelta(seconds=60)}
LEASED = {"state": "PROCESSING", "attempt": 1, "updateTime": NOW}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (None, "no record"),
        (stored(generation=1), "overwritten since"),
        (stored(state="PROCESSING"), "not finished"),
        (replace(stored(status=LEASED, lease=LEASE), unchanged_seconds=61.0), "not finished"),
        (stored(status=LEASED, lease=LEASE), Left("under way")),
        (stored(generation=3), Left("recorded in a newer generation")),
        (stored(generation=1, source="person", description="x"), Left("written by a person")),
        (stored(), None),
        (stored(state="ERRORED"), None),
    ],
)
def test_what_has_no_outcome(record: Stored | None, expected: object) -> None:
    """As the function's own claim would judge it."""
    verdict = unfinished(found(), record)
    assert (verdict.why if isinstance(verdict, Due) else verdict) == expected


def test_redescribe_leaves_alone_what_has_no_old_text() -> None:
    """What was never finished, or ended without a text, is a matter for backfill."""

    def judged(record: Stored | None, *outcomes: str, all_: bool = False) -> str:
        return to_redescribe(found(), record, SETTINGS, frozenset(outcomes), all_=all_).why

    assert judged(None) == "no record"
    assert judged(stored(generation=1)) == "overwritten since"
    assert isinstance(
        to_redescribe(found(), stored(generation=1), SETTINGS, frozenset(), all_=True), Left
    )
    assert judged(stored(state="PROCESSING")) == "not finished"
    assert judged(stored(state="ERRORED")) == "current"
    assert judged(stored(state="ERRORED"), "gave_up") == "ended as gave_up"
    assert judged(stored(description="x", model="other")) == "another model"
    assert judged(stored(description="x", source="person"), all_=True) == "written by a person"


def test_a_model_that_others_fall_back_on_is_current() -> None:
    """Otherwise each run would have its texts made anew."""
    asked = instructions_for("a.jpg", SETTINGS)
    record = stored(description="x", model="second", language="en", promptHash=asked.digest)
    assert difference(found(), record, SETTINGS) == "model"
    several = replace(SETTINGS, models=("first", "second"))
    assert difference(found(), record, several) == ""
    other = replace(SETTINGS, models=("second",), prompt="Else.")
    assert difference(found(), record, other) == "prompt"


def test_a_text_in_the_language_that_its_object_names_is_current() -> None:
    """Today's settings, of this object: not of one without metadata."""
    german = found(metadata={"describer-language": "de"})
    asked = instructions_for("a.jpg", SETTINGS, {"describer-language": "de"})
    record = stored(description="x", model="stand-in", language="de", promptHash=asked.digest)
    assert difference(german, record, SETTINGS) == ""
    assert difference(found(), record, SETTINGS) == "language"


def test_filters() -> None:
    """What is not known of an object does not exclude it."""
    made = {"timeCreated": "2026-11-01T00:00:00+00:00"}
    upload = found("cats/a.jpg", **made).upload
    day = datetime(2026, 11, 1, tzinfo=UTC)
    for filters, expected in (
        (Filters(), True),
        (Filters(include=Globs(("*.png",))), False),
        (Filters(include=Globs(("cats/*",)), exclude=Globs(("*.jpg",))), False),
        (Filters(newer=day - timedelta(1)), True),
        (Filters(newer=day), False),
        (Filters(older=day + timedelta(1)), True),
        (Filters(older=day), False),
        (Filters(min_size=9, max_size=9), True),
        (Filters(min_size=10), False),
        (Filters(max_size=8), False),
        (Filters(types=Globs(("image/j*",))), True),
        (Filters(types=Globs(("image/gif", "image/png"))), False),
    ):
        assert filters.take(upload) is expected, filters
    unknown = found(size=None).upload
    assert Filters(newer=day, older=day, min_size=5, max_size=5).take(unknown)


def test_what_the_function_would_skip_is_no_matter() -> None:
    """By its own rules and settings."""
    settings = replace(SETTINGS, name_exclude=Globs(("private/*",)))
    reasons = [
        unwanted(one, settings, Filters(include=Globs(("*",))))
        for one in (found("private/a.jpg"), found("x/"), found("a.txt", contentType="text/plain"))
    ]
    assert [reason.why for reason in reasons if reason] == [
        "skipped: excluded",
        "skipped: a folder placeholder",
        "skipped: not an image",
    ]
    assert isinstance(to_backfill(found(), None, frozenset()), Due)


class Book:
    """Records behind the port: one of them, which may have been changed since it was read."""

    def __init__(self, *, now: Stored | None, changed: bool = False) -> None:
        self.now = now
        self.changed = changed
        self.written: list[Any] = []

    def get(self, bucket: str, name: str) -> Stored | None:
        return self.now

    def below(self, address: Address | None, only: Any = ()) -> Iterator[Stored]:
        return iter([self.now] if self.now else [])

    def update(self, stored: Stored, fields: Any) -> object:
        if self.changed:
            raise ChangedError(stored.id)
        self.written.append(fields)
        return 2

    def delete(self, stored: Stored) -> None:
        raise NotImplementedError


class Door:
    """The function behind its port: answers by a script, the last one over and over."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.open = self.most = 0
        self.lock = threading.Lock()

    def close(self) -> None:
        raise NotImplementedError

    def hand_in(self, due: Due, version: str) -> Handed:
        with self.lock:
            self.asked += 1
            self.open += 1
            self.most = max(self.most, self.open)
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        time.sleep(0.002)
        with self.lock:
            self.open -= 1
        return Handed(answer, "said")


def deliver(door: Door, book: Book, *dues: Due, at_once: int = 1) -> list[Delivered]:
    done: list[Delivered] = []
    Deliverer(door, book, at_once=at_once, first_pause_seconds=0.0).run(dues, done.append)
    return done


QUEUE = "projects/p/locations/l/queues/q"
DUE = Due(found(), "no record")


@pytest.mark.parametrize(
    ("answers", "outcome", "asked"),
    [
        ((200,), "described", 1),
        ((503, 0, 429, 500, 200), "described", 5),
        ((503,), "failed", 6),
        ((400,), "failed", 1),
    ],
)
def test_what_may_work_later_is_tried_again(
    answers: tuple[int, ...], outcome: str, asked: int
) -> None:
    """Six times in all; what cannot work is not."""
    door = Door(*answers)
    (done,) = deliver(door, Book(now=stored()), DUE)
    assert (done.outcome, door.asked) == (outcome, asked)


def test_a_refusal_stops_all() -> None:
    """No right, or no function there: the same for every picture."""
    door = Door(403)
    with pytest.raises(RefusedError, match="403: said"):
        deliver(door, Book(now=None), *[DUE] * 100, at_once=4)
    assert door.asked < 10


def test_no_more_are_under_way_than_asked_for() -> None:
    """And all of them end."""
    door = Door(200)
    assert len(deliver(door, Book(now=stored()), *[DUE] * 50, at_once=5)) == 50
    assert 1 < door.most <= 5


def test_a_finished_record_is_made_free_before_the_delivery() -> None:
    """If somebody wrote meanwhile, only what is unfinished is delivered."""
    again = Due(found(), "another model", again=stored())
    book = Book(now=stored())
    assert [one.outcome for one in deliver(Door(200), book, again)] == ["described"]
    assert book.written[0]["status"]["state"] == "PROCESSING"
    for now, outcome, asked in (
        (stored(), "changed meanwhile", 0),
        (None, "changed meanwhile", 0),
        (stored(state="PROCESSING"), "not finished", 1),
    ):
        door = Door(200)
        (done,) = deliver(door, Book(now=now, changed=True), again)
        assert (done.outcome, door.asked) == (outcome, asked)


def test_what_is_asked_again_keeps_its_text() -> None:
    """Nothing of it is named, so nothing of it goes."""
    assert set(asked_again(stored(description="x").fields, NOW)) == {"status", "lease"}


def test_the_rate_is_kept() -> None:
    """Four at sixty a second take three sixtieths of one."""
    begun = time.monotonic()
    deliverer = Deliverer(Door(200), Book(now=stored()), at_once=9, per_minute=3600)
    deliverer.run([DUE] * 4, lambda _: None)
    assert time.monotonic() - begun >= 3 / 60


@pytest.mark.parametrize(
    ("window", "now", "hours"),
    [
        ("22:00-06:00", "21:00", 1),
        ("22:00-06:00", "22:00", 0),
        ("22:00-06:00", "05:59", 0),
        ("22:00-06:00", "06:00", 16),
        ("01:30-02:30", "02:00", 0),
        ("01:30-02:30", "00:30", 1),
        ("01:30-02:30", "02:30", 23),
    ],
)
def test_a_window_opens_once_a_day(window: str, now: str, hours: float) -> None:
    """Also past midnight."""
    at = datetime.combine(date(2026, 11, 27), clock.fromisoformat(now))
    read = WINDOW.convert(window, None, None)
    assert str(read) == window
    assert read.seconds_to_wait(at) == hours * 3600


@pytest.mark.parametrize("text", ["22:00", "22:00-22:00", "25:00-01:00", "night", "-"])
def test_a_window_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        WINDOW.convert(text, None, None)


class Opening(Window):
    """Open from the third look on."""

    looks = 0

    def seconds_to_wait(self, now: datetime) -> float:
        Opening.looks += 1
        return 0.0 if Opening.looks > 3 else 0.01


def test_nothing_is_begun_outside_the_window() -> None:
    """What is due waits until it opens."""
    door = Door(200)
    window = Opening(clock(22), clock(6))
    deliverer = Deliverer(door, Book(now=stored()), at_once=2, between=window)
    deliverer.run([DUE], lambda _: None)
    assert Opening.looks > 3
    assert deliverer.outcomes == {"described": 1}


def test_the_event_is_that_of_an_upload_made_now() -> None:
    """An old object is not an old event, which would be given up; header bytes are ASCII."""
    old = found("é \x1b.jpg", timeCreated="2020-01-01T00:00:00+00:00")
    headers, _ = old.event(NOW)
    assert headers["ce-time"] == "2026-11-24T00:00:00.000Z"
    assert headers["ce-subject"] == "objects/%C3%A9%20%1B.jpg"


def test_a_queued_event_has_no_age() -> None:
    """Its turn may come days later, and must not be given up for that."""
    old = found(timeCreated="2020-01-01T00:00:00+00:00")
    headers, body = old.event(None)
    attributes = {name.removeprefix("ce-"): value for name, value in headers.items()}
    assert read_upload(attributes, json.loads(body)).event_time is None


def test_economy_is_said_in_the_event() -> None:
    """Straight over HTTP as in a task; without it the event says nothing of it."""
    for now in (NOW, None):
        headers, body = found().event(now, economy=True)
        attributes = {name.removeprefix("ce-"): value for name, value in headers.items()}
        assert read_upload(attributes, json.loads(body)).economy
        assert "ce-economy" not in found().event(now)[0]
        assert not read_upload({**attributes, "economy": "false"}, json.loads(body)).economy
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOUD_TASKS_EMULATOR_HOST", "127.0.0.1:9")
        door = QueueDoor(QUEUE, "http://x.test", invoker=None, at_once=1, economy=True)
        task = door.task(DUE, "")
        door.close()
    assert task["httpRequest"]["headers"]["ce-economy"] == "true"


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({}, ""),
        ({"MODEL_LOCATION": "europe-west4"}, "at MODEL_LOCATION global only, not at europe-west4"),
        ({"OPENAI_BASE_URL": "https://api.openai.com/v1", "MODEL": "m"}, "kind openai has none"),
        ({"MAX_ATTEMPTS": "1"}, "MAX_ATTEMPTS of 1 leaves no ordinary attempt after it"),
        ({"MAX_ATTEMPTS": "2"}, ""),
    ],
)
def test_economy_is_where_the_server_has_it(environ: dict[str, str], reason: str) -> None:
    """On Vertex AI, at its global endpoint."""
    found = why_not_offered(Settings.from_env(environ))
    assert reason in found
    assert bool(found) == bool(reason)


@pytest.mark.parametrize("command", ["backfill", "redescribe"])
def test_no_plan_tells_half_a_price_that_cannot_be_had(command: str) -> None:
    """What the settings rule out is said before anything is listed, or asked."""
    environ = {"OPENAI_BASE_URL": "https://api.openai.com/v1", "MODEL": "m"}
    told = CliRunner().invoke(describer, [command, "gs://b12", "--economy"], env=environ)
    assert told.exit_code == 1
    assert "no cheaper lane: a server of the kind openai has none; leave" in told.stderr


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (Asked("m", traffic_type="ON_DEMAND_FLEX"), ""),
        (Asked("m", traffic_type="PROVISIONED_THROUGHPUT"), ""),
        (Asked("m", traffic_type="ON_DEMAND"), "m serves at the whole price (ON_DEMAND)"),
        (Asked("m"), "m serves at the whole price (by its silence)"),
        (Asked("m", ModelBusyError("429:\n later")), "m is not to be had: 429: later"),
    ],
)
def test_economy_is_what_was_served(asked: Asked, reason: str) -> None:
    """Not what was asked for: an endpoint may serve another price without a word."""
    assert why_not_served(asked) == reason


def test_a_task_is_named_by_its_work() -> None:
    """The same for the same state of record and bytes; another for anything else."""

    def name(one: Found, version: str) -> str:
        door = QueueDoor(QUEUE, "http://x.test", invoker="a@b", at_once=1)
        task = door.task(Due(one, "no record"), version)
        door.close()
        assert task["httpRequest"]["oidcToken"]["audience"] == "http://x.test"
        return str(task["name"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOUD_TASKS_EMULATOR_HOST", "127.0.0.1:9")
        names = [
            name(found(), ""),
            name(found(), ""),
            name(found(), "1"),
            name(found(generation="3"), ""),
            name(found("b.jpg"), ""),
        ]
    assert names[0] == names[1]
    assert len(set(names)) == 4
    assert all(one.startswith(f"{QUEUE}/tasks/") for one in names)


def test_env_files(tmp_path: Path) -> None:
    """Lines with and without quotes, and what gcloud prints."""
    file = tmp_path / "env"
    text = """# comment
        export MODEL = x
        PROMPT="two\\nlines"
        OPENAI_API_KEY='a=b'
        """
    file.write_text(text, encoding="utf-8")
    expected = {"MODEL": "x", "PROMPT": "two\nlines", "OPENAI_API_KEY": "a=b"}
    assert read_env_file(file) == expected
    file.write_text('{"serviceConfig": {"environmentVariables": {"MODEL": "y"}}}')
    assert read_env_file(file) == {"MODEL": "y"}


def test_cost_is_told_by_given_or_listed_prices() -> None:
    """Thinking is paid as output: total less prompt."""
    tokens = Tokens()
    assert tokens.each == (1270.0, 250.0)
    tokens.add({"promptTokens": 100, "completionTokens": 1, "totalTokens": 150})
    tokens.add({"promptTokens": "?"})
    assert tokens.each == (100.0, 50.0)
    assert Prices(None, None).cost("google/gemini-3.5-flash-lite", 1e6, 1e6) == pytest.approx(2.8)
    assert Prices(None, 1.0).cost("another", 1, 1) is None
    assert Prices(2.0, 1.0).cost("another", 1e6, 1e6) == pytest.approx(3.0)


def test_a_csv_cell_is_no_formula() -> None:
    """A model's text may begin with anything."""
    assert cell({"description": "=HYPERLINK(1)"}, "description") == "'=HYPERLINK(1)"
    assert cell({"status": {"completeTime": NOW}}, "status.completeTime") == "2026-11-24T00:00:00Z"
    assert [cell({"status": "foreign"}, column) for column in COLUMNS] == [""] * len(COLUMNS)


def test_a_plot_has_a_bar_for_each_day() -> None:
    """Also for those on which there was nothing."""
    drawn = bars("a < b", [("2026-11-01", 50), ("2026-11-03", 100)])
    root = ElementTree.fromstring(drawn)
    space = {"s": "http://www.w3.org/2000/svg"}
    heights = [float(bar.get("height", "")) for bar in root.findall("s:rect", space)]
    assert heights == [105.0, 0.0, 210.0]
    titles = [bar.findtext("s:title", "", space) for bar in root.findall("s:rect", space)]
    assert titles == ["2026-11-01: 50", "2026-11-02: 0", "2026-11-03: 100"]
    ElementTree.fromstring(bars("one day", [("2026-11-01", 1)]))


def test_a_sidecar_holds_each_text_in_its_language() -> None:
    """The default first, as XMP wants it; what XML does not know is left out."""
    fields = {
        "description": "A <cat> & a\x00 dog.",
        "language": "en",
        "descriptions": {"de": "Eine Katze."},
        "altText": "Cat and dog",
        "tags": ["cat", "dog"],
    }
    root = ElementTree.fromstring(sidecar(fields))
    spaces = {
        "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
        "dc": "http://purl.org/dc/elements/1.1/",
        "iptc": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    }

    def texts(name: str) -> list[tuple[str, str | None]]:
        found = root.findall(f".//{name}/rdf:Alt/rdf:li", spaces)
        return [(next(iter(entry.attrib.values())), entry.text) for entry in found]

    whole = [("x-default", "A <cat> & a dog."), ("en", "A <cat> & a dog."), ("de", "Eine Katze.")]
    assert texts("dc:description") == texts("iptc:ExtDescrAccessibility") == whole
    alt = [("x-default", "Cat and dog"), ("en", "Cat and dog")]
    assert texts("iptc:AltTextAccessibility") == alt
    tags = root.findall(".//dc:subject/rdf:Bag/rdf:li", spaces)
    assert [tag.text for tag in tags] == ["cat", "dog"]


def saved(kind: str, **options: Any) -> bytes:
    picture, file = Image.effect_noise((40, 30), 60).convert("RGB"), io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


OWN = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="5"/>'
    b"</rdf:RDF></x:xmpmeta>"
)


@pytest.mark.parametrize("own", [b"", OWN])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_copy_holds_the_texts_and_the_same_picture(kind: str, own: bytes) -> None:
    """What the file said before stays; a second time it has a text of its own."""
    options: dict[str, Any] = (
        {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"} if kind == "JPEG" else {}
    )
    if own and kind == "JPEG":
        options["xmp"] = own
    if own and kind == "PNG":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", own.decode())
        options["pnginfo"] = info
    before = saved(kind, **options)
    copy = with_texts(before, {"description": "A cat & a dog.", "language": "en", "tags": ["cat"]})
    assert copy is not None
    with Image.open(io.BytesIO(before)) as old, Image.open(io.BytesIO(copy)) as new:
        assert old.tobytes() == new.tobytes()
        packet = new.info.get("xmp") or new.info["XML:com.adobe.xmp"].encode()
        assert (old.info.get("exif"), old.size) == (new.info.get("exif"), new.size)
    root = ElementTree.fromstring(packet.strip(b"\0"))
    texts = [one.text for one in root.iter() if one.text]
    assert texts.count("A cat & a dog.") == 4
    assert (b'Rating="5"' in packet) == bool(own)
    assert with_texts(copy, {"description": "Another.", "language": "en"}) is None


def test_a_copy_that_cannot_hold_the_texts_is_told() -> None:
    fields = {"description": "A cat.", "language": "en"}
    assert with_texts(saved("GIF"), fields) is None
    assert with_texts(b"no picture", fields) is None
    assert with_texts(saved("JPEG"), {"description": "x" * 40_000, "language": "en"}) is None
    packed = PngInfo()
    packed.add_itxt("XML:com.adobe.xmp", OWN.decode(), zip=True)
    assert with_texts(saved("PNG", pnginfo=packed), fields) is None
    for cut in range(0, 200, 7):
        with_texts(saved("JPEG")[:cut], fields)
        with_texts(saved("PNG")[:cut], fields)


@given(st.text())
def test_a_sidecar_is_xml_whatever_a_text_holds(text: str) -> None:
    ElementTree.fromstring(sidecar({"description": text, "language": "en"}))


@given(st.text(alphabet=st.sampled_from("a./\\\0é\ud800"), max_size=12) | st.text())
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    """Nor to a file of another name's."""
    folder = Path("/base/folder")
    place = place_below(folder, name)
    if place is not None:
        assert os.path.normpath(place) == str(place)
        assert str(place) == f"/base/folder/{name}.xmp"


@given(st.text())
def test_plain_text_cannot_steer_a_terminal(text: str) -> None:
    """Only newline and tab are left of the control characters."""
    left = plain(text)
    assert not any(ord(one) < 32 and one not in "\n\t" for one in left)
    assert "\x7f" not in left
    assert not any(0x80 <= ord(one) <= 0x9F for one in left)


SLOW = """
import time
from operate.output import progress
with progress("Looking", 40) as advance:
    for _ in range(40):
        time.sleep(0.07)
        advance()
"""


def test_a_bar_is_shown_on_a_terminal_after_two_seconds() -> None:
    """With the rate and the time left; nowhere else."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    command = [sys.executable, "-c", SLOW]
    with subprocess.Popen(command, cwd=ROOT, stderr=theirs, env=env) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:
                break
            if not piece:
                break
            shown += piece
        assert process.wait() == 0
    os.close(ours)
    assert b"/s)" in shown
    assert b"/40" in shown
    piped = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    assert piped.stdout == piped.stderr == b""


def _rendered(under_way: dict[str, dict[str, Any]], rows: int) -> list[str]:
    console = Console(width=60, file=io.StringIO(), record=True)
    console.print(drawn(under_way, "3 under way", 60, rows))
    return console.export_text().splitlines()


def _going(number: int, **fields: Any) -> dict[str, Any]:
    began = datetime(2026, 1, 1, 0, 0, number, tzinfo=UTC)
    status = {"state": "PROCESSING", "attempt": 1, "startTime": began}
    return {"uri": f"gs://b/{number}.jpg", "partialText": "a cat " * 40, "status": status} | fields


def test_watch_draws_the_latest_first_and_no_more_than_there_is_room_for() -> None:
    """Each with the end of its text; what does not fit is counted."""
    going = {str(number): _going(number) for number in range(9)}
    lines = _rendered(going, 10)
    assert len(lines) <= 10
    assert lines[0].split() == ["gs://b/8.jpg", "describing"]
    assert lines[2].strip().endswith("a cat")
    assert lines[-2:] == ["... and 7 more", "3 under way"]
    assert _rendered({}, 10) == ["3 under way"]


def test_watch_says_what_a_picture_waits_for_and_obeys_no_name() -> None:
    """The cause of a failed attempt in place of its text; control characters are left out."""
    status = {"attempt": 2, "message": "the model\nis busy"}
    going = {"1": _going(1, uri="gs://b/\x1b[2Jx.jpg", status=status)}
    assert _rendered(going, 10)[:2] == [
        "gs://b/[2Jx.jpg  describing  attempt 2",
        "  the model is busy",
    ]
    line = finished_line({"uri": "gs://b/\x1b.jpg", "description": "a\x1b[2J\ncat", "status": {}})
    assert line.plain == "?  gs://b/.jpg  a[2J cat"


def test_watch_counts_the_last_minute() -> None:
    """What is older is counted among the outcomes alone."""
    tally = Tally()
    assert tally.line(1, 0.0) == "1 under way, 0 in the last minute; none finished yet"
    for second, outcome in enumerate(["described", "described", "blocked"]):
        tally.add(outcome, float(second))
    assert tally.line(2, 60.5) == "2 under way, 2 in the last minute; 2 described, 1 blocked"
