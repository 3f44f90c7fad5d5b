"""Figures of the report as inline SVG: crisp at any size, light or dark with the page.

Layer: training.evaluation; pure functions from findings to markup. Colours are classes of the
page's style.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.evaluation.findings import ScorerFindings, TotalFindings
    from training.evaluation.statistics import Calibration, Estimate

_CONFUSION_PX = 330
_SQUARE_PX = 250


@dataclass
class Drawing:
    """An SVG that grows: ``width`` and ``height`` are its own units, about pixels."""

    width: float
    height: float
    name: str
    parts: list[str] = field(default_factory=list)

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        """A straight line."""
        self.parts.append(
            f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
        )

    def box(
        self, x: float, y: float, w: float, h: float, kind: str, opacity: float | None = None
    ) -> None:
        """A rectangle; ``opacity`` of its fill."""
        shade = "" if opacity is None else f' fill-opacity="{opacity:.3f}"'
        self.parts.append(
            f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" '
            f'height="{h:.1f}"{shade}/>'
        )

    def dot(self, x: float, y: float, r: float, kind: str, title: str = "") -> None:
        """A circle, with an optional tooltip."""
        tip = f"<title>{escape(title)}</title>" if title else ""
        self.parts.append(
            f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}">{tip}</circle>'
        )

    def diamond(self, x: float, y: float, r: float, kind: str) -> None:
        """A square on its corner."""
        self.parts.append(
            f'<path class="{kind}" d="M{x:.1f} {y - r:.1f}L{x + r:.1f} {y:.1f}'
            f'L{x:.1f} {y + r:.1f}L{x - r:.1f} {y:.1f}Z"/>'
        )

    def outline(self, corners: Sequence[tuple[float, float]], kind: str) -> None:
        """A closed line through corners."""
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in corners)
        self.parts.append(f'<path class="{kind}" d="M{path}Z"/>')

    def text(
        self, x: float, y: float, words: str, kind: str = "t", *, turned: bool = False
    ) -> None:
        """Text at a place; the class decides size and alignment."""
        turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
        self.parts.append(
            f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}"{turn}>{escape(words)}</text>'
        )

    def __str__(self) -> str:
        return (
            f'<svg viewBox="0 0 {self.width:.0f} {self.height:.0f}" role="img" '
            f'style="max-width:{self.width:.0f}px" aria-label="{escape(self.name, quote=True)}">'
            f"{''.join(self.parts)}</svg>"
        )


def confusion(scorer: ScorerFindings) -> str:
    """Confusion matrix, rows true grades in per cent; the band within one is framed."""
    grades = len(scorer.confusion)
    cell = _CONFUSION_PX / (grades + 1)
    gap, left, top = 8.0, 44.0, 6.0
    width = left + _CONFUSION_PX + gap + 44
    drawn = Drawing(width, top + grades * cell + 44, f"Confusion matrix, {scorer.task}")
    for i, row in enumerate(scorer.confusion):
        total = sum(row)
        y = top + i * cell
        for j, count in enumerate(row):
            x = left + j * cell + (gap if j == grades else 0)
            part = count / total if total else 0.0
            drawn.box(x, y, cell, cell, "grid")
            drawn.box(x, y, cell, cell, "heat" if j < grades else "heat none", part)
            if count:
                shade = " strong" if part > 0.55 else ""
                small = " s" if grades > 8 else ""
                middle = x + cell / 2
                drawn.text(middle, y + cell / 2 + 4, f"{100 * part:.0f}", f"t mid{small}{shade}")
        drawn.text(left - 8, y + cell / 2 + 4, str(i), "t end")
        count_x = left + _CONFUSION_PX + gap + 10
        drawn.text(count_x, y + cell / 2 + 4, str(total), "t mute s")
    drawn.outline(_band(grades, cell, left, top), "near")
    bottom = top + grades * cell
    for j in range(grades + 1):
        x = left + j * cell + (gap if j == grades else 0) + cell / 2
        drawn.text(x, bottom + 16, "null" if j == grades else str(j), "t mid")
    drawn.text(left + _CONFUSION_PX + gap + 10, bottom + 16, "n", "t mute s")
    drawn.text(left + grades * cell / 2, bottom + 36, "grade given", "t mid mute")
    drawn.text(14, top + grades * cell / 2, "true grade", "t mid mute", turned=True)
    return str(drawn)


def _band(grades: int, cell: float, left: float, top: float) -> list[tuple[float, float]]:
    """Corners of the staircase round the cells within one of the diagonal."""
    rows = range(grades)
    right = [(min(i + 2, grades), y) for i in rows for y in (i, i + 1)]
    lower = [(max(i - 1, 0), y) for i in reversed(rows) for y in (i + 1, i)]
    return [(left + cell * x, top + cell * y) for x, y in [*right, *lower]]


def reliability(scorer: ScorerFindings) -> str:
    """Predicted probability against observed share: any damage (dots), grade given (diamonds)."""
    left, top, side = 48.0, 8.0, _SQUARE_PX
    drawn = Drawing(left + side + 12, top + side + 46, f"Calibration, {scorer.task}")
    _square_axes(drawn, left, top, side)
    for found, kind in (
        (scorer.damage_calibration, "first"),
        (scorer.grade_calibration, "second"),
    ):
        if found is not None:
            _reliability_points(drawn, found, left, top, side, kind)
    drawn.text(left + side / 2, top + side + 38, "probability said", "t mid mute")
    drawn.text(13, top + side / 2, "share that is true", "t mid mute", turned=True)
    return str(drawn)


def _square_axes(drawn: Drawing, left: float, top: float, side: float) -> None:
    for i in range(6):
        at = side * i / 5
        drawn.line(left + at, top, left + at, top + side, "grid")
        drawn.line(left, top + at, left + side, top + at, "grid")
        drawn.text(left + at, top + side + 17, f"{i / 5:.1f}", "t mid")
        drawn.text(left - 7, top + side - at + 4, f"{i / 5:.1f}", "t end")
    drawn.line(left, top + side, left + side, top, "dash")


def _reliability_points(
    drawn: Drawing, found: Calibration, left: float, top: float, side: float, kind: str
) -> None:
    largest = max(found.count)
    for count, said, seen in zip(found.count, found.said, found.seen, strict=True):
        if seen.value is None:
            continue
        x, y = left + side * said, top + side * (1 - seen.value)
        if seen.low is not None and seen.high is not None:
            low, high = top + side * (1 - seen.low), top + side * (1 - seen.high)
            drawn.line(x, low, x, high, f"whisker {kind}")
        size = 2.5 + 4.5 * math.sqrt(count / largest)
        if kind == "first":
            drawn.dot(x, y, size, f"mark {kind}", f"n {count}")
        else:
            drawn.diamond(x, y, size, f"mark {kind}")


def bland_altman(total: TotalFindings) -> str:
    """Difference against mean of two readings, with bias and 95 % limits of agreement."""
    left, top, width, height = 52.0, 8.0, 320.0, 210.0
    drawn = Drawing(left + width + 52, top + height + 46, f"Bland-Altman, {total.label}")
    means = [(true + given) / 2 for true, given in total.pairs]
    apart = [given - true for true, given in total.pairs]
    found = total.agreement
    limits = [e.value for e in (found.lower, found.upper) if e.value is not None]
    reach = max([abs(v) for v in (*apart, *limits)] + [1.0]) * 1.12
    x_ticks = _ticks(0, max([*means, 1.0]))
    y_ticks = _ticks(-reach, reach)
    high_x = max(x_ticks[-1], *means)
    reach = max(reach, abs(y_ticks[0]), abs(y_ticks[-1]))

    def place(mean: float, difference: float) -> tuple[float, float]:
        return left + width * mean / high_x, top + height * (0.5 - difference / (2 * reach))

    for tick in x_ticks:
        x, _ = place(tick, 0)
        drawn.line(x, top, x, top + height, "grid")
        drawn.text(x, top + height + 17, _plain(tick), "t mid")
    for tick in y_ticks:
        _, y = place(0, tick)
        drawn.line(left, y, left + width, y, "grid")
        drawn.text(left - 7, y + 4, _plain(tick), "t end")
    _, zero = place(0, 0)
    drawn.line(left, zero, left + width, zero, "axis")
    for value, kind in (
        (found.bias, "level"),
        (found.lower, "limit"),
        (found.upper, "limit"),
    ):
        if value.value is not None:
            _, y = place(0, value.value)
            drawn.line(left, y, left + width, y, kind)
            drawn.text(left + width + 5, y + 4, _plain(value.value, 1), f"t s {kind}")
    for (mean, difference), times in Counter(zip(means, apart, strict=True)).items():
        x, y = place(mean, difference)
        words = f"mean {mean:g}, difference {difference:+g}, n {times}"
        drawn.dot(x, y, 3 * min(math.sqrt(times), 3.0), "mark first", words)
    drawn.text(
        left + width / 2, top + height + 38, "mean of both readings (SvH units)", "t mid mute"
    )
    drawn.text(13, top + height / 2, "ours minus true (SvH units)", "t mid mute", turned=True)
    return str(drawn)


def beside_paper(scorers: Sequence[ScorerFindings]) -> str:
    """Balanced accuracies with intervals, the paper's and the best constant answer's beside."""
    left, top, width, step = 126.0, 10.0, 340.0, 54.0
    height = step * len(scorers)
    drawn = Drawing(left + width + 16, top + height + 44, "Balanced accuracy beside the paper's")
    for tick in range(0, 101, 20):
        x = left + width * tick / 100
        drawn.line(x, top, x, top + height, "grid")
        drawn.text(x, top + height + 17, str(tick), "t mid")
    for i, scorer in enumerate(scorers):
        y = top + step * i + step / 2
        drawn.text(left - 14, y + 4, scorer.task, "t end")
        for value, paper, constant, kind, shift in (
            (scorer.exact, scorer.paper_exact, scorer.constant.exact, "first", -10),
            (scorer.within_one, scorer.paper_within_one, scorer.constant.within_one, "second", 10),
        ):
            _interval(drawn, value, left, width, y + shift, kind)
            drawn.diamond(left + width * paper, y + shift, 5, f"hollow {kind}")
            x = left + width * constant
            drawn.line(x, y + shift - 6, x, y + shift + 6, "baseline")
        if i:
            drawn.line(left - 122, y - step / 2, left + width, y - step / 2, "grid")
    drawn.text(left + width / 2, top + height + 38, "balanced accuracy, %", "t mid mute")
    return str(drawn)


def _interval(
    drawn: Drawing, value: Estimate, left: float, width: float, y: float, kind: str
) -> None:
    if value.value is None:
        return
    if value.low is not None and value.high is not None:
        low, high = left + width * value.low, left + width * value.high
        drawn.line(low, y, high, y, f"whisker {kind}")
        for x in (low, high):
            drawn.line(x, y - 3, x, y + 3, f"whisker {kind}")
    drawn.dot(left + width * value.value, y, 4.5, f"mark {kind}", f"{100 * value.value:.1f} %")


def _ticks(low: float, high: float) -> list[float]:
    """Round places from ``low`` to just over ``high``, five or so of them."""
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def _plain(value: float, digits: int | None = None) -> str:
    """A number with a true minus sign."""
    shown = f"{round(value, 6):g}" if digits is None else f"{value:.{digits}f}"
    return shown.replace("-", "\u2212")
