"""One row a limb: what a result says, as cells.

Layer: sharpedge; pure functions over results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.anatomy import LIMBS, has_narrowing
from edge.model import DISCLAIMER
from edge.pipeline.picture.words import unscored_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.model import Identifier, Identifiers, JointScore, LimbResult, Subtotal
    from sharpedge.tables.cells import Cell

KINDS = ("erosion", "narrowing")
JOINTS = tuple(dict.fromkeys(joint for facts in LIMBS.values() for joint in facts.joints))
"""Names of all joints; IP1 stands for a thumb's or a great toe's, as the limb says."""
_NARROWED = tuple(
    joint
    for joint in JOINTS
    if any(joint in facts.joints and has_narrowing(limb, joint) for limb, facts in LIMBS.items())
)
GRADES = tuple(
    (kind, joint)
    for kind, joints in zip(KINDS, (JOINTS, _NARROWED), strict=True)
    for joint in joints
)
SPACES = tuple((joint, unit) for unit in ("mm", "px") for joint in JOINTS)
"""Mean widths of joint spaces; mm where the film states the size of a pixel."""
LIMB_COLUMNS = (
    "limb",
    "side",
    "side_source",
    "view",
    "status",
    "reason",
    "advice",
    *(f"{kind}_{what}" for kind in KINDS for what in ("sum", "scored", "expected", "maximum")),
    *(f"{kind}_{joint}" for kind, joint in GRADES),
    *(f"space_{joint}_{unit}" for joint, unit in SPACES),
    "pixel_size",
    "space_not_measured",
    "not_scored",
    "flags",
    "software",
    "notice",
)


def limb_cells(result: LimbResult) -> list[Cell]:
    """Cells under `LIMB_COLUMNS`; a grade that is null is None, never a zero."""
    subtotals = result.subtotals
    sums: list[Cell] = []
    for kind in KINDS:
        sums += _sum_cells(None if subtotals is None else getattr(subtotals, kind))
    # A name that is not certain is no place to put a grade under.
    joints = {joint.name: joint for joint in result.joints if joint.name is not None}
    grades = [getattr(joints.get(joint), kind, None) for kind, joint in GRADES]
    uncertain = [
        f"{joint.name_candidate}? E {joint.erosion} N {joint.narrowing} (name not certain)"
        for joint in result.joints
        if joint.name is None and (joint.erosion, joint.narrowing) != (None, None)
    ]
    return [
        _text(result.limb),
        _text(result.laterality),
        _text(result.laterality_source),
        _text(result.view),
        _text(result.status),
        _text(result.reason),
        _text(result.advice),
        *sums,
        *grades,
        *(_space_cell(joints.get(joint), unit) for joint, unit in SPACES),
        "" if result.pixel_size is None else _text(result.pixel_size.source),
        "; ".join(
            f"{joint.name}: {joint.space.reason}"
            for joint in joints.values()
            if joint.space is not None and joint.space.reason is not None
        ),
        "; ".join([*unscored_words(result), *uncertain]),
        "; ".join(result.flags),
        result.versions.software,
        DISCLAIMER,
    ]


def identifier_cells(found: Identifiers | None, wanted: Sequence[Identifier]) -> list[Cell]:
    """A cell for each identifier that is wanted, empty where the film states none."""
    return ["" if found is None else getattr(found, one) or "" for one in wanted]


def _sum_cells(subtotal: Subtotal | None) -> list[Cell]:
    if subtotal is None:
        return [None] * 4
    return [subtotal.score, subtotal.n_scored, subtotal.n_expected, subtotal.maximum]


def _space_cell(joint: JointScore | None, unit: str) -> Cell:
    """Mean width of a joint space; None where it has none."""
    if joint is None or joint.space is None:
        return None
    width: float | None = getattr(joint.space, f"mean_{unit}")
    return width


def _text(value: object) -> str:
    return "" if value is None else str(value)
