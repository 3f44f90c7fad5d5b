"""Plots of a report, legible at the width of a README (800 px).

Layer: benchmarks; needs matplotlib; writes into the folder that it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np

from benchmarks.figures import CYCLE, levelled
from benchmarks.peer_plot import draw_peers
from benchmarks.pipeline import PICTURE, WHOLE
from benchmarks.plot_style import (
    COLOURS,
    GREY,
    TEXT_PT,
    finish,
    new_figure,
)
from benchmarks.scaling_plot import draw_scaling

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.report import Report
    from benchmarks.series import Series

_PREFERRED = ("2000x2500", "JPEG")
_WINDOW = 15
_MOST_PANELS = 3


def draw_all(report: Report, out_dir: Path) -> list[Path]:
    """Draw every plot that the report has series for; returns the files."""
    mpl.use("Agg")
    plots: dict[str, Callable[[Report, Path], bool]] = {
        "cdf.png": draw_cdf,
        "waterfall.png": draw_waterfall,
        "over-time.png": draw_over_time,
        "peers.png": draw_peers,
        "scaling.png": draw_scaling,
    }
    return [out_dir / name for name, draw in plots.items() if draw(report, out_dir / name)]


def film_stages(report: Report) -> dict[str, Series]:
    """Stage name to its series, for films of the preferred size and format, else the first."""
    kinds: dict[tuple[str, str], dict[str, Series]] = {}
    for series, _ in report.of("pipeline"):
        key = (series.labels.get("size", ""), series.labels.get("format", ""))
        kinds.setdefault(key, {})[series.name] = series
    if not kinds:
        return {}
    return kinds.get(_PREFERRED) or next(iter(kinds.values()))


def draw_cdf(report: Report, path: Path) -> bool:
    """Cumulative distribution of each stage and of the whole film."""
    stages = film_stages(report)
    if not stages:
        return False
    figure, axis = new_figure(report, _of(stages, "Share of films done within a time, by stage"), 4)
    ordered = sorted(stages.values(), key=lambda series: float(np.median(series.values)))
    heights = np.linspace(0.12, 0.9, len(ordered))
    colours = _colours(stages)
    for series, height in zip(ordered, heights, strict=True):
        values = np.sort(series.values)
        share = np.arange(1, len(values) + 1) / len(values)
        colour, whole = colours[series.name], series.name == WHOLE
        axis.step(values, share, where="post", color=colour, linewidth=2 if whole else 1.5)
        at = float(np.percentile(values, 100 * height))
        axis.annotate(
            f"{series.name} {np.median(values):.3g} ms",
            (at, height),
            xytext=(5, 0),
            textcoords="offset points",
            color=colour,
            fontsize=TEXT_PT,
            va="center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8},
        )
    axis.set_xscale("log")
    high = max(max(series.values) for series in ordered)
    axis.set_xlim(right=high * 4)
    _plain_ticks(axis)
    axis.set_xlabel("ms (logarithmic); names with medians; hands and feet differ")
    axis.set_ylabel("share of films")
    axis.set_ylim(0, 1.02)
    axis.grid(visible=True, alpha=0.3)
    finish(figure, path)
    return True


def draw_waterfall(report: Report, path: Path) -> bool:
    """Stages of the median film, one after the other."""
    stages = film_stages(report)
    if WHOLE not in stages:
        return False
    whole = np.asarray(stages[WHOLE].values)
    place = int(np.abs(whole - np.median(whole)).argmin())
    total = float(whole[place])
    parts = [
        (name, series.values[place])
        for name, series in stages.items()
        if name not in {WHOLE, PICTURE}
    ]
    rest = total - sum(spent for _, spent in parts)
    parts.append(("between stages", max(rest, 0.0)))
    title = _of(stages, f"The median film: {total:.0f} ms from bytes to result")
    figure, axis = new_figure(report, title, 0.6 + 0.36 * len(parts))
    left, colours = 0.0, _colours(stages)
    for row, (name, spent) in enumerate(parts):
        axis.barh(row, spent, left=left, color=colours.get(name, GREY), height=0.72)
        label = f"{spent:.3g} ms ({spent / total:.0%})"
        end = left + spent
        inside = end > 0.72 * total
        axis.annotate(
            label,
            (left if inside else end, row),
            xytext=(-4 if inside else 4, 0),
            textcoords="offset points",
            ha="right" if inside else "left",
            va="center",
            fontsize=TEXT_PT,
        )
        left = end
    axis.set_yticks(range(len(parts)), [name for name, _ in parts])
    axis.invert_yaxis()
    axis.set_xlim(0, total * 1.02)
    axis.set_xlabel("ms since the film's bytes were there")
    axis.grid(visible=True, axis="x", alpha=0.3)
    finish(figure, path)
    return True


def draw_over_time(report: Report, path: Path) -> bool:
    """Latency in the order in which it was measured, with a running median."""
    panels = [
        (series, title)
        for series, title in (
            (film_stages(report).get(WHOLE), "pipeline, film in memory to result"),
            *(
                (series, f"appliance, {series.name}, {series.labels.get('pattern', '')}")
                for series, _ in report.of("appliance")
                if series.name.startswith("closed to received")
            ),
        )
        if series is not None and len(series.values) == len(series.at_s)
    ][:_MOST_PANELS]
    if not panels:
        return False
    figure, axes = new_figure(
        report, "Latency over the run", 0.4 + 1.9 * len(panels), panels=len(panels)
    )
    for axis, (series, title) in zip(np.atleast_1d(axes), panels, strict=True):
        _over_time(axis, series, title)
    np.atleast_1d(axes)[-1].set_xlabel("s since the benchmark began")
    finish(figure, path)
    return True


def _over_time(axis: Any, series: Series, title: str) -> None:
    values, at_s = np.asarray(series.values), np.asarray(series.at_s)
    axis.plot(at_s, values, ".", color=COLOURS[0], markersize=4, alpha=0.7)
    # The running median of levelled values: hands and feet take turns and differ.
    even = levelled(values, int(series.labels.get(CYCLE, "1"))) * float(np.median(values))
    window = min(_WINDOW, len(even))
    middle = [
        float(np.median(even[max(0, i - window // 2) : i + window // 2 + 1]))
        for i in range(len(even))
    ]
    axis.plot(at_s, middle, color="black", linewidth=1.5)
    limit = max(float(np.percentile(values, 99)) * 1.25, float(np.median(values)) * 1.5)
    outside = int((values > limit).sum())
    axis.set_ylim(0, limit)
    told = f"{title}: line is the running median" + (f"; {outside} above" if outside else "")
    axis.set_title(told, fontsize=TEXT_PT, loc="left")
    axis.set_ylabel("ms")
    axis.grid(visible=True, alpha=0.3)


def _colours(stages: dict[str, Series]) -> dict[str, str]:
    """Colour of each stage, the same in every plot."""
    names = [name for name in stages if name not in {WHOLE, PICTURE}]
    return {WHOLE: "black", PICTURE: GREY} | {
        name: COLOURS[place % len(COLOURS)] for place, name in enumerate(names)
    }


def _of(stages: dict[str, Series], title: str) -> str:
    labels = next(iter(stages.values())).labels
    return f"{title}\n{labels.get('format')}, {labels.get('size')} px, simulated films"


def _plain_ticks(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter  # noqa: PLC0415 - optional

    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
