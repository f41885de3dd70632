"""`make upload FILE=photo.jpg`: upload to the demo that stays up, and say what came of it.

python -m local.demo.upload FILE_OR_FOLDER...

Ends with 0 if all were described, or are still being described after half a minute; 1 otherwise.
"""

import argparse
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from describer.records.record import record_id
from local.demo.names import objects_named, paths_named_in
from local.demo.plain import plain, plain_line
from local.demo.records import Fields, Unrecorded, View, view_of
from local.http import call
from local.servers.bucket import BUCKET, upload
from local.servers.place import Demo, find_demo

WAIT_SECONDS = 30.0
_ASK_AGAIN_SECONDS = 0.2


def main() -> int:
    """Upload what the command line names; give the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m local.demo.upload", description="Upload files to the demo that stays up."
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE_OR_FOLDER")
    parser.add_argument("--named", default="", help="files in one text, as in FILE=... for make")
    parser.add_argument("--folder", type=Path, default=Path(), help="where those names are")
    options = parser.parse_args()
    if not options.files and not options.named.strip():
        parser.error("which image? make upload FILE=photo.jpg")
    demo = find_demo()
    if demo is None:
        print("No demo is up. Start one in another terminal: make demo KEEP=1", file=sys.stderr)
        return 1
    try:
        named = paths_named_in(options.named, options.folder) if options.named.strip() else []
        described = upload_all(demo, objects_named([*options.files, *named]))
    except OSError as error:
        print(f"Not uploaded: {plain(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nThe demo goes on with what is uploaded.")
        return 130
    return 0 if described else 1


def upload_all(demo: Demo, objects: Mapping[str, Path], wait_seconds: float = WAIT_SECONDS) -> bool:
    """Upload, print each record's address and what becomes of it; False if one is not described.

    Raises:
        OSError: a file cannot be read, or the demo has ended.
    """
    generations = {}
    for name, file in objects.items():
        generations[name] = upload(demo.bucket_url, file, name)
        print(f"gs://{BUCKET}/{plain_line(name)}\n  {record_url(demo, name)}", flush=True)
    skipped = Unrecorded(Path(demo.function_log))
    deadline = time.monotonic() + wait_seconds
    described = True
    for name, generation in generations.items():
        view = View()
        while not view.finished and time.monotonic() < deadline:
            time.sleep(_ASK_AGAIN_SECONDS)
            view = view_of(_found(demo, name, generation, skipped))
        described &= view.outcome == "described" or not view.finished
        print("\n".join(_told(name, view)), flush=True)
    return described


def record_url(demo: Demo, name: str) -> str:
    """Give the address of an object's record in Firestore's REST API."""
    return f"{demo.records_url}/{record_id(BUCKET, name)}"


def _found(demo: Demo, name: str, generation: int, skipped: Unrecorded) -> Fields | None:
    """Give the record of this very upload, or what stands in for it; None if there is neither."""
    answer = call("GET", record_url(demo, name))
    record = _plain_fields(answer.json().get("fields", {}))
    for found in (record, skipped.records().get(name)):
        if found and found.get("generation", 0) >= generation:
            return found
    return None


def _plain_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Read fields as Firestore's REST API writes them: each value under the name of its type."""
    return {name: _plain_value(*next(iter(value.items()))) for name, value in fields.items()}


def _plain_value(kind: str, value: Any) -> Any:
    if kind == "mapValue":
        return _plain_fields(value.get("fields", {}))
    # Times stay text: none is shown here.
    return int(value) if kind == "integerValue" else value


def _told(name: str, view: View) -> Iterable[str]:
    yield f"\n{plain_line(name)}: {view.outcome or 'still being described; look at the address'}"
    if view.message:
        yield f"  {view.message}"
    if view.text and view.finished:
        yield view.text


if __name__ == "__main__":
    sys.exit(main())
