"""A patient's films over time: visits, sums, and each change against the smallest detectable one.

Layer: sharpedge; pure functions over results of the journal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

from edge.anatomy import LIMBS
from edge.model import PARTIAL_SVH_NAME
from edge.outputs.study import PLACES, place_of
from edge.totals import add, limb_subtotals

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from edge.model import LimbResult, Subtotal
    from edge.outputs.study import Place
    from sharpedge.tables.journal_results import StoredResult

DETECTABLE = 15.5
"""Smallest detectable difference of trained human readers, in units of the whole score (0 to 448):
Lassere et al., J Rheumatol 1999;26:731-739, the mean of any two readers."""
SOURCE = (
    "No smallest detectable change has been measured for this software on patients' films. "
    f"Changes are held against {DETECTABLE} units, which was published for human readers (Lassere "
    "et al., J Rheumatol 1999;26:731-739: the mean of any two trained readers, whole score of 448 "
    "units with the wrist; 11 units for the same two readers). It is shown for comparison and does "
    "not say how accurate this software is."
)
_GRADES = 2 * sum(
    part.n_expected
    for limb in LIMBS
    for sums in (limb_subtotals(limb, ()),)
    for part in (sums.erosion, sums.narrowing)
)
"""Of both hands and feet."""
COMPARED = (
    "A change counts the joints alone that have a grade on both dates; of a joint without one "
    "nothing is known. Dates are those on which the films arrived at the appliance, UTC."
)


@dataclass(frozen=True)
class Visit:
    """Films of one study that arrived on one day, the latest of each limb."""

    day: date
    study: str
    limbs: dict[Place, LimbResult] = field(default_factory=dict)

    @property
    def total(self) -> Subtotal | None:
        """Sum of erosion and narrowing over the limbs that are there; None without any."""
        parts = [
            part
            for limb in self.limbs.values()
            if limb.limb is not None
            for sums in (limb.subtotals or limb_subtotals(limb.limb, limb.joints),)
            for part in (sums.erosion, sums.narrowing)
        ]
        return reduce(add, parts) if parts else None


class Change(NamedTuple):
    """How the score changed between two visits, over the grades that both have.

    ``sum`` is None where no grade is on both.
    """

    sum: int | None
    grades: int
    expected: int

    @property
    def is_detectable(self) -> bool:
        """Whether it reaches `DETECTABLE`, in either direction."""
        return self.sum is not None and abs(self.sum) >= DETECTABLE


def visits_of(results: Iterable[StoredResult]) -> list[Visit]:
    """Group results, oldest first, into visits; a later film of a limb replaces an earlier one."""
    visits: dict[tuple[str, date], Visit] = {}
    for it in results:
        place = place_of(it.message.body)
        if place is None:
            continue
        key = (it.message.study, it.arrived.date())
        visit = visits.setdefault(key, Visit(key[1], key[0]))
        visit.limbs[place] = it.message.body
    return sorted(visits.values(), key=lambda visit: visit.day)


def change(before: Visit, after: Visit) -> Change:
    """The change from a visit to a later one."""
    differences: list[int] = []
    expected = 0
    for place in PLACES:
        if place not in before.limbs or place not in after.limbs:
            continue
        old = {joint.name: joint for joint in before.limbs[place].joints if joint.name}
        new = {joint.name: joint for joint in after.limbs[place].joints if joint.name}
        limb = after.limbs[place].limb
        if limb is not None:
            sums = limb_subtotals(limb, ())
            expected += sums.erosion.n_expected + sums.narrowing.n_expected
        for name in old.keys() & new.keys():
            for kind in ("erosion", "narrowing"):
                first, last = getattr(old[name], kind), getattr(new[name], kind)
                if first is not None and last is not None:
                    differences.append(last - first)
    return Change(sum(differences) if differences else None, len(differences), expected)


def change_words(found: Change) -> str:
    """Say what a change means, never more than that."""
    if found.sum is None:
        return "no joint has a grade on both dates"
    over = f"over {found.grades} of {found.expected} grades"
    if not found.is_detectable:
        return f"{found.sum:+d} {over}: within the readers' measurement error"
    return f"{found.sum:+d} {over}: above the readers' measurement error; a reader must compare"


HEADER = (
    "date",
    *(f"{place} erosion / narrowing" for place in PLACES),
    PARTIAL_SVH_NAME,
    "change since the film before",
    "change since the first film",
)


def rows_of(visits: list[Visit]) -> list[list[str]]:
    """Rows under `HEADER`: one for each visit, a dash where there is nothing."""
    rows = []
    for number, visit in enumerate(visits):
        limbs = [_limb_words(visit.limbs.get(place)) for place in PLACES]
        total = visit.total
        score = "-"
        if total is not None and total.score is not None:
            score = f"{total.score} ({total.n_scored} of {_GRADES} grades)"
        rows.append(
            [
                f"{visit.day:%Y-%m-%d}",
                *limbs,
                score,
                change_words(change(visits[number - 1], visit)) if number else "first film",
                change_words(change(visits[0], visit)) if number else "-",
            ]
        )
    return rows


def _limb_words(limb: LimbResult | None) -> str:
    if limb is None:
        return "-"
    if limb.subtotals is None:
        return "not graded"
    parts = (limb.subtotals.erosion, limb.subtotals.narrowing)
    return " / ".join("-" if part.score is None else str(part.score) for part in parts)
