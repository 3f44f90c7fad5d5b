"""The report as one self-contained page, in the order in which a reader asks.

Room: training; pure functions from findings to markup. Reads its own style sheet, nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from edge.model import DISCLAIMER
from training.report import plots
from training.report.markup import Cell, count, dl, figure, number, pct, table
from training.report.words import METHODS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from training.report.findings import GroupJoints, Report, ScorerFindings

_LETTERS = "abcdefgh"


@dataclass(frozen=True)
class Section:
    """One chapter: its anchor, its heading and its markup."""

    anchor: str
    heading: str
    body: str


def as_html(report: Report) -> str:
    """One HTML document without links to anything outside."""
    about = report.about
    sections = [section for section in _sections(report) if section.body]
    links = " ".join(f'<a href="#{s.anchor}">{escape(s.heading)}</a>' for s in sections)
    body = "".join(
        f'<section id="{s.anchor}"><h2>{escape(s.heading)}</h2>{s.body}</section>' for s in sections
    )
    style = files("training.report").joinpath("style.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(about.title)}: {escape(about.set_name)}</title>"
        f"<style>{style}</style></head><body>"
        f"<header><h1>{escape(about.title)}</h1>"
        f'<p class="sub">Evaluation of sharpedge {escape(about.software)} on the set '
        f"{escape(about.set_name)}</p>{_notice(report)}</header>"
        f"<nav>{links}</nav><main>{body}</main></body></html>\n"
    )


def _notice(report: Report) -> str:
    about = report.about
    leak = f"<p><strong>Split:</strong> {escape(about.split_statement)}.</p>"
    return (
        f'<div class="notice"><p><strong>{escape(DISCLAIMER.capitalize())}.</strong> '
        f"{escape(about.statement)}</p>{leak if about.split == 'paper' else ''}</div>"
    )


def _sections(report: Report) -> Iterable[Section]:
    yield Section("set", "What was measured", _about(report))
    yield Section("summary", "Beside the paper", _summary(report))
    yield Section("fates", "Limb, side and fate", _fates(report))
    yield Section("detection", "Joints found and named", _detection(report))
    yield Section("identity", "Names from places alone", _identity(report))
    yield Section("outline", "Outline", _outline(report))
    yield Section("scorers", "Scorers", _scorers(report))
    yield Section("missing", "Joints without a grade", _missing(report))
    yield Section("healthy", "Joints presumed without arthritis", _healthy(report))
    yield Section("totals", "Totals", _totals(report))
    yield Section("methods", "How the figures are made", METHODS)


def _about(report: Report) -> str:
    about = report.about
    joints = sum(group.joints for group in _wholes(report))
    engines = ", ".join(f"{name} {sha}" for name, sha in sorted(about.engines.items()))
    few = about.patients < 20
    rows = [
        ("kind of truth", about.kind),
        ("split", about.split_statement),
        ("labels", "; ".join(about.notes)) if about.notes else None,
        ("films, limbs, patients", f"{about.films}, {about.limbs}, {about.patients}"),
        ("joints with a known place", str(joints)) if joints else None,
        ("engines (SHA-256)", engines) if engines else None,
        ("intervals", f"95 %, {about.draws} bootstrap draws of patients, seed {about.seed}"),
        ("made", about.made),
    ]
    warning = (
        f'<p class="note">Only {about.patients} '
        f"{'patient' if about.patients == 1 else 'patients'}: the intervals are rough and "
        "likely too narrow.</p>"
    )
    return dl([row for row in rows if row]) + (warning if few else "")


def _wholes(report: Report) -> list[GroupJoints]:
    groups = report.detection.groups if report.detection else ()
    return [group for group in groups if group.group == "all"]


def _summary(report: Report) -> str:
    if not report.scorers:
        return ""
    key = (
        f'<p class="note">{_key("exact", ("first", "dot"))}{_key("within one", ("second", "dot"))}'
        f"{_key('the paper', ('first', 'hollow'), ('second', 'hollow'))}"
        f"{_key('best constant answer', ('baseline', 'tick'))}</p>"
    )
    return (
        '<p class="note">Figure and table compare the task. The paper measured joints of '
        "patients that its split by joint did not keep apart; its data are not these data.</p>"
        + figure(
            "Balanced accuracy by scorer, exact and within one grade, with 95 % intervals",
            key + plots.beside_paper(report.scorers),
        )
        + _accuracy_table(report)
        + _baseline_table(report)
    )


def _key(words: str, *marks: tuple[str, str]) -> str:
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


def _accuracy_table(report: Report) -> str:
    head = (
        "Scorer", "n joints", "scored, %", "exact, %", "within one, %", "exact, missing wrong, %",
        "within one, missing wrong, %", "paper exact, %", "paper within one, %",
    )  # fmt: skip
    rows = [
        (
            scorer.task,
            count(scorer.joints),
            pct(scorer.coverage),
            pct(scorer.exact),
            pct(scorer.within_one),
            pct(scorer.exact_all),
            pct(scorer.within_one_all),
            number(100 * scorer.paper_exact, 2),
            number(100 * scorer.paper_within_one, 2),
        )
        for scorer in report.scorers
    ]
    return table("Balanced accuracy beside the paper's Table 1", head, rows)


def _baseline_table(report: Report) -> str:
    head = (
        "Scorer", "answer", "n joints", "exact, %", "within one, %", "mean error, grades",
    )  # fmt: skip
    rows = [
        (
            scorer.task,
            f"{words} {base.answer}",
            count(scorer.joints),
            number(100 * base.exact, 1),
            number(100 * base.within_one, 1),
            number(base.mean_error, 2),
        )
        for scorer in report.scorers
        for words, base in (("always", scorer.zero), ("best constant,", scorer.constant))
    ]
    return table("Balanced accuracy of answers that look at no film", head, rows)


def _fates(report: Report) -> str:
    if not report.fates:
        return ""
    known = any(fate.fate_right.value is not None for fate in report.fates)
    rows = [
        (
            fate.limb,
            count(fate.films),
            pct(fate.limb_right),
            pct(fate.side_right),
            pct(fate.fate_right),
        )
        for fate in report.fates
    ]
    outcomes = [
        (one.limb, one.status, one.reason or "", count(one.films))
        for fate in report.fates
        for one in fate.outcomes
    ]
    note = (
        ""
        if known
        else '<p class="note">These labels do not say which films ought to be held: what became of '
        "them is listed and not judged.</p>"
    )
    return (
        table(
            "Films whose limb, side and fate (scored, or held for the right reason) were right",
            ("Limb", "n films", "limb right, %", "limb and side right, %", "fate right, %"),
            rows,
        )
        + table("What became of the films", ("Limb", "status", "reason", "n films"), outcomes)
        + note
    )


def _detection(report: Report) -> str:
    found = report.detection
    if found is None:
        return ""
    classes = [
        (one.label, count(one.truths), pct(one.ap50), pct(one.ap75)) for one in found.classes
    ]
    head = (
        "Limb", "Group", "n films", "n joints", "found, %", "found and named, %",
        "films complete, %", "certain names wrong", "AP50, %", "AP75, %",
    )  # fmt: skip
    rows = [
        (
            group.limb,
            group.value if group.group == "all" else f"{group.group}: {group.value}",
            count(group.films),
            count(group.joints),
            pct(group.found),
            pct(group.named),
            pct(group.complete),
            Cell(f"{group.misnamed} / {group.certain}", numeric=True),
            pct(group.ap50),
            pct(group.ap75),
        )
        for group in found.groups
    ]
    starts = [i for i, group in enumerate(found.groups) if i and group.group == "all"]
    return table(
        "Average precision by detector class", ("Class", "n boxes", "AP50, %", "AP75, %"), classes
    ) + table(
        "Joints by view, age, orientation as stored, and size (MCP3-PIP3, or MTP1-MTP5, in pixels)",
        head,
        rows,
        starts,
    )


def _identity(report: Report) -> str:
    if not report.identity:
        return ""
    rows = [
        (
            one.limb,
            count(one.drop),
            one.conditions,
            count(one.images),
            pct(one.right, 2),
            pct(one.certain, 2),
            pct(one.wrong_of_certain, 2),
        )
        for one in report.identity
    ]
    starts = [i for i, one in enumerate(report.identity) if i and one.drop == 0]
    starts = [i for i in starts if report.identity[i].limb != report.identity[i - 1].limb]
    return table(
        "Naming of true joint places with joints taken away at random",
        (
            "Limb", "joints dropped", "conditions", "n images", "best naming right, %",
            "certain, %", "certain and wrong, % of certain",
        ),
        rows,
        starts,
    )  # fmt: skip


def _outline(report: Report) -> str:
    rows = [
        (
            one.limb,
            count(one.films),
            number(one.mean, 3),
            number(one.median, 3),
            number(one.least, 3),
        )
        for one in report.outlines
    ]
    if not rows:
        return ""
    return table(
        "Dice of the outline that was found and the true one, on the canvas",
        ("Limb", "n films", "mean", "median", "least"),
        rows,
    )


def _scorers(report: Report) -> str:
    if not report.scorers:
        return ""
    return (
        _grade_counts(report)
        + _more_figures(report)
        + figure(
            "Confusion matrices, per cent of each true grade; within one is framed. "
            + _lettered(_tasks(report.scorers)),
            _grid(_tasks(report.scorers), map(plots.confusion, report.scorers)),
        )
        + _calibration(report)
    )


def _tasks(scorers: Iterable[ScorerFindings]) -> list[str]:
    return [scorer.task for scorer in scorers]


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


def _calibration(report: Report) -> str:
    known = [scorer for scorer in report.scorers if scorer.damage_calibration is not None]
    if not known:
        return ""
    key = (
        f'<p class="note">{_key("any damage (grade 1 and more)", ("first", "dot"))}'
        f"{_key('the grade that was given', ('second', 'diamond'))}</p>"
    )
    return figure(
        "Calibration in ten bins with 95 % intervals; larger dots hold more joints. "
        + _lettered(_tasks(known)),
        key + _grid(_tasks(known), map(plots.reliability, known)),
    )


def _missing(report: Report) -> str:
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


def _healthy(report: Report) -> str:
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


def _totals(report: Report) -> str:
    if not report.totals:
        return ""
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
            _grid([t.label for t in report.totals], map(plots.bland_altman, report.totals)),
        )
    )
