"""The report as one self-contained HTML page, in the order in which a reader asks.

Layer: training.evaluation; reads its own templates and style sheet. Uses Jinja2 (the extra
``evaluate``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from edge.model import DISCLAIMER
from training.evaluation import plots
from training.evaluation.statistics import Estimate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from training.evaluation.findings import Report, ScorerFindings, TotalFindings

CHAPTERS = {
    "set": "What was measured",
    "summary": "Beside the paper",
    "fates": "Limb, side and fate",
    "detection": "Joints found and named",
    "identity": "Names from places alone",
    "outline": "Outline",
    "scorers": "Scorers",
    "missing": "Joints without a grade",
    "spaces": "Measured joint space",
    "healthy": "Joints presumed without arthritis",
    "totals": "Totals",
    "methods": "How the figures are made",
}
"""Anchor, and name of the template, to heading, in the order of the page."""


@dataclass(frozen=True)
class Published:
    """Figures that others published; empty where they gave none."""

    whose: str
    erosion: str
    narrowing: str
    total: str


PUBLISHED = (
    Published(
        "RAM-H1200, ordinal baseline, hands, a joint each (2026)",
        "quadratic kappa .59",
        "quadratic kappa .63",
        "correlation .945, RMSE 15.6 units",
    ),
    Published(
        "an external validation: a model at a hospital that it was not trained on",
        "",
        "",
        "ICC .03 to .27",
    ),
    Published("trained human readers", "", "", "ICC .85 to .97"),
)
"""What others published of their own data, for reading beside ours."""
LEAST_DRAWN = 5
"""Fewest patients whose totals are drawn; below it the totals of single limbs are."""
_MINUS, _DASH = "\u2212", "\u2013"


@dataclass(frozen=True)
class Chapter:
    """One chapter: its anchor, its heading and its markup."""

    anchor: str
    heading: str
    body: Markup


def as_html(report: Report) -> str:
    """One HTML document without links to anything outside."""
    pages = _environment()
    chapters = []
    for anchor, heading in CHAPTERS.items():
        body = pages.get_template(f"{anchor}.html").render(report=report).strip()
        if body:
            chapters.append(Chapter(anchor, heading, Markup(body)))  # noqa: S704 - escaped by Jinja
    style = files("training.evaluation").joinpath("style.css").read_text("utf-8")
    return pages.get_template("report.html").render(
        report=report,
        chapters=chapters,
        style=Markup(style),  # noqa: S704 - the package's own file
        disclaimer=DISCLAIMER.capitalize(),
    )


@cache
def _environment() -> Environment:
    pages = Environment(
        loader=PackageLoader("training.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    pages.filters |= {
        "pct": percent,
        "number": number,
        "count": count,
        "counts": counts,
        "confusion": _drawn(plots.confusion),
        "reliability": _drawn(plots.reliability),
        "bland_altman": _drawn(plots.bland_altman),
    }
    pages.globals |= {
        "beside_paper": _drawn(plots.beside_paper),
        "drawn_totals": drawn_totals,
        "missing_reasons": missing_reasons,
        "published": PUBLISHED,
    }
    return pages


def _drawn(plot: Callable[..., str]) -> Callable[..., Markup]:
    """A plot as markup; the plots escape the text in them."""
    return lambda found: Markup(plot(found))  # noqa: S704


def percent(value: Estimate, digits: int = 1) -> Markup:
    """Table cell with a share in per cent, its interval below."""
    return _cell(value, 100.0, digits)


def number(value: Estimate | float | None, digits: int) -> Markup:
    """Table cell with a number, its interval below where it has one."""
    if not isinstance(value, Estimate):
        value = Estimate(value)
    return _cell(value, 1.0, digits)


def count(value: int | str) -> Markup:
    """Table cell with a whole number."""
    return Markup('<td class="num">{}</td>').format(value)


def counts(values: Sequence[int], width: int) -> Markup:
    """Table cells with whole numbers, and empty ones up to ``width``."""
    cells: list[int | str] = [*values, *[""] * (width - len(values))]
    return Markup().join(count(value) for value in cells)


def _cell(value: Estimate, times: float, digits: int) -> Markup:
    if value.value is None:
        return count(_DASH)
    shown = _signed(times * value.value, digits)
    if value.low is None or value.high is None:
        return count(shown)
    low, high = _signed(times * value.low, digits), _signed(times * value.high, digits)
    between = " to " if _MINUS in low + high else _DASH
    interval = f"{low}{between}{high}"
    return Markup('<td class="num">{}<small>{}</small></td>').format(shown, interval)


def _signed(value: float, digits: int) -> str:
    shown = f"{value:.{digits}f}"
    # A rounded minus zero is zero.
    shown = shown.lstrip("-") if float(shown) == 0 else shown
    return shown.replace("-", _MINUS)


def missing_reasons(scorers: Sequence[ScorerFindings]) -> list[str]:
    """Reasons for which any scorer left a joint without a grade."""
    return sorted({reason for scorer in scorers for reason in scorer.missing})


def drawn_totals(totals: Sequence[TotalFindings]) -> list[TotalFindings]:
    """Totals whose plots are shown: of patients, or of limbs where there are few patients."""
    # A plot of two or three patients shows nothing.
    patients = [total for total in totals if total.unit == "patients"]
    enough = any(total.agreement.n >= LEAST_DRAWN for total in patients)
    return patients if enough else [total for total in totals if total.unit == "limbs"]
