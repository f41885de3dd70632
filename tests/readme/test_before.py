"""The guide's way to have pictures described that were in the bucket before."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from google.cloud import firestore, storage

from describer.records.record import record_id
from local.servers.bucket import BUCKET
from local.servers.choice import ModelChoice
from local.servers.emulators import PROJECT, missing_parts
from local.servers.function import ROOT
from local.servers.stack import running_stack
from tests.conftest import missing
from tests.integration.conftest import SAMPLE

GUIDE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
NAME = "holiday/a b.webp"


def _snippet() -> str:
    (text,) = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    return str(text).replace("MY-PROJECT-pictures", BUCKET).replace("MY-PROJECT", PROJECT)


def test_a_picture_copied_onto_itself_is_described(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its new generation is, as it was before in all that belongs to the reader; words are left."""
    if parts := missing_parts():
        missing("; ".join(parts))
    (tmp_path / "again.py").write_text(_snippet(), encoding="utf-8")
    with running_stack(ModelChoice("stand-in", PROJECT, "")) as stack:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", stack.storage.url)
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", stack.firestore.host)
        bucket = storage.Client(project=PROJECT).bucket(BUCKET)
        before = bucket.blob(NAME)
        before.metadata = {"owner": "ada"}
        before.upload_from_string(SAMPLE, content_type="image/webp")
        words = bucket.blob("words.txt")
        words.upload_from_string(b"These are words.", content_type="text/plain")
        records = firestore.Client(project=PROJECT).collection("descriptions")
        record = records.document(record_id(BUCKET, NAME))
        _wait_until_described(record, before.generation)
        subprocess.run([sys.executable, "again.py"], cwd=tmp_path, check=True, timeout=60)
        after = bucket.get_blob(NAME)
        assert after.generation > before.generation
        _wait_until_described(record, after.generation)
        assert bucket.get_blob("words.txt").generation == words.generation
        for kept in ("md5_hash", "content_type", "metadata"):
            assert getattr(after, kept) == getattr(before, kept)


def _wait_until_described(record: firestore.DocumentReference, generation: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        fields = record.get().to_dict() or {}
        outcome = fields.get("status", {}).get("outcome")
        if fields.get("generation") == generation and outcome == "described":
            return
        time.sleep(0.1)
    pytest.fail(f"generation {generation} was not described: {fields}")
