"""The gallery's deployment: what is in its archive, from which page, and with which settings."""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from gallery.settings import Settings
from local.gallery.page import BUILT, build, why_no_node
from local.http import call
from local.servers.processes import LOOPBACK, free_port, start, wait_ready
from tests.terraform.conftest import PROJECT, ROOT, Plan, Workspace, missing, stub_page
from tests.terraform.test_archive import built_from

FRESH = (f"-var=google_cloud_project={PROJECT}",)
GALLERY = (*FRESH, "-var=enable_gallery=true", "-var=readers=signed_in")


@pytest.fixture
def page(workspace: Workspace, tmp_path: Path) -> Path:
    """A page of this test's own, built from the sources as they are."""
    folder = tmp_path / "page"
    stub_page(workspace.folder.parent, folder)
    return folder


def _function(plan: Plan) -> dict[str, Any]:
    (found,) = (
        one["values"]
        for one in plan.resources("google_cloudfunctions2_function")
        if one["values"]["name"].endswith("-gallery")
    )
    return dict(found)


def test_nothing_of_it_is_there_unless_asked_for(workspace: Workspace) -> None:
    """No resource has the word in its address."""
    plan = workspace.plan(*FRESH)
    assert not [one["address"] for one in plan.resources() if "gallery" in one["address"]]
    assert not plan.resources("google_identity_platform_config")
    assert plan.output("gallery_url") is None


def test_archive_holds_server_page_and_pins(workspace: Workspace) -> None:
    """Each file as it stands in the tree or was built, and nothing else."""
    workspace.plan(*GALLERY)
    tree = workspace.folder.parent
    with zipfile.ZipFile(
        workspace.folder / ".terraform" / f"{PROJECT}-describer-gallery.zip"
    ) as zipped:
        found = {name: zipped.read(name) for name in zipped.namelist()}
    modules = {f"gallery/{path.name}" for path in (tree / "gallery").glob("*.py")}
    expected = {name: tree / name for name in modules - {"gallery/main.py"}}
    expected["main.py"] = tree / "gallery" / "main.py"
    expected["requirements.txt"] = tree / "gallery" / "requirements.txt"
    for name in ("app.js", "icon.svg", "index.html", "style.css"):
        expected[f"page/{name}"] = tree / ".cache" / "web" / name
    assert found == {name: path.read_bytes() for name, path in expected.items()}


def test_settings_are_those_that_the_program_reads(workspace: Workspace) -> None:
    """Every variable that it reads, and none besides."""
    writers = '-var=writers=["ada@example.com","bo@example.com"]'
    environ = _function(workspace.plan(*GALLERY, writers))["service_config"][0]
    given = dict(environ["environment_variables"])
    # Known only after apply.
    given |= {"API_KEY": "key", "SERVICE_ACCOUNT": "gallery@example.com"}
    settings = Settings.from_env(given)
    assert settings.buckets == (f"{PROJECT}-describer-images",)
    assert (settings.readers, settings.writers) == (
        "signed_in",
        frozenset({"ada@example.com", "bo@example.com"}),
    )
    assert settings.max_upload_bytes == 100 * 2**20
    source = (ROOT / "gallery" / "settings.py").read_text(encoding="utf-8")
    read = set(re.findall(r'environ(?:\.get\(|\[)"(\w+)"', source)) | {"API_KEY"}
    only_in_tests = {"FIRESTORE_EMULATOR_HOST", "GOOGLE_STAND_IN"}
    of_the_server = {"THREADS"}
    assert set(given) - of_the_server == read - only_in_tests


@pytest.mark.slow
def test_it_starts_from_the_archive(workspace: Workspace, tmp_path: Path) -> None:
    """Nothing but the archive, its own pins and the planned environment is needed to serve."""
    plan = workspace.plan(*GALLERY, "-var=name=started")
    zipped = workspace.folder / ".terraform" / f"{PROJECT}-started-gallery.zip"
    source, programs = built_from(zipped, tmp_path)
    environ = dict(_function(plan)["service_config"][0]["environment_variables"])
    environ |= {"API_KEY": "key", "SERVICE_ACCOUNT": "gallery@example.com", "PYTHONPATH": ""}
    port = free_port()
    # How the platform starts it.
    environ |= {"FUNCTION_TARGET": "serve_gallery", "FUNCTION_SIGNATURE_TYPE": "http"}
    environ |= {"PORT": str(port), "HOST": LOOPBACK}
    program = str(programs / "functions-framework")
    server = start("gallery from archive", [program], port, env=environ, cwd=source)
    try:
        wait_ready(server)
        assert call("GET", server.url).text == "the page's index.html"
        config = call("GET", f"{server.url}/config.json").json()
        assert (config["project"], config["key"]) == (PROJECT, "key")
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("arguments", "prices"),
    [
        ((), {"model": "google/gemini-3.5-flash-lite", "input": 0.3, "output": 2.5}),
        (("-var=model=google/gemini-3.8-flash",), None),
        (
            (
                "-var=model=google/gemini-3.8-flash",
                "-var=price_per_million_tokens={input=0.75,output=3.75}",
            ),
            {"model": "google/gemini-3.8-flash", "input": 0.75, "output": 3.75},
        ),
    ],
    ids=["default", "another model", "its price"],
)
def test_prices_are_the_model_s_own(
    workspace: Workspace, arguments: tuple[str, ...], prices: dict[str, Any] | None
) -> None:
    """Those of the default model are not taken for another's."""
    service = _function(workspace.plan(*GALLERY, *arguments))["service_config"][0]
    told = service["environment_variables"].get("PRICES")
    assert (json.loads(told) if told else None) == prices


def test_page_that_is_not_built_is_told(workspace: Workspace, page: Path) -> None:
    """With the one line that builds it."""
    (page / "app.js").unlink()
    done = workspace.run(
        "plan", "-input=false", "-no-color", *GALLERY, f"-var=gallery_page={page}", check=False
    )
    assert done.returncode != 0
    assert "run `make gallery` first" in " ".join(done.stderr.split())


def test_page_of_other_sources_is_told(workspace: Workspace, page: Path) -> None:
    """So that no upgrade serves the page of before."""
    (page / "sources.sha256").write_text("0" * 64)
    done = workspace.run(
        "plan", "-input=false", "-no-color", *GALLERY, f"-var=gallery_page={page}", check=False
    )
    assert done.returncode != 0
    assert "run `make gallery` again" in " ".join(done.stderr.split())


def test_changed_page_is_another_archive(workspace: Workspace, page: Path) -> None:
    """Which is what deploys it."""

    def name() -> str:
        plan = workspace.plan(*GALLERY, f"-var=gallery_page={page}", f"-var=name={next(names)}")
        objects = [one["values"]["name"] for one in plan.resources("google_storage_bucket_object")]
        (found,) = (one for one in objects if one.startswith("gallery-"))
        return str(found)

    names = iter(("first", "second", "third"))
    first = name()
    assert name() == first
    (page / "app.js").write_text("changed")
    assert name() != first


def test_build_leaves_what_is_compared(tmp_path: Path) -> None:
    """The page as `make gallery` builds it is of these sources."""
    if reason := why_no_node():
        missing(reason)
    build()
    stub_page(ROOT, tmp_path / "page")
    stub = (tmp_path / "page" / "sources.sha256").read_text()
    assert (BUILT / "sources.sha256").read_text() == stub


def test_every_query_of_the_page_has_its_index(workspace: Workspace) -> None:
    """What it orders or filters by is either indexed by default or given an index."""
    store = (ROOT / "web" / "src" / "store.ts").read_text(encoding="utf-8")
    asked = set(re.findall(r'(?:orderBy|where)\(\s*"([\w.]+)"', store))
    assert "status.startTime" in asked
    plan = workspace.plan(*GALLERY)
    exempt = {
        one["values"]["field"]
        for one in plan.resources("google_firestore_field")
        if not one["values"]["index_config"][0]["indexes"]
    }
    assert asked & exempt == set()
