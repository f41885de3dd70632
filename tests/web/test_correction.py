"""A person's words and approval, under the rules that name who may."""

from collections.abc import Iterator

import pytest

from local.gallery.page import gallery
from local.servers.emulators import PROJECT, firestore_emulator, why_no_firestore
from local.servers.processes import Server
from local.servers.stack import COLLECTION
from tests.conftest import missing
from tests.terraform.conftest import rendered_rules
from tests.web.looking import Records, Visit

ADA, EVE = "ada@example.com", "eve@example.com"


@pytest.fixture(scope="module")
def correctable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Firestore with the rules that let Ada correct."""
    if reason := why_no_firestore():
        missing(reason)
    rules = rendered_rules("public", COLLECTION, tmp_path_factory.mktemp("rules"), (ADA,))
    with firestore_emulator(rules=rules) as server:
        yield server


@pytest.fixture
def page(request: pytest.FixtureRequest, correctable: Server, storage: Server) -> Iterator[Server]:
    """The page as whom the test names sees it."""
    with gallery(
        firestore_host=correctable.host,
        storage_url=storage.url,
        project=PROJECT,
        writer=request.param,
    ) as server:
        yield server


@pytest.fixture
def records(correctable: Server) -> Records:
    """Records that the test itself writes, none at first."""
    records = Records(correctable.host)
    records.clear()
    return records


@pytest.mark.parametrize("page", [ADA], indirect=True)
def test_person_corrects(visit: Visit, page: Server, records: Records) -> None:
    """Their words stand in place of the model's, which can still be seen, also the second time."""
    records.described("cat.webp", "A dog sleeps.")
    visit.open(page.url)
    visit.tile("cat.webp").get_by_role("link").click()
    dialog = visit.page.get_by_role("dialog")
    for words in ("A cat sleeps.", "My cat sleeps."):
        dialog.get_by_text("Correct it").click()
        assert visit.barriers() == []
        dialog.get_by_label("Words in place of these").fill(words)
        dialog.get_by_role("button", name="Save").click()
        visit.sees(visit.page.get_by_role("status"), "Save: saved")
        visit.sees(dialog.locator(".text").first, words)
        dialog.get_by_text("Correct it").click()
    visit.sees(dialog, "Written by a person")
    dialog.get_by_text("What the model wrote").click()
    visit.sees(dialog, "A dog sleeps.")
    record = records.read("cat.webp")
    assert (record["source"], record["description"]) == ("person", "My cat sleeps.")
    approved = record["approved"]
    assert (approved["by"], approved["modelDescription"]) == ("you", "A dog sleeps.")
    assert approved["time"] > records.begun


@pytest.mark.parametrize("page", [ADA], indirect=True)
def test_person_describes_what_was_blocked(visit: Visit, page: Server, records: Records) -> None:
    """What got no words from a model gets a person's."""
    records.failed("cat.webp", "blocked")
    visit.open(page.url)
    visit.tile("cat.webp").get_by_role("link").click()
    dialog = visit.page.get_by_role("dialog")
    dialog.get_by_text("Describe it yourself").click()
    dialog.get_by_label("Words in place of these").fill("A cat.")
    dialog.get_by_role("button", name="Save").click()
    visit.sees(dialog, "Written by a person")
    visit.page.keyboard.press("Escape")
    visit.sees(visit.tile("cat.webp"), "A cat.")
    visit.sees(visit.tile("cat.webp"), "Described")


@pytest.mark.parametrize("page", [ADA], indirect=True)
def test_person_approves(visit: Visit, page: Server, records: Records) -> None:
    """The model's words are then said to be approved."""
    records.described("cat.webp")
    visit.open(page.url)
    visit.tile("cat.webp").get_by_role("link").click()
    dialog = visit.page.get_by_role("dialog")
    dialog.get_by_role("button", name="Approve").click()
    visit.sees(dialog, "Written by a model (a-model), approved by a person")
    dialog.get_by_role("button", name="Approve").wait_for(state="detached")
    assert records.read("cat.webp")["source"] == "model"


@pytest.mark.parametrize("page", [ADA], indirect=True)
def test_nothing_is_shown_before_it_is_stored(visit: Visit, page: Server, records: Records) -> None:
    """Without a connection words are not said to be approved; with it they are, by themselves."""
    records.described("cat.webp")
    visit.open(page.url)
    visit.may_complain = True
    visit.tile("cat.webp").get_by_role("link").click()
    dialog = visit.page.get_by_role("dialog")
    approve = dialog.get_by_role("button", name="Approve")
    approve.wait_for()
    visit.page.context.set_offline(offline=True)
    approve.click()
    visit.page.locator("[data-said='one moment']").wait_for()
    visit.page.wait_for_timeout(500)
    assert "may be wrong" in dialog.inner_text()
    assert "approved" not in records.read("cat.webp")
    visit.page.context.set_offline(offline=False)
    visit.sees(dialog, "approved by a person")
    assert records.read("cat.webp")["approved"]["by"] == "you"


@pytest.mark.parametrize("page", [EVE], indirect=True)
def test_others_are_refused(visit: Visit, page: Server, records: Records) -> None:
    """Who is not named is told so, and nothing has changed."""
    records.described("cat.webp", "A cat sleeps.")
    visit.may_complain = True
    visit.open(page.url)
    visit.tile("cat.webp").get_by_role("link").click()
    dialog = visit.page.get_by_role("dialog")
    dialog.get_by_text("Correct it").click()
    dialog.get_by_label("Words in place of these").fill("A dog.")
    dialog.get_by_role("button", name="Save").click()
    visit.sees(visit.page.get_by_role("status"), "Save: not allowed")
    visit.sees(dialog.locator(".text").first, "A cat sleeps.")
    visit.sees(dialog, "may be wrong")
    assert "approved" not in records.read("cat.webp")


@pytest.mark.parametrize("page", [""], indirect=True)
def test_nothing_is_offered_to_who_is_not_signed_in(
    visit: Visit, page: Server, records: Records
) -> None:
    """Without a user there is neither form nor button."""
    records.described("cat.webp")
    visit.open(page.url)
    visit.tile("cat.webp").get_by_role("link").click()
    dialog = visit.page.get_by_role("dialog")
    visit.sees(dialog, "may be wrong")
    assert dialog.get_by_text("Correct it").count() == 0
    assert dialog.get_by_role("button", name="Approve").count() == 0
