"""`describer eval`: how good a model's words are, on pictures of which it is known what is true."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from operate.cost import Prices, with_prices
from operate.output import print_json, progress, say
from operate.session import read_env_file

if TYPE_CHECKING:
    from operate.quality.calls import Planner
    from operate.quality.measure import Run

DEFAULT_PROMPT_NAME = "default"

# Which pictures the function takes, and which of them otherwise, says nothing of a set.
_ANY_PICTURE = ("BUCKETS", "NAME_INCLUDE", "NAME_EXCLUDE", "PROFILES", "MODELS")
_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_amount = click.FloatRange(min=0)


@click.command("eval")
@click.argument("pictures", metavar="SET", type=click.Path(exists=True, path_type=Path))
@click.option("--model", "models", multiple=True, help="In place of MODEL; repeatable.")
@click.option(
    "--prompt",
    "prompts",
    multiple=True,
    metavar="FILE",
    help=f"In place of PROMPT; `{DEFAULT_PROMPT_NAME}` is the built-in one; repeatable.",
)
@click.option("--language", "languages", multiple=True, help="Likewise; repeatable.")
@click.option("--outputs", help="In place of OUTPUTS; `none` for the description alone.")
@click.option(
    "--repeat",
    type=click.IntRange(1, 20),
    default=3,
    show_default=True,
    help="Calls for each picture, so that it shows how much chance there is in a text.",
)
@click.option(
    "--answers",
    type=_file,
    help="Score the texts in this file, and ask no model: lines of {picture, answer}.",
)
@click.option(
    "--judge", metavar="MODEL", help="Have a model judge, too; `auto`: one of another family."
)
@click.option(
    "--judge-env-file", type=_file, help="Settings of the judge's server, as for --env-file."
)
@click.option("--judge-input-price", type=_amount, help="US dollars for a million tokens in.")
@click.option("--judge-output-price", type=_amount, help="Likewise, out.")
@with_prices
@click.option(
    "--max-cost",
    type=_amount,
    default=1.0,
    show_default=True,
    help="US dollars; what may cost more is not begun, and stops before it does.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("eval"),
    show_default=True,
    help="Folder of answers and reports. With the answers that are there, it goes on.",
)
@click.option(
    "--at-once",
    type=click.IntRange(1, 100),
    default=4,
    show_default=True,
    help="Calls under way at the same time.",
)
@click.option("--yes", is_flag=True, help="Begin without a question.")
@click.option("--env-file", type=_file, help="The function's settings; they win.")
@click.option("--json", "as_json", is_flag=True, help="Print results.json, too.")
def evaluate(
    *,
    pictures: Path,
    models: tuple[str, ...],
    prompts: tuple[str, ...],
    languages: tuple[str, ...],
    outputs: str | None,
    repeat: int,
    answers: Path | None,
    judge: str | None,
    judge_env_file: Path | None,
    judge_input_price: float | None,
    judge_output_price: float | None,
    input_price: float | None,
    output_price: float | None,
    max_cost: float,
    out: Path,
    at_once: int,
    yes: bool,
    env_file: Path | None,
    as_json: bool,
) -> int:
    """Score descriptions of the pictures in SET, a folder; see docs/quality.md.

    Asks as the function does: the same prompt, outputs and reading of answers, for each model,
    prompt and language that is named. First it tells how many calls that is and what they cost at
    most, and asks. It writes results.md, results.svg and results.json.
    """
    try:
        from operate.quality import measure
    except ModuleNotFoundError as exc:
        raise click.ClickException(
            f"no {exc.name}: what scores texts is installed with pip install '.[eval]'"
        ) from exc
    environ = {**os.environ, **(read_env_file(env_file) if env_file else {})}
    environ |= dict.fromkeys(_ANY_PICTURE, "") | {"IMAGE_INPUT": "inline"}
    if outputs is not None:
        environ["OUTPUTS"] = outputs
    run = measure.Run.of(
        pictures,
        _variants(environ, models, prompts, languages),
        Prices(input_price, output_price),
        repeats=repeat,
        answers=answers,
    )
    if judge is not None:
        judging = {**environ, **(read_env_file(judge_env_file) if judge_env_file else {})}
        run.add_judge(judge, judging, Prices(judge_input_price, judge_output_price))
    out.mkdir(parents=True, exist_ok=True)
    return _carry_out(run, out, max_cost=max_cost, at_once=at_once, yes=yes, as_json=as_json)


def _variants(
    environ: Mapping[str, str],
    models: tuple[str, ...],
    prompts: tuple[str, ...],
    languages: tuple[str, ...],
) -> list[tuple[str, Mapping[str, str]]]:
    """Give an environment for each model, prompt and language, with the prompt's name."""
    found: list[tuple[str, Mapping[str, str]]] = []
    own = "PROMPT" if environ.get("PROMPT", "").strip() else DEFAULT_PROMPT_NAME
    for model in models or (None,):
        for prompt in prompts or (None,):
            for language in languages or (None,):
                changed = dict(environ)
                if model is not None:
                    changed["MODEL"] = model
                if prompt is not None:
                    changed["PROMPT"] = "" if prompt == DEFAULT_PROMPT_NAME else _read(prompt)
                if language is not None:
                    changed["DESCRIPTION_LANGUAGE"] = language
                found.append((own if prompt is None else Path(prompt).stem, changed))
    return found


def _read(prompt: str) -> str:
    text = Path(prompt).read_text(encoding="utf-8").strip()
    if not text:
        raise click.UsageError(f"{prompt}: the prompt is empty")
    return text


def _carry_out(
    run: Run, out: Path, *, max_cost: float, at_once: int, yes: bool, as_json: bool
) -> int:
    from operate.quality import report
    from operate.work import agreed

    for note in run.notes:
        say(note)
    plan = run.plan(out)
    _tell(plan, max_cost)
    if plan.calls and plan.most and not yes and not agreed("Begin?"):
        return 0
    with progress("Asking", plan.calls) as advance:
        results = asyncio.run(run.measured(out, max_cost, at_once, advance))
    told = report.as_json(results.rows, results.scored, results.agreement, run.notes)
    text = report.page(results.rows, results.scored, results.agreement, run.notes)
    for name, content in (
        ("results.md", text),
        ("results.svg", report.drawing(results.rows)),
        ("results.json", json.dumps(told, indent=1, ensure_ascii=False) + "\n"),
    ):
        _replace(out / name, content)
    if as_json:
        print_json(told)
    else:
        click.echo(report.table(results.rows), nl=False)
    say(f"US$ {results.spent:.4f} spent. {out / 'results.md'} has it all.")
    if results.failed:
        say(f"{results.failed} calls failed, the last with: {results.message}")
        say("Run it again: what was answered is kept.")
    return 1 if results.failed else 0


def _tell(plan: Planner, max_cost: float) -> None:
    say(
        f"{plan.calls:,} calls, {plan.already:,} more are answered already: "
        f"US$ {plan.most:,.4f} at most, of {max_cost:,.2f} allowed."
    )
    if plan.unpriced:
        raise click.ClickException(
            f"No price is known for {', '.join(sorted(plan.unpriced))}, so that nothing can be "
            "capped: give --input-price and --output-price (for a judge --judge-input-price, "
            "--judge-output-price); 0 for a server of your own."
        )
    if plan.most > max_cost:
        raise click.ClickException(
            f"That may cost US$ {plan.most:,.4f}, over --max-cost of {max_cost:,.2f}. Allow more, "
            "or ask less: --repeat 1, fewer languages or models, a lower MAX_OUTPUT_TOKENS."
        )


def _replace(path: Path, text: str) -> None:
    """Write a file as a whole, so that a run that dies leaves the last one's."""
    new = path.with_name(path.name + ".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)
