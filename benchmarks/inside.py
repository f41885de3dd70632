"""Where the time goes inside a process: its imports, and its calls."""

from __future__ import annotations

import pstats
import re
from collections import defaultdict
from pathlib import Path

from local.servers.function import ROOT

# The first that fits wins. Names of packages, as imports and as folders.
_GROUPS = (
    ("describer", r"describer|main"),
    ("openai, pydantic", r"openai|pydantic|pydantic_core|jiter|annotated_types|typing_inspection"),
    (
        "HTTP: aiohttp, httpx2 and below",
        r"aiohttp|aiohappyeyeballs|aiosignal|frozenlist|multidict|propcache|yarl|attr|attrs"
        r"|httpx2|httpcore2|h11|anyio|sniffio|idna|certifi|truststore",
    ),
    (
        "Firestore, gRPC, protobuf",
        r"google|grpc|grpc_status|proto|opentelemetry|requests|urllib3|charset_normalizer"
        r"|cryptography|cffi|_cffi_backend|pyasn1|pyasn1_modules",
    ),
    (
        "functions-framework, its server",
        r"functions_framework|cloudevents|deprecation|starlette|uvicorn|uvicorn_worker|gunicorn"
        r"|flask|werkzeug|jinja2|markupsafe|itsdangerous|blinker|click|watchdog|packaging",
    ),
    ("asyncio", r"asyncio|selectors|_asyncio|uvloop|uvicorn_loop"),
)
OTHERS = "the standard library"

_IMPORT = re.compile(r"import time: +([0-9]+) \| +[0-9]+ \| +(\S+)")
_CALLS_SHOWN = 25


def imports(log: Path) -> dict[str, float]:
    """Sum up seconds of `-X importtime` by group of packages, each module's own time."""
    sums: dict[str, float] = defaultdict(float)
    for microseconds, module in _IMPORT.findall(log.read_text(errors="replace")):
        sums[_group(module.partition(".")[0])] += int(microseconds) / 1e6
    return dict(sums)


def profile(file: Path) -> tuple[dict[str, float], list[tuple[str, float, float]]]:
    """Share out the CPU time of the event loop's thread.

    Returns:
        The share of each group of packages, built-in functions counted for their callers; and the
        functions with the largest shares: name, share of their own, share with what they call.
    """
    stats: dict[
        tuple[str, int, str],
        tuple[int, int, float, float, dict[tuple[str, int, str], tuple[int, int, float, float]]],
    ]
    stats = pstats.Stats(str(file)).stats  # type: ignore[attr-defined]
    sums: dict[str, float] = defaultdict(float)
    calls = []
    for (path, _, name), (_, _, own, with_called, callers) in stats.items():
        if path == "~":
            for (caller, _, _), (_, _, part, _) in callers.items():
                sums[_group(_package(caller))] += part
        else:
            sums[_group(_package(path))] += own
            calls.append((f"{_short(path)}: {name}", own, with_called))
    total = sum(sums.values())
    calls.sort(key=lambda call: -call[1])
    shares = {group: value / total for group, value in sums.items()}
    return shares, [(name, own / total, more / total) for name, own, more in calls[:_CALLS_SHOWN]]


def _group(package: str) -> str:
    return next((name for name, which in _GROUPS if re.fullmatch(which, package)), OTHERS)


def _package(path: str) -> str:
    """Give the package that a file belongs to."""
    if path.startswith(str(ROOT)) and "site-packages" not in path:
        return "describer"
    parts = _short(path).split("/")
    return parts[0].removesuffix(".py")


def _short(path: str) -> str:
    """Leave out where packages are installed."""
    path = path.removeprefix(f"{ROOT}/")
    return re.sub(r".*/(site-packages|python3\.[0-9]+)/", "", path)
