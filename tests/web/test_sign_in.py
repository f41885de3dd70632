"""Signing in to the gallery as it is deployed, in a real browser."""

from collections.abc import Iterator
from typing import Any

import pytest

from local.gallery.page import BUILT
from local.servers.bucket import BUCKET, SAMPLES
from local.servers.emulators import PROJECT, firestore_emulator, why_no_firestore
from local.servers.processes import Server
from local.servers.stack import COLLECTION
from tests.conftest import missing
from tests.terraform.conftest import rendered_rules
from tests.web.cloud import KEY, Cloud, cloud
from tests.web.google import Google, google
from tests.web.looking import Records, Visit

ADA, EVE = "ada@example.com", "eve@example.com"
PASSWORD = "a long pass phrase"


@pytest.fixture(scope="module")
def host() -> Iterator[Google]:
    with google(PROJECT) as server:
        yield server


def _store(folder: Any, readers: str, writers: tuple[str, ...]) -> Iterator[Server]:
    if reason := why_no_firestore():
        missing(reason)
    with firestore_emulator(rules=rendered_rules(readers, COLLECTION, folder, writers)) as server:
        yield server


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Firestore with the rules that let those read who are signed in, and Ada correct."""
    yield from _store(tmp_path_factory.mktemp("rules"), "signed_in", (ADA,))


@pytest.fixture(scope="module")
def site(
    built: str, host: Google, store: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("deployed")
    with cloud(folder, host, store, BUILT, writers=ADA) as site:
        host.origins.add(site.url)
        yield site


@pytest.fixture
def records(host: Google, store: Server) -> Records:
    """Two accounts, and no record and no object at first."""
    host.objects.clear()
    host.ended.clear()
    host.seconds = 3600
    host.passwords = {ADA: PASSWORD, EVE: PASSWORD}
    records = Records(store.host)
    records.clear()
    return records


def enter(visit: Visit, email: str, password: str = PASSWORD) -> None:
    """Fill the form, and send it."""
    visit.page.get_by_label("E-mail address").fill(email)
    visit.page.get_by_label("Password").fill(password)
    visit.page.get_by_role("button", name="Sign in").click()


def has_picture(visit: Visit, name: str) -> None:
    """Wait until the picture in a tile is decoded."""
    image = visit.tile(name).locator("img").element_handle()
    visit.page.wait_for_function("image => image.naturalWidth > 0", arg=image)


def test_from_the_door_to_the_wall_and_out(visit: Visit, site: Cloud, records: Records) -> None:
    """Nothing is seen before, the records and pictures after, a reload stays, and out is out."""
    records.described("cat.webp", "A cat sleeps.")
    site.google.objects[BUCKET, "cat.webp"] = ((SAMPLES / "cat.webp").read_bytes(), "image/webp")
    visit.open(site.url)
    visit.page.get_by_label("Password").wait_for()
    assert visit.barriers() == []
    assert visit.names() == []
    enter(visit, EVE)
    visit.sees(visit.tile("cat.webp"), "A cat sleeps.")
    has_picture(visit, "cat.webp")
    visit.sees(visit.page.get_by_role("banner"), EVE)
    assert visit.barriers() == []
    # Of a growing text, too: the listener is hers.
    records.described("dog.webp", "A dog sleeps.", ago=-1)
    visit.sees(visit.tile("dog.webp"), "A dog sleeps.")
    visit.page.reload()
    visit.sees(visit.tile("cat.webp"), "A cat sleeps.")
    visit.page.get_by_role("button", name="Sign out").click()
    visit.page.get_by_label("Password").wait_for()
    assert visit.names() == []
    assert visit.page.evaluate("[sessionStorage.length, localStorage.length]") == [0, 0]
    assert visit.page.context.cookies() == []


def test_no_script_reads_the_token(visit: Visit, site: Cloud, records: Records) -> None:
    """The cookie is the browser's, and sent for pictures alone; the password is kept nowhere."""
    visit.open(site.url)
    enter(visit, EVE)
    visit.sees(visit.page.locator("main"), "Nothing here yet")
    assert visit.page.evaluate("document.cookie") == ""
    (cookie,) = visit.page.context.cookies(f"{site.url}/pictures/")
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Strict")
    assert visit.page.context.cookies(site.url) == []
    assert visit.page.evaluate("localStorage.length") == 0
    kept = visit.page.evaluate("Object.values(sessionStorage)")
    assert kept == [f"refresh {EVE}"]
    asked = [one for one in site.google.asked if "key=" in one]
    assert asked
    assert all(one.endswith(f"key={KEY}") for one in asked)


@pytest.mark.parametrize(
    ("email", "password"), [(EVE, "a wrong one"), ("nobody@example.com", PASSWORD)]
)
def test_wrong_password_is_said(
    visit: Visit, site: Cloud, records: Records, email: str, password: str
) -> None:
    """In one sentence, the same whoever it was; and then it can be tried again."""
    visit.open(site.url)
    enter(visit, email, password)
    visit.sees(visit.page.get_by_role("alert"), "Address and password do not go together.")
    assert visit.barriers() == []
    enter(visit, EVE)
    visit.sees(visit.page.locator("main"), "Nothing here yet")


def test_lost_connection_is_said(visit: Visit, site: Cloud, records: Records) -> None:
    """Signing in without a network."""
    visit.may_complain = True
    visit.open(site.url)
    visit.page.route("**/v1/accounts:*", lambda route: route.abort())
    enter(visit, EVE)
    visit.sees(visit.page.get_by_role("alert"), "There is no connection.")


def test_session_that_has_ended_asks_anew(visit: Visit, site: Cloud, records: Records) -> None:
    """A reload with a refresh token that is not taken any more leads to the door."""
    visit.open(site.url)
    enter(visit, EVE)
    visit.sees(visit.page.locator("main"), "Nothing here yet")
    site.google.ended.add(EVE)
    visit.page.reload()
    visit.page.get_by_label("Password").wait_for()
    assert visit.page.evaluate("sessionStorage.length") == 0


def test_token_is_renewed_before_it_ends(visit: Visit, site: Cloud, records: Records) -> None:
    """Five minutes before; and once it cannot be, whoever looks is told, and can sign in again."""
    visit.may_complain = True
    site.google.seconds = 302
    records.described("cat.webp", "A cat sleeps.")
    visit.open(site.url)
    with visit.page.expect_request("**/v1/token?*", timeout=10_000):
        enter(visit, EVE)
    visit.sees(visit.tile("cat.webp"), "A cat sleeps.")
    records.described("dog.webp", "A dog sleeps.", ago=-1)
    visit.sees(visit.tile("dog.webp"), "A dog sleeps.")
    site.google.ended.add(EVE)
    visit.sees(visit.page.locator("main"), "You may not read these records any more.")
    visit.page.get_by_role("button", name="Sign in").click()
    visit.page.get_by_label("Password").wait_for()


def test_reader_cannot_write(visit: Visit, site: Cloud, records: Records) -> None:
    """Who is not named sees neither form nor button, nor a place for files."""
    records.described("cat.webp")
    visit.open(site.url)
    enter(visit, EVE)
    visit.tile("cat.webp").get_by_role("link").click()
    dialog = visit.page.get_by_role("dialog")
    visit.sees(dialog, "may be wrong")
    assert dialog.get_by_text("Correct it").count() == 0
    assert visit.page.get_by_label("Add images").count() == 0


def test_writer_corrects(visit: Visit, site: Cloud, records: Records) -> None:
    """As whoever the token says, under the rules."""
    records.described("cat.webp", "A dog sleeps.")
    visit.open(site.url)
    enter(visit, ADA)
    visit.tile("cat.webp").get_by_role("link").click()
    dialog = visit.page.get_by_role("dialog")
    dialog.get_by_text("Correct it").click()
    dialog.get_by_label("Words in place of these").fill("A cat sleeps.")
    dialog.get_by_role("button", name="Save").click()
    visit.sees(visit.page.get_by_role("status"), "Save: saved")
    visit.sees(dialog.locator(".text").first, "A cat sleeps.")
    record = records.read("cat.webp")
    assert (record["source"], record["approved"]["by"]) == ("person", "ada")


def test_writer_uploads(visit: Visit, site: Cloud, records: Records) -> None:
    """Straight into the bucket, once; one of the same name stays as it is, and that is said."""
    visit.open(site.url)
    enter(visit, ADA)
    file = SAMPLES / "cat.webp"
    visit.page.get_by_label("Add images").set_input_files(file)
    visit.sees(visit.tile("cat.webp"), "Uploaded")
    assert site.google.objects[BUCKET, "cat.webp"] == (file.read_bytes(), "image/webp")
    records.described("cat.webp", "A cat sleeps.")
    visit.sees(visit.tile("cat.webp"), "A cat sleeps.")
    has_picture(visit, "cat.webp")
    visit.page.get_by_label("Add images").set_input_files(file)
    visit.sees(visit.tile("cat.webp"), "There is a picture of this name already.")
    visit.page.get_by_role("button", name="Put away").click()
    visit.sees(visit.tile("cat.webp"), "A cat sleeps.")


def test_who_may_not_read_is_told(
    visit: Visit,
    built: str,
    host: Google,
    records: Records,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Signed in, and refused by the rules: said as calmly, and one can leave."""
    visit.may_complain = True
    folder = tmp_path_factory.mktemp("deployed")
    for store in _store(tmp_path_factory.mktemp("rules"), "none", ()):
        with cloud(folder, host, store, BUILT) as site:
            visit.open(site.url)
            enter(visit, EVE)
            visit.sees(visit.page.locator("main"), "Not for you to read")
            assert visit.barriers() == []
            visit.page.get_by_role("button", name="Sign out").click()
            visit.page.get_by_label("Password").wait_for()


def test_public_wall_has_a_door(
    visit: Visit,
    built: str,
    host: Google,
    records: Records,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Where everybody may read, who writes signs in, and others never have to."""
    folder = tmp_path_factory.mktemp("deployed")
    for store in _store(tmp_path_factory.mktemp("rules"), "public", (ADA,)):
        with cloud(folder, host, store, BUILT, readers="public", writers=ADA) as site:
            image = ((SAMPLES / "cat.webp").read_bytes(), "image/webp")
            site.google.objects[BUCKET, "cat.webp"] = image
            Records(store.host).described("cat.webp", "A cat sleeps.")
            visit.open(site.url)
            visit.sees(visit.tile("cat.webp"), "A cat sleeps.")
            has_picture(visit, "cat.webp")
            assert visit.page.get_by_label("Add images").count() == 0
            visit.page.get_by_role("button", name="Sign in").click()
            visit.page.get_by_role("link", name="Back to the pictures").wait_for()
            assert visit.barriers() == []
            enter(visit, ADA)
            visit.sees(visit.tile("cat.webp"), "A cat sleeps.")
            visit.page.get_by_text("Add images").wait_for()
            visit.page.get_by_role("button", name="Sign out").click()
            visit.page.get_by_role("button", name="Sign in").wait_for()
            visit.sees(visit.tile("cat.webp"), "A cat sleeps.")
