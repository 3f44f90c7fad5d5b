"""The plot of peers: how long others take for the same work, as ratios to ours.

Layer: benchmarks; needs matplotlib; writes the picture that it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.peer_tables import OURS, TITLES, ratios
from benchmarks.plot_style import COLOURS, TEXT_PT, finish, new_figure

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.intervals import Interval
    from benchmarks.report import Report

_SHORT = {
    "graph": "One run of the same graph: a dot for each, and their mean",
    "pipeline": "The whole pipeline, film by film",
    "paper": "Whole pipelines with full-size networks",
}


def draw_peers(report: Report, path: Path) -> bool:
    """Ratios of every contender to ours, one panel for each part that was measured."""
    parts: dict[str, dict[str, list[Interval]]] = {}
    for part in TITLES:
        found: dict[str, list[Interval]] = {}
        for series, _, ratio in ratios(report.of("peers"), part):
            if series.labels["contender"] != OURS:
                found.setdefault(series.labels["contender"], []).append(ratio)
        if found:
            parts[part] = found
    if not parts:
        return False
    rows = [len(found) for found in parts.values()]
    figure, axes = new_figure(
        report,
        "Time of others by ours: right of the line ours is faster",
        0.4 + 0.75 * len(parts) + 0.32 * sum(rows),
        panels=len(parts),
        sharex=True,
        gridspec_kw={"height_ratios": [count + 0.8 for count in rows]},
    )
    panels = np.atleast_1d(axes)
    names = dict.fromkeys(name for found in parts.values() for name in found)
    colours = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(names)}
    for axis, (part, found) in zip(panels, parts.items(), strict=True):
        _panel(axis, found, colours)
        axis.set_title(_SHORT[part], fontsize=TEXT_PT, loc="left")
    highest = max(ratio.high for found in parts.values() for some in found.values()
                  for ratio in some)  # fmt: skip
    lowest = min(ratio.low for found in parts.values() for some in found.values()
                 for ratio in some)  # fmt: skip
    panels[-1].set_xlim(min(0.5, lowest * 0.9), max(2.0, highest * 1.35))
    panels[-1].set_xlabel("time by ours (logarithmic); bars are 95 % intervals")
    finish(figure, path)
    return True


def _panel(axis: Any, found: dict[str, list[Interval]], colours: dict[str, str]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: PLC0415

    ordered = sorted(found.items(), key=lambda item: _centre(item[1]))
    for row, (name, some) in enumerate(ordered):
        colour = colours[name]
        for ratio in some:
            axis.plot([ratio.low, ratio.high], [row, row], color=colour, alpha=0.5, linewidth=1.5)
            axis.plot(ratio.value, row, "o", color=colour, markersize=5, alpha=0.8)
        right = max(ratio.high for ratio in some)
        axis.annotate(
            f"{_centre(some):.2f}",
            (right, row),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            fontsize=TEXT_PT,
            color=colour,
            weight="bold",
        )
    axis.axvline(1, color="black", linewidth=1)
    axis.set_yticks(range(len(ordered)), [name for name, _ in ordered])
    axis.set_ylim(-0.6, len(ordered) - 0.4)
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.grid(visible=True, axis="x", alpha=0.3)


def _centre(some: list[Interval]) -> float:
    return float(np.exp(np.mean([np.log(ratio.value) for ratio in some])))
