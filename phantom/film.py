"""A whole film of one limb, with its truth.

Layer: phantom; numpy and OpenCV only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from edge.anatomy import Limb, has_narrowing, joint_box_side_px, unit_joints
from edge.errors import NullReason, SpaceReason
from edge.model import GreyImage, JointScore, JointSpace, Laterality
from phantom.acquisition import display, draw_exposure, expose, find_anchors, to_grey
from phantom.attenuation import Affine, render_affine
from phantom.hidden import add_dirt, draw_metal, metal_attenuation
from phantom.scene import (
    Layout,
    add_borders,
    add_letters,
    draw_layout,
    draw_rings,
    ring_attenuation,
)
from phantom.style import STYLES, StyleName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from phantom.geometry import Float, JointModel, LimbModel

_TISSUE_SEEN_MM = 1.5
_LOW_RESOLUTION_PX = {Limb.HAND: 150.0, Limb.FOOT: 230.0}


@dataclass(frozen=True, eq=False)
class PhantomFilm:
    """One film and what is true of it.

    ``pixels`` uint8 [h, w], bones bright; ``grey`` the same before rounding, float32 0..255;
    ``mask`` bool [h, w], soft-tissue outline of the limb;
    ``joints`` in film pixels with name, box, centre and grades; ``unit_px`` is MCP3-PIP3 (hand)
    or MTP1-MTP5 (foot) in pixels; ``affine`` maps film pixels to millimetres of a left limb.
    """

    pixels: GreyImage
    grey: Float
    mask: npt.NDArray[np.bool_]
    joints: tuple[JointScore, ...]
    limb: Limb
    laterality: Laterality
    unit_px: float
    mm_per_px: float
    affine: Affine
    turn_deg: int
    mirrored: bool


def render_film(
    limb: LimbModel,
    rng: np.random.Generator,
    style: StyleName = "train",
    *,
    long_side_px: int | None = None,
    mirrored: bool = False,
) -> PhantomFilm:
    """Expose one film of a limb that was built whole.

    ``long_side_px``: size of the film's longer side; None draws a resolution as a hospital's
    films have. ``mirrored`` turns the film over, as a wrong read-out does.
    """
    family = STYLES[style]
    layout = draw_layout(rng, limb, family, long_side_px=long_side_px, mirrored=mirrored)
    size = (layout.width_px, layout.height_px)
    attenuation = render_affine(limb, layout.affine, size)
    # Rarities have a generator of their own: they change nothing else of a film.
    aside = rng.spawn(1)[0]
    metal = draw_metal(aside, limb)
    total = attenuation.bone + attenuation.soft
    for extra in (
        ring_attenuation(draw_rings(rng, limb), layout),
        metal_attenuation(metal, layout),
    ):
        if extra is not None:
            total += extra
    exposure = draw_exposure(rng, family)
    signal = expose(total, layout.mm_per_px, exposure, rng)

    joints, unit_px = _truth(limb, layout, {bar.joint: bar.why for bar in metal})
    near_joints = np.zeros(total.shape, dtype=bool)
    for joint in joints:
        if joint.box is not None:
            x, y, w, h = (round(v) for v in joint.box)
            near_joints[max(y, 0) : y + h, max(x, 0) : x + w] = True
    anchors = find_anchors(
        signal[near_joints],
        attenuation.bone[near_joints],
        attenuation.tissue_mm[near_joints],
        fallback_air=float(np.median(signal[:: max(1, size[1] // 16), :: max(1, size[0] // 16)])),
    )
    grey = display(signal, exposure, anchors)
    mask = attenuation.tissue_mm > _TISSUE_SEEN_MM
    grey = add_dirt(aside, add_borders(rng, grey, near_joints))
    reach = max(3, round(0.01 * max(size)))
    free = cv2.dilate(mask.astype(np.uint8), np.ones((reach, reach), np.uint8)) == 0
    letter = limb.laterality.value
    add_letters(rng, grey, limb.limb, letter, free)
    return PhantomFilm(
        pixels=to_grey(grey),
        grey=grey,
        mask=mask,
        joints=joints,
        limb=limb.limb,
        laterality=limb.laterality,
        unit_px=unit_px,
        mm_per_px=layout.mm_per_px,
        affine=layout.affine,
        turn_deg=layout.turn_deg,
        mirrored=mirrored,
    )


def _truth(
    limb: LimbModel, layout: Layout, hidden: Mapping[str, NullReason]
) -> tuple[tuple[JointScore, ...], float]:
    centres = {joint.name: layout.to_film(*joint.centre) for joint in limb.joints}
    first, second = unit_joints(limb.limb)
    unit_px = float(np.hypot(*np.subtract(centres[first], centres[second])))
    flags = ("low_resolution",) if unit_px < _LOW_RESOLUTION_PX[limb.limb] else ()
    scores = []
    for joint in limb.joints:
        x, y = centres[joint.name]
        side = joint_box_side_px(limb.limb, joint.name, unit_px)
        narrows = has_narrowing(limb.limb, joint.name)
        why = hidden.get(joint.name)
        scores.append(
            JointScore(
                name=joint.name,
                name_candidate=joint.name,
                box=(
                    round(x - side / 2, 2),
                    round(y - side / 2, 2),
                    round(side, 2),
                    round(side, 2),
                ),
                centre=(round(x, 2), round(y, 2)),
                erosion=joint.grade.erosion if why is None else None,
                erosion_reason=why,
                narrowing=joint.grade.narrowing if narrows and why is None else None,
                narrowing_reason=why if narrows else NullReason.NOT_IN_SVH,
                space=_space(joint, limb.limb, layout.mm_per_px, why),
                flags=flags + (("borderline",) if joint.borderline else ()),
            )
        )
    return tuple(scores), unit_px


def _space(
    joint: JointModel, limb: Limb, mm_per_px: float, hidden: NullReason | None
) -> JointSpace:
    """True joint space of a joint, or why it has none."""
    if hidden is not None:
        return JointSpace(reason=SpaceReason.HIDDEN)
    true = joint.true_space
    if joint.fused:
        return JointSpace(reason=SpaceReason.FUSED)
    if true is None:
        return JointSpace(reason=SpaceReason.INTERRUPTED)
    if true.mean <= 0:
        return JointSpace(reason=SpaceReason.OVERLAPPING)
    medial, lateral = true.away, true.towards
    if limb is Limb.FOOT:
        medial, lateral = lateral, medial
    mm = {
        "mean": true.mean,
        "minimum": max(true.minimum, 0.0),
        "medial": None if medial is None else max(medial, 0.0),
        "lateral": None if lateral is None else max(lateral, 0.0),
    }
    known = {name: value for name, value in mm.items() if value is not None}
    return JointSpace(
        part=true.part,
        **{f"{name}_mm": round(value, 4) for name, value in known.items()},  # type: ignore[arg-type]
        **{f"{name}_px": round(value / mm_per_px, 4) for name, value in known.items()},  # type: ignore[arg-type]
    )
