"""A patient over time: visits, sums, and each change against the smallest detectable one.

Layer: dashboard; pure functions over results. The words and rules are those of `sharpedge history`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

from dashboard.scores import KINDS, place_of
from edge.contract.vocabulary import LIMBS, add, limb_subtotals

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.contract.payloads import ResultMessage
    from edge.contract.vocabulary import Subtotal

PLACES = ("LH", "RH", "LF", "RF")
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
COMPARED = (
    "A change counts the joints alone that have a grade on both dates; of a joint without one "
    "nothing is known. Dates are those on which the films arrived at the appliance, UTC. Grades "
    "are the machine's; readers' corrections stand beside each film."
)


@dataclass(frozen=True)
class Visit:
    """Films of one study that arrived on one day, the latest of each limb, with their keys."""

    day: date
    study: str
    limbs: dict[str, ResultMessage] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)

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

    @property
    def words(self) -> str:
        """What a change means, never more than that."""
        if self.sum is None:
            return "no joint has a grade on both dates"
        over = f"over {self.grades} of {self.expected} grades"
        if not self.is_detectable:
            return f"{self.sum:+d} {over}: within the readers' measurement error"
        return f"{self.sum:+d} {over}: above the readers' measurement error; a reader must compare"


def visits_of(results: Iterable[tuple[int, ResultMessage]]) -> list[Visit]:
    """Group results with their keys into visits, oldest first.

    Of a limb the result with the highest sequence number of its device counts; between devices the
    one whose film came last.
    """
    visits: dict[tuple[str, date], Visit] = {}
    ordered = sorted(results, key=lambda it: (it[1].ledger.closed, it[1].sequence))
    for key, it in ordered:
        place = place_of(it)
        if place is None:
            continue
        day = datetime.fromtimestamp(it.ledger.closed, timezone.utc).date()
        visit = visits.setdefault((it.study, day), Visit(day, it.study))
        before = visit.limbs.get(place)
        if before is None or before.device != it.device or before.sequence < it.sequence:
            visit.limbs[place], visit.keys[place] = it, key
    return sorted(visits.values(), key=lambda visit: visit.day)


def change(before: Visit, after: Visit) -> Change:
    """The change from a visit to a later one."""
    differences: list[int] = []
    expected = 0
    for place in PLACES:
        if place not in before.limbs or place not in after.limbs:
            continue
        limb = after.limbs[place].limb
        if limb is not None:
            sums = limb_subtotals(limb, ())
            expected += sums.erosion.n_expected + sums.narrowing.n_expected
        differences += [
            row.change
            for row in joint_changes(before.limbs[place], after.limbs[place])
            if row.change is not None
        ]
    return Change(sum(differences) if differences else None, len(differences), expected)


class JointChange(NamedTuple):
    """A joint's grade of one kind on two dates; ``change`` is None where one is missing."""

    joint: str
    kind: str
    first: int | None
    last: int | None

    @property
    def change(self) -> int | None:
        """Difference of the grades."""
        if self.first is None or self.last is None:
            return None
        return self.last - self.first


def joint_changes(before: ResultMessage, after: ResultMessage) -> list[JointChange]:
    """Give every named joint of a limb on two dates, in the order of the limb's joints."""
    old = {joint.name: joint for joint in before.joints if joint.name}
    new = {joint.name: joint for joint in after.joints if joint.name}
    names = LIMBS[after.limb].joints if after.limb is not None else ()
    return [
        JointChange(name, kind, getattr(old[name], kind), getattr(new[name], kind))
        for name in names
        if name in old and name in new
        for kind in KINDS
    ]
