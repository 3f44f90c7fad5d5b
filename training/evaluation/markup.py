"""Small parts of the page: tables, figures, numbers with their intervals.

Room: training; pure functions from values to markup.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from training.evaluation.statistics import Estimate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MINUS, _DASH = "\u2212", "\u2013"


@dataclass(frozen=True)
class Cell:
    """A table's cell as markup; numbers stand to the right."""

    text: str
    numeric: bool = False


def pct(value: Estimate, digits: int = 1) -> Cell:
    """A share in per cent with its interval below."""
    return _interval(value, 100.0, digits)


def number(value: Estimate | float | None, digits: int) -> Cell:
    """A number, or one with its interval below."""
    if isinstance(value, Estimate):
        return _interval(value, 1.0, digits)
    return Cell(_DASH if value is None else _signed(value, digits), numeric=True)


def count(value: int) -> Cell:
    """A whole number."""
    return Cell(str(value), numeric=True)


def _interval(value: Estimate, times: float, digits: int) -> Cell:
    if value.value is None:
        return Cell(_DASH, numeric=True)
    shown = _signed(times * value.value, digits)
    if value.low is None or value.high is None:
        return Cell(shown, numeric=True)
    low, high = _signed(times * value.low, digits), _signed(times * value.high, digits)
    between = " to " if _MINUS in low + high else _DASH
    return Cell(f"{shown}<small>{low}{between}{high}</small>", numeric=True)


def _signed(value: float, digits: int) -> str:
    shown = f"{value:.{digits}f}"
    # A rounded minus nought is nought.
    shown = shown.lstrip("-") if float(shown) == 0 else shown
    return shown.replace("-", _MINUS)


def table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[Sequence[Cell | str]],
    sections: Sequence[int] = (),
) -> str:
    """A table under its caption; a rule stands above the rows whose index is in ``sections``."""
    lines = [[c if isinstance(c, Cell) else Cell(escape(c)) for c in row] for row in rows]
    numeric = [any(line[i].numeric for line in lines) for i in range(len(head))]
    top = "".join(
        f'<th scope="col"{_num(is_number)}>{escape(words)}</th>'
        for words, is_number in zip(head, numeric, strict=True)
    )
    body = "".join(
        f"<tr{' class=section' if i in sections else ''}>"
        + "".join(f"<td{_num(cell.numeric)}>{cell.text}</td>" for cell in line)
        + "</tr>"
        for i, line in enumerate(lines)
    )
    return (
        f'<p class="caption">{escape(caption)}.</p>'
        f'<div class="scroll"><table aria-label="{escape(caption)}">'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _num(numeric: bool) -> str:
    return ' class="num"' if numeric else ""


def figure(caption: str, body: str) -> str:
    """A drawing above its caption."""
    return f"<figure>{body}<figcaption>{escape(caption)}.</figcaption></figure>"


def dl(rows: Iterable[tuple[str, str]]) -> str:
    """Terms and what they are."""
    return (
        "<dl>"
        + "".join(f"<dt>{escape(term)}</dt><dd>{escape(words)}</dd>" for term, words in rows)
        + "</dl>"
    )


def legend(words: str, *marks: tuple[str, str]) -> str:
    """One entry of a legend: marks (class, shape) as they are drawn, and what they mean."""
    shapes = {
        "dot": '<circle class="mark {}" cx="12" cy="7" r="5"/>',
        "diamond": '<path class="mark {}" d="M12 1L18 7L12 13L6 7Z"/>',
        "hollow": '<path class="hollow {}" d="M12 1L18 7L12 13L6 7Z"/>',
        "tick": '<line class="{}" x1="12" y1="1" x2="12" y2="13"/>',
    }
    drawn = "".join(
        f'<svg viewBox="0 0 24 14" aria-hidden="true">{shapes[shape].format(kind)}</svg>'
        for kind, shape in marks
    )
    return f'<span class="key">{drawn} {escape(words)}</span> '
