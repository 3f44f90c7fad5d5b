"""One limb of one film, from its first sighting to its result.

Layer: pipeline; arrays and engines only. `analyse` runs stages 1b to 12 and returns everything that
later stages draw or send.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edge.anatomy import Limb
from edge.engine.passport import Role
from edge.errors import NullReason, Reason
from edge.model import GreyImage, LimbResult, Mask, Radiograph, Status, Transform, Versions
from edge.pipeline import contrast, mask
from edge.pipeline.evidence import (
    few_grey_levels,
    grades_doubtful,
    is_released,
    looks_doubtful,
    withheld,
)
from edge.pipeline.find import Sighting, confirmed, mapped, second_look
from edge.pipeline.frame import Frame, frame, warp
from edge.pipeline.identify import RESIDUAL_LIMIT
from edge.pipeline.joints import Framed, score_limb_joints
from edge.pipeline.marker.flag import marker_flag
from edge.pipeline.namings import Prior
from edge.pipeline.side import decide_side
from edge.pipeline.space.limb_spaces import with_spaces
from edge.pipeline.status import fate_of
from edge.pipeline.template import apply, inverse, unit_px
from edge.totals import limb_subtotals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.engine.loader import EngineSet
    from edge.pipeline.marker.read import Marker
    from edge.pipeline.settings import PipelineSettings

LEAST_MERIT = {Limb.HAND: 0.30, Limb.FOOT: 0.40}
"""A limb less convincing on its canvas is shown but not scored."""


@dataclass(frozen=True)
class LimbAnalysis:
    """A finished limb: its result, and the pictures behind it."""

    result: LimbResult
    plain: GreyImage
    """The canvas before its contrast was equalised."""
    canvas: GreyImage
    mask: Mask
    to_canvas: Transform
    """Pixels of the upright film to pixels of the canvas."""
    space_lines: bool = False
    """Whether pictures show the edges of the measured joint spaces."""


def lay_out(film: GreyImage, sighting: Sighting, settings: PipelineSettings) -> Framed:
    """Turn, frame and equalise one sighted limb (stages 1b to 4)."""
    numbers = settings.limb(sighting.limb)
    size = (film.shape[1], film.shape[0])
    laid = frame(size, sighting.identity, sighting.all_places(size), numbers, settings)
    canvas_size = (settings.canvas_width_px, settings.canvas_height_px)
    plain = warp(film, laid.to_canvas, canvas_size)
    canvas = contrast.equalise(plain, settings.clahe_clip_limit, settings.clahe_grid)
    return Framed(laid, plain, canvas, Prior(0.0, 15.0 if laid.untouched else 10.0))


def analyse(
    film: Radiograph,
    first: Sighting,
    engines: EngineSet,
    settings: PipelineSettings,
    begin: Callable[[str], None],
    *,
    file_name: str,
    limb_index: int,
    versions: Versions,
    verdict: Reason | None = None,
    markers: Sequence[Marker] = (),
) -> LimbAnalysis:
    """Run stages 1b to 12 for one sighting.

    ``begin`` is called with the name of each stage. ``verdict`` holds the limb whatever is found.
    ``markers`` are those of the film that belong to this limb.
    """
    limb, numbers = first.limb, settings.limb(first.limb)
    begin("frame")
    framed = lay_out(film.pixels, first, settings)
    laid, canvas = framed.laid, framed.canvas
    begin("mask")
    masked = _mask(first, laid, canvas, engines, settings)
    begin("detect")
    near = mapped(first, laid.to_canvas)
    second = second_look(
        engines.require(Role.DETECT, limb),
        limb,
        mask.apply_mask(canvas, masked),
        near,
        framed.prior,
        settings,
    )
    begin("score")
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
    scorer = engines.get(Role.SCORE, limb)
    if scorer is not None and scorer.passport.get("site_calibration"):
        flags.append("site_calibrated")
    mirrored = second.identity.shape.mirrored
    side = decide_side(film, mirrored=mirrored, settings=settings, markers=markers)
    flags += [*side.flags, *(marker_flag(one, film) for one in markers)]
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
    found = score_limb_joints(second, framed, masked, engines, settings, to_stored, reason, film)
    joints = found.joints
    if reason is None and not is_released(film.stated):
        if film.stated.age_years is None and found.growth_plates > 0:
            reason, why = Reason.IMMATURE, NullReason.IMMATURE
        else:
            reason, why = grades_doubtful(joints), NullReason.HELD
        joints = joints if reason is None else withheld(joints, why)
    if reason is None and settings.joint_space:
        joints = with_spaces(joints, second, laid.to_canvas, film)
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
        pixel_size=film.pixel_size,
        joints=tuple(joints),
        subtotals=limb_subtotals(limb, joints) if fate.status is Status.SCORED else None,
        n_scored=len(scored),
        n_expected=len(limb.joints),
        flags=tuple(flags),
        versions=versions,
    )
    return LimbAnalysis(
        result, framed.plain, canvas, masked, laid.to_canvas, settings.joint_space_line
    )


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
