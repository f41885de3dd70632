"""Every state of the page, over records that the test writes: what is seen, and by whom."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from describer.errors import PermanentError
from local.gallery.page import gallery
from local.servers.bucket import SAMPLES, upload
from local.servers.emulators import PROJECT
from local.servers.processes import Server
from tests.web.looking import Records, Visit

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>${alert(3)}{{7*7}}</p>\u202egpj.'


def outcomes() -> list[str]:
    """Give every outcome that a record can end with, but those with a text."""
    found: list[str] = []
    waiting: list[type[PermanentError]] = [PermanentError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if outcome := getattr(kind, "outcome", ""):
            found.append(outcome)
    return sorted(set(found))


@pytest.fixture
def open_page(visit: Visit, page: Server, storage: Server, records: Records) -> Callable[[], None]:
    """Open the page once the records are as the test wants them."""
    for sample in ("cat.webp", "coffee.jpg"):
        upload(storage.url, SAMPLES / sample)
    return lambda: visit.open(page.url)


def test_empty(visit: Visit, open_page: Callable[[], None]) -> None:
    """Nothing there: it says what to do, and hides no barrier."""
    open_page()
    visit.sees(visit.page, "Nothing here yet")
    visit.sees(visit.page, "Drop images or a folder anywhere on this page.")
    assert visit.barriers() == []


def test_empty_without_uploads(
    visit: Visit, records: Records, readable: Server, storage: Server
) -> None:
    """Where the page takes no files it offers none."""
    with gallery(
        firestore_host=readable.host, storage_url=storage.url, project=PROJECT, uploads=False
    ) as server:
        visit.open(server.url)
        visit.sees(visit.page, "Whatever is uploaded into the bucket appears here.")
        assert visit.page.locator("input[type=file]").count() == 0


def test_refused(visit: Visit, closed: Server, storage: Server) -> None:
    """Rules that let nobody read: it says so, and who can change it."""
    with gallery(firestore_host=closed.host, storage_url=storage.url, project=PROJECT) as server:
        visit.may_complain = True
        visit.open(server.url)
        visit.sees(visit.page, "Not for you to read")
        assert visit.barriers() == []


def test_nothing_answers(visit: Visit, storage: Server) -> None:
    """Without a Firestore the page waits and says so, and does not claim that nothing is there."""
    with gallery(firestore_host="127.0.0.1:9", storage_url=storage.url, project=PROJECT) as server:
        visit.may_complain = True
        visit.open(server.url)
        visit.sees(visit.page, "No connection")
        assert visit.page.get_by_text("Nothing here yet").count() == 0
        assert visit.barriers() == []
        # Firestore's library asks a host of Google's whether there is a network at all.
        # The page's policy lets nothing out.
        visit.page.wait_for_timeout(1000)
        assert all(one.startswith("https://www.google.com/images/") for one in visit.stopped)
        refused = visit.page.evaluate("window.refused")
        assert refused == [f"img-src {address}" for address in visit.stopped]


def test_described(visit: Visit, open_page: Callable[[], None], records: Records) -> None:
    """A finished one: picture, text, who wrote it; its text is what the picture's alt says."""
    records.described("cat.webp", "A cat sleeps on a sofa.")
    open_page()
    tile = visit.tile("cat.webp")
    visit.sees(tile, "A cat sleeps on a sofa.")
    visit.sees(tile, "Described")
    visit.sees(tile, "Written by a model (a-model), may be wrong")
    assert tile.locator("img").get_attribute("alt") == "A cat sleeps on a sofa."
    assert tile.locator(".text").get_attribute("aria-busy") == "false"
    assert tile.locator(".text").get_attribute("lang") == "en"
    assert visit.barriers() == []


def test_long_text_is_cut_at_its_last_line(
    visit: Visit, open_page: Callable[[], None], records: Records
) -> None:
    """The tile has room for all lines that are shown: else the dots stand in the last but one."""
    records.described("cat.webp", "A cat sleeps on a sofa in the afternoon sun. " * 20)
    open_page()
    text = visit.tile("cat.webp").locator(".text")
    room, needed = text.evaluate(
        """(it) => {
          const room = it.getBoundingClientRect().height;
          it.style.height = 'auto';
          return [room, it.getBoundingClientRect().height];
        }"""
    )
    assert needed <= room < needed + 2


def test_by_person(visit: Visit, open_page: Callable[[], None], records: Records) -> None:
    """What a person wrote is not said to be a model's."""
    records.described("cat.webp", source="person")
    open_page()
    visit.sees(visit.tile("cat.webp"), "Written by a person")
    assert visit.page.get_by_text("may be wrong").count() == 0


def test_truncated(visit: Visit, open_page: Callable[[], None], records: Records) -> None:
    """A text that was cut is shown, and said to be cut."""
    records.described("cat.webp", "A cat sl", status={"outcome": "truncated"})
    open_page()
    visit.sees(visit.tile("cat.webp"), "Cut short")
    visit.sees(visit.tile("cat.webp"), "A cat sl")


@pytest.mark.parametrize("outcome", outcomes())
def test_every_failure_is_said(
    visit: Visit, open_page: Callable[[], None], records: Records, outcome: str
) -> None:
    """In words on the wall; the operator's sentence only inside, where one runs the function."""
    found = records.failed("cat.webp", outcome, "quota of project 7 is used up")
    open_page()
    tile = visit.tile("cat.webp")
    tile.locator(".badge.bad").wait_for()
    assert outcome not in {"gave_up", "too_large", "over_limit"} or "_" not in tile.inner_text()
    assert len(tile.locator(".detail").inner_text()) > 10
    assert "quota" not in tile.inner_text()
    tile.get_by_role("link").click()
    visit.sees(visit.page.get_by_role("dialog"), "quota of project 7 is used up")
    assert visit.page.url.endswith(f"#{found}")


def test_failures_have_no_barriers(
    visit: Visit, open_page: Callable[[], None], records: Records
) -> None:
    """Nor has anything on the way there."""
    records.failed("blocked.jpg", "blocked", "Refused.")
    records.writing("again.jpg", "A", ago=1, status={"attempt": 2})
    records.writing("waits.jpg", ago=2, lease=None, status={"message": "The stream broke."})
    records.described("cut.jpg", "A", ago=3, status={"outcome": "truncated"})
    open_page()
    visit.sees(visit.tile("again.jpg"), "Being written, try 2")
    visit.sees(visit.tile("waits.jpg"), "Waiting for the next try")
    for scheme in ("light", "dark"):
        visit.page.emulate_media(color_scheme=scheme)
        assert visit.barriers() == []


def test_growing(visit: Visit, open_page: Callable[[], None], records: Records) -> None:
    """The text grows in its place and nothing moves; it is busy until its end, which is told."""
    records.writing("cat.webp")
    records.described("coffee.jpg", ago=5)
    open_page()
    tile = visit.tile("cat.webp")
    visit.sees(tile, "Being looked at")
    assert visit.barriers() == []
    visit.page.wait_for_timeout(500)
    visit.page.evaluate("window.shifts.length = 0")
    height = tile.bounding_box()["height"]
    words = "A cat sleeps on a sofa, one paw over its nose, while evening light falls in. " * 4
    text = ""
    for word in words.split():
        text = f"{text} {word}".strip()
        if len(text) % 3 == 0:
            records.writing("cat.webp", text)
    visit.sees(tile, "evening light falls in.")
    assert tile.locator(".text").get_attribute("aria-busy") == "true"
    spoken = visit.page.get_by_role("status")
    assert spoken.inner_text() == ""
    records.described("cat.webp", words.strip())
    visit.sees(tile, "Described")
    assert tile.locator(".text").get_attribute("aria-busy") == "false"
    assert tile.locator(".text").inner_text() == words.strip()
    assert tile.bounding_box()["height"] == height
    assert visit.page.evaluate("window.shifts") == []
    visit.sees(spoken, "cat.webp: Described")
    # The one that was there before is not news.
    assert "coffee" not in spoken.inner_text()


def test_motion_is_reduced(visit: Visit, open_page: Callable[[], None], records: Records) -> None:
    """Who wants no motion gets none."""
    visit.page.emulate_media(reduced_motion="reduce")
    records.writing("cat.webp", "A cat")
    open_page()
    visit.sees(visit.tile("cat.webp"), "A cat")
    assert visit.page.evaluate("document.getAnimations().length") == 0
    visit.page.emulate_media(reduced_motion="no-preference")
    assert visit.page.evaluate("document.getAnimations().length") > 0


def test_text_is_text(visit: Visit, open_page: Callable[[], None], records: Records) -> None:
    """Markup in any field of a record is shown as it is, and does nothing."""
    more: dict[str, Any] = {
        "altText": HOSTILE,
        "textInImage": HOSTILE,
        "descriptions": {HOSTILE: HOSTILE},
        "reusedFrom": HOSTILE,
        "converted": HOSTILE,
        "tags": [HOSTILE],
        "model": HOSTILE,
        "language": HOSTILE,
        "contentType": HOSTILE,
        "bucket": HOSTILE,
    }
    name = f"a/{HOSTILE}.jpg"
    records.described(name, HOSTILE, **more)
    records.writing(f"b/{HOSTILE}.jpg", HOSTILE, ago=1, **more)
    found = records.failed(f"c/{HOSTILE}.jpg", HOSTILE, HOSTILE, ago=2)
    open_page()
    tile = visit.page.locator("article").first
    tile.wait_for()
    assert tile.locator("h2").inner_text() == name
    assert tile.locator(".text").inner_text() == HOSTILE
    assert tile.locator("img").get_attribute("alt") == HOSTILE
    tile.get_by_role("link").click()
    dialog = visit.page.get_by_role("dialog")
    visit.sees(dialog, "Alt text")
    for kind in ("alt text", "Markdown", "HTML", "JSON"):
        dialog.get_by_role("button", name=f"Copy {kind}").click()
    visit.open(f"{visit.page.url.split('#')[0]}#{found}")
    dialog.locator(".reason").wait_for()
    assert dialog.locator(".reason").inner_text() == HOSTILE
    assert visit.page.locator("script:not([src])").count() == 0
    assert visit.page.locator("img:not([src^='/pictures/'])").count() == 0
    assert visit.errors == []


def test_details(visit: Visit, open_page: Callable[[], None], records: Records) -> None:
    """Everything about one picture, by keyboard alone, and back to where one was."""
    more: dict[str, Any] = {"tags": ["drink"], "altText": "Coffee", "textInImage": "CAFÉ"}
    more |= {"descriptions": {"en": "A cup of coffee.", "de": "Eine Tasse Kaffee."}}
    more |= {"decorative": True, "reusedFrom": "gs://uploads/cup.jpg"}
    more |= {"converted": "first of 12 frames"}
    records.described("coffee.jpg", "A cup of coffee.", **more)
    records.described("cat.webp", ago=5)
    open_page()
    visit.tile("coffee.jpg").get_by_role("link").focus()
    visit.page.keyboard.press("Enter")
    dialog = visit.page.get_by_role("dialog")
    visit.sees(dialog, "A cup of coffee.")
    assert dialog.get_attribute("open") is not None
    facts = dialog.locator("dl").inner_text()
    for fact in ("a-model", "en", "drink", "340 (300 in, 40 out)", "22 kB", "uploads"):
        assert fact in facts
    for words in (
        "German",
        "Eine Tasse Kaffee.",
        "CAFÉ",
        "alt text may be empty",
        "cup.jpg",
        "12 frames",
    ):
        visit.sees(dialog, words)
    visit.sees(dialog, "First text after 0.8 s, done after 3.0 s")
    assert dialog.locator("img").evaluate("(image) => image.decode().then(() => true)")
    for scheme in ("light", "dark"):
        visit.page.emulate_media(color_scheme=scheme)
        assert visit.barriers() == []
    dialog.get_by_role("button", name="Copy alt text").click()
    assert visit.page.evaluate("navigator.clipboard.readText()") == "Coffee"
    visit.sees(visit.page.get_by_role("status"), "Copy alt text: copied")
    dialog.get_by_role("button", name="Copy JSON").click()
    copied = visit.page.evaluate("navigator.clipboard.readText().then(JSON.parse)")
    assert copied["description"] == "A cup of coffee."
    assert re.fullmatch(r"20\d\d-.*Z", copied["status"]["startTime"])
    visit.page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    visit.page.wait_for_url(re.compile("^[^#]*$"))
    focused = visit.page.evaluate("document.activeElement.closest('article')?.innerText")
    assert "coffee.jpg" in focused


def test_details_grow(visit: Visit, open_page: Callable[[], None], records: Records) -> None:
    """An open picture goes on growing, and ends."""
    records.writing("cat.webp", "A cat")
    open_page()
    visit.tile("cat.webp").get_by_role("link").click()
    dialog = visit.page.get_by_role("dialog")
    visit.sees(dialog, "A cat")
    records.writing("cat.webp", "A cat sleeps")
    visit.sees(dialog, "A cat sleeps")
    records.described("cat.webp", "A cat sleeps well.")
    visit.sees(dialog, "A cat sleeps well.")
    visit.sees(dialog, "Described")


def test_permalink(visit: Visit, page: Server, records: Records) -> None:
    """An address leads to one picture, also to one far below what is loaded."""
    records.many(70)
    found = records.described("old.jpg", "An old one.", ago=9000)
    visit.open(f"{page.url}/#{found}")
    dialog = visit.page.get_by_role("dialog")
    visit.sees(dialog, "An old one.")
    dialog.get_by_role("button", name="Close").click()
    dialog.wait_for(state="hidden")
    visit.page.wait_for_url(re.compile("^[^#]*$"))
    assert visit.barriers() == []


@pytest.mark.parametrize("address", ["0" * 64, "x", "%3Cscript%3E", "%ff"])
def test_permalink_to_nothing(visit: Visit, page: Server, records: Records, address: str) -> None:
    """An address without a record says so."""
    visit.open(f"{page.url}/#{address}")
    visit.sees(visit.page.get_by_role("dialog"), "No such picture")
    assert visit.barriers() == []


def test_newest_first_and_older_ones_by_scrolling(
    visit: Visit, open_page: Callable[[], None], records: Records
) -> None:
    """Pages come as one scrolls, to the last; one that still grows far below is live."""
    records.many(150)
    records.writing("slow.jpg", "A", ago=900)
    open_page()
    visit.tile("many/0000.jpg").wait_for()
    assert visit.names()[:3] == ["many/0000.jpg", "many/0001.jpg", "many/0002.jpg"]
    assert len(visit.names()) < 150
    for _ in range(100):
        visit.page.keyboard.press("End")
        visit.page.wait_for_timeout(50)
        if "slow.jpg" in visit.names():
            break
    assert visit.names() == [*(f"many/{number:04}.jpg" for number in range(150)), "slow.jpg"]
    records.writing("slow.jpg", "A slow one", ago=900)
    visit.sees(visit.tile("slow.jpg"), "A slow one")
    visit.sees(visit.page, "That is all.")


def test_far_pages_sleep_and_wake(
    visit: Visit, open_page: Callable[[], None], records: Records
) -> None:
    """What changes far above shows when one comes back: changed, deleted, or never finished."""
    visit.page.set_viewport_size({"width": 960, "height": 800})  # three columns
    records.many(400)
    records.writing("grows.jpg", "A", ago=100.5)
    open_page()
    visit.tile("many/0000.jpg").wait_for()
    while visit.page.locator("article").count() < 401:
        visit.page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        visit.page.wait_for_timeout(50)
    # Changes arrive in their order: what is far above sleeps once the later one shows alone.
    for time in range(20):
        records.described("many/0100.jpg", f"Written anew, {time}.", ago=200, source="person")
        records.writing("grows.jpg", f"A growing one, {time}", ago=100.5)
        visit.sees(visit.tile("grows.jpg"), f"A growing one, {time}")
        if visit.page.get_by_text(f"Written anew, {time}.").count() == 0:
            break
        visit.page.wait_for_timeout(300)
    else:
        pytest.fail("the page far above does not sleep")
    records.delete("many/0101.jpg")
    visit.tile("many/0100.jpg").scroll_into_view_if_needed()
    visit.sees(visit.tile("many/0100.jpg"), f"Written anew, {time}.")
    visit.tile("many/0101.jpg").wait_for(state="detached")
    assert visit.page.locator("article").count() == 400


def test_new_ones_wait_while_one_reads(
    visit: Visit, open_page: Callable[[], None], records: Records
) -> None:
    """Scrolled down, nothing moves under one's eyes; a button says how many wait above."""
    records.many(55)
    open_page()
    visit.tile("many/0000.jpg").wait_for()
    visit.page.mouse.wheel(0, 900)
    visit.page.wait_for_timeout(300)
    place = visit.page.locator("article").nth(9).bounding_box()
    records.described("new.jpg", "A new one.")
    button = visit.page.get_by_role("button", name="1 newer picture")
    button.wait_for()
    assert visit.page.locator("article").nth(9).bounding_box() == place
    assert "new.jpg" not in visit.names()
    assert visit.barriers() == []
    button.click()
    visit.tile("new.jpg").wait_for()
    assert visit.names()[0] == "new.jpg"
    assert button.count() == 0


def test_back_to_the_same_place(
    visit: Visit, open_page: Callable[[], None], records: Records
) -> None:
    """Whoever opens a picture far below comes back to it."""
    records.many(200)
    open_page()
    visit.tile("many/0000.jpg").wait_for()
    for _ in range(40):
        visit.page.keyboard.press("PageDown")
        visit.page.wait_for_timeout(30)
    visit.page.wait_for_timeout(700)
    before = visit.page.evaluate("scrollY")
    assert before > 4000
    visit.page.mouse.move(300, 300)
    visit.page.mouse.click(300, 300)
    visit.page.get_by_role("dialog").wait_for()
    visit.page.go_back()
    visit.page.get_by_role("dialog").wait_for(state="hidden")
    assert visit.page.evaluate("scrollY") == before


def test_names_are_found_beyond_what_is_loaded(
    visit: Visit, records: Records, open_page: Callable[[], None]
) -> None:
    """By their beginning, in the whole collection; and go again with the filter."""
    records.many(150)
    for name in ("zoo/\U0001f981.webp", "zoo/bear.webp", "zo.webp"):
        records.described(name, ago=10_000)
    open_page()
    visit.tile("many/0000.jpg").wait_for()
    assert visit.tile("zoo/bear.webp").count() == 0
    field = visit.page.get_by_label("Name begins with")
    field.fill("zoo/")
    visit.tile("zoo/bear.webp").wait_for()
    visit.tile("zoo/\U0001f981.webp").wait_for()
    assert sorted(visit.names()) == ["zoo/bear.webp", "zoo/\U0001f981.webp"]
    records.described("zoo/ant.webp", ago=10_000)
    visit.tile("zoo/ant.webp").wait_for()
    field.fill("")
    visit.tile("zoo/bear.webp").wait_for(state="detached")
    visit.tile("many/0000.jpg").wait_for()


def test_spending_is_told_where_prices_are(
    visit: Visit, records: Records, readable: Server, storage: Server
) -> None:
    """Of the tokens of today, at the prices of the model that made them; never a guess."""
    records.described("cat.webp", "A cat sleeps.")
    known: dict[str, str | float] = {"model": "a-model", "input": 0.3, "output": 2.5}
    for prices, told in ((known, 1), (None, 0)):
        with gallery(
            firestore_host=readable.host, storage_url=storage.url, project=PROJECT, prices=prices
        ) as server:
            visit.open(server.url)
            visit.sees(visit.tile("cat.webp"), "A cat sleeps.")
            visit.sees(visit.page.get_by_role("banner"), "340")
            spent = visit.page.get_by_role("banner").get_by_text("spent on them")
            assert spent.count() == told
            if told:
                visit.sees(visit.page.get_by_role("banner"), "0.00019")


def test_filters(visit: Visit, open_page: Callable[[], None], records: Records) -> None:
    """Outcome, model, prefix and words, each alone and together, and back to all."""
    records.described("holiday/cat.webp", "A cat sleeps.")
    records.described("coffee.jpg", "A cup.", ago=1, model="other", language="de", tags=["drink"])
    records.failed("holiday/blocked.jpg", "blocked", ago=2)
    records.writing("grows.jpg", "A growing text", ago=3)
    open_page()
    visit.tile("grows.jpg").wait_for()
    page = visit.page
    search = page.get_by_role("search")

    def shows(*names: str) -> None:
        page.wait_for_timeout(100)
        assert visit.names() == list(names)

    search.get_by_label("Search").fill("SLEEPS  cat")
    shows("holiday/cat.webp")
    search.get_by_label("Search").fill("")
    search.get_by_label("Name begins with").fill("holiday/")
    shows("holiday/cat.webp", "holiday/blocked.jpg")
    search.get_by_label("Outcome").select_option("Held back")
    shows("holiday/blocked.jpg")
    search.get_by_label("Search").fill("nothing like it")
    visit.sees(page, "None of the 4 pictures that are loaded is so.")
    assert visit.barriers() == []
    page.get_by_role("button", name="Show all").click()
    shows("holiday/cat.webp", "coffee.jpg", "holiday/blocked.jpg", "grows.jpg")
    assert search.get_by_label("Search").input_value() == ""
    assert page.evaluate("document.activeElement.id") == "wall"
    search.get_by_label("Model").select_option("other")
    shows("coffee.jpg")
    search.get_by_label("Model").select_option("any")
    search.get_by_label("Language").select_option("German")
    shows("coffee.jpg")
    search.get_by_label("Language").select_option("any")
    search.get_by_label("Tag").select_option("drink")
    shows("coffee.jpg")
    search.get_by_label("Tag").select_option("any")
    search.get_by_label("Outcome").select_option("in progress")
    shows("grows.jpg")
    records.described("grows.jpg", "A grown text.", ago=3)
    visit.sees(page, "Nothing like that")


def test_deleted(visit: Visit, open_page: Callable[[], None], records: Records) -> None:
    """A record that is deleted leaves the wall."""
    records.described("cat.webp")
    records.described("coffee.jpg", ago=1)
    open_page()
    visit.tile("cat.webp").wait_for()
    records.delete("cat.webp")
    visit.tile("cat.webp").wait_for(state="detached")
    assert visit.names() == ["coffee.jpg"]


def test_tried_again(visit: Visit, open_page: Callable[[], None], records: Records) -> None:
    """One that moves from old to new is never away in between, and stands once."""
    records.many(5)
    records.described("cat.webp", ago=200)
    open_page()
    visit.tile("cat.webp").wait_for()
    visit.page.evaluate(
        """() => {
          window.fewest = 99;
          const count = () => document.querySelectorAll('article').length;
          new MutationObserver(() => { window.fewest = Math.min(window.fewest, count()); })
            .observe(document.body, { childList: true, subtree: true, characterData: true });
        }"""
    )
    records.writing("cat.webp", "Anew", ago=-1, generation=2)
    visit.sees(visit.tile("cat.webp"), "Anew")
    visit.page.wait_for_timeout(1500)
    assert visit.names()[0] == "cat.webp"
    assert visit.names().count("cat.webp") == 1
    assert visit.page.evaluate("window.fewest") == 6


def test_connection_drops(visit: Visit, open_page: Callable[[], None], records: Records) -> None:
    """What was seen stays and is said to be old; what was missed comes by itself."""
    records.writing("cat.webp", "A cat")
    open_page()
    visit.sees(visit.tile("cat.webp"), "A cat")
    visit.may_complain = True
    visit.page.context.set_offline(offline=True)
    visit.sees(visit.page, "What you see is the last that came")
    assert visit.barriers() == []
    records.described("cat.webp", "A cat sleeps again.")
    records.described("coffee.jpg", "Meanwhile.", ago=-1)
    visit.page.context.set_offline(offline=False)
    visit.sees(visit.tile("cat.webp"), "A cat sleeps again.")
    visit.sees(visit.tile("coffee.jpg"), "Meanwhile.")
    visit.page.get_by_text("What you see is the last").wait_for(state="detached")


def test_picture_without_preview(
    visit: Visit, open_page: Callable[[], None], records: Records
) -> None:
    """A picture that the browser cannot show, or that is gone, has a blank with words."""
    records.described("gone.heic", "Gone.", contentType="image/heic")
    open_page()
    visit.sees(visit.tile("gone.heic"), "No preview of image/heic")
    assert visit.tile("gone.heic").locator("img").get_attribute("alt") == "Gone."


def test_numbers(visit: Visit, open_page: Callable[[], None], records: Records) -> None:
    """The panel counts what is loaded."""
    records.writing("a.jpg")
    records.described("b.jpg", ago=1)
    records.failed("c.jpg", "blocked", ago=2)
    open_page()
    visit.tile("c.jpg").wait_for()
    panel = visit.page.locator(".live").inner_text().replace("\n", " ")
    assert re.search(r"in progress 1|1 in progress", panel)
    assert "50 %" in panel
    assert "340" in panel


@pytest.mark.parametrize("width", [360, 768, 2560])
def test_no_width_overflows(
    visit: Visit, open_page: Callable[[], None], records: Records, width: int
) -> None:
    """From phone to wall there is nothing to scroll sideways, whatever the names and texts."""
    records.described("x" * 500 + ".jpg", "y" * 2000)
    records.failed("z" * 500 + ".jpg", "gave_up", "w" * 500, ago=1)
    visit.page.set_viewport_size({"width": width, "height": 800})
    open_page()
    visit.page.locator("article").nth(1).wait_for()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    cut = """() => {
      const pen = document.createElement('canvas').getContext('2d');
      return [...document.querySelectorAll('[placeholder]')].filter((field) => {
        const { font, paddingLeft } = getComputedStyle(field);
        pen.font = font;
        const room = field.clientWidth - 2 * parseFloat(paddingLeft);
        return pen.measureText(field.placeholder).width > room;
      }).length;
    }"""
    assert visit.page.evaluate(cut) == 0
    assert visit.barriers() == []
    for number in range(2):
        visit.page.locator("article a").nth(number).click()
        dialog = visit.page.get_by_role("dialog")
        dialog.wait_for()
        # Not in its first moment: under load it was once measured before it had its place.
        fits = "(one) => one.scrollWidth <= one.clientWidth"
        visit.page.wait_for_function(fits, arg=dialog.element_handle(), timeout=5000)
        assert visit.barriers() == []
        visit.page.keyboard.press("Escape")
