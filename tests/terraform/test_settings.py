"""Settings carry the same names in Terraform, in the program and in its page, and hold."""

import json
import re

import pytest

from describer.metadata import KINDS
from describer.settings import VARIABLES, Settings
from tests.terraform.conftest import PROJECT, ROOT, Workspace

NAMES = {variable.name for variable in VARIABLES}
# From Secret Manager, not from the plain environment.
SECRET = {variable.name for variable in VARIABLES if variable.secret}
# Guards a setting at plan time; the function has no use for it.
PLAN_ONLY = {"CHECK_MODEL_LOCATION"}

PROFILES = [
    {
        "pattern": "plans/*",
        "language": "fr",
        "max_output_tokens": 512,
        "outputs": ["tags"],
        "tags": ["plan"],
        "models": ["third/model"],
        "use_metadata": ["iptc:City"],
    }
]
EVERYTHING = {
    "google_cloud_project": PROJECT,
    "bucket_name": "uploads",
    "openai_base_url": "https://example.com/v1",
    "openai_api_key": json.dumps({"secret": "model-key"}),
    "model": "some-model",
    "models": json.dumps(["other-model", "third/model"]),
    "fallback_after_seconds": "60.5",
    "model_location": "us",
    "model_server": "litellm",
    "image_input": "inline",
    "image_detail": "low",
    "firestore_database": "pictures",
    "firestore_collection": "texts",
    "prompt": "Name the plants.",
    "description_language": "de-CH,fr",
    "outputs": json.dumps(["alt_text", "tags"]),
    "tags": json.dumps(["cat", "Räuber und Gendarm"]),
    "alt_text_characters": "200",
    "use_metadata": json.dumps(["custom:shot-by=creator", "xmp:dc:title"]),
    "max_output_tokens": "2048",
    "reasoning_effort": "low",
    "profiles": json.dumps(PROFILES),
    "reuse": "true",
    "daily_limit": "1000",
    "delete_records": "true",
    "events_topic": "descriptions",
    "buckets": json.dumps({"more-uploads": {}}),
    "name_include": json.dumps(["*.png", "*.jpg"]),
    "name_exclude": json.dumps(["drafts/*"]),
    "max_image_bytes": "1000000",
    "max_image_pixels": "2000000",
    "max_image_side": "1024",
    "flush_seconds": "2.5",
    "stream_timeout_seconds": "100",
    "chunk_timeout_seconds": "20",
    "lease_seconds": "30.5",
    "max_attempts": "3",
    "max_event_age_seconds": "3600",
    "log_level": "DEBUG",
    "traces_endpoint": "https://telemetry.googleapis.com/v1/traces",
    "traces_ratio": "0.1",
}
ALL_ARGUMENTS = [f"-var={name}={value}" for name, value in EVERYTHING.items()]


def _terraform_variables(file: str) -> set[str]:
    text = (ROOT / "terraform" / "module" / file).read_text()
    return {name.upper() for name in re.findall(r'^variable "(\w+)"', text, re.MULTILINE)}


def test_terraform_has_a_variable_for_each_setting_and_no_other() -> None:
    """One name for one thing: the variables are the settings, in lower case."""
    assert _terraform_variables("variables-settings.tf") | {"BUCKETS"} == NAMES | PLAN_ONLY
    assert "BUCKETS" in _terraform_variables("variables.tf")


def test_page_has_a_row_for_each_setting_and_no_other() -> None:
    """The settings table tells of every variable, and of none that is gone."""
    # What follows is no list of them.
    page = (ROOT / "docs" / "settings.md").read_text().partition("\n## ")[0]
    rows = re.findall(r"^\| `([A-Z_]+)`(.*)", page, re.MULTILINE)
    names: set[str] = set()
    for first, rest in rows:
        # A row may stand for several: | `A`, `B` | ...
        names |= {first, *re.findall(r"`([A-Z][A-Z_]+)`", rest.split("|")[0])}
    assert names >= NAMES
    assert {name for name in names if not name.endswith("_EMULATOR_HOST")} == NAMES


def test_terraform_takes_the_metadata_that_the_function_takes() -> None:
    """No field more, none less."""
    text = (ROOT / "terraform" / "module" / "variables-settings.tf").read_text()
    (pattern,) = re.findall(r'^  metadata_field = "(.*)"$', text, re.MULTILINE)
    groups = re.findall(r"(exif|iptc|xmp):\(\?:([^)]*)\)", pattern)
    assert [f"{source}:{name}" for source, names in groups for name in names.split("|")] == [*KINDS]


def test_every_setting_reaches_the_function(workspace: Workspace) -> None:
    """With everything set, the environment has exactly the program's variables."""
    plan = workspace.plan(*ALL_ARGUMENTS)
    (function,) = plan.resources("google_cloudfunctions2_function")
    secrets = function["values"]["service_config"][0]["secret_environment_variables"]
    assert set(plan.environment()) == NAMES - SECRET
    assert {secret["key"] for secret in secrets} == SECRET


def test_function_reads_what_terraform_was_given(workspace: Workspace) -> None:
    """The values survive the way through the environment."""
    settings = Settings.from_env(workspace.plan(*ALL_ARGUMENTS).environment())
    for name, given in EVERYTHING.items():
        if name in {
            "openai_api_key",
            "bucket_name",
            "buckets",
            "models",
            "profiles",
            "name_include",
            "name_exclude",
            "description_language",
            "outputs",
            "tags",
            "use_metadata",
        }:
            continue
        found = getattr(settings, name)
        assert type(found)(given) == found, name
    assert settings.buckets == ("more-uploads", "uploads")
    assert settings.models == ("other-model", "third/model")
    assert settings.description_language == ("de-CH", "fr")
    assert (settings.outputs, settings.tags) == (
        ("alt_text", "tags"),
        ("cat", "Räuber und Gendarm"),
    )
    assert (settings.profiles[0].outputs, settings.profiles[0].tags) == (("tags",), ("plan",))
    assert [(one.name, one.kind) for one in settings.use_metadata] == [
        ("custom:shot-by", "creator"),
        ("xmp:dc:title", "title"),
    ]
    assert [one.name for one in settings.profiles[0].use_metadata or ()] == ["iptc:City"]
    assert settings.name_include.patterns == ("*.png", "*.jpg")
    assert settings.name_exclude.patterns == ("drafts/*",)
    (profile,) = settings.profiles
    assert profile.models == ("third/model",)
    assert (profile.pattern.patterns, profile.language, profile.max_output_tokens) == (
        ("plans/*",),
        ("fr",),
        512,
    )


def test_defaults_are_the_same(workspace: Workspace) -> None:
    """What Terraform passes if nothing is set is what the program assumes if nothing is set."""
    plan = workspace.plan(f"-var=google_cloud_project={PROJECT}")
    deployed = Settings.from_env(plan.environment())
    own = Settings(google_cloud_project=PROJECT, buckets=deployed.buckets)
    assert deployed == own
    assert deployed.buckets == (f"{PROJECT}-describer-images",)


@pytest.mark.parametrize("given", ["file", "environment"])
def test_the_old_name_of_the_language_says_the_new_one(workspace: Workspace, given: str) -> None:
    """Of what is not declared Terraform only warns there, and would plan in English."""
    environ = dict(workspace.environ)
    file = workspace.folder / "old.auto.tfvars"
    try:
        if given == "file":
            file.write_text('language = "de"\n')
        else:
            workspace.environ["TF_VAR_language"] = "de"
        done = workspace.run(
            "plan", "-input=false", "-no-color", f"-var=google_cloud_project={PROJECT}", check=False
        )
    finally:
        file.unlink(missing_ok=True)
        workspace.environ = environ
    assert done.returncode == 1
    assert "language is called description_language now" in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lease_seconds", "11"),
        ("lease_seconds", "900"),
        ("flush_seconds", "60"),
        ("fallback_after_seconds", "85200"),
        ("stream_timeout_seconds", "420"),
        ("chunk_timeout_seconds", "400"),
        ("max_event_age_seconds", "85200"),
        ("max_attempts", "1000"),
        ("max_image_bytes", str(5 * 1024**4)),
        ("max_image_pixels", "2000000000"),
        ("max_image_side", "16384"),
        ("max_output_tokens", "65536"),
    ],
)
def test_limits_in_terraform_are_within_the_function_s(name: str, value: str) -> None:
    """A value at Terraform's limit starts the function, too."""
    fitting = {
        "LEASE_SECONDS": "900",
        "CHUNK_TIMEOUT_SECONDS": "1",
        "STREAM_TIMEOUT_SECONDS": "420",
        "FLUSH_SECONDS": "1",
    }
    text = (ROOT / "terraform" / "module" / "variables-settings.tf").read_text()
    assert re.search(rf"var\.{name} [<>]= {value}\b", text), "not Terraform's limit any more"
    Settings.from_env(fitting | {name.upper(): value})
