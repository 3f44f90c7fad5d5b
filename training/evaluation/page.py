"""The report as one self-contained page, in the order in which a reader asks.

Room: training; pure functions from findings to markup. Reads its own style sheet, nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from edge.model import DISCLAIMER
from training.evaluation import page_scores, plots
from training.evaluation.markup import Cell, count, dl, figure, legend, number, pct, table
from training.evaluation.methods_text import METHODS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from training.evaluation.findings import GroupJoints, Report


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
    style = files("training.evaluation").joinpath("style.css").read_text("utf-8")
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
    yield Section("scorers", "Scorers", page_scores.scorers(report))
    yield Section("missing", "Joints without a grade", page_scores.missing(report))
    yield Section("healthy", "Joints presumed without arthritis", page_scores.healthy(report))
    yield Section("totals", "Totals", page_scores.totals(report))
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
        f'<p class="note">{legend("exact", ("first", "dot"))}'
        f"{legend('within one', ('second', 'dot'))}"
        f"{legend('the paper', ('first', 'hollow'), ('second', 'hollow'))}"
        f"{legend('best constant answer', ('baseline', 'tick'))}</p>"
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
