"""The truth of one film, in the shape of a scored limb.

Layer: phantom; imports `edge.model` and the film only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge import __version__
from edge.anatomy import LIMBS, NARROWING_MAXIMUM, Limb, has_narrowing
from edge.model import (
    JointScore,
    LateralitySource,
    LimbResult,
    Status,
    Subtotal,
    Subtotals,
    Versions,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from phantom.film import PhantomFilm


def film_truth(film: PhantomFilm, file: str, source: LateralitySource) -> LimbResult:
    """The line of ``truth.jsonl`` for one film.

    A mirrored film contradicts the side that its name or tags state: it is held, keeps its
    joints and has no grades. A joint without a grade has its reason.
    """
    joints = film.joints
    if film.mirrored:
        joints = tuple(
            joint.model_copy(
                update={
                    "erosion": None,
                    "erosion_reason": joint.erosion_reason or "held",
                    "narrowing": None,
                    "narrowing_reason": joint.narrowing_reason or "held",
                    "space": None,
                }
            )
            for joint in joints
        )
    scored = sum(joint.erosion is not None for joint in joints)
    return LimbResult(
        file=file,
        limb_index=0,
        status=Status.HELD if film.mirrored else Status.SCORED,
        reason="side_conflict" if film.mirrored else None,
        limb=film.limb,
        laterality=film.laterality,
        laterality_source=source,
        view=LIMBS[film.limb].frontal_view,
        joints=joints,
        subtotals=None if film.mirrored else _subtotals(film.limb, joints),
        n_scored=scored,
        n_expected=len(film.limb.joints),
        flags=("phantom",),
        versions=Versions(software=__version__),
    )


def _subtotals(limb: Limb, joints: tuple[JointScore, ...]) -> Subtotals:
    named = [(joint.name or "", joint) for joint in joints]
    return Subtotals(
        erosion=_subtotal(
            (joint.erosion for _, joint in named), len(limb.joints), limb.erosion_maximum
        ),
        narrowing=_subtotal(
            (joint.narrowing for name, joint in named if has_narrowing(limb, name)),
            sum(has_narrowing(limb, name) for name in limb.joints),
            NARROWING_MAXIMUM,
        ),
    )


def _subtotal(grades: Iterable[int | None], expected: int, top: int) -> Subtotal:
    known = [grade for grade in grades if grade is not None]
    return Subtotal(
        score=sum(known) if known else None,
        n_scored=len(known),
        n_expected=expected,
        maximum=expected * top,
        attainable=len(known) * top,
    )
