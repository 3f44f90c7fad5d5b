"""The chapters of the page that speak of grades: scorers, missing grades, totals.

Room: training; pure functions from findings to markup.
"""

from __future__ import annotations

import itertools
from html import escape
from typing import TYPE_CHECKING

from training.evaluation import plots
from training.evaluation.markup import Cell, count, figure, legend, number, pct, table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from training.evaluation.findings import Report, ScorerFindings

LEAST_DRAWN = 5
_LETTERS = "abcdefgh"


def scorers(report: Report) -> str:
    """Grades beside true ones: counts, shares, agreement, matrices, calibration."""
    if not report.scorers:
        return ""
    return (
        _grade_counts(report)
        + _shares(report)
        + _more_figures(report)
        + _scorer_groups(report)
        + figure(
            "Confusion matrices, per cent of each true grade; within one is framed. "
            + _lettered(_tasks(report.scorers)),
            _grid(_tasks(report.scorers), map(plots.confusion, report.scorers)),
        )
        + _calibration(report)
        + _stricter(report)
    )


def _tasks(scorers: Iterable[ScorerFindings]) -> list[str]:
    return [scorer.task for scorer in scorers]


def _starts(tasks: Iterable[str]) -> list[int]:
    """Rows of a table at which another task begins."""
    return [i for i, (before, task) in enumerate(itertools.pairwise(tasks), 1) if task != before]


def _lettered(names: Iterable[str]) -> str:
    return "; ".join(f"({letter}) {name}" for letter, name in zip(_LETTERS, names, strict=False))


def _grid(names: Iterable[str], drawings: Iterable[str]) -> str:
    """Drawings side by side, each under its letter and name."""
    parts = "".join(
        f"<div><p>({letter}) {escape(name)}</p>{drawing}</div>"
        for letter, name, drawing in zip(_LETTERS, names, drawings, strict=False)
    )
    return f'<div class="grid2">{parts}</div>'


def _grade_counts(report: Report) -> str:
    widest = max(len(scorer.by_grade) for scorer in report.scorers)
    rows: list[tuple[Cell | str, ...]] = [
        (
            scorer.task,
            *_counts(scorer.by_grade, widest),
            count(scorer.joints),
        )
        for scorer in report.scorers
    ]
    head = ("Scorer", *(str(grade) for grade in range(widest)), "all")
    return table("Joints of each true grade, n", head, rows)


def _counts(numbers: tuple[int, ...], width: int) -> list[Cell]:
    """Counts, and empty cells to the table's width."""
    return [*map(count, numbers), *[Cell("", numeric=True)] * (width - len(numbers))]


def _shares(report: Report) -> str:
    rows = [
        (
            scorer.task,
            count(scorer.scored),
            pct(scorer.share_exact),
            pct(scorer.share_within_one),
            count(sum(scorer.confusion[0][:-1])),
            pct(scorer.sound_exact),
            pct(scorer.sound_within_one),
        )
        for scorer in report.scorers
    ]
    head = (
        "Scorer", "n scored", "exact, %", "within one, %", "n of true grade 0", "as 0, %",
        "as at most 1, %",
    )  # fmt: skip
    return table("Shares of the scored joints, every joint counted alike", head, rows)


def _more_figures(report: Report) -> str:
    rows = [
        (
            scorer.task,
            count(scorer.scored),
            number(scorer.kappa, 3),
            number(scorer.mean_error, 2),
            number(scorer.damage_auc, 3),
            number(scorer.damage_calibration.error if scorer.damage_calibration else None, 3),
            number(scorer.grade_calibration.error if scorer.grade_calibration else None, 3),
        )
        for scorer in report.scorers
    ]
    head = (
        "Scorer", "n scored", "quadratic kappa", "mean error, grades",
        "AUC, 0 against 1 and more", "ECE, any damage", "ECE, grade given",
    )  # fmt: skip
    return table("Agreement of the scored joints with their true grades", head, rows)


def _scorer_groups(report: Report) -> str:
    rows = [
        (
            one.task,
            f"{one.group}: {one.value}",
            count(one.joints),
            pct(one.coverage),
            pct(one.share_exact),
            pct(one.share_within_one),
            number(one.kappa, 3),
        )
        for one in report.scorer_groups
    ]
    if not rows:
        return ""
    head = (
        "Scorer", "Group", "n joints", "scored, %", "exact, %", "within one, %",
        "quadratic kappa",
    )  # fmt: skip
    starts = _starts(one.task for one in report.scorer_groups)
    return table("The same by group of films, every joint counted alike", head, rows, starts)


def _calibration(report: Report) -> str:
    known = [scorer for scorer in report.scorers if scorer.damage_calibration is not None]
    if not known:
        return ""
    key = (
        f'<p class="note">{legend("any damage (grade 1 and more)", ("first", "dot"))}'
        f"{legend('the grade that was given', ('second', 'diamond'))}</p>"
    )
    return figure(
        "Calibration in ten bins with 95 % intervals; larger dots hold more joints. "
        + _lettered(_tasks(known)),
        key + _grid(_tasks(known), map(plots.reliability, known)),
    )


def _stricter(report: Report) -> str:
    rows = [
        (
            one.task,
            number(one.limit, 2),
            count(one.scored),
            pct(one.coverage),
            pct(one.exact),
            pct(one.within_one),
            pct(one.sound_within_one),
        )
        for one in report.stricter
    ]
    if not rows:
        return ""
    head = (
        "Scorer", "grade_doubt", "n left", "left, %", "balanced exact, %",
        "balanced within one, %", "true 0 as at most 1, %",
    )  # fmt: skip
    starts = _starts(one.task for one in report.stricter)
    return table(
        "What a stricter setting of grade_doubt leaves, and how right it is", head, rows, starts
    )


def missing(report: Report) -> str:
    """Joints without a grade, by reason."""
    reasons = sorted({reason for scorer in report.scorers for reason in scorer.missing})
    if not report.scorers:
        return ""
    if not reasons:
        return "<p>Every joint with a known grade was scored.</p>"
    rows: list[tuple[Cell | str, ...]] = [
        (
            scorer.task,
            count(scorer.joints),
            *_counts(tuple(scorer.missing.get(r, 0) for r in reasons), len(reasons)),
            pct(scorer.coverage),
        )
        for scorer in report.scorers
    ]
    head = ("Scorer", "n joints", *(r.replace("_", " ") for r in reasons), "scored, %")
    return table("Joints whose grade is null, by reason, n", head, rows)


def healthy(report: Report) -> str:
    """Grades where 0 is presumed."""
    if not report.healthy:
        return ""
    widest = max(len(one.given) for one in report.healthy)
    rows: list[tuple[Cell | str, ...]] = [
        (
            one.task,
            count(one.joints),
            pct(one.coverage),
            pct(one.zero),
            pct(one.at_most_one),
            *_counts(one.given, widest),
        )
        for one in report.healthy
    ]
    head = (
        "Scorer", "n joints", "scored, %", "as 0, %", "as at most 1, %",
        *(f"given {grade}" for grade in range(widest)),
    )  # fmt: skip
    return (
        "<p>Clean, sharp films of adults examined for injuries. Nobody graded them: 0 is presumed, "
        "and some of these joints may well be worn. This is no validation of the scores.</p>"
        + table("Grades given where 0 is presumed", head, rows)
    )


def totals(report: Report) -> str:
    """Sums beside true ones, with their Bland-Altman plots."""
    if not report.totals:
        return ""
    # A plot of two or three patients shows nothing: then the single limbs are drawn.
    patients = [total for total in report.totals if total.unit == "patients"]
    enough = any(total.agreement.n >= LEAST_DRAWN for total in patients)
    drawn = patients if enough else [t for t in report.totals if t.unit == "limbs"]
    head = (
        "Total", "n", "left out", "highest", "ICC(2,1)", "bias", "lower limit", "upper limit",
        "smallest detectable change",
    )  # fmt: skip
    rows = [
        (
            total.label,
            count(total.agreement.n),
            count(total.left_out),
            count(total.maximum),
            number(total.agreement.icc, 3),
            number(total.agreement.bias, 1),
            number(total.agreement.lower, 1),
            number(total.agreement.upper, 1),
            number(total.agreement.detectable, 1),
        )
        for total in report.totals
    ]
    return (
        table("Sums beside the true ones, in Sharp/van der Heijde units", head, rows)
        + '<p class="note">Sums run over joints that have both grades; a limb or patient with '
        "fewer than 80 % of its joints graded is left out. Human readers, for comparison: ICC .85 "
        "to .97, smallest detectable difference 11 to 15.5 units of the whole score.</p>"
        + figure(
            "Bland-Altman plots: solid line bias, broken lines 95 % limits of agreement; larger "
            "dots stand for several. " + _lettered(t.label for t in report.totals),
            _grid([total.label for total in drawn], map(plots.bland_altman, drawn)),
        )
    )
