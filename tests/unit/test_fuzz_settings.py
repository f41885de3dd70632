"""Any environment gives settings that work, or the error that lists what is wrong."""

import json
import re
from typing import Any

import openai
import pytest
from hypothesis import example, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from describer.build import build_model
from describer.errors import SettingsError
from describer.model.prompt import instructions_for
from describer.settings import VARIABLES, Globs, Settings
from tests.unit.test_fuzz_event import any_json, any_text

names = st.sampled_from([variable.name for variable in VARIABLES])
globs = st.text(st.sampled_from("ab*?[]!^-\\&|~./,"), max_size=12) | any_text
numbers = st.integers(-10, 10_000).map(str) | st.floats().map(str)
urls = st.builds(
    "{}://{}{}{}".format,
    st.sampled_from(["http", "https", "HTTP", "ftp", "file", ""]),
    st.sampled_from(["host", "[::1]", "[::1", "a b", "ä", "a\x00b", "xn--", "127.0.0.1", ""])
    | any_text,
    st.sampled_from(["", ":80", ":0", ":65536", ":99999999999", ":x", ":-1", ":"]),
    st.sampled_from(["", "/v1", "/v1/", "/v 1", "/\ud800", "?a", "#a"]) | any_text,
)
profiles = st.lists(
    st.dictionaries(
        st.sampled_from(["pattern", "prompt", "language", "model", "max_output_tokens", "other"]),
        any_json | globs,
        max_size=5,
    ),
    max_size=3,
).map(json.dumps)


@st.composite
def environments(draw: st.DrawFn) -> dict[str, str]:
    """Give an environment with any text, or text close to right, in some variables."""
    values: dict[str, Any] = {
        "OPENAI_BASE_URL": urls,
        "PROFILES": profiles,
        "NAME_INCLUDE": globs,
        "NAME_EXCLUDE": globs,
    }
    chosen = draw(st.sets(names, max_size=6))
    if "OPENAI_BASE_URL" in chosen:
        chosen.add("MODEL")
    return {n: draw(values.get(n, numbers) | any_text) for n in sorted(chosen)}


@given(environments(), any_text)
@example({"OPENAI_BASE_URL": "http://host:99999/v1", "MODEL": "m"}, "")
@example({"OPENAI_BASE_URL": "http://host:x/v1", "MODEL": "m"}, "")
@example({"OPENAI_BASE_URL": "http://a b/v1", "MODEL": "m"}, "")
@example({"OPENAI_BASE_URL": "http://h/v1", "MODEL": "m", "OPENAI_API_KEY": "two\nlines"}, "")
@example({"OPENAI_BASE_URL": "http://h/v1", "MODEL": "m", "OPENAI_API_KEY": "schlüssel"}, "")
@example({"PROFILES": '[{"pattern": "*", "prompt": "\\ud800"}]'}, "a")
@example({"PROMPT": "\udcff"}, "a")
@example({"NAME_INCLUDE": "[[a],[--a],[a&&b],[z-a],[!]"}, "a")
@example({"PROFILES": "9" * 5000}, "")
@example({"PROFILES": "[" * 100_000}, "")
@limits(deadline=None)
def test_what_is_accepted_works_and_what_is_not_is_listed(
    environ: dict[str, str], name: str
) -> None:
    """Settings that pass can be used: no delivery finds out later that they cannot."""
    try:
        settings = Settings.from_env(environ)
    except SettingsError as exc:
        refusal = str(exc)
    else:
        refusal = ""
    if refusal:
        assert refusal.startswith(f"{refusal.count(chr(10))} setting(s) are wrong:")
        return
    settings.name_include.match(name)
    settings.name_exclude.match(name)
    instructions = instructions_for(name, settings)
    assert re.fullmatch(r"[0-9a-f]{16}", instructions.digest)
    instructions.model.encode()
    settings.firestore_collection.encode()
    if settings.openai_base_url is not None:
        build_model(settings)
        key = f"Bearer {settings.openai_api_key or 'none'}"
        request = openai.OpenAI(base_url=settings.openai_base_url, api_key="x")
        sent = request.with_options(api_key=key.removeprefix("Bearer "))
        assert sent.auth_headers["Authorization"] == key
        assert re.fullmatch(r"[\x21-\x7e ]+", key)


@given(st.lists(globs, max_size=3), any_text)
@example(["*a" * 20 + "b"], "a" * 1000)
@example(["[" + "a-" * 50], "a")
@limits(deadline=None)
def test_any_glob_matches_or_does_not(patterns: list[str], name: str) -> None:
    """No pattern raises, warns, or takes more than its share of time."""
    found = Globs(tuple(patterns)).match(name)
    assert found in {True, False}
    assert Globs(("*",)).match(name)


@given(any_text)
@limits(deadline=None)
def test_a_name_matches_itself_with_its_specials_in_brackets(name: str) -> None:
    """A pattern can say any name exactly, which an operator needs for odd ones."""
    literal = "".join(f"[{char}]" if char in "*?[" else char for char in name)
    assert Globs((literal,)).match(name)
    assert not Globs((literal,)).match(name + "x")


@pytest.mark.parametrize("key", ["sk-one\nsk-two", "sk-one two", "sk-schl\u00fcssel", "sk-\x00"])
def test_a_key_that_fits_no_header_is_refused_and_not_shown(key: str) -> None:
    """The HTTP client's error for it would quote it, and that goes into log and record."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(
            {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "MODEL": "m", "OPENAI_API_KEY": key}
        )
    assert "OPENAI_API_KEY" in str(caught.value)
    assert "sk-" not in str(caught.value)
