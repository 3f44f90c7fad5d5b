"""One limb of one film, from its first sighting to its result.

Room: pipeline; arrays and engines only. `analyse` runs stages 1b to 12 and returns everything that
later stages draw or send.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edge.anatomy import joint_box_side_px
from edge.engine.passport import Role
from edge.errors import NullReason, Reason
from edge.model import (
    Detection,
    GreyImage,
    JointScore,
    Laterality,
    LateralitySource,
    Limb,
    LimbResult,
    Mask,
    Points,
    Radiograph,
    Status,
    Transform,
    Versions,
    View,
    has_narrowing,
    joint_class,
)
from edge.pipeline import contrast, mask
from edge.pipeline.evidence import (
    few_grey_levels,
    grades_doubtful,
    is_released,
    looks_doubtful,
    withheld,
)
from edge.pipeline.film_statistics import film_figures
from edge.pipeline.find import Sighting, confirmed, mapped, second_look
from edge.pipeline.frame import Frame, frame, warp
from edge.pipeline.identify import RESIDUAL_LIMIT, Prior
from edge.pipeline.metal import find_hazards
from edge.pipeline.plausibility import doubt
from edge.pipeline.score import JointGrades, score_joints
from edge.pipeline.status import fate_of
from edge.pipeline.template import apply, inverse, unit_px
from edge.totals import limb_subtotals

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.engine.loader import EngineSet
    from edge.pipeline.ordinal import GradeEstimate
    from edge.pipeline.settings import PipelineSettings

LEAST_MERIT = {Limb.HAND: 0.30, Limb.FOOT: 0.40}
"""A limb less convincing on its canvas is shown but not scored."""
MOST_PLACED = {Limb.HAND: 2, Limb.FOOT: 1}
"""More joints than this are never placed by the template alone."""
HALLUX_OR_THUMB_RIGHT = Laterality.LEFT
"""Side of an upright PA hand or AP foot whose first ray lies at the right of the image."""


@dataclass(frozen=True)
class Side:
    """Which side a limb is, who says so, and whether somebody else disagrees."""

    laterality: Laterality | None
    source: LateralitySource | None
    problem: Reason | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class LimbAnalysis:
    """A finished limb: its result, and the pictures behind it."""

    result: LimbResult
    canvas: GreyImage
    mask: Mask
    to_canvas: Transform
    """Pixels of the upright film to pixels of the canvas."""
    figures: dict[str, float]
    """See `edge.pipeline.film_statistics.film_figures`."""


@dataclass(frozen=True)
class Framed:
    """A limb laid on its canvas, before and after its contrast was equalised, and its pose."""

    laid: Frame
    plain: GreyImage
    canvas: GreyImage
    prior: Prior


def lay_out(film: GreyImage, sighting: Sighting, settings: PipelineSettings) -> Framed:
    """Turn, frame and equalise one sighted limb (stages 1b to 4)."""
    numbers = settings.limb(sighting.limb)
    size = (film.shape[1], film.shape[0])
    laid = frame(size, sighting.identity, sighting.all_places(size), numbers, settings)
    canvas_size = (settings.canvas_width_px, settings.canvas_height_px)
    plain = warp(film, laid.to_canvas, canvas_size)
    canvas = contrast.equalise(plain, settings.clahe_clip_limit, settings.clahe_grid)
    return Framed(laid, plain, canvas, Prior(0.0, 15.0 if laid.untouched else 10.0))


class StageClock:
    """Adds up milliseconds by stage and tells a listener which stage begins."""

    def __init__(self, on_stage: Callable[[str], None] | None = None) -> None:
        self.stage_ms: dict[str, float] = {}
        self._on_stage = on_stage
        self._name: str | None = None
        self._begun = 0.0

    def start(self, name: str) -> None:
        """End the stage that runs and begin another."""
        self.stop()
        self._name, self._begun = name, time.perf_counter()
        if self._on_stage is not None:
            self._on_stage(name)

    def stop(self) -> None:
        """End the stage that runs."""
        if self._name is not None:
            spent = (time.perf_counter() - self._begun) * 1000
            self.stage_ms[self._name] = self.stage_ms.get(self._name, 0.0) + spent
            self._name = None


def decide_side(film: Radiograph, *, mirrored: bool, settings: PipelineSettings) -> Side:
    """Side of a limb from metadata and geometry; see the order of trust in `StatedIdentity`.

    The operator's word is final. A side known from geometry alone is a problem unless the site
    accepts it; a stated side that geometry contradicts always is.
    """
    seen = Laterality.RIGHT if mirrored else HALLUX_OR_THUMB_RIGHT
    stated = film.stated
    if stated.view is View.AP and stated.limb is Limb.HAND:
        seen = Laterality.LEFT if seen is Laterality.RIGHT else Laterality.RIGHT
    if stated.laterality is None:
        problem = None if settings.accept_side_from_geometry else Reason.SIDE_NOT_KNOWN
        return Side(seen, LateralitySource.GEOMETRY, problem)
    if stated.laterality is seen:
        return Side(stated.laterality, stated.laterality_source)
    if stated.laterality_source is LateralitySource.OPERATOR:
        return Side(
            stated.laterality, stated.laterality_source, None, ("operator_against_geometry",)
        )
    return Side(stated.laterality, stated.laterality_source, Reason.SIDE_CONFLICT)


def analyse(
    film: Radiograph,
    first: Sighting,
    engines: EngineSet,
    settings: PipelineSettings,
    clock: StageClock,
    *,
    file_name: str,
    limb_index: int,
    versions: Versions,
    verdict: Reason | None = None,
) -> LimbAnalysis:
    """Run stages 1b to 12 for one sighting; ``verdict`` holds the limb whatever is found."""
    limb, numbers = first.limb, settings.limb(first.limb)
    clock.start("frame")
    framed = lay_out(film.pixels, first, settings)
    laid, canvas = framed.laid, framed.canvas
    clock.start("mask")
    masked = _mask(first, laid, canvas, engines, settings)
    clock.start("detect")
    near = mapped(first, laid.to_canvas)
    second = second_look(
        engines.require(Role.DETECT, limb),
        limb,
        mask.apply_mask(canvas, masked),
        near,
        framed.prior,
        settings,
    )
    clock.start("score")
    doubted = None
    if second is None or second.merit < first.merit - 0.15:
        doubted = None if is_released(film.stated) else looks_doubtful(near, second)
        second = near
        flags = [*film.flags, *masked.flags, "second_look_weaker"]
    else:
        second = confirmed(second, near)
        flags = [*film.flags, *masked.flags]
    if laid.untouched:
        flags.append("already_framed")
    side = decide_side(film, mirrored=second.identity.shape.mirrored, settings=settings)
    flags += side.flags
    reason = (
        verdict
        or few_grey_levels(film.pixels, first)
        or _shape_verdict(second, numbers.least_joints, film)
        or doubted
        or side.problem
    )
    if reason is None and film.stated.age_years is not None:
        reason = Reason.IMMATURE if film.stated.age_years < settings.adult_age_years else None
    to_stored = inverse(laid.to_canvas @ film.stored_to_upright)
    joints = _joints(second, framed, masked, engines, settings, to_stored, reason, film)
    if reason is None and not is_released(film.stated):
        reason = grades_doubtful(joints)
        joints = joints if reason is None else withheld(joints)
    fate = fate_of(reason, joints)
    scored = [joint for joint in joints if joint.erosion is not None]
    result = LimbResult(
        file=file_name,
        limb_index=limb_index,
        status=fate.status,
        reason=fate.reason,
        advice=fate.advice,
        limb=limb,
        laterality=side.laterality,
        laterality_source=side.source,
        view=film.stated.view,
        transform=(laid.to_canvas @ film.stored_to_upright).tolist(),
        joints=tuple(joints),
        subtotals=limb_subtotals(limb, joints) if fate.status is Status.SCORED else None,
        n_scored=len(scored),
        n_expected=len(limb.joints),
        flags=tuple(flags),
        versions=versions,
    )
    clock.stop()
    figures = film_figures(framed.plain, result)
    return LimbAnalysis(result, canvas, masked, laid.to_canvas, figures)


def _mask(
    first: Sighting, laid: Frame, canvas: GreyImage, engines: EngineSet, settings: PipelineSettings
) -> Mask:
    engine = engines.get(Role.MASK, first.limb)
    foreground = mask.classical_mask(canvas) if engine is None else mask.unet_mask(engine, canvas)
    points = apply(laid.to_canvas, first.points())
    unit = unit_px(first.limb, [name for name, _ in first.named()], points)
    judged = mask.judge(foreground, points, unit * 0.4, settings.mask_area_range)
    return (
        judged if engine is not None else replace(judged, flags=(*judged.flags, "classical_mask"))
    )


def _shape_verdict(sighting: Sighting, least_joints: int, film: Radiograph) -> Reason | None:
    """Whether the joints look like one limb's; a person who released the film has looked."""
    if len(sighting.named()) < least_joints:
        return Reason.JOINTS_NOT_FOUND
    odd = sighting.identity.shape.mean_square > RESIDUAL_LIMIT[sighting.limb]
    # Grades under names that may be wrong are no use to anybody: a person must look.
    if not is_released(film.stated) and (odd or not sighting.identity.certain):
        return Reason.SHAPE_IMPLAUSIBLE
    if sighting.merit < LEAST_MERIT[sighting.limb]:
        return Reason.JOINTS_NOT_FOUND
    return None


def _joints(
    sighting: Sighting,
    framed: Framed,
    masked: Mask,
    engines: EngineSet,
    settings: PipelineSettings,
    to_stored: Transform,
    reason: Reason | None,
    film: Radiograph,
) -> list[JointScore]:
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
    return joints


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
    """A mask that was not believed says nothing of where the limb is."""
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
        if not grades.familiar:
            null = NullReason.UNFAMILIAR
        elif doubt(estimate) > doubt_limit:
            null = NullReason.DOUBTFUL
    if null is not None or estimate is None:
        return {f"{kind}_reason": str(null)}
    return {kind: estimate.grade, f"{kind}_expected": round(estimate.expected, 3)}
