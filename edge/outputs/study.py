"""A patient's set of four limbs as it fills.

Layer: outputs; pure functions over the contract.
"""

from __future__ import annotations

from functools import reduce
from typing import Literal

from pydantic import Field

from edge.anatomy import LIMBS, Limb
from edge.contract.payloads import (
    Pseudonym,
    StudyLimb,
    StudyMessage,
    StudyStatus,
    json_of,
)
from edge.model import Identifier, Identifiers, LimbResult, Record, Status, Subtotal, Subtotals
from edge.outputs.left_right import left_right, measured_spaces
from edge.totals import add, limb_subtotals

Place = Literal["LH", "RH", "LF", "RF"]
PLACES: tuple[Place, ...] = ("LH", "RH", "LF", "RF")


class StudyBody(Record):
    """What the journal keeps of a study: the latest result of each limb."""

    patient: Pseudonym | None = None
    identifiers: Identifiers | None = None
    limbs: dict[Place, StudyLimb] = Field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether all four limbs are there."""
        return len(self.limbs) == len(PLACES)


def place_of(result: LimbResult) -> Place | None:
    """Which of the four a result is; None while limb or side is not known."""
    if result.limb is None or result.laterality is None:
        return None
    wanted = f"{result.laterality}{LIMBS[result.limb].letter}"
    return next((place for place in PLACES if place == wanted), None)


def with_limb(body: StudyBody, place: Place, result: LimbResult, result_id: str) -> StudyBody:
    """Add a limb; a repeat replaces the one before, unless it has no grade to replace it with."""
    assert result.limb is not None  # noqa: S101 - place_of gave a place
    if result.status is Status.NOT_GRADED and place in body.limbs:
        return body
    limb = StudyLimb(
        id=result_id,
        subtotals=result.subtotals or limb_subtotals(result.limb, result.joints),
        n_scored=result.n_scored,
        n_expected=result.n_expected,
        spaces=measured_spaces(result),
    )
    return body.model_copy(update={"limbs": {**body.limbs, place: limb}})


def with_identifiers(body: StudyBody, found: Identifiers | None) -> StudyBody:
    """Add what a film states; what it does not state stays as it was."""
    if found is None:
        return body
    before = body.identifiers or Identifiers()
    stated = found.model_dump(exclude_none=True)
    return body.model_copy(update={"identifiers": before.model_copy(update=stated)})


def text_of(body: StudyBody) -> str:
    """JSON of a study as the journal keeps it."""
    return json_of(body).decode()


def message_of(
    study: str,
    body: StudyBody,
    status: StudyStatus,
    changed_unix_s: float,
    identifiers: tuple[Identifier, ...] = (),
) -> StudyMessage:
    """Build the payload: subtotals of hands and feet with the maxima of all four limbs.

    Of the study's identifiers those in ``identifiers`` are stated.
    """
    hands = _sum(body, Limb.HAND, ("LH", "RH"))
    feet = _sum(body, Limb.FOOT, ("LF", "RF"))
    return StudyMessage(
        study=study,
        patient=body.patient,
        identifiers=None if body.identifiers is None else body.identifiers.only(identifiers),
        status=status,
        limbs=body.limbs,
        missing=tuple(place for place in PLACES if place not in body.limbs),
        hands=hands,
        feet=feet,
        partial_svh=_total((hands.erosion, hands.narrowing, feet.erosion, feet.narrowing)),
        left_right=left_right(body.limbs.items()),
        changed=changed_unix_s,
    )


def _sum(body: StudyBody, limb: Limb, places: tuple[Place, Place]) -> Subtotals:
    absent = limb_subtotals(limb, ())
    sides = [body.limbs[p].subtotals if p in body.limbs else absent for p in places]
    return Subtotals(
        erosion=_total(tuple(s.erosion for s in sides)),
        narrowing=_total(tuple(s.narrowing for s in sides)),
    )


def _total(parts: tuple[Subtotal, ...]) -> Subtotal:
    return reduce(add, parts)
