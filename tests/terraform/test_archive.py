"""What is deployed: the archive holds it and nothing else, and the function runs from it."""

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from google.cloud import firestore, storage

from describer.records.record import record_id
from local.servers.events import cloud_event
from local.servers.function import FunctionServer
from local.servers.model import StandInServer
from local.servers.processes import LOOPBACK, Server, free_port, start, wait_ready
from tests.terraform.conftest import PROJECT, ROOT, Plan, Workspace

SAMPLE = ROOT / "local" / "demo" / "samples" / "cat.webp"
FRESH = (f"-var=google_cloud_project={PROJECT}",)


def _archive(workspace: Workspace, name: str) -> Path:
    return workspace.folder / ".terraform" / f"{PROJECT}-{name}-source.zip"


def _digest(plan: Plan) -> str:
    digest: str = plan.output("source_archive")["sha256"]
    return digest


def test_archive_holds_the_program_and_nothing_else(workspace: Workspace) -> None:
    """Every module of the package, the entry point and the pins; each as it stands here."""
    workspace.plan(*FRESH)
    tree = workspace.folder.parent
    modules = {str(path.relative_to(tree)) for path in (tree / "describer").rglob("*.py")}
    with zipfile.ZipFile(_archive(workspace, "describer")) as archive:
        assert set(archive.namelist()) == {"main.py", "requirements.txt"} | modules
        for name in archive.namelist():
            assert archive.read(name) == (tree / name).read_bytes(), name


def test_object_is_named_by_the_archive_s_digest(workspace: Workspace) -> None:
    """Another program is another object, which is what deploys it."""
    plan = workspace.plan(*FRESH)
    (uploaded,) = plan.resources("google_storage_bucket_object")
    assert uploaded["values"]["name"] == f"source-{_digest(plan)}.zip"


@pytest.fixture
def changed(workspace: Workspace) -> Iterator[Path]:
    """The copy of the tree, put right again afterwards."""
    tree = workspace.folder.parent
    package = tree / "describer" / "__init__.py"
    before = package.read_bytes()
    litter = [tree / name for name in ("README.md", ".env", "describer/notes.txt", "tests.py")]
    yield tree
    package.write_bytes(before)
    for path in litter:
        path.unlink(missing_ok=True)


def test_other_files_do_not_deploy_anew(workspace: Workspace, changed: Path) -> None:
    """Docs, tests and secrets lying about are not deployed and change nothing."""
    for name in ("README.md", ".env", "describer/notes.txt", "tests.py"):
        (changed / name).write_text("not part of the program", encoding="utf-8")
    littered = workspace.plan(*FRESH, "-var=name=littered")
    assert _digest(littered) == _digest(workspace.plan(*FRESH))


def test_changed_program_deploys_anew(workspace: Workspace, changed: Path) -> None:
    """One comment is enough."""
    original = _digest(workspace.plan(*FRESH))
    with (changed / "describer" / "__init__.py").open("a", encoding="utf-8") as module:
        module.write("# changed\n")
    altered = workspace.plan(*FRESH, "-var=name=altered")
    assert _digest(altered) != original


def _extracted(plan: Plan) -> set[str]:
    """Give the fields of the log line that metrics take their values and labels from."""
    metrics = json.dumps([metric["values"] for metric in plan.resources("google_logging_metric")])
    return set(re.findall(r"EXTRACT\(jsonPayload\.(\w+)\)", metrics))


def built_from(archive: Path, folder: Path) -> tuple[Path, Path]:
    """Do what the buildpack does: unpack, install the pins alone, compile all."""
    source, environment = folder / "source", folder / "environment"
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(source)
    programs = environment / "bin"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    for command in (
        ["pip", "install", "--quiet", "--no-compile", "--require-hashes", "-r", "requirements.txt"],
        ["python", "-m", "compileall", "-f", "-q", "."],
    ):
        done = subprocess.run(
            [programs / command[0], *command[1:]],
            cwd=source,
            env={**os.environ, "PYTHONPATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return source, programs


@pytest.mark.slow
def test_function_starts_from_the_archive_and_describes(
    workspace: Workspace,
    tmp_path: Path,
    firestore_server: Server,
    gcs: Server,
    standin: StandInServer,
    bucket: storage.Bucket,
) -> None:
    """Nothing but the archive, its pins and the planned environment is needed to work."""
    plan = workspace.plan(
        f"-var=google_cloud_project={PROJECT}",
        f"-var=bucket_name={bucket.name}",
        "-var=create_bucket=false",
        f"-var=openai_base_url={standin.base_url}",
        "-var=model_server=gemini",
        "-var=model=stand-in",
        "-var=name=started",
    )
    source, programs = built_from(_archive(workspace, "started"), tmp_path)
    port = free_port()
    environ = {
        **plan.environment(),
        "FIRESTORE_EMULATOR_HOST": firestore_server.host,
        "STORAGE_EMULATOR_HOST": gcs.url,
        # How the platform starts it.
        # https://github.com/GoogleCloudPlatform/buildpacks/tree/main/cmd/python/functions_framework
        "FUNCTION_TARGET": "describe_image",
        "FUNCTION_SIGNATURE_TYPE": "cloudevent",
        "PORT": str(port),
        "HOST": LOOPBACK,
        "PYTHONPATH": "",
        "PYTHONUNBUFFERED": "1",
    }
    server = start(
        "function from archive",
        [str(programs / "functions-framework")],
        port,
        env=environ,
        cwd=source,
    )
    function = FunctionServer(server.name, server.process, server.port, server.log)
    wait_ready(function)
    try:
        blob = bucket.blob("cats/cat.webp")
        blob.upload_from_filename(SAMPLE, content_type="image/webp")
        size = SAMPLE.stat().st_size
        headers, body = cloud_event(
            str(bucket.name), blob.name, blob.generation, content_type="image/webp", size_bytes=size
        )
        answer = httpx2.post(function.url, headers=headers, content=body, timeout=60)
        assert answer.status_code == 200, function.tail()
        (line,) = function.deliveries()
    finally:
        function.stop(grace_seconds=15)
    assert line["outcome"] == "described"
    assert _extracted(plan) - {"error", "error_status"} <= set(line), "metrics would miss these"
    client = firestore.Client(project=PROJECT)
    record = (
        client.collection("descriptions").document(record_id(str(bucket.name), blob.name)).get()
    )
    assert record.get("status.state") == "COMPLETED"
    assert record.get("description")
    assert record.get("model")
