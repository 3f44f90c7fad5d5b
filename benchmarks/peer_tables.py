"""Tables of peers: how long others take for the same work, as ratios to ours.

Layer: benchmarks; pure functions over a `Report`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.intervals import median_ratio
from benchmarks.table import Table, number, with_interval

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.figures import Figures
    from benchmarks.intervals import Interval
    from benchmarks.report import Report
    from benchmarks.series import Series

OURS = "ours"
TITLES = {
    "graph": "Peers: the same graph, the same batch",
    "pipeline": "Peers: the same pipeline with another's engines, film by film",
    "paper": "Peers: the paper's own way, with full-size random networks on both sides",
}
"""Label ``part`` of a series to the title of its table."""


def peer_tables(report: Report) -> Iterator[Table]:
    """One table for each part, a row for each contender."""
    pairs = report.of("peers")
    for part, title in TITLES.items():
        rows = [
            (
                series.name,
                series.labels["contender"],
                series.labels.get("precision", ""),
                series.labels.get("batch", ""),
                str(figures.n),
                number(figures.median),
                with_interval(ratio),
            )
            for series, figures, ratio in ratios(pairs, part)
        ]
        if rows:
            yield Table(
                f"{title} (over 1: ours is faster)",
                ("work", "contender", "precision", "batch", "rounds", "p50 (ms)",
                 "by ours (95 % interval)"),
                rows,
            )  # fmt: skip
    against = list(at_one_precision(pairs))
    if against:
        yield Table(
            "Our engines and the fastest peer at the same precision (over 1: ours is faster)",
            ("work", "ours", "precision", "p50 (ms)", "fastest peer", "peer by ours", "finding"),
            against,
        )


def at_one_precision(pairs: list[tuple[Series, Figures]]) -> Iterator[tuple[str, ...]]:
    """Each of our engines against the fastest peer that computes in the same precision."""
    graphs = [
        (series, figures) for series, figures in pairs if series.labels.get("part") == "graph"
    ]
    for series, figures in graphs:
        precision = series.labels.get("precision")
        rivals = [
            (other_figures.median, other)
            for other, other_figures in graphs
            if other.name == series.name
            and other.labels.get("precision") == precision
            and not other.labels["contender"].startswith(OURS)
            and len(other.values) == len(series.values)
        ]
        if not series.labels["contender"].startswith(OURS) or not rivals:
            continue
        fastest = min(rivals, key=lambda rival: rival[0])[1]
        ratio = median_ratio(series.values, fastest.values)
        yield (
            series.name,
            series.labels["contender"],
            str(precision),
            number(figures.median),
            fastest.labels["contender"],
            with_interval(ratio),
            "slower" if ratio.high < 1 else "not slower",
        )


def ratios(
    pairs: list[tuple[Series, Figures]], part: str
) -> Iterator[tuple[Series, Figures, Interval]]:
    """Each series of a part with its ratio to ours of the same name, round by round."""
    ours = {
        series.name: series
        for series, _ in pairs
        if series.labels.get("part") == part and series.labels.get("contender") == OURS
    }
    for series, figures in pairs:
        if series.labels.get("part") != part or series.name not in ours:
            continue
        base = ours[series.name].values
        if len(base) == len(series.values):
            yield series, figures, median_ratio(base, series.values)
