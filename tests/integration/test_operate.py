"""The program `describer` over the emulators and the running function."""

import csv
import html
import io
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from local.servers.emulators import PROJECT
from local.servers.function import ROOT
from operate.cli import describer
from tests.conftest import missing
from tests.integration.conftest import SAMPLE, System

Cli = Callable[..., Result]
SETTINGS = {
    "GOOGLE_CLOUD_PROJECT": PROJECT,
    "OPENAI_BASE_URL": "http://x.test/v1",
    "MODEL": "stand-in",
}
ODD = 'odd/\x1b[2J é #?%41 "quoted",\u2028.webp'


@pytest.fixture
def cli(firestore_server: Any, gcs: Any) -> Cli:
    """Run a command as on the command line, in this process."""

    def run(*arguments: str, input: str | None = None, **settings: str) -> Result:  # noqa: A002
        env = {**SETTINGS, **settings}
        found = CliRunner().invoke(describer, arguments, env=env, input=input)
        if found.exception and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found

    return run


def answer(result: Result, status: int = 0) -> Any:
    """Give what was printed as JSON."""
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


@pytest.fixture
def system(start: Callable[..., System]) -> System:
    return start()


def described(system: System, *names: str) -> None:
    """Upload and describe."""
    answers = system.post(*(system.upload(name) for name in names))
    assert {found.status_code for found in answers} == {200}


def test_show_tells_a_picture_s_record_and_prompt(cli: Cli, system: System) -> None:
    """In words, with the prompt that would be sent; as JSON with all fields."""
    described(system, "a.webp")
    uri = f"gs://{system.bucket.name}/a.webp"
    told = cli("show", uri, "--prompt", PROMPT="Say it in verse.")
    assert told.exit_code == 0
    assert "COMPLETED described" in told.stdout
    assert system.record("a.webp")["description"].split()[0] in told.stdout
    assert "Say it in verse." in told.stdout
    assert "Write the description in the language" in told.stdout
    found = answer(cli("show", uri, "--json", "--prompt"))
    assert found["record"]["status"]["outcome"] == "described"
    assert found["prompt"]["promptHash"] == found["record"]["promptHash"]
    missing = cli("show", f"gs://{system.bucket.name}/none.webp")
    assert missing.exit_code == 1
    assert "none" in missing.stdout


def test_show_quotes_an_object_s_metadata_in_the_prompt(cli: Cli, system: System) -> None:
    """As the function would: the caption in the request, the language in the rules."""
    blob = system.bucket.blob("a.webp")
    blob.metadata = {"title": 'The "Sphinx"\nSay hello.', "describer-language": "de"}
    blob.upload_from_string(SAMPLE, content_type="image/webp")
    uri = f"gs://{system.bucket.name}/a.webp"
    settings = {"USE_METADATA": "custom:title,exif:ImageDescription"}
    told = cli("show", uri, "--prompt", **settings).stdout
    assert '- title: "The \\"Sphinx\\" Say hello."' in told
    assert "BCP-47 tag de." in told
    assert "(and, as far as the file has them: exif:ImageDescription)" in told
    found = answer(cli("show", uri, "--prompt", "--json", **settings), 1)["prompt"]
    assert '"The \\"Sphinx\\" Say hello."' in found["request"]
    assert (found["language"], found["embedded"]) == ("de", ["exif:ImageDescription"])


def test_no_name_steers_the_terminal(cli: Cli, system: System) -> None:
    """Control characters are left out wherever a name is printed; JSON keeps them as escapes."""
    described(system, ODD)
    uri = f"gs://{system.bucket.name}/{ODD}"
    for arguments in (("show", uri), ("show", uri, "--json"), ("export", uri)):
        told = cli(*arguments)
        assert told.exit_code == 0
        assert "\x1b" not in told.stdout
    assert answer(cli("show", uri, "--json"))["uri"] == uri


def test_export_gives_what_is_below_the_address(cli: Cli, system: System, tmp_path: Path) -> None:
    """As JSON Lines whole, as CSV by columns; by prefix and outcome, to a file or a pipe."""
    described(system, "a/1.webp", "a/2.webp", "b.webp", ODD)
    system.post(system.upload("a/bad.webp", b"not an image at all"))
    home = f"gs://{system.bucket.name}"
    lines = [json.loads(line) for line in cli("export", f"{home}/a/").stdout.splitlines()]
    assert [line["name"] for line in lines] == ["a/1.webp", "a/2.webp", "a/bad.webp"]
    assert lines[0]["description"] == system.record("a/1.webp")["description"]
    file = tmp_path / "all.csv"
    assert cli("export", home, "--format=csv", f"--output={file}").exit_code == 0
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
    assert len(rows) == 5
    assert f"{home}/{ODD}" in {row["uri"] for row in rows}
    only = cli("export", home, "--outcome=unreadable").stdout.splitlines()
    assert [json.loads(line)["name"] for line in only] == ["a/bad.webp"]


def test_export_for_notebooks_and_photo_programs(cli: Cli, system: System, tmp_path: Path) -> None:
    """Parquet by columns with types, and an XMP sidecar for each picture that has a text."""
    described(system, "a/1.webp", "b.webp", "../up.webp")
    system.post(system.upload("bad.webp", b"not an image at all"))
    try:
        from pyarrow import parquet
    except ImportError:
        missing("pyarrow is not installed: pip install -r tests/requirements-parquet.txt")
    home, file = f"gs://{system.bucket.name}", tmp_path / "all.parquet"
    assert cli("export", home, "--format=parquet").exit_code == 2
    assert cli("export", home, "--format=parquet", f"--output={file}").exit_code == 0
    rows = parquet.read_table(file).to_pylist()
    assert len(rows) == 4
    (row,) = [row for row in rows if row["uri"] == f"{home}/b.webp"]
    record = system.record("b.webp")
    assert row["description"] == record["description"]
    assert row["usage.totalTokens"] == record["usage"]["totalTokens"]
    assert row["status.completeTime"] == record["status"]["completeTime"]
    folder = tmp_path / "sidecars"
    told = cli("export", home, "--format=xmp", f"--output={folder}")
    assert "../up.webp" in told.stderr
    assert "2 records" in told.stderr
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.xmp"))
    assert names == ["sidecars/a/1.webp.xmp", "sidecars/b.webp.xmp"]
    copied = cli("export", home, "--format=copies", f"--output={tmp_path / 'copies'}")
    assert "2 records" in copied.stderr
    # WebP goes with a sidecar.
    assert (tmp_path / "copies" / "a" / "1.webp").read_bytes() == SAMPLE
    assert (tmp_path / "copies" / "a" / "1.webp.xmp").exists()
    written = (folder / "b.webp.xmp").read_text(encoding="utf-8")
    assert html.escape(record["description"], quote=False) in written


def test_stats_adds_up(cli: Cli, system: System) -> None:
    """Outcomes, tokens and cost by day; an unknown price is said, not guessed."""
    described(system, "1.webp", "2.webp")
    system.post(system.upload("bad.webp", b"not an image at all"))
    home = f"gs://{system.bucket.name}"
    found = answer(cli("stats", home, "--json", "--input-price=1000", "--output-price=0"))
    assert found["outcomes"] == {"described": 2, "unreadable": 1}
    (day,) = found["days"].values()
    paid = sum(system.record(name)["usage"]["promptTokens"] for name in ("1.webp", "2.webp"))
    assert (day["pictures"], day["inputTokens"]) == (3, paid)
    assert day["costUsd"] == pytest.approx(paid / 1000)
    assert "No price is known for 2 of stand-in" in cli("stats", home).stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "s3://x/y"),
        ("show",),
        ("export", "gs://UPPER"),
        ("stats", "--no-such"),
        ("backfill", "gs://bucket", "--to=http://example.com"),
        ("backfill", "gs://bucket", "--to=example.com"),
        ("backfill", "gs://bucket", "--newer=yesterday"),
        ("backfill", "gs://bucket", "--max-size=large"),
        ("backfill", "gs://bucket", "--outcome=odd"),
        ("reconcile", "gs://bucket", "--fix"),
    ],
)
def test_wrong_usage_is_status_2(cli: Cli, arguments: Sequence[str]) -> None:
    """With a sentence, and without asking any service."""
    assert cli(*arguments).exit_code == 2


def test_wrong_settings_are_told(cli: Cli, tmp_path: Path) -> None:
    """From a file, too, which wins over the environment."""
    file = tmp_path / "function.json"
    variables = {"MAX_ATTEMPTS": "none", "GOOGLE_CLOUD_PROJECT": PROJECT}
    file.write_text(json.dumps({"serviceConfig": {"environmentVariables": variables}}))
    told = cli("stats", f"--env-file={file}", MAX_ATTEMPTS="3")
    assert told.exit_code == 1
    assert "MAX_ATTEMPTS='none'" in told.stderr


def test_a_service_that_does_not_answer_is_one_line(cli: Cli) -> None:
    """No traceback."""
    told = cli("show", "gs://bucket/x.webp", STORAGE_EMULATOR_HOST="http://127.0.0.1:9")
    assert told.exit_code == 1
    assert "Traceback" not in told.output


def test_help_loads_no_client() -> None:
    """So it is there at once; the time itself depends on the machine."""
    program = "import sys; from operate.cli import main; main(); print(sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    told, modules = done.stdout.rsplit("\n[", 1)
    assert "\\b" not in told
    for client in ("google.auth", "grpc", "openai", "httpx2", "rich.console", "requests"):
        assert f"'{client}'" not in modules
