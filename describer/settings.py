"""The environment, read once, into one frozen value. No other module reads it."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from describer.errors import SettingsError
from describer.metadata import MetadataField
from describer.servers import SERVERS, Server, kind_of

ImageInput = Literal["auto", "uri", "inline"]
T = TypeVar("T")

LONGEST_LEASE_SECONDS = 900
# What can be asked for besides the description.
ALT_TEXT, DECORATIVE, TEXT_IN_IMAGE, TAGS = "alt_text", "decorative", "text_in_image", "tags"
OUTPUTS = (ALT_TEXT, DECORATIVE, TEXT_IN_IMAGE, TAGS)
TAG_CHARACTERS = 60
DEFAULT_MODEL = "google/gemini-3.5-flash-lite"

_MIB = 1024 * 1024
# Well-formed per RFC 5646 in all that a person would write; not checked against the registry.
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*\Z")
_TAG = re.compile(rf"[^\x00-\x1f,]{{1,{TAG_CHARACTERS}}}\Z")
_LOCATION = re.compile(r"(global|us|eu|[a-z]+-[a-z]+[0-9]+)\Z")
_DATABASE = re.compile(r"(\(default\)|[a-z][a-z0-9-]{2,61}[a-z0-9])\Z")
_COLLECTION = re.compile(r"(?!\.\.?\Z)(?!__.*__\Z)[^/\x00-\x1f]{1,200}\Z")
# Looser than real project ids: emulators take any.
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,127}\Z")
# Source: https://docs.cloud.google.com/pubsub/docs/pubsub-basics#resource_names
_TOPIC = re.compile(r"(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}\Z")
_MODEL = re.compile(r"\S{1,200}\Z")
BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]\Z")
# Source: https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/model-versions
_RETIRED_MODEL = re.compile(r"(google/)?gemini-(1\.|2\.)")


@dataclass(frozen=True, slots=True)
class Globs:
    """Shell-style patterns on an object's name; `*` also matches `/`. Case matters."""

    patterns: tuple[str, ...] = ()
    _compiled: tuple[re.Pattern[str], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        compiled = tuple(re.compile(fnmatch.translate(pattern)) for pattern in self.patterns)
        object.__setattr__(self, "_compiled", compiled)

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def match(self, name: str) -> bool:
        """Tell whether any of the patterns matches the whole name."""
        return any(pattern.match(name) for pattern in self._compiled)


@dataclass(frozen=True, slots=True)
class Profile:
    """What differs from the general settings for the names that `pattern` matches."""

    pattern: Globs
    prompt: str | None = None
    language: tuple[str, ...] | None = None
    model: str | None = None
    models: tuple[str, ...] | None = None
    max_output_tokens: int | None = None
    outputs: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    use_metadata: tuple[MetadataField, ...] | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """All that an operator can set. Field names are the variables' names in lower case.

    Source: the table in docs/settings.md; Terraform's variables carry the same names and rules.
    """

    google_cloud_project: str | None = None
    model: str = DEFAULT_MODEL
    models: tuple[str, ...] = ()
    fallback_after_seconds: float = 300.0
    model_location: str = "global"
    openai_base_url: str | None = None
    openai_api_key: str | None = field(default=None, repr=False)
    model_server: str = "auto"
    image_input: ImageInput = "auto"
    image_detail: str | None = None
    firestore_database: str = "(default)"
    firestore_collection: str = "descriptions"
    prompt: str | None = None
    description_language: tuple[str, ...] = ("en",)
    outputs: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    alt_text_characters: int = 150
    use_metadata: tuple[MetadataField, ...] = ()
    max_output_tokens: int = 1024
    reasoning_effort: str | None = None
    profiles: tuple[Profile, ...] = ()
    reuse: bool = False
    daily_limit: int | None = None
    delete_records: bool = False
    events_topic: str | None = None
    buckets: tuple[str, ...] = ()
    name_include: Globs = Globs()
    name_exclude: Globs = Globs()
    max_image_bytes: int = 100 * _MIB
    max_image_pixels: int = 200_000_000
    max_image_side: int = 3072
    flush_seconds: float = 1.0
    stream_timeout_seconds: float = 240.0
    chunk_timeout_seconds: float = 45.0
    lease_seconds: float = 60.0
    max_attempts: int = 5
    max_event_age_seconds: float = 82_800.0
    log_level: str = "INFO"
    traces_endpoint: str | None = None
    traces_ratio: float = 1.0

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read and check every variable. An empty or blank one counts as unset.

        Raises:
            SettingsError: with every fault found, one a line, and what would be accepted.
        """
        values: dict[str, Any] = {}
        faults: list[str] = []
        broken: set[str] = set()
        for variable in VARIABLES:
            text = environ.get(variable.name, "").strip()
            if not text:
                continue
            try:
                # Bytes that are not UTF-8 come as lone surrogates, which nothing here can send.
                text.encode()
                values[variable.name.lower()] = variable.parse(text)
            except ValueError as exc:
                broken.add(variable.name)
                shown = "(hidden)" if variable.secret else repr(text[:80])
                reason = f"; {exc}" if isinstance(exc, _ReasonError) else ""
                faults.append(f"{variable.name}={shown}: expected {variable.accepts}{reason}")
        settings = cls(**values)
        found = _relations(settings, given=values)
        faults += (text for names, text in found if broken.isdisjoint(names))
        if faults:
            listed = "\n".join(f"  - {fault}" for fault in faults)
            raise SettingsError(f"{len(faults)} setting(s) are wrong:\n{listed}")
        return settings

    @property
    def every_model(self) -> tuple[str, ...]:
        """Each model that may be asked, of profiles and fallbacks too, as written."""
        of_profiles = ((*filter(None, [p.model]), *(p.models or ())) for p in self.profiles)
        return tuple(dict.fromkeys((self.model, *self.models, *chain(*of_profiles))))

    @property
    def on_vertex(self) -> bool:
        """Whether the model is reached on Vertex AI rather than at OPENAI_BASE_URL."""
        return self.openai_base_url is None

    @property
    def server(self) -> Server:
        """What the model's server takes: of the kind said, or told from OPENAI_BASE_URL."""
        return SERVERS[self.server_kind]

    @property
    def server_kind(self) -> str:
        """The kind of the model's server: the one said, or told from OPENAI_BASE_URL."""
        told = self.model_server == "auto"
        return kind_of(self.openai_base_url) if told else self.model_server

    @property
    def always_inline(self) -> bool:
        """Whether every image is read here and sent inside the request."""
        if self.image_input == "auto":
            return not self.server.takes_uri
        return self.image_input == "inline"


def _relations(settings: Settings, *, given: Container[str]) -> list[tuple[set[str], str]]:
    """Rules between two settings: the variables concerned, and what is wrong.

    Args:
        given: names of the fields that are set, be it to their defaults.
    """
    found: list[tuple[set[str], str]] = []

    def rule(holds: bool, names: str, text: str) -> None:  # noqa: FBT001
        if not holds:
            found.append((set(names.split()), f"{names.replace(' ', ', ')}: {text}"))

    lease, chunk = settings.lease_seconds, settings.chunk_timeout_seconds
    rule(
        lease >= chunk * 1.2,
        "LEASE_SECONDS CHUNK_TIMEOUT_SECONDS",
        f"a lease of {lease:g} s does not outlive a silence of {chunk:g} s with room; "
        f"expected LEASE_SECONDS of at least {chunk * 1.2:g}",
    )
    rule(
        settings.stream_timeout_seconds >= chunk,
        "STREAM_TIMEOUT_SECONDS CHUNK_TIMEOUT_SECONDS",
        f"a whole stream of {settings.stream_timeout_seconds:g} s is shorter than one silence "
        f"of {chunk:g} s; expected STREAM_TIMEOUT_SECONDS >= CHUNK_TIMEOUT_SECONDS",
    )
    rule(
        settings.flush_seconds * 2 <= lease,
        "FLUSH_SECONDS LEASE_SECONDS",
        f"a flush every {settings.flush_seconds:g} s renews a lease of {lease:g} s too late; "
        f"expected FLUSH_SECONDS of at most {lease / 2:g}",
    )
    rule(
        settings.max_event_age_seconds > lease,
        "MAX_EVENT_AGE_SECONDS LEASE_SECONDS",
        f"an image whose worker died is free again after a lease of {lease:g} s, and would be "
        f"given up then; expected MAX_EVENT_AGE_SECONDS over {lease:g}",
    )
    rule(
        settings.on_vertex or "model" in given,
        "OPENAI_BASE_URL MODEL",
        f"MODEL is not set, and its default is a model of Vertex AI; expected what the server at "
        f"{settings.openai_base_url} calls its model",
    )
    rule(
        not (settings.models or any(profile.models for profile in settings.profiles))
        or settings.fallback_after_seconds < settings.max_event_age_seconds,
        "FALLBACK_AFTER_SECONDS MAX_EVENT_AGE_SECONDS",
        f"after {settings.fallback_after_seconds:g} s the upload would be given up already; "
        f"expected FALLBACK_AFTER_SECONDS under {settings.max_event_age_seconds:g}",
    )
    rule(
        not settings.on_vertex or settings.model_server in {"auto", "vertex"},
        "MODEL_SERVER OPENAI_BASE_URL",
        f"{settings.model_server} is at no address, so the model is on Vertex AI; "
        "expected its OPENAI_BASE_URL, or MODEL_SERVER unset",
    )
    for name, value, known in (
        ("REASONING_EFFORT", settings.reasoning_effort, settings.server.efforts),
        ("IMAGE_DETAIL", settings.image_detail, settings.server.details),
    ):
        rule(
            value in {None, *known},
            f"{name} MODEL_SERVER OPENAI_BASE_URL",
            f"{value} is not known to this kind of server; "
            + (f"expected {', '.join(known)}" if known else "it has no such parameter"),
        )
    if settings.on_vertex:
        for model in settings.every_model:
            rule(
                not _RETIRED_MODEL.match(model),
                "MODEL MODELS PROFILES",
                f"{model} is retired on Vertex AI and answers 404; expected a current one, "
                f"such as {DEFAULT_MODEL}",
            )
    return found


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable: its name, what it takes, and how it is read."""

    name: str
    accepts: str
    parse: Callable[[str], object]
    secret: bool = False


class _ReasonError(ValueError):
    """A ValueError whose message helps the operator."""


def _text(text: str) -> str:
    return text


def _matching(pattern: re.Pattern[str]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not pattern.match(text):
            raise ValueError(text)
        return text

    return parse


def _one_of(*choices: str) -> Callable[[str], str]:
    folded = {choice.lower(): choice for choice in choices}

    def parse(text: str) -> str:
        try:
            return folded[text.lower()]
        except KeyError:
            raise ValueError(text) from None

    return parse


def _flag(text: str) -> bool:
    return _one_of("true", "false")(text) == "true"


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise ValueError(text)
        return int(text)

    return parse


def _number(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text) or not low <= float(text) <= high:
            raise ValueError(text)
        return float(text)

    return parse


# What fits into a header or a URL as it is. An error of the HTTP client quotes what does not,
# and with it the key.
_printable = _matching(re.compile(r"[\x21-\x7e]+\Z"))


def _url(credentials: str) -> Callable[[str], str]:
    """Read an address; `credentials` names the variable that takes what it must not hold."""

    def parse(text: str) -> str:
        parts = urlsplit(_printable(text))
        named = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        if not named or parts.query or parts.fragment:
            raise ValueError(text)
        if parts.username is not None:
            raise _ReasonError(f"credentials belong into {credentials}")
        return text.rstrip("/")

    return parse


def _list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _globs(text: str) -> Globs:
    return Globs(_list(text))


def _buckets(text: str) -> tuple[str, ...]:
    return tuple(_matching(BUCKET_NAME)(name) for name in _list(text))


def _models(text: str) -> tuple[str, ...]:
    return tuple(_matching(_MODEL)(name) for name in _list(text))


def _languages(text: str) -> tuple[str, ...]:
    return _each(text, _matching(_LANGUAGE), most=10)


def _outputs(text: str) -> tuple[str, ...]:
    return () if text.lower() == "none" else _each(text, _one_of(*OUTPUTS), most=len(OUTPUTS))


def _tags(text: str) -> tuple[str, ...]:
    return _each(text, _matching(_TAG), most=200)


def _metadata(text: str) -> tuple[MetadataField, ...]:
    return () if text.lower() == "none" else _each(text, MetadataField.parse, most=20)


def _each(text: str, parse: Callable[[str], T], *, most: int) -> tuple[T, ...]:
    """Read a list without repetitions, which is not empty."""
    found = tuple(dict.fromkeys(map(parse, _list(text))))
    if not 1 <= len(found) <= most:
        raise ValueError(text)
    return found


def _profiles(text: str) -> tuple[Profile, ...]:
    try:
        items = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise _ReasonError(f"not JSON: {exc}") from exc
    if not isinstance(items, list):
        raise _ReasonError(f"found {type(items).__name__}, not a list")
    return tuple(_profile(place, item) for place, item in enumerate(items))


def _profile(place: int, item: object) -> Profile:
    if not isinstance(item, dict):
        raise _ReasonError(f"item {place} is {type(item).__name__}, not an object")
    unknown = sorted(set(item) - {"pattern", *_PROFILE_FIELDS})
    if unknown:
        raise _ReasonError(f"item {place} has unknown keys {', '.join(unknown)[:200]}")
    pattern = item.get("pattern")
    if not isinstance(pattern, str) or not pattern:
        raise _ReasonError(f"item {place} needs a pattern")
    values: dict[str, Any] = {}
    for key, value in item.items():
        if key == "pattern" or value is None:
            continue
        listed = isinstance(value, list) and all(isinstance(item, str) for item in value)
        plain = ",".join(value) if listed else value
        written = str(plain) if type(plain) in {int, str} else ""
        try:
            if not written.strip():
                raise ValueError(key)  # noqa: TRY301
            written.encode()
            values[key] = _PROFILE_FIELDS[key](written.strip())
        except ValueError as exc:
            raise _ReasonError(f"item {place} has a wrong {key}") from exc
    return Profile(pattern=Globs((pattern,)), **values)


_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_tokens = _whole(16, 65_536)
_DETAILS = ("auto", "low", "high", "original")
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
_PROFILE_FIELDS: dict[str, Callable[[str], object]] = {
    "prompt": _text,
    "language": _languages,
    "model": _matching(_MODEL),
    "models": _models,
    "max_output_tokens": _tokens,
    "outputs": _outputs,
    "tags": _tags,
    "use_metadata": _metadata,
}

VARIABLES: tuple[Variable, ...] = (
    Variable("GOOGLE_CLOUD_PROJECT", "a project id", _matching(_PROJECT)),
    Variable("MODEL", "a model id without spaces", _PROFILE_FIELDS["model"]),
    Variable("MODELS", "model ids, separated by commas", _PROFILE_FIELDS["models"]),
    Variable("FALLBACK_AFTER_SECONDS", "seconds from 0 to 85200", _number(0, 85_200)),
    Variable(
        "MODEL_LOCATION", "global, us, eu or a region such as europe-west4", _matching(_LOCATION)
    ),
    Variable(
        "OPENAI_BASE_URL", "an http or https URL such as https://host/v1", _url("OPENAI_API_KEY")
    ),
    Variable("OPENAI_API_KEY", "a key of printable ASCII without spaces", _printable, secret=True),
    Variable("MODEL_SERVER", "auto or one of " + ", ".join(SERVERS), _one_of("auto", *SERVERS)),
    Variable("IMAGE_INPUT", "auto, uri or inline", _one_of("auto", "uri", "inline")),
    Variable("IMAGE_DETAIL", ", ".join(_DETAILS), _one_of(*_DETAILS)),
    Variable("FIRESTORE_DATABASE", "(default) or a database id", _matching(_DATABASE)),
    Variable("FIRESTORE_COLLECTION", "a collection id without /", _matching(_COLLECTION)),
    Variable("PROMPT", "text", _text),
    Variable(
        "DESCRIPTION_LANGUAGE",
        "BCP-47 tags such as en, de-CH or zh-Hant, separated by commas",
        _languages,
    ),
    Variable("OUTPUTS", f"any of {', '.join(OUTPUTS)}, separated by commas", _outputs),
    Variable("TAGS", f"tags of at most {TAG_CHARACTERS} characters, separated by commas", _tags),
    Variable("ALT_TEXT_CHARACTERS", "a whole number from 20 to 1000", _whole(20, 1000)),
    Variable(
        "USE_METADATA",
        "at most 20 fields such as custom:title, exif:ImageDescription, iptc:City or xmp:dc:title, "
        "separated by commas",
        _metadata,
    ),
    Variable("MAX_OUTPUT_TOKENS", "a whole number from 16 to 65536", _tokens),
    Variable("REASONING_EFFORT", ", ".join(_EFFORTS), _one_of(*_EFFORTS)),
    Variable(
        "PROFILES",
        "a JSON list of objects with pattern and any of " + ", ".join(_PROFILE_FIELDS),
        _profiles,
    ),
    Variable("REUSE", "true or false", _flag),
    Variable("DAILY_LIMIT", "a whole number from 1 to 10^9", _whole(1, 10**9)),
    Variable("DELETE_RECORDS", "true or false", _flag),
    Variable("EVENTS_TOPIC", "a topic's id, without projects/", _matching(_TOPIC)),
    Variable("BUCKETS", "bucket names, separated by commas", _buckets),
    Variable("NAME_INCLUDE", "globs, separated by commas", _globs),
    Variable("NAME_EXCLUDE", "globs, separated by commas", _globs),
    Variable("MAX_IMAGE_BYTES", "a whole number from 1 to 5 TiB", _whole(1, 5 * _MIB * _MIB)),
    Variable(
        "MAX_IMAGE_PIXELS", "a whole number from 1000 to 2000000000", _whole(1000, 2_000_000_000)
    ),
    Variable("MAX_IMAGE_SIDE", "a whole number from 64 to 16384", _whole(64, 16_384)),
    Variable("FLUSH_SECONDS", "seconds from 0.1 to 60", _number(0.1, 60)),
    Variable("STREAM_TIMEOUT_SECONDS", "seconds from 1 to 3000", _number(1, 3000)),
    Variable("CHUNK_TIMEOUT_SECONDS", "seconds from 0.5 to 600", _number(0.5, 600)),
    Variable(
        "LEASE_SECONDS",
        f"seconds from 1 to {LONGEST_LEASE_SECONDS}",
        _number(1, LONGEST_LEASE_SECONDS),
    ),
    Variable("MAX_ATTEMPTS", "a whole number from 1 to 1000", _whole(1, 1000)),
    # Eventarc keeps an event for 24 h, with up to 600 s between two deliveries: there must be one
    # after this age that still finds the time to record.
    Variable("MAX_EVENT_AGE_SECONDS", "seconds from 1 to 85200", _number(1, 85_200)),
    Variable("LOG_LEVEL", ", ".join(_LOG_LEVELS), _one_of(*_LOG_LEVELS)),
    Variable(
        "TRACES_ENDPOINT",
        "an http or https URL such as https://host/v1/traces",
        _url("OTEL_EXPORTER_OTLP_HEADERS"),
    ),
    Variable("TRACES_RATIO", "a share from 0.0001 to 1", _number(0.0001, 1)),
)
