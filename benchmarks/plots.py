"""Draws the plots of docs/performance.md, as SVG."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import prices
from benchmarks.contestants import TITLES
from benchmarks.measure import median
from benchmarks.report import HELD_MIB, KEYS, cost_of
from benchmarks.runs import (
    AT_ONCE,
    CHUNKS,
    CHUNKS_AT_ONCE,
    DEPLOYED_AT_ONCE,
    HELD,
    LEVELS,
    Results,
)

COLOURS = {"peer": "#b0413e", "best": "#e0905a", "floor": "#8a8f98", "ours": "#1f6feb"}
MARKS = {"peer": "s", "best": "^", "floor": "D", "ours": "o"}
_SHADES = ("#1f6feb", "#e0905a", "#4c9f70", "#b0413e", "#8f6bb3", "#8a8f98", "#d7b740")
_STREAM_SECONDS = 2.2


def draw(results: Results, folder: Path) -> None:
    """Draw all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    mpl.use("svg")
    mpl.rcParams.update(
        {
            "font.size": 10,
            # Letters as letters: as outlines they are most of the file.
            "svg.fonttype": "none",
            # The same figures give the same file.
            "svg.hashsalt": "describer",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.25,
            "legend.frameon": False,
        }
    )
    for name, plot in {
        "throughput": _throughput,
        "added": _added,
        "chunks": _chunks,
        "memory": _memory,
        "start": _start,
        "cost": _cost,
        "profile": _profile,
    }.items():
        with _plot(folder / f"{name}.svg") as axes:
            plot(results, axes)


@contextlib.contextmanager
def _plot(path: Path) -> Iterator[Axes]:
    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    yield figure.add_subplot()
    figure.savefig(path, metadata={"Date": None}, facecolor="white")
    # A hundredth of a point is finer than any screen shows.
    path.write_text(re.sub(r"(\d\.\d\d)\d+", r"\1", path.read_text("utf-8")), "utf-8")


def _throughput(results: Results, axes: Axes) -> None:
    levels = (*LEVELS, AT_ONCE)
    bound = [level / _STREAM_SECONDS for level in levels]
    axes.plot(levels, bound, color="#555555", linestyle=":", label="what the stream allows")
    for key in KEYS:
        found = {
            level: median([one.images_per_second for one in results.of(key, level)])
            for level in levels
            if results.of(key, level)
        }
        axes.plot(
            list(found),
            list(found.values()),
            color=COLOURS[key],
            marker=MARKS[key],
            label=TITLES[key],
        )
    _log(axes, "x", levels)
    axes.set_xlabel("uploads at once")
    axes.set_ylabel("images per second, one worker on one core")
    axes.legend()


def _added(results: Results, axes: Axes) -> None:
    loads = [(level, False) for level in (*LEVELS, AT_ONCE)]
    loads += [(DEPLOYED_AT_ONCE, True), (AT_ONCE, True)]
    for step, key in enumerate(KEYS):
        points: list[tuple[float, list[float]]] = []
        for place, (at_once, spread) in enumerate(loads):
            samples = results.of(key, at_once, spread=spread)
            if samples:
                values = [max(0.5, median([one.added_ms[n] for one in samples])) for n in range(3)]
                points.append((place + (step - 1.5) * 0.18, values))
        places = [x for x, _ in points]
        low, high = ([limit(values) for _, values in points] for limit in (min, max))
        axes.vlines(places, low, high, color=COLOURS[key], linewidth=1)
        axes.scatter(
            [x for x in places for _ in range(3)],
            [value for _, values in points for value in values],
            s=(34, 18, 8) * len(points),
            color=COLOURS[key],
            marker=MARKS[key],
            label=TITLES[key],
            zorder=3,
        )
    axes.set_yscale("log")
    axes.set_xticks(
        range(len(loads)),
        [f"{at_once}\nevenly" if spread else f"{at_once}" for at_once, spread in loads],
    )
    axes.set_xlabel("uploads at once; evenly: over time, not in one burst")
    axes.set_ylabel("ms added to the model's time\np50 (large), p95, p99 (small)")
    axes.legend()


def _chunks(results: Results, axes: Axes) -> None:
    for key in KEYS[1:]:
        values = [
            median([one.cpu_ms for one in results.of(key, CHUNKS_AT_ONCE, chunks=chunks)])
            for chunks in CHUNKS
        ]
        axes.plot(CHUNKS, values, color=COLOURS[key], marker=MARKS[key], label=TITLES[key])
    _log(axes, "x", CHUNKS)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(f"chunks in one stream of {_STREAM_SECONDS:g} s, {CHUNKS_AT_ONCE} at once")
    axes.set_ylabel("ms of CPU per image")
    axes.legend()


def _memory(results: Results, axes: Axes) -> None:
    for key in ("best", "floor", "ours"):
        held: dict[int, float] = {}
        for one in results.samples:
            if one.contestant == key:
                held[one.held] = max(one.memory_mib, held.get(one.held, 0.0))
        points = sorted(held.items())
        axes.plot(
            *zip(*points, strict=True), color=COLOURS[key], marker=MARKS[key], label=TITLES[key]
        )
    axes.axhline(HELD_MIB, color="#555555", linestyle=":")
    axes.annotate(f"{HELD_MIB} MiB", (1, HELD_MIB), xytext=(0, 4), textcoords="offset points")
    _log(axes, "x", (1, 8, 40, 80, 200, HELD))
    axes.set_ylim(0, None)
    axes.set_xlabel("streams held at the same time")
    axes.set_ylabel("MiB (proportional set size)")
    axes.legend(loc="upper left", bbox_to_anchor=(0, 0.8))


def _start(results: Results, axes: Axes) -> None:
    groups = sorted({group for found in results.imports.values() for group in found})
    keys = [key for key in ("peer", "ours") if key in results.imports]
    for row, key in enumerate(keys):
        left = 0.0
        for shade, group in zip(_SHADES, groups, strict=False):
            width = results.imports[key].get(group, 0.0)
            axes.barh(row, width, 0.5, left, color=shade, label=group if row == 0 else None)
            left += width
        starts = [one for one in results.starts if one.contestant == key and one.compiled]
        marks = {
            "|": median([one.port_seconds for one in starts]),
            "*": median([one.first_seconds for one in starts]),
        }
        for mark, seconds in marks.items():
            words = "listens (without import timing)" if mark == "|" else "first event answered"
            axes.scatter(
                seconds, row, 160, "black", marker=mark, zorder=3, label=words if row == 0 else None
            )
    axes.set_yticks(range(len(keys)), [TITLES[key] for key in keys])
    axes.set_ylim(-0.6, len(keys) + 0.9)
    axes.set_xlabel("seconds; imports as -X importtime sums them up, which makes them longer")
    axes.legend(ncols=2, fontsize=8, loc="upper left", markerscale=0.6)


def _cost(results: Results, axes: Axes) -> None:
    levels = (*LEVELS, AT_ONCE)
    for key in ("peer", "best", "ours"):
        costs = {level: cost_of(results, key, level) for level in levels}
        found = {level: cost.run + cost.store for level, cost in costs.items() if cost}
        axes.plot(
            list(found),
            list(found.values()),
            color=COLOURS[key],
            marker=MARKS[key],
            label=TITLES[key],
        )
    axes.axhline(prices.MODEL, color="#555555", linestyle=":", label="the model's tokens alone")
    _log(axes, "x", levels)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("${x:g}")
    axes.set_xlabel("uploads at once in one instance")
    axes.set_ylabel("Cloud Run and Firestore,\nper 1,000 images")
    axes.legend()


def _profile(results: Results, axes: Axes) -> None:
    shares = sorted(results.profile.items(), key=lambda item: item[1])
    names = [name for name, _ in shares]
    colours = ["#1f6feb" if name == "describer" else "#8a8f98" for name in names]
    bars = axes.barh(names, [share * 100 for _, share in shares], 0.6, color=colours)
    axes.margins(x=0.12)
    axes.bar_label(bars, fmt="%.0f %%", padding=3)
    axes.set_xlabel(f"% of the worker's time at {AT_ONCE} at once, each package's own")
    axes.grid(visible=False, axis="y")


def _log(axes: Axes, which: str, ticks: tuple[int, ...]) -> None:
    """Scale an axis by logarithm, with these ticks alone."""
    if which == "x":
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.xaxis.set_minor_locator(mpl.ticker.NullLocator())
