"""Many scores become a table with intervals. Pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from describer.model.outputs import Wanted
from operate.quality.checks import SCORES, Answer, alike, check
from operate.quality.judge import JUDGE_SCORES, Judged
from operate.quality.pictures import Picture

_RESAMPLES = 2000
_SEED = 1


@dataclass(frozen=True, slots=True)
class Variant:
    """What is compared: a model, asked with a prompt for a language."""

    model: str
    prompt: str
    language: str


@dataclass(frozen=True, slots=True)
class Scored:
    """One answer with its scores."""

    variant: Variant
    picture: Picture
    repeat: int
    answer: Answer
    cost: float | None
    scores: Mapping[str, float]
    judged: Judged | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over pictures, and where it would lie with others drawn like them: 95 of 100 times."""

    mean: float
    low: float
    high: float
    pictures: int


@dataclass(frozen=True, slots=True)
class Row:
    """All that is said of one variant.

    Attributes:
        cost: US dollars of all its answers; None where price or tokens are not known.
        tokens: mean in and out of those of which the model told.
        first_seconds, seconds: medians.
        ties, contradictions: of its comparisons by a judge, how many ended so.
    """

    variant: Variant
    answers: int
    outcomes: Mapping[str, int]
    scores: Mapping[str, Estimate]
    cost: float | None
    tokens: tuple[float, float] | None
    first_seconds: float | None
    seconds: float | None
    compared: int = 0
    ties: int = 0
    contradictions: int = 0


def score(
    variant: Variant,
    picture: Picture,
    repeat: int,
    answer: Answer,
    wanted: Wanted,
    *,
    cost: float | None = None,
    judged: Judged | None = None,
) -> Scored:
    """Score one answer by the checks, and by the judge where one was asked."""
    scores = check(answer, picture, variant.language, wanted)
    if judged is not None:
        scores |= judged.scores
    return Scored(variant, picture, repeat, answer, cost, scores, judged)


def summarize(scored: Iterable[Scored]) -> tuple[Row, ...]:
    """Give one row for each variant, in their order."""
    groups: dict[Variant, list[Scored]] = {}
    for one in scored:
        groups.setdefault(one.variant, []).append(one)
    return tuple(_row(variant, group) for variant, group in groups.items())


def estimate(values: Sequence[float]) -> Estimate:
    """Give the mean of one value a picture, with its 95 % bootstrap interval (percentiles).

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    found = np.asarray(values, dtype=float)
    draws = np.random.default_rng(_SEED).integers(0, len(found), (_RESAMPLES, len(found)))
    low, high = np.percentile(found[draws].mean(axis=1), (2.5, 97.5))
    return Estimate(float(found.mean()), float(low), float(high), len(found))


def _row(variant: Variant, group: Sequence[Scored]) -> Row:
    by_picture: dict[str, list[Scored]] = {}
    for one in group:
        by_picture.setdefault(one.picture.file, []).append(one)
    values: dict[str, list[float]] = {}
    for same in by_picture.values():
        for name in (*SCORES, *JUDGE_SCORES):
            told = [one.scores[name] for one in same if name in one.scores]
            if told:
                values.setdefault(name, []).append(statistics.fmean(told))
        likeness = alike([one.answer.text for one in same if one.answer.text])
        if likeness is not None:
            values.setdefault("alike", []).append(likeness)
    usages = [one.answer.usage for one in group if one.answer.usage is not None]
    costs = [one.cost for one in group]
    firsts = [one.answer.first_seconds for one in group if one.answer.first_seconds is not None]
    spent = [one.answer.seconds for one in group if one.answer.seconds is not None]
    compared = [one for one in group if one.judged is not None and "preferred" in one.scores]
    return Row(
        variant,
        len(group),
        dict(Counter(one.answer.outcome for one in group)),
        {name: estimate(values[name]) for name in (*SCORES, *JUDGE_SCORES) if name in values},
        None if None in costs else sum(cost or 0.0 for cost in costs),
        (
            (statistics.fmean(u[0] for u in usages), statistics.fmean(u[1] for u in usages))
            if usages
            else None
        ),
        statistics.median(firsts) if firsts else None,
        statistics.median(spent) if spent else None,
        len(compared),
        sum(one.scores["preferred"] == 0.5 for one in compared),
        sum(one.judged is not None and one.judged.contradicts_itself for one in compared),
    )
