"""From a file to its words, before one's eyes: the whole stack under a real browser."""

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from describer.records.record import record_id
from local.gallery.page import gallery
from local.http import call
from local.servers.bucket import BUCKET, SAMPLES, upload
from local.servers.choice import choose_model
from local.servers.model import StandInServer
from local.servers.processes import Server
from local.servers.stack import Stack, running_stack
from local.standin import faults
from local.standin.pixels import OPENING
from tests.web.looking import Visit


@dataclass
class System:
    """The stack with its page."""

    stack: Stack
    page: Server
    model: StandInServer

    def records_of(self, name: str) -> int:
        """Tell whether there is a record of this object, as an HTTP status."""
        address = f"{self.stack.records_url}/{record_id(BUCKET, name)}"
        return call("GET", address).status_code

    def outcomes(self, name: str) -> list[str]:
        """Give how the deliveries of an object ended."""
        lines = self.stack.function.deliveries()
        return [line["outcome"] for line in lines if line.get("object_name") == name]

    def content_of(self, name: str) -> bytes:
        """Read an object."""
        path = f"/storage/v1/b/{BUCKET}/o/{name.replace('/', '%2F')}?alt=media"
        return call("GET", self.stack.storage.url + path).content


@pytest.fixture(scope="module")
def system(whole_stack: None, built: str) -> Iterator[System]:
    """Everything, once for this module."""
    settings = {"MAX_ATTEMPTS": "1"}
    with (
        running_stack(choose_model({}), env=settings) as stack,
        gallery(
            firestore_host=stack.firestore.host,
            storage_url=stack.storage.url,
            project=stack.project,
        ) as page,
    ):
        (model,) = (one for one in stack.servers if isinstance(one, StandInServer))
        yield System(stack, page, model)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with pictures of this test's own, one inside another folder, and a text."""
    folder = tmp_path / "holiday"
    (folder / "day two").mkdir(parents=True)
    Image.new("RGB", (80, 60), "orange").save(folder / "sunset.png")
    Image.new("RGB", (80, 60), "blue").save(folder / "day two" / "meer & see.png")
    (folder / "notes.txt").write_text("not a picture", encoding="utf-8")
    return folder


def test_upload_in_the_page(visit: Visit, system: System) -> None:
    """A chosen file: its tile at once, its text growing, then done; the object is the file."""
    system.model.control(reset=True, pace=0.15, first=0.5)
    visit.open(system.page.url)
    visit.page.get_by_label("Add images").set_input_files(SAMPLES / "cat.webp")
    tile = visit.tile("cat.webp")
    text = tile.locator(".text[aria-busy=true]")
    visit.sees(text, OPENING.split(",")[0])
    before = text.inner_text()
    visit.sees(tile, "Being written")
    visit.page.wait_for_timeout(700)
    assert len(tile.locator(".text").inner_text()) > len(before)
    visit.sees(tile, "Described")
    assert tile.locator("img").evaluate("(image) => image.naturalWidth") > 100
    assert system.content_of("cat.webp") == (SAMPLES / "cat.webp").read_bytes()
    visit.sees(visit.page.get_by_role("status"), "cat.webp: Described")


def test_upload_in_the_bucket(visit: Visit, system: System) -> None:
    """A file that somebody else puts into the bucket: the same, without a reload."""
    system.model.control(reset=True, pace=0.1, first=0.5)
    visit.open(system.page.url)
    visit.page.get_by_role("main").wait_for()
    upload(system.stack.storage.url, SAMPLES / "coffee.jpg", "from/elsewhere.jpg")
    tile = visit.tile("from/elsewhere.jpg")
    visit.sees(tile, "Being")
    visit.sees(tile, "Described")
    assert visit.names()[0] == "from/elsewhere.jpg"


def test_folder(visit: Visit, system: System, pictures: Path) -> None:
    """A chosen folder keeps its names; what is no picture stays, and is said to."""
    system.model.control(reset=True, pace=0, first=0)
    visit.open(system.page.url)
    visit.page.get_by_label("Add a folder").set_input_files(pictures)
    visit.sees(visit.page, "1 of 3 files are no images and stay here.")
    for name in ("holiday/sunset.png", "holiday/day two/meer & see.png"):
        visit.sees(visit.tile(name), "Described")
    assert system.records_of("holiday/notes.txt") == 404


def test_drop(visit: Visit, system: System, pictures: Path) -> None:
    """A folder and a file dropped onto the page, as a hand would, while its tiles change."""
    system.model.control(reset=True, pace=0, first=0)
    folder = pictures.rename(pictures.with_name("dropped"))
    loose = folder.with_name("loose.webp")
    loose.write_bytes((SAMPLES / "cat.webp").read_bytes())
    visit.open(system.page.url)
    visit.page.get_by_role("main").wait_for()
    browser = visit.page.context.new_cdp_session(visit.page)
    data = {"items": [], "files": [str(folder), str(loose)], "dragOperationsMask": 1}
    here = visit.page.get_by_text("Drop images or folders")

    def drag(kind: str, y: int = 300) -> None:
        browser.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": y, "data": data})

    drag("dragEnter")
    here.wait_for()
    # Out of the window, which the browser's protocol has no word for.
    here.evaluate("(it) => it.dispatchEvent(new DragEvent('dragleave', { bubbles: true }))")
    assert here.is_hidden()
    # Elsewhere: the browser, which heard of no leave, tells of no enter where it was.
    drag("dragEnter", 30)
    drag("dragOver")
    here.wait_for()
    upload(system.stack.storage.url, SAMPLES / "coffee.jpg", "under the hand.jpg")
    visit.tile("under the hand.jpg").wait_for()
    drag("drop")
    for name in ("dropped/sunset.png", "dropped/day two/meer & see.png", "loose.webp"):
        visit.sees(visit.tile(name), "Described")
    assert here.is_hidden()
    assert system.content_of("dropped/sunset.png") == (folder / "sunset.png").read_bytes()


def test_many_at_once(visit: Visit, system: System, tmp_path: Path) -> None:
    """Fifty of one's own: each gets its words, and nobody is told fifty times."""
    system.model.control(reset=True, pace=0.01, first=0.1)
    folder = tmp_path / "fifty"
    folder.mkdir()
    for number in range(50):
        Image.new("RGB", (40, 30), (number * 5, 90, 200)).save(folder / f"{number:02}.png")
    visit.open(system.page.url)
    visit.page.get_by_label("Add a folder").set_input_files(folder)
    visit.page.evaluate(
        """() => {
          window.told = 0;
          new MutationObserver(() => { window.told += 1; }).observe(
            document.querySelector('[role=status]'), { childList: true });
        }"""
    )
    search = visit.page.get_by_role("search")
    search.get_by_label("Name begins with").fill("fifty/")
    visit.page.locator("article").nth(49).wait_for()
    visit.page.locator(".badge:not(.good)").first.wait_for(state="detached", timeout=60_000)
    assert len(set(visit.names())) == 50
    visit.page.wait_for_timeout(2100)
    assert 1 <= visit.page.evaluate("window.told") <= 15


def test_uploads_stay_where_they_are(visit: Visit, system: System, tmp_path: Path) -> None:
    """From the choice of files to their words, no tile changes its place."""
    system.model.control(reset=True, pace=0.01, first=0.1)
    folder = tmp_path / "still"
    folder.mkdir()
    for number in range(12):
        Image.new("RGB", (40, 30), (number * 20, 90, 20)).save(folder / f"{number:02}.png")
    visit.open(system.page.url)
    visit.page.get_by_role("search").get_by_label("Name begins with").fill("still/")
    visit.page.evaluate(
        """() => {
          window.orders = new Set();
          new MutationObserver(() => {
            const names = [...document.querySelectorAll('article h2')].map((it) => it.textContent);
            if (names.length === 12) window.orders.add(names.join());
          }).observe(document.body, { childList: true, subtree: true, characterData: true });
        }"""
    )
    visit.page.get_by_label("Add a folder").set_input_files(folder)
    visit.page.locator(".badge.good").nth(11).wait_for(state="attached", timeout=60_000)
    assert visit.page.evaluate("window.orders.size") == 1


def test_blocked(visit: Visit, system: System) -> None:
    """A text that the safety filter stops is taken back whole, and said to be held back."""
    system.model.control(reset=True, pace=0.1, first=0.3)
    system.model.script([faults.chunks(8), faults.finish("content_filter")])
    visit.open(system.page.url)
    visit.page.get_by_label("Add images").set_input_files(SAMPLES / "astronaut.jpg")
    tile = visit.tile("astronaut.jpg")
    visit.sees(tile, OPENING.split(",")[0])
    visit.sees(tile, "Held back")
    assert tile.locator(".text").count() == 0
    assert OPENING.split(",")[0] not in tile.inner_text()
    visit.sees(visit.page.get_by_role("status"), "astronaut.jpg: Held back")


def test_gave_up(visit: Visit, system: System) -> None:
    """A stream that breaks as often as it may: said in words, the cause for who runs it."""
    system.model.control(reset=True, pace=0.05, first=0.1)
    system.model.script([faults.chunks(4), faults.drop()])
    visit.open(system.page.url)
    visit.page.get_by_label("Add images").set_input_files(SAMPLES / "rocket.jpg")
    tile = visit.tile("rocket.jpg")
    tile.get_by_text("Gave up").wait_for(timeout=40_000)
    assert tile.locator(".text").count() == 0
    assert OPENING.split(",")[0] not in tile.inner_text()
    tile.get_by_role("link").click()
    assert len(visit.page.get_by_role("dialog").locator(".reason").inner_text()) > 10


def test_overwrite(visit: Visit, system: System) -> None:
    """Other bytes under the same name: the tile stands first again, with picture and text anew."""
    system.model.control(reset=True, pace=0.02, first=0.2)
    storage = system.stack.storage.url
    upload(storage, SAMPLES / "coffee.jpg", "same.jpg")
    visit.open(system.page.url)
    tile = visit.tile("same.jpg")
    visit.sees(tile, "600 by 400")
    upload(storage, SAMPLES / "rocket.jpg", "other.jpg")
    visit.sees(visit.tile("other.jpg"), "Described")
    assert visit.names()[:2] == ["other.jpg", "same.jpg"]
    before = tile.locator("img").get_attribute("src")
    upload(storage, SAMPLES / "rocket.jpg", "same.jpg")
    visit.sees(tile, "285 by 427")
    assert visit.names()[:2] == ["same.jpg", "other.jpg"]
    assert tile.locator("img").get_attribute("src") != before
    assert visit.names().count("same.jpg") == 1


def test_upload_that_the_bucket_does_not_take(visit: Visit, system: System) -> None:
    """It says why, and can be put away."""
    visit.open(system.page.url)
    refusal = {"status": 413, "content_type": "text/plain", "body": "At most 100."}
    visit.page.route("**/uploads/**", lambda route: route.fulfill(**refusal))
    visit.page.get_by_label("Add images").set_input_files(SAMPLES / "galaxies.png")
    tile = visit.tile("galaxies.png")
    visit.sees(tile, "Not uploaded")
    visit.sees(tile, "At most 100.")
    assert visit.barriers() == []
    tile.get_by_role("button", name="Put away").click()
    tile.wait_for(state="detached")
    assert visit.page.evaluate("document.activeElement.id") == "wall"


def test_upload_that_is_too_large(visit: Visit, system: System, tmp_path: Path) -> None:
    """It is not begun, and says why."""
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(100 * 2**20 + 1)
    visit.open(system.page.url)
    visit.page.get_by_label("Add images").set_input_files(large)
    visit.sees(visit.tile("large.png"), "At most 104.9 MB here.")


def test_upload_that_is_empty(visit: Visit, system: System) -> None:
    """It is not begun, says why, and counts no longer as in progress."""
    visit.open(system.page.url)
    file = {"name": "empty.jpg", "mimeType": "image/jpeg", "buffer": b""}
    visit.page.get_by_label("Add images").set_input_files(file)
    visit.sees(visit.tile("empty.jpg"), "It is empty.")
    progress = visit.page.locator(".live div", has_text="in progress")
    visit.sees(progress.locator("dd"), "0")


def test_correction_survives_a_newer_upload(visit: Visit, system: System) -> None:
    """A person's words stay under the new picture, and whoever uploaded it is told."""
    system.model.control(reset=True, pace=0, first=0)
    with gallery(
        firestore_host=system.stack.firestore.host,
        storage_url=system.stack.storage.url,
        project=system.stack.project,
        writer="you@localhost.example",
    ) as page:
        visit.open(page.url)
        upload_square(visit, 64)
        visit.sees(visit.tile("mine.png"), "Described")
        visit.tile("mine.png").get_by_role("link").click()
        dialog = visit.page.get_by_role("dialog")
        dialog.get_by_text("Correct it").click()
        dialog.get_by_label("Words in place of these").fill("My square.")
        dialog.get_by_role("button", name="Save").click()
        visit.sees(visit.page.get_by_role("status"), "Save: saved")
        visit.page.keyboard.press("Escape")
        content = upload_square(visit, 65)
        visit.sees(visit.page, "mine.png: its words are a person's, and stay.")
        visit.sees(visit.tile("mine.png"), "My square.")
        assert system.content_of("mine.png") == content
        deadline = time.monotonic() + 20
        while system.outcomes("mine.png") != ["described", "by_person"]:
            assert time.monotonic() < deadline, system.outcomes("mine.png")
            time.sleep(0.1)
        visit.page.reload()
        visit.sees(visit.tile("mine.png"), "My square.")
        image = visit.tile("mine.png").locator("img").element_handle()
        visit.page.wait_for_function("image => image.naturalHeight === 65", arg=image)


def upload_square(visit: Visit, side: int) -> bytes:
    """Upload a picture under one name; give its bytes."""
    content = io.BytesIO()
    Image.new("RGB", (side, side), "green").save(content, "PNG")
    file = {"name": "mine.png", "mimeType": "image/png", "buffer": content.getvalue()}
    visit.page.get_by_label("Add images").set_input_files(file)
    return content.getvalue()


def test_first_text_is_quick(visit: Visit, system: System) -> None:
    """From the address to a text on the wall in under a second, in a browser that is warm."""
    system.model.control(reset=True, pace=0, first=0)
    content = io.BytesIO()
    Image.new("RGB", (64, 64), "green").save(content, "PNG")
    visit.open(system.page.url)
    visit.page.get_by_label("Add images").set_input_files(
        {"name": "green.png", "mimeType": "image/png", "buffer": content.getvalue()}
    )
    visit.sees(visit.tile("green.png"), "Described")
    visit.page.reload()
    visit.sees(visit.tile("green.png"), OPENING.split(",")[0])
    milliseconds = visit.page.evaluate("performance.now()")
    assert milliseconds < 1000
