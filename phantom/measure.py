"""Measures whether simulated films have the figures of real ones.

Layer: phantom; numpy and OpenCV only. Every figure is measured on finished films, at the joints of
healthy limbs, and compared with the range measured on real joints.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from edge.anatomy import Limb
from edge.model import Laterality
from phantom.attenuation import render_affine
from phantom.film import PhantomFilm, render_film
from phantom.geometry import Float, JointGrade, JointModel, LimbModel, across_of
from phantom.skeleton import sample_limb

if TYPE_CHECKING:
    from phantom.style import StyleName

LEAST_LIMBS = 24
HEAD_PX = 174.0
"""Width of a joint's head in the scale that the rim profile is stated in."""
_OUTLINE_SHARE = 0.5
"""A head's outline is seen where its edge has this share of its bone's attenuation."""
_RIM_BINS = ((0.0, 2.0), (2.0, 5.0), (5.0, 8.0), (8.0, 12.0))


@dataclass(frozen=True)
class CheckRow:
    """One figure against its range."""

    name: str
    value: float
    low: float
    high: float
    inside: bool
    source: str

    def __str__(self) -> str:
        verdict = "inside" if self.inside else "OUTSIDE"
        return (
            f"{self.name:<32}{self.value:9.3f}   {verdict} {self.low:g} .. {self.high:g}"
            f"  ({self.source})"
        )


RANGES: dict[str, tuple[float, float, str]] = {
    "bone mean, of 255": (109, 165, "1,589 real joints, 5-95 %"),
    "soft tissue, of 255": (57, 95, "1,589 real joints, 5-95 %"),
    "contrast (bone - soft) / bone": (0.36, 0.55, "1,589 real joints, 5-95 %"),
    "gap minimum over bone": (0.60, 1.10, "1,589 real joints, 5-95 %"),
    "rim 0-2 px over bone": (0.84, 0.96, "real mean .90 +- .06"),
    "rim 2-5 px over bone": (0.92, 1.04, "real mean .98 +- .06"),
    "rim 5-8 px over bone": (0.95, 1.07, "real mean 1.01 +- .06"),
    "rim 8-12 px over bone": (0.96, 1.08, "real mean 1.02 +- .06"),
    "rims overlap, share": (0.15, 0.35, "about a quarter of real joints"),
    "MCP space, mm": (1.4, 2.0, "anatomy"),
    "PIP space, mm": (0.9, 1.4, "anatomy"),
    "MTP space, mm": (1.5, 2.5, "anatomy"),
    "power spectrum slope": (-4.6, -2.3, "real joints of high resolution, 5-95 %"),
}


def check(limbs: int, seed: int, style: StyleName = "eval") -> tuple[CheckRow, ...]:
    """Measure ``limbs`` hands and as many feet; one row for each figure of `RANGES`.

    Under `LEAST_LIMBS` the figures are chance; that many are drawn at least.
    """
    rng = np.random.default_rng((seed, 2))
    found: dict[str, list[float]] = {name: [] for name in RANGES}
    for limb in Limb:
        grades = {name: JointGrade((0, 0), 0) for name in limb.joints}
        for _ in range(max(limbs, LEAST_LIMBS)):
            model = sample_limb(rng, limb, Laterality.LEFT, grades, style)
            film = render_film(model, rng, style)
            for joint in model.joints:
                for name, value in measure_joint(model, film, joint).items():
                    found[name].append(value)
    rows = []
    for name, (low, high, source) in RANGES.items():
        combine = np.mean if name.startswith(("rim", "rims")) else np.median
        value = float(combine(found[name])) if found[name] else math.nan
        rows.append(CheckRow(name, value, low, high, low <= value <= high, source))
    return tuple(rows)


def measure_joint(limb: LimbModel, film: PhantomFilm, joint: JointModel) -> dict[str, float]:
    """The figures of one healthy joint on one film."""
    truth = next(score for score in film.joints if score.name == joint.name)
    if truth.box is None:
        raise ValueError(f"{joint.name} has no box on this film")
    x, y, w, h = (round(v) for v in truth.box)
    x0, y0 = max(x, 0), max(y, 0)
    grey = film.grey[y0 : y + h, x0 : x + w]
    affine = film.affine.copy()
    affine[:, 2] += affine[:, :2] @ (x0, y0)
    true = render_affine(limb, affine, (grey.shape[1], grey.shape[0]))
    solid = float(np.median(true.bone[true.bone > 0.02]))
    bone = true.bone > _OUTLINE_SHARE * solid
    soft = (true.bone < 1e-3) & (true.tissue_mm > 5.0)
    values: dict[str, float] = {}
    if not soft.any():
        return values
    core = true.bone > 0.5 * solid
    bone_mean, soft_mean = float(grey[core].mean()), float(grey[soft].mean())
    values["bone mean, of 255"] = bone_mean
    values["soft tissue, of 255"] = soft_mean
    values["contrast (bone - soft) / bone"] = 1 - soft_mean / bone_mean
    values["rims overlap, share"] = float(joint.overlap_mm > 0)
    kind = joint.name[:3]
    if kind in ("MCP", "PIP") or (kind == "MTP" and joint.name != "MTP1"):
        values[f"{kind} space, mm"] = float(joint.space_mm.mean())
    scale = HEAD_PX / (2 * joint.half_width_mm / film.mm_per_px)
    along, across = _joint_frame(affine, grey.shape, joint)
    if joint.overlap_mm == 0 and joint.name != "MTP1":
        values.update(_rim(grey, bone, along, across, joint, scale, bone_mean))
    middle = (np.abs(across) < 0.25 * joint.half_width_mm) & (
        np.abs(along) < 1.5 * float(joint.space_mm.mean())
    )
    if middle.any():
        values["gap minimum over bone"] = float(np.percentile(grey[middle], 5)) / bone_mean
    values["power spectrum slope"] = spectrum_slope(grey)
    return values


def _joint_frame(
    affine: npt.NDArray[np.float64], shape: tuple[int, ...], joint: JointModel
) -> tuple[Float, Float]:
    ys, xs = np.mgrid[0 : shape[0], 0 : shape[1]]
    mm_x = affine[0, 0] * xs + affine[0, 1] * ys + affine[0, 2] - joint.centre[0]
    mm_y = affine[1, 0] * xs + affine[1, 1] * ys + affine[1, 2] - joint.centre[1]
    side = across_of(joint.axis)
    along = mm_x * joint.axis[0] + mm_y * joint.axis[1]
    across = mm_x * side[0] + mm_y * side[1]
    return along.astype(np.float32), across.astype(np.float32)


def _rim(
    grey: Float,
    bone: npt.NDArray[np.bool_],
    along: Float,
    across: Float,
    joint: JointModel,
    scale: float,
    bone_mean: float,
) -> dict[str, float]:
    """Brightness by distance from the head's outline, in the scale of a head `HEAD_PX` wide."""
    depth = cv2.distanceTransform(bone.astype(np.uint8), cv2.DIST_L2, 5) * np.float32(scale)
    cap = (
        (along < 0)
        & (along > -0.9 * joint.half_width_mm)
        & (np.abs(across) < 0.8 * joint.half_width_mm)
    )
    values = {}
    for low, high in _RIM_BINS:
        ring = cap & (depth > low) & (depth <= high)
        if np.count_nonzero(ring) > 8:
            values[f"rim {low:.0f}-{high:.0f} px over bone"] = float(grey[ring].mean()) / bone_mean
    return values


def spectrum_slope(grey: Float) -> float:
    """Slope of log power over log frequency, radial, between 1/20 and 1/4 cycles a pixel.

    ``grey`` is a joint's box, resampled to 96 x 96 pixels first.
    """
    size = 96
    image = cv2.resize(np.asarray(grey, np.float32), (size, size), interpolation=cv2.INTER_AREA)
    window = np.hanning(size)
    image = (image - image.mean()) * np.outer(window, window)
    power = np.abs(np.fft.fft2(image)) ** 2
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None, :])
    edges = np.geomspace(1 / 20, 1 / 4, 9)
    centres, levels = [], []
    for low, high in itertools.pairwise(edges):
        ring = (frequency >= low) & (frequency < high)
        centres.append(math.sqrt(low * high))
        levels.append(float(power[ring].mean()))
    return float(np.polyfit(np.log(centres), np.log(np.array(levels) + 1e-9), 1)[0])
