"""The plot of scaling: throughput by arrival rate, and steps by rows of the journal.

Layer: benchmarks; needs matplotlib; writes the picture that it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.plot_style import COLOURS, GREY, TEXT_PT, finish, new_figure

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.report import Report
    from benchmarks.series import Series

_STATES = {"delivered": "-", "waiting": "--"}


def draw_scaling(report: Report, path: Path) -> bool:
    """Films a minute and delay by arrival rate for each number of workers; steps by rows."""
    series = [one for one, _ in report.of("scaling")]
    arrivals = [one for one in series if "share" in one.labels]
    steps = [one for one in series if "rows" in one.labels and one.unit == "ms"]
    panels = (2 if arrivals else 0) + (1 if steps else 0)
    if not panels:
        return False
    figure, axes = new_figure(report, "Scaling", 0.3 + 2.6 * panels, panels=panels)
    left = list(np.atleast_1d(axes))
    if arrivals:
        _arrivals(left.pop(0), arrivals, "films a minute", "films a minute")
        _arrivals(left.pop(0), arrivals, "closed to received", "closed to received, p50 (ms)")
    if steps:
        _steps(left.pop(0), steps)
    finish(figure, path)
    return True


def _arrivals(axis: Any, series: list[Series], name: str, title: str) -> None:
    workers = sorted({one.labels["workers"] for one in series})
    for number, count in enumerate(workers):
        points = sorted(
            (float(one.labels["share"]), float(np.median(one.values)))
            for one in series
            if one.name == name and one.labels["workers"] == count
        )
        if not points:
            continue
        x, y = zip(*points, strict=True)
        axis.plot(x, y, marker="o", color=COLOURS[number])
        _name(axis, x[-1], y[-1], f"{count} worker{'s' if count != '1' else ''}", COLOURS[number])
    if name == "films a minute":
        axis.axvline(1, color=GREY, linewidth=1)
    axis.set_ylim(bottom=0)
    axis.margins(x=0.14)
    axis.set_xlabel("arrivals, as a share of what one worker sustains", fontsize=TEXT_PT)
    axis.set_title(title, fontsize=TEXT_PT, loc="left")
    axis.grid(visible=True, alpha=0.3)


def _steps(axis: Any, series: list[Series]) -> None:
    names = list(dict.fromkeys(one.name for one in series))
    ends: list[tuple[float, float, str, str]] = []
    for number, name in enumerate(names):
        for state, line in _STATES.items():
            points = sorted(
                (float(one.labels["rows"]), float(np.median(one.values)))
                for one in series
                if one.name == name and one.labels.get("messages") == state
            )
            if not points:
                continue
            x, y = zip(*points, strict=True)
            axis.plot(x, y, line, marker=".", color=COLOURS[number])
            if state == "delivered":
                ends.append(
                    (x[-1], y[-1], name.partition(":")[0].partition(",")[0], COLOURS[number])
                )
    axis.set_xscale("log")
    axis.set_yscale("log")
    low = 0.0
    # Names of lines that end close together would cover each other.
    for x_end, y_end, name, colour in sorted(ends, key=lambda end: end[1]):
        low = max(y_end, low * 1.6)
        _name(axis, x_end, low, name, colour)
    high = max(x_end for x_end, *_ in ends) if ends else 10.0
    axis.set_xlim(right=high * 60)
    axis.set_xlabel("rows in journal and outbox (logarithmic)", fontsize=TEXT_PT)
    axis.set_title(
        "steps, p50 in ms (logarithmic); solid: delivered, dashed: waiting",
        fontsize=TEXT_PT,
        loc="left",
    )
    axis.grid(visible=True, alpha=0.3)


def _name(axis: Any, x: float, y: float, name: str, colour: str) -> None:
    axis.annotate(
        name, (x, y), xytext=(7, 0), textcoords="offset points", va="center", color=colour,
        fontsize=TEXT_PT,
    )  # fmt: skip
