"""The few lines that ``sharpedge evaluate`` prints, as plain text.

Layer: training.evaluation; pure functions over tables.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from edge.anatomy import Limb
from edge.model import Status
from training.evaluation import statistics as st
from training.evaluation.measure import NOT_SCORED
from training.evaluation.rows import PAPER_TABLE_1, grades_of
from training.evaluation.space_findings import space_groups, space_repeats, space_text
from training.evaluation.truth import PAPER_SPLIT, Kind, Split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from training.evaluation.tables import GradeRow, Tables
    from training.evaluation.truth import LabelledSet

_TOO_SMALL = "low_resolution"


HEADS = {
    Kind.PHANTOM: "phantom figures (simulated films)",
    Kind.PAINTED: "painted damage on real films",
    Kind.REAL: "labelled real films",
}


def as_text(labelled: LabelledSet, tables: Tables, split: Split) -> str:
    """Summary of a set: grades where it has them, else joint places limb by limb."""
    rows = list(labelled.notes)
    if tables.grades or labelled.kind is not Kind.REAL:
        rows.append(truth_text(tables, HEADS[labelled.kind]))
    if labelled.kind is Kind.REAL and tables.joints:
        kept = " kept out of training" if split is Split.PATIENT else ""
        limbs = [limb for limb in Limb if any(film.limb is limb for film in tables.films)]
        rows += [places_text(tables, limb, f"labelled {limb} films{kept}") for limb in limbs]
    rows += space_text(space_groups(tables.spaces), space_repeats(tables.repeats))
    if split is Split.PAPER:
        rows.append(f"grades: {PAPER_SPLIT}")
    return "\n".join(rows)


def truth_text(tables: Tables, what: str) -> str:
    """Summary of a set with grades; ``what`` is its heading.

    A joint with a known grade that was not scored counts as wrong, unless its film is too small.
    """
    counts: Counter[str] = Counter()
    for film in tables.films:
        right = film.limb_right if film.side_right is None else film.side_right
        counts[f"{film.limb} films"] += 1
        held_right = film.wanted is Status.SCORED or bool(film.fate_right)
        if film.whole:
            counts["limb and side right"] += right and held_right
        if film.complete is not None:
            counts[f"{film.limb} complete"] += film.complete
    rows = [what, *(f"  {name}: {count}" for name, count in sorted(counts.items()))]
    dice = [film.dice for film in tables.films if film.dice is not None]
    if dice:
        rows.append(f"  outline, Dice: mean {np.mean(dice):.4f}, least {min(dice):.4f}")
    for limb, kind in sorted(PAPER_TABLE_1):
        grades = [
            row
            for row in tables.grades
            if row.kind == kind and tables.films[row.film].limb is limb and row.reason != _TOO_SMALL
        ]
        if grades:
            rows += _grade_lines(limb, kind, grades)
    return "\n".join(rows)


def _grade_lines(limb: Limb, kind: str, grades: list[GradeRow]) -> Iterator[str]:
    true = np.array([row.true for row in grades], np.int64)
    given = np.array([row.given for row in grades], np.int64)
    whole = np.ones((1, 1)), np.zeros(len(grades), np.int64)
    matrices = st.confusions(*whole, true, given, grades_of(limb, kind))
    exact, near = (
        st.balanced_accuracy(matrices, within, missing_wrong=True)[0] for within in (0, 1)
    )
    yield (
        f"  {limb} {kind}: n {len(grades)}, balanced exact {100 * exact:.1f} %, "
        f"within one {100 * near:.1f} %, scored {100 * st.coverage(matrices)[0]:.1f} %"
    )
    sound = given[(true == 0) & (given != NOT_SCORED)]
    if len(sound):
        zero, one = (100 * (sound <= most).mean() for most in (0, 1))
        yield (
            f"    of {len(sound)} scored joints without damage {zero:.1f} % as 0, "
            f"{one:.1f} % as at most 1"
        )


def places_text(tables: Tables, limb: Limb, what: str) -> str:
    """Summary of one limb's films with known joint places: clean films apart from the others."""
    counts: Counter[str] = Counter()
    for film in tables.films:
        if film.limb is limb:
            counts[f"{_cleanness(film.clean)} films"] += 1
    for joint in tables.joints:
        film = tables.films[joint.film]
        if film.limb is limb:
            kind = _cleanness(film.clean)
            counts[f"{kind} joints"] += 1
            counts[f"{kind} joints found and named"] += joint.named
            counts[f"{kind} joints under another certain name"] += joint.misnamed
    rows = [what, *(f"  {name}: {count}" for name, count in sorted(counts.items()))]
    if counts["clean joints"]:
        part = counts["clean joints found and named"] / counts["clean joints"]
        rows.append(f"  clean joints found and named: {100 * part:.1f} %")
    return "\n".join(rows)


def _cleanness(clean: bool) -> str:
    return "clean" if clean else "other"
