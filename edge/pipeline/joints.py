"""Stages 10 to 11b: each joint of a limb with its place and grades, or why it has none.

Layer: pipeline; arrays and engines only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.anatomy import Limb, has_narrowing, joint_box_side_px, joint_class
from edge.engine.passport import Role
from edge.errors import NullReason, Reason
from edge.model import Detection, JointScore
from edge.pipeline.metal import find_hazards
from edge.pipeline.plausibility import doubt, growth_plate_evidence
from edge.pipeline.score import JointGrades, score_joints
from edge.pipeline.template import apply, unit_px

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge.engine.loader import EngineSet
    from edge.model import GreyImage, Mask, Points, Radiograph, Transform
    from edge.pipeline.find import Sighting
    from edge.pipeline.frame import Frame
    from edge.pipeline.namings import Prior
    from edge.pipeline.ordinal import GradeEstimate
    from edge.pipeline.settings import PipelineSettings


MOST_PLACED = {Limb.HAND: 2, Limb.FOOT: 1}
"""More joints than this are never placed by the template alone."""
EXCLUDED = 0.5
"""Probability above which what a scorer excludes is left out; its training sets the level."""


@dataclass(frozen=True)
class Framed:
    """A limb laid on its canvas, before and after its contrast was equalised, and its pose."""

    laid: Frame
    plain: GreyImage
    canvas: GreyImage
    prior: Prior


@dataclass(frozen=True)
class LimbJoints:
    """Joints in template order; ``growth_plates``: evidence of them, above 0 where they show."""

    joints: list[JointScore]
    growth_plates: float


def score_limb_joints(
    sighting: Sighting,
    framed: Framed,
    masked: Mask,
    engines: EngineSet,
    settings: PipelineSettings,
    to_stored: Transform,
    reason: Reason | None,
    film: Radiograph,
) -> LimbJoints:
    """Score the joints that have a place and list the missing ones, in template order."""
    limb, numbers = sighting.limb, settings.limb(sighting.limb)
    found = dict(sighting.named())
    names = list(found)
    unit = unit_px(limb, names, sighting.points())
    places = sighting.expected()
    placed = _placed_by_template(sighting, places, unit, masked)
    detections = {name: {**found, **placed}[name] for name in limb.joints if name in found | placed}
    stored_zoom = float(np.sqrt(abs(np.linalg.det(to_stored[:2, :2]))))
    unit_stored_px = unit * stored_zoom
    null = _limb_null(reason)
    if null is None and unit_stored_px < numbers.unit_unscored_px:
        null = NullReason.LOW_RESOLUTION
    scorer = engines.get(Role.SCORE, limb)
    if null is None and scorer is None:
        null = NullReason.NO_SCORER
    low = ("low_resolution",) if unit_stored_px < numbers.unit_flagged_px else ()
    grades: dict[str, JointGrades] = {}
    hazards: dict[str, NullReason] = {}
    if null is None and scorer is not None:
        hazards = _hazards(limb, detections, framed.plain, unit)
        free = {name: found for name, found in detections.items() if name not in hazards}
        centres = [detection.centre for detection in free.values()]
        sides = [joint_box_side_px(limb, name, unit) * settings.crop_scale for name in free]
        if free:
            batch = score_joints(scorer, framed.canvas, centres, sides)
            grades = dict(zip(free, batch, strict=True))
    certain = sighting.identity.certain
    stored = dict(zip(limb.joints, apply(to_stored, places), strict=True))
    joints = []
    for name in limb.joints:
        if name in detections:
            flags = (*low, "placed_by_template") if name in placed else low
            joint = _joint(
                limb, name, detections[name], grades.get(name), hazards.get(name, null),
                to_stored, flags, certain=certain, doubt_limit=settings.grade_doubt,
            )  # fmt: skip
        else:
            place = places[limb.joints.index(name)]
            why = _why_missing(stored[name], film.stored_size, place, unit, masked)
            joint = _missing(limb, name, why, certain=certain)
        joints.append(joint)
    excluded = [found.exclusion for found in grades.values() if found.exclusion is not None]
    return LimbJoints(joints, growth_plate_evidence(excluded))


def _placed_by_template(
    sighting: Sighting, places: Points, unit: float, masked: Mask
) -> dict[str, Detection]:
    """Places for a few joints that the detector missed: fused joints have no line to detect.

    Only beside a certain naming, and only where the mask says that there is limb: an absent toe
    stays absent.
    """
    limb = sighting.limb
    missing = [name for name in limb.joints if name not in dict(sighting.named())]
    if _blind(masked) or not sighting.identity.certain or len(missing) > MOST_PLACED[limb]:
        return {}
    placed = {}
    for name in missing:
        place = places[limb.joints.index(name)]
        side = joint_box_side_px(limb, name, unit)
        if _covered(masked, place, side / 4) >= 0.9:
            box = (float(place[0] - side / 2), float(place[1] - side / 2), side, side)
            placed[name] = Detection(joint_class(name), 0.0, box)
    return placed


def _limb_null(reason: Reason | None) -> NullReason | None:
    """Why no joint of a held limb is graded."""
    if reason is None:
        return None
    return NullReason.IMMATURE if reason is Reason.IMMATURE else NullReason.HELD


def _hazards(
    limb: Limb, detections: dict[str, Detection], plain: GreyImage, unit: float
) -> dict[str, NullReason]:
    centres = [detection.centre for detection in detections.values()]
    sides = [joint_box_side_px(limb, name, unit) for name in detections]
    found = find_hazards(plain, list(detections), centres, sides)
    return {name: why for name, why in zip(detections, found, strict=True) if why is not None}


def _why_missing(
    stored: npt.NDArray[np.float64],
    film_size: tuple[int, int],
    place: npt.NDArray[np.float64],
    unit: float,
    masked: Mask,
) -> NullReason:
    """Why a joint has no place: beyond the film, no limb where it should be, or not seen."""
    if not (0 <= stored[0] < film_size[0] and 0 <= stored[1] < film_size[1]):
        return NullReason.OUT_OF_FIELD
    if not _blind(masked) and _covered(masked, place, unit * 0.1) < 0.5:
        return NullReason.ABSENT
    return NullReason.LOW_CONFIDENCE


def _blind(masked: Mask) -> bool:
    """Whether the mask was not accepted, so that it does not show where the limb is."""
    return not {"mask_implausible", "mask_cuts_joint"}.isdisjoint(masked.flags)


def _covered(masked: Mask, place: npt.NDArray[np.float64], reach: float) -> float:
    """Share of the limb in a square round a place; 0 where the square leaves the canvas."""
    height, width = masked.foreground.shape
    left, top = (place - reach).round().astype(int)
    right, bottom = (place + reach).round().astype(int)
    if left < 0 or top < 0 or right >= width or bottom >= height:
        return 0.0
    return float(masked.foreground[top : bottom + 1, left : right + 1].mean())


def _missing(limb: Limb, name: str, why: NullReason, *, certain: bool) -> JointScore:
    return JointScore(
        name=name if certain else None,
        name_candidate=None if certain else name,
        erosion_reason=str(why),
        narrowing_reason=str(why if has_narrowing(limb, name) else NullReason.NOT_IN_SVH),
    )


def _joint(
    limb: Limb,
    name: str,
    detection: Detection,
    grades: JointGrades | None,
    null: NullReason | None,
    to_stored: Transform,
    flags: tuple[str, ...],
    *,
    certain: bool,
    doubt_limit: float,
) -> JointScore:
    x, y, w, h = detection.box
    corners = apply(to_stored, np.array([(x, y), (x + w, y), (x, y + h), (x + w, y + h)]))
    low, high = corners.min(axis=0), corners.max(axis=0)
    centre = apply(to_stored, np.array([detection.centre]))[0]
    # An upright square turned by the film's own tilt has a wider bounding box: keep its area.
    side = np.sqrt(abs(np.linalg.det(to_stored[:2, :2])) * w * h)
    size = np.minimum(high - low, side)
    corner = centre - size / 2
    narrows = has_narrowing(limb, name)
    uncertain = grades is not None and (
        grades.erosion.head_uncertain or grades.narrowing.head_uncertain
    )
    return JointScore(
        name=name if certain else None,
        name_candidate=None if certain else name,
        confidence=round(min(detection.confidence, 1.0), 4),
        box=tuple(round(float(v), 1) for v in (*corner, *size)),  # type: ignore[arg-type]
        centre=(round(float(centre[0]), 1), round(float(centre[1]), 1)),
        **_grade("erosion", grades, null, doubt_limit),
        **_grade("narrowing", grades, null if narrows else NullReason.NOT_IN_SVH, doubt_limit),
        flags=(*flags, "head_uncertain") if uncertain else flags,
    )


def _grade(
    kind: str, grades: JointGrades | None, null: NullReason | None, doubt_limit: float
) -> dict[str, Any]:
    """One grade's three fields; a grade that is not to be believed is left out."""
    estimate: GradeEstimate | None = getattr(grades, kind, None)
    if null is None and grades is not None and estimate is not None:
        excluded = grades.exclusion
        if excluded is not None and excluded.covered > EXCLUDED:
            null = NullReason.COVERED
        elif not grades.familiar or (excluded is not None and excluded.unfamiliar > EXCLUDED):
            null = NullReason.UNFAMILIAR
        elif doubt(estimate) > doubt_limit:
            null = NullReason.DOUBTFUL
    if null is not None or estimate is None:
        return {f"{kind}_reason": str(null)}
    return {kind: estimate.grade, f"{kind}_expected": round(estimate.expected, 3)}
