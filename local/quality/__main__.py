"""`make eval`: tries the harness on answers whose scores are known, and writes docs/quality.md.

    python -m local.quality [--page PATH]

No model that sees can be had on this machine, so that none is measured: sheets with planted faults
are, judges with known verdicts, the stand-in that measures pixels, and llama.cpp's server with a
model that writes words at random, where it is installed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from local.quality.oracle import Oracle, agreeable
from local.quality.sheets import ENVIRON, Line, Sheet, perfect, sheets
from local.servers.function import ROOT
from local.servers.model import standin_server
from local.servers.processes import answers, free_port, running, start
from operate.cost import Prices
from operate.quality import judge, report
from operate.quality.measure import Results, Run, all_of
from operate.quality.pictures import Picture, load_labels, load_set
from operate.quality.scores import Row, estimate

SET = ROOT / "operate" / "quality" / "set"
PAGE = ROOT / "docs" / "quality.md"
PLOT = ROOT / "docs" / "quality.svg"
# A text model on one core takes its time, and its words are random: a few short texts are enough.
_RANDOM_PICTURES, _RANDOM_TOKENS = 12, 24


def scored(lines: Sequence[Line], name: str = "sheet") -> Row:
    """Put lines of answers through `describer eval --answers`, less the command line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.jsonl"
        path.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
        run = Run.of(SET, [("given", ENVIRON)], Prices(0, 0), repeats=1, answers=path)
        (row,) = asyncio.run(run.measured(Path(folder), 0, 4, lambda: None)).rows
    return row


def sheets_table(pictures: Sequence[Picture]) -> str:
    """Give a line for each sheet: what was expected, and what was found."""
    lines = [
        "| planted in half of the answers | lowers | expected | found | other scores below 1 |",
        "|---|---|---:|---:|---|",
    ]
    for sheet in sheets(pictures):
        row = scored(sheet.lines)
        others = [name for name, found in row.scores.items() if found.mean < 1]
        found = row.scores[sheet.score].mean if sheet.score else 1.0
        told = ", ".join(name for name in others if name != sheet.score) or "none"
        cells = (sheet.name, sheet.score or "none", f"{sheet.expected:.3f}", f"{found:.3f}", told)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def judges_table(pictures: Sequence[Picture]) -> str:
    """Give what a judge that knows and one that always agrees make of three kinds of texts."""
    claims, pairs = load_labels(SET)
    lines = [
        "| judge | texts | precision | coverage | preferred | contradicts itself | labels |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for name, ask in (
        ("knows the set", Oracle(claims, pairs)),
        ("always yes, always A", agreeable),
    ):
        agreement = asyncio.run(judge.agreement(ask, pictures, claims, pairs))
        for kind, texts in _judged_texts(pictures).items():
            found = asyncio.run(_judged(ask, pictures, texts))
            scores = [one.scores for one in found]
            means = [
                f"{estimate([score[name] for score in scores]).mean:.3f}"
                for name in judge.JUDGE_SCORES
            ]
            turned = sum(one.contradicts_itself for one in found)
            words = agreement.words if kind == "the references" else "as above"
            cells = (name, kind, *means, f"{turned} of {len(found)}", words)
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


async def _judged(
    ask: judge.Ask, pictures: Sequence[Picture], texts: Mapping[str, str]
) -> list[judge.Judged]:
    return await all_of(
        judge.judge(ask, picture, texts[picture.file], picture.reference["en"])
        for picture in pictures
    )


def _judged_texts(pictures: Sequence[Picture]) -> dict[str, dict[str, str]]:
    references = {picture.file: picture.reference["en"] for picture in pictures}
    false = {
        picture.file: f"{picture.reference['en']} There is also "
        f"{picture.traps[0].wordings['en'][0].rstrip('*')}."
        for picture in pictures
    }
    short = {file: text.partition(". ")[0] + "." for file, text in references.items()}
    return {
        "the references": references,
        "with one false sentence": false,
        "their first sentence alone": short,
    }


@contextlib.contextmanager
def _llama(folder: Path) -> Iterator[str | None]:
    """Run llama.cpp's server; gives its address, or None where it is not installed."""
    command = [sys.executable, "-m", "tests.integration.llama"]
    told = "import sys; from tests.integration.llama import why_not; sys.exit(why_not())"
    if subprocess.run([sys.executable, "-c", told], cwd=ROOT, check=False).returncode:
        yield None
        return
    port = free_port()
    # Two threads spin for each other where the machine has something else to do.
    command += [str(port), str(folder), "--threads", "1"]
    server = start("llama", command, port, cwd=ROOT)
    with running(server, answers("/health")):
        yield f"{server.url}/v1"


def _asked(
    folder: Path, url: str, environ: Mapping[str, str], pictures: int | None = None
) -> Results:
    """Ask a server for the first so many pictures, over HTTP, as `describer eval` does."""
    settings = {"OPENAI_BASE_URL": url, "IMAGE_INPUT": "inline", **environ}
    run = Run.of(SET, [("default", settings)], Prices(None, None), repeats=1)
    run.jobs = run.jobs[:pictures]
    return asyncio.run(run.measured(folder, 0, 1, lambda: None))


def servers_rows(pictures: Sequence[Picture]) -> list[Row]:
    """Ask the stand-in and llama.cpp's server, with the perfect answers beside them.

    Their tokens and seconds say nothing of a model that sees, and are left out.
    """
    rows = [scored(_descriptions(perfect(pictures)), "references")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with standin_server() as standin:
            rows += _asked(folder, standin.base_url, {"MODEL": "stand-in"}).rows
        with _llama(folder) as url:
            if url is not None:
                short = {
                    "MODEL": "random-words",
                    "MODEL_SERVER": "llama.cpp",
                    "PROMPT": "Say what you see.",
                    "MAX_OUTPUT_TOKENS": str(_RANDOM_TOKENS),
                }
                rows += _asked(folder, url, short, _RANDOM_PICTURES).rows
    return [replace(row, tokens=None, cost=None, first_seconds=None, seconds=None) for row in rows]


def _descriptions(sheet: Sheet) -> list[Line]:
    return [
        {"picture": line["picture"], "answer": line["answer"]}
        for line in sheet.lines[: len(sheet.lines) // 2]
    ]


def put(page: str, name: str, content: str) -> str:
    """Put content between the marks of this name.

    Raises:
        ValueError: the page has no such marks.
    """
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"no {begin.strip()} with its end")
    return f"{before}{begin}\n{content}\n{end}{after}"


def main() -> int:
    """Write the page and its picture."""
    parser = argparse.ArgumentParser(prog="python -m local.quality", description=__doc__)
    parser.add_argument("--page", type=Path, default=PAGE, help="whose tables are written")
    options = parser.parse_args()
    for proxy in ("http_proxy", "https_proxy", "all_proxy"):
        os.environ.pop(proxy, None)
    pictures = load_set(SET)
    rows = servers_rows(pictures)
    page = options.page.read_text(encoding="utf-8")
    page = put(page, "sheets", sheets_table(pictures))
    page = put(page, "judges", judges_table(pictures))
    page = put(page, "servers", report.table(rows))
    options.page.write_text(page, encoding="utf-8")
    options.page.with_suffix(".svg").write_text(report.drawing(rows), encoding="utf-8")
    print(f"{options.page} is written.")
    if not any(row.variant.model == "random-words" for row in rows):
        print("llama.cpp's server is not installed (make .venv/.llama): its column is missing.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
