"""Take the picture of the gallery that the documents show: the samples, while they are described.

    python -m tests.web.picture FOLDER

Writes `gallery-light.webp` and `gallery-dark.webp` into the folder.
"""

import argparse
import io
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, ViewportSize, sync_playwright

from local.gallery.page import build, gallery
from local.servers.bucket import SAMPLES, images_in, upload
from local.servers.choice import choose_model
from local.servers.model import StandInServer
from local.servers.stack import running_stack
from tests.web.conftest import OPTIONS, find_browser

ORDER = ("coffee.jpg", "galaxies.png", "rocket.jpg", "astronaut.jpg", "cat.webp")
SIZE: ViewportSize = {"width": 1216, "height": 642}
QUALITY = 85


def main() -> None:
    """Run the stack, upload the samples one after the other, and take both pictures."""
    parser = argparse.ArgumentParser(prog="python -m tests.web.picture")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    build()
    files = {file.name: file for file in images_in([SAMPLES])}
    model = choose_model({}).replaying(files)
    with (
        running_stack(model) as stack,
        gallery(
            firestore_host=stack.firestore.host,
            storage_url=stack.storage.url,
            project=stack.project,
        ) as page,
        sync_playwright() as playwright,
    ):
        (standin,) = (one for one in stack.servers if isinstance(one, StandInServer))
        standin.control(pace=0.3, first=0.3)
        browser = playwright.chromium.launch(executable_path=find_browser(), args=OPTIONS)
        view = browser.new_page(viewport=SIZE, locale="en-GB")
        view.goto(page.url)
        for name in ORDER:
            upload(stack.storage.url, files[name])
            time.sleep(2.2)
        view.get_by_role("heading", name=ORDER[-1]).wait_for()
        for scheme in ("light", "dark"):
            _take(view, scheme, folder / f"gallery-{scheme}.webp")
        browser.close()


def _take(view: Page, scheme: str, file: Path) -> None:
    view.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    view.wait_for_timeout(300)
    with Image.open(io.BytesIO(view.screenshot())) as shot:
        shot.convert("RGB").save(file, quality=QUALITY, method=6)
    print(f"{file}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
