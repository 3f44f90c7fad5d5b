"""One joint as the scorer sees it, without rendering the film round it.

Layer: phantom; numpy and OpenCV only. A crop passes the same attenuation and exposure code as a
film, then what the pipeline does to a canvas: local contrast, masked background.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.anatomy import NARROWING_MAXIMUM, Limb, has_narrowing, joint_box_side_px
from edge.model import GreyImage, Laterality
from phantom.acquisition import display, draw_exposure, expose, find_anchors, to_grey
from phantom.attenuation import render_affine, window_affine
from phantom.geometry import JointGrade
from phantom.skeleton import sample_limb
from phantom.statistics import sample_grades, split_erosion

if TYPE_CHECKING:
    from phantom.style import StyleName

CROP_SHARE = 1.3
"""Side of the scorer's crop over the side of the joint's box."""
_CONTEXT = 1.45
_CLAHE_CLIP = 2.0


def render_crop(
    rng: np.random.Generator,
    limb: Limb,
    joint: str,
    size_px: int,
    style: StyleName = "train",
    grades: tuple[int, int | None] | None = None,
    *,
    borderline: bool = False,
) -> tuple[GreyImage, int, int | None]:
    """One crop with its grades.

    Returns uint8 [size_px, size_px], the erosion grade (0-5 hand, 0-10 foot) and the narrowing
    grade (0-4; None for the thumb's IP). ``grades`` is (erosion, narrowing), drawn evenly when
    None; a None narrowing inside it is drawn evenly too. The crop's centre is off by up to 6 %
    of its side, its scale by up to 8 %, as a detector's boxes are.
    """
    erosion = int(rng.integers(limb.erosion_maximum + 1)) if grades is None else grades[0]
    narrowing = None if grades is None else grades[1]
    if narrowing is None:
        narrowing = int(rng.integers(NARROWING_MAXIMUM + 1))
    others = sample_grades(rng, limb, "flat")
    others[joint] = JointGrade(split_erosion(rng, limb, erosion), narrowing)
    side = Laterality.LEFT if rng.random() < 0.5 else Laterality.RIGHT
    model = sample_limb(rng, limb, side, others, style, near=joint, borderline=borderline)
    truth = model.joint(joint)

    crop_mm = CROP_SHARE * joint_box_side_px(limb, joint, model.unit_mm)
    crop_mm *= rng.uniform(0.92, 1.08)
    px_mm = crop_mm / size_px
    count = 2 * round(size_px * _CONTEXT / 2)
    turn = math.radians(float(np.clip(rng.normal(0, 6.8), -18, 18)))
    mirror = 1.0 if side is Laterality.LEFT else -1.0
    centre = (
        truth.centre[0] * mirror + crop_mm * rng.uniform(-0.06, 0.06),
        truth.centre[1] + crop_mm * rng.uniform(-0.06, 0.06),
    )
    half = count / 2 * px_mm
    c, s = math.cos(turn), math.sin(turn)
    corner = (centre[0] - (c - s) * half, centre[1] - (s + c) * half)
    affine = window_affine(model, *corner, px_mm, turn)
    attenuation = render_affine(model, affine, (count, count))

    exposure = draw_exposure(rng, model.style)
    film_px_mm = model.unit_mm / rng.uniform(*((180, 420) if limb is Limb.HAND else (280, 660)))
    # The film's own pixels and two resamplings blur on top of the detector.
    blur = math.hypot(exposure.blur_mm, 0.45 * film_px_mm, rng.uniform(0.3, 0.5) * px_mm)
    exposure = replace(
        exposure,
        blur_mm=blur,
        heel=(0.0, 0.0),
        bone_grey=float(np.clip(exposure.bone_grey * rng.normal(1, 0.08), 95, 190)),
    )
    signal = expose(attenuation.bone + attenuation.soft, px_mm, exposure, rng)
    anchors = find_anchors(signal, attenuation.bone, attenuation.tissue_mm)
    grey = to_grey(display(signal, exposure, anchors))
    if rng.random() < 0.95:
        grey = cv2.createCLAHE(_CLAHE_CLIP, (2, 2)).apply(grey)  # type: ignore[assignment]
    if rng.random() < 0.85:
        grey[attenuation.tissue_mm < rng.uniform(0.3, 4.0)] = 0
    start = (count - size_px) // 2
    crop = np.ascontiguousarray(grey[start : start + size_px, start : start + size_px])
    return crop, erosion, narrowing if has_narrowing(limb, joint) else None
