"""`describer backfill` over a full bucket, with one kill -9 on the way; and a long listing.

python -m benchmarks.backfill [--objects 2000] [--listed 600000]

Emulators, the running function and the stand-in, which answers at once. What it prints is what
docs/operate.md quotes; status 1 if any picture was not described, or one was paid for twice.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psutil
from google.cloud import firestore

from local.http import call
from local.servers.bucket import SAMPLES, create_bucket, upload_url
from local.servers.emulators import PROJECT, firestore_emulator, gcs_server
from local.servers.function import ROOT, function_server
from local.servers.model import standin_server

_BUCKET = "uploads"
_PAGE = 1000
# Of the made-up listing: objects in a folder, and what an answer is on its way.
_FOLDER = 10_000
_WAY_SECONDS = 0.1


def main() -> int:
    """Run both; give the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backfill")
    parser.add_argument("--objects", type=int, default=2000)
    parser.add_argument("--listed", type=int, default=600_000)
    options = parser.parse_args()
    with ExitStack() as parts:
        storage = parts.enter_context(gcs_server())
        database = parts.enter_context(firestore_emulator())
        model = parts.enter_context(standin_server())
        env = {
            "FIRESTORE_EMULATOR_HOST": database.host,
            "STORAGE_EMULATOR_HOST": storage.url,
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "OPENAI_BASE_URL": model.base_url,
            "MODEL": "stand-in",
        }
        plan_long_listing(env, options.listed)
        function = parts.enter_context(function_server(env))
        fill(storage.url, options.objects)
        planned(env, options.objects)
        command = ["backfill", f"gs://{_BUCKET}", "--yes", "--json", f"--to={function.url}"]
        killed_at = until_half(env, command, model, options.objects)
        began = time.monotonic()
        rest = finished(start(env, command))
        seconds = time.monotonic() - began
        records = outcomes(env)
        paid = sum(1 for entry in model.requests() if entry["status"] == 200)
    said = json.loads(rest)
    print(f"killed (-9) after {killed_at:,} pictures; the second run described the rest:")
    print(f"  {said['delivered']}, left alone: {said['left']}, in {seconds:.0f} s")
    print(f"  records: {dict(records)}; paid for: {paid:,}")
    return 0 if records == {"described": options.objects} and paid == options.objects else 1


def fill(url: str, count: int) -> None:
    """Upload small images under the names that a camera gives."""
    create_bucket(url, _BUCKET)
    content = min(SAMPLES.glob("*.webp"), key=lambda path: path.stat().st_size).read_bytes()

    def put(number: int) -> None:
        headers = {"Content-Type": "image/webp"}
        name = f"{number % 100:02}/IMG_{number:06}.webp"
        call("POST", upload_url(url, name, _BUCKET), body=content, headers=headers)

    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(count)))
    print(
        f"{count:,} objects of {len(content):,} bytes uploaded in {time.monotonic() - began:.0f} s"
    )


def start(env: dict[str, str], command: list[str]) -> subprocess.Popen[str]:
    """Start the program."""
    return subprocess.Popen(
        [sys.executable, "-m", "operate", *command],
        cwd=ROOT,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    """Wait for its end; gives what it printed."""
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


def planned(env: dict[str, str], count: int) -> None:
    """Time a plan, and watch its memory."""
    began, most = time.monotonic(), 0
    process = start(env, ["backfill", f"gs://{_BUCKET}", "--json"])
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            most = max(most, watched.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.02)
    plan = json.loads(finished(process))["plan"]
    assert plan["pictures"] == count, plan
    seconds = time.monotonic() - began
    print(f"{count:,} objects planned in {seconds:.1f} s, at most {most / 2**20:.0f} MiB")


def until_half(env: dict[str, str], command: list[str], model: Any, count: int) -> int:
    """Run, and kill it when half is done; gives how many were paid for then."""
    process = start(env, command)
    while (paid := model.stats()["requests"]) < count // 2 and process.poll() is None:
        time.sleep(0.05)
    process.kill()
    process.communicate()
    return int(paid)


def outcomes(env: dict[str, str]) -> Counter[str]:
    """Count the records' outcomes."""
    os.environ["FIRESTORE_EMULATOR_HOST"] = env["FIRESTORE_EMULATOR_HOST"]
    client = firestore.Client(project=PROJECT)
    records = client.collection("descriptions").select(["status.outcome"]).stream()
    found = Counter(str(record.get("status").get("outcome")) for record in records)
    client.close()  # type: ignore[no-untyped-call,unused-ignore]
    return found


class Listing(BaseHTTPRequestHandler):
    """A bucket that is only a listing: so many objects, by pages, as the JSON API gives them."""

    count = 0

    def do_GET(self) -> None:
        """Give one page, or the folders."""
        time.sleep(_WAY_SECONDS)
        query = {key: value[0] for key, value in parse_qs(urlsplit(self.path).query).items()}
        if "delimiter" in query:
            folders = [f"{number:04}/" for number in range(-(-self.count // _FOLDER))]
            self._give({"kind": "storage#objects", "prefixes": folders})
            return
        last = min(_first_in(query.get("endOffset"), self.count), self.count)
        begin = int(query.get("pageToken") or _first_in(query.get("startOffset"), 0))
        end = min(begin + _PAGE, last)
        items = [
            {
                "kind": "storage#object",
                "bucket": _BUCKET,
                "name": f"{number // _FOLDER:04}/IMG_{number:09}.jpg",
                "generation": str(10**15 + number),
                "size": "2500000",
                "contentType": "image/jpeg",
                "md5Hash": "1B2M2Y8AsgTpgAmY7PhCfg==",
                "timeCreated": "2026-11-01T00:00:00.000Z",
            }
            for number in range(begin, end)
        ]
        page: dict[str, Any] = {"kind": "storage#objects", "items": items}
        if end < last:
            page["nextPageToken"] = str(end)
        self._give(page)

    def _give(self, page: dict[str, Any]) -> None:
        body = json.dumps(page).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


def _first_in(folder: str | None, otherwise: int) -> int:
    return otherwise if folder is None else int(folder.rstrip("/")) * _FOLDER


def plan_long_listing(env: dict[str, str], count: int) -> None:
    """Plan over a listing of so many objects, none of which has a record."""
    Listing.count = count
    server = ThreadingHTTPServer(("127.0.0.1", 0), Listing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    planned({**env, "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{server.server_port}"}, count)
    server.shutdown()
    server.server_close()


if __name__ == "__main__":
    sys.exit(main())
