"""The environment becomes settings, or one error that lists every fault."""

import pytest

from describer.errors import SettingsError
from describer.settings import DEFAULT_MODEL, VARIABLES, Globs, Settings

GOOD = {
    "GOOGLE_CLOUD_PROJECT": "p-1",
    "MODEL": "google/gemini-3.8-flash",
    "MODELS": "gemini-3.5-flash, gemini-3.1-flash-lite",
    "FALLBACK_AFTER_SECONDS": "60",
    "MODEL_LOCATION": "eu",
    "OPENAI_BASE_URL": "https://host.example/v1/",
    "OPENAI_API_KEY": "secret",
    "MODEL_SERVER": "LiteLLM",
    "IMAGE_INPUT": "INLINE",
    "IMAGE_DETAIL": "Low",
    "FIRESTORE_DATABASE": "texts",
    "FIRESTORE_COLLECTION": "alt",
    "PROMPT": "Say what it is.",
    "DESCRIPTION_LANGUAGE": "zh-Hant, en",
    "OUTPUTS": "Tags,alt_text",
    "TAGS": "cat, window sill,cat",
    "ALT_TEXT_CHARACTERS": "120",
    "USE_METADATA": "custom:shot-by=creator, IPTC:city,xmp:dc:title",
    "MAX_OUTPUT_TOKENS": "2048",
    "REASONING_EFFORT": "low",
    "PROFILES": '[{"pattern": "a/*", "language": "fr", "max_output_tokens": 64, "models": "a,b"}]',
    "REUSE": "True",
    "DAILY_LIMIT": "500",
    "DELETE_RECORDS": "true",
    "EVENTS_TOPIC": "descriptions",
    "BUCKETS": "b-1, b-2",
    "NAME_INCLUDE": "*.jpg,*.png",
    "NAME_EXCLUDE": "tmp/*",
    "MAX_IMAGE_BYTES": "1000",
    "MAX_IMAGE_PIXELS": "2000000",
    "MAX_IMAGE_SIDE": "1024",
    "FLUSH_SECONDS": "1.5",
    "STREAM_TIMEOUT_SECONDS": "100",
    "CHUNK_TIMEOUT_SECONDS": "20",
    "LEASE_SECONDS": "30",
    "MAX_ATTEMPTS": "3",
    "MAX_EVENT_AGE_SECONDS": "3600",
    "LOG_LEVEL": "warning",
    "TRACES_ENDPOINT": "http://collector.example:4318/v1/traces",
    "TRACES_RATIO": "0.25",
}

BAD = {
    "GOOGLE_CLOUD_PROJECT": "no spaces here",
    "MODEL": "a b",
    "MODELS": "a b",
    "FALLBACK_AFTER_SECONDS": "soon",
    "MODEL_LOCATION": "moon",
    "OPENAI_BASE_URL": "ftp://host",
    "MODEL_SERVER": "ollama2",
    "IMAGE_INPUT": "both",
    "IMAGE_DETAIL": "medium",
    "FIRESTORE_DATABASE": "X",
    "FIRESTORE_COLLECTION": "a/b",
    "DESCRIPTION_LANGUAGE": "english language",
    "OUTPUTS": "alt_text,caption",
    "TAGS": "x" * 61,
    "ALT_TEXT_CHARACTERS": "0",
    "USE_METADATA": "custom:title,exif:GPSPosition",
    "MAX_OUTPUT_TOKENS": "-1",
    "REASONING_EFFORT": "9",
    "PROFILES": "{}",
    "REUSE": "yes",
    "DAILY_LIMIT": "0",
    "DELETE_RECORDS": "1",
    "EVENTS_TOPIC": "projects/p/topics/t",
    "BUCKETS": "No_Bucket",
    "MAX_IMAGE_BYTES": "1MB",
    "MAX_IMAGE_PIXELS": "999",
    "MAX_IMAGE_SIDE": "63",
    "FLUSH_SECONDS": "0",
    "STREAM_TIMEOUT_SECONDS": "forever",
    "CHUNK_TIMEOUT_SECONDS": "nan",
    "LEASE_SECONDS": "1e9",
    "MAX_ATTEMPTS": "0",
    "MAX_EVENT_AGE_SECONDS": "90000",
    "LOG_LEVEL": "loud",
    "TRACES_ENDPOINT": "https://key@host/v1/traces",
    "TRACES_RATIO": "10",
}


def test_every_variable_is_read() -> None:
    """No value of the good environment is the default, so none may be lost."""
    assert set(GOOD) == {variable.name for variable in VARIABLES}
    settings, default = Settings.from_env(GOOD), Settings()
    for name in GOOD:
        assert getattr(settings, name.lower()) != getattr(default, name.lower()), name
    assert settings.openai_base_url == "https://host.example/v1"
    assert settings.buckets == ("b-1", "b-2")
    assert settings.models == ("gemini-3.5-flash", "gemini-3.1-flash-lite")
    assert (settings.profiles[0].language, settings.profiles[0].models) == (("fr",), ("a", "b"))
    assert settings.description_language == ("zh-Hant", "en")
    assert (settings.outputs, settings.tags) == (("tags", "alt_text"), ("cat", "window sill"))


def test_unset_and_blank_variables_give_the_defaults() -> None:
    """Terraform passes an empty text for what is not set."""
    assert Settings.from_env(dict.fromkeys(GOOD, " ")) == Settings()


def test_the_language_of_the_machine_is_not_that_of_the_descriptions() -> None:
    """LANGUAGE is gettext's, and set on machines and in images by others than our operators."""
    for others in ("en_US:en", "de"):
        assert Settings.from_env({"LANGUAGE": others}) == Settings()


def test_all_faults_are_reported_together() -> None:
    """One deployment shows them all, each with its name and what is accepted."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(BAD)
    lines = str(caught.value).splitlines()
    assert len(lines) == 1 + len(BAD)
    for name in BAD:
        assert any(line.startswith(f"  - {name}=") and "expected" in line for line in lines), name


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"LEASE_SECONDS": "45"}, "LEASE_SECONDS of at least 54"),
        ({"STREAM_TIMEOUT_SECONDS": "30"}, "STREAM_TIMEOUT_SECONDS >= CHUNK"),
        ({"FLUSH_SECONDS": "31"}, "FLUSH_SECONDS of at most 30"),
        ({"MAX_EVENT_AGE_SECONDS": "60"}, "MAX_EVENT_AGE_SECONDS over 60"),
        ({"MAX_EVENT_AGE_SECONDS": "85201"}, "seconds from 1 to 85200"),
        ({"MODEL": "gemini-2.5-flash"}, "retired"),
        ({"PROFILES": '[{"pattern":"*","model":"google/gemini-2.0-flash-001"}]'}, "retired"),
        ({"MODELS": "gemini-3.8-flash,gemini-2.0-flash"}, "retired"),
        ({"PROFILES": '[{"pattern":"*","models":"gemini-2.0-flash"}]'}, "retired"),
        ({"PROFILES": '[{"pattern":"*","models":"a b"}]'}, "item 0 has a wrong models"),
        (
            {"PROFILES": '[{"pattern":"*","models":"m"}]', "FALLBACK_AFTER_SECONDS": "85000"},
            "under 82800",
        ),
        ({"MODELS": "gemini-3.8-flash", "FALLBACK_AFTER_SECONDS": "85000"}, "under 82800"),
        ({"PROFILES": "[1]"}, "item 0 is int"),
        ({"PROFILES": '[{"prompt":"x"}]'}, "item 0 needs a pattern"),
        ({"PROFILES": '[{"pattern":"*","promt":"x"}]'}, "unknown keys promt"),
        ({"PROFILES": '[{"pattern":"*","max_output_tokens":true}]'}, "wrong max_output_tokens"),
        ({"PROFILES": "[" * 100_000}, "not JSON"),
        ({"OPENAI_BASE_URL": "https://user:pw@host/v1"}, "OPENAI_API_KEY"),
        ({"OPENAI_BASE_URL": "https://h/v1"}, "OPENAI_BASE_URL, MODEL: MODEL is not set"),
        (
            {"OPENAI_BASE_URL": "https://h/v1", "PROFILES": '[{"pattern":"*","model":"m"}]'},
            "what the server at https://h/v1 calls its model",
        ),
        ({"REASONING_EFFORT": "xhigh"}, "expected low, medium, high"),
        (
            {"IMAGE_DETAIL": "original"},
            "original is not known to this kind of server; expected low",
        ),
        (
            {"IMAGE_DETAIL": "low", "OPENAI_BASE_URL": "http://vllm:8000/v1", "MODEL": "m"},
            "low is not known to this kind of server; it has no such parameter",
        ),
        (
            {
                "REASONING_EFFORT": "low",
                "OPENAI_BASE_URL": "http://localhost:8080/v1",
                "MODEL": "m",
            },
            "has no such parameter",
        ),
        ({"MODEL_SERVER": "ollama"}, "expected its OPENAI_BASE_URL, or MODEL_SERVER unset"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_says_what_is_wrong_between_and_inside_settings(
    changes: dict[str, str], words: str
) -> None:
    """Relations and nested values, each with a sentence that helps."""
    with pytest.raises(SettingsError, match="1 setting") as caught:
        Settings.from_env(changes)
    assert words in str(caught.value)


def test_a_retired_model_is_somebody_elses_business_elsewhere() -> None:
    """Another server may serve it under that name."""
    environ = {"MODEL": "gemini-2.5-flash", "OPENAI_BASE_URL": "http://localhost:1/v1"}
    assert Settings.from_env(environ).model == "gemini-2.5-flash"


def test_the_default_model_may_be_named_elsewhere() -> None:
    """Gateways call Gemini so, too; what counts is that somebody said it."""
    environ = {"MODEL": DEFAULT_MODEL, "OPENAI_BASE_URL": "http://localhost:1/v1"}
    assert Settings.from_env(environ).model == DEFAULT_MODEL


def test_the_key_shows_up_nowhere() -> None:
    """Neither in the settings' text nor in an error."""
    environ = {"OPENAI_API_KEY": "s3cr3t", "MODEL_LOCATION": "moon"}
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(environ)
    assert "s3cr3t" not in str(caught.value)
    assert "s3cr3t" not in repr(Settings(openai_api_key="s3cr3t"))


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*", "a/b\nc", True),
        ("art/*.jpg", "art/x/y.jpg", True),
        ("art/*.jpg", "Art/x.jpg", False),
        ("[ab].png", "b.png", True),
        ("a.png", "xa.png", False),
        ("[", "[", True),
    ],
)
def test_globs_match_whole_names(pattern: str, name: str, matches: bool) -> None:
    """`*` also crosses `/`, and case matters, as object names are flat and case-sensitive."""
    assert Globs((pattern,)).match(name) is matches
