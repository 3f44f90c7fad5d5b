"""From attenuation to grey: exposure, scatter, noise, detector and display table.

Layer: phantom; numpy and OpenCV only. The signal of a computed-radiography reader is the logarithm
of the dose, so the display works on the negative logarithm: bones bright.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from phantom.style import Style, draw

if TYPE_CHECKING:
    from edge.model import GreyImage
    from phantom.geometry import Float

_SCATTER_GRID_MM = 4.0


@dataclass(frozen=True)
class Exposure:
    """One exposure and its display: everything between the limb and the grey value."""

    quanta_per_square: float
    """Detected quanta in (0.05 mm)^2 behind nothing."""
    blur_mm: float
    scatter_share: float
    scatter_mm: float
    heel: tuple[float, float]
    """Relative change of the dose over 300 mm, along x and y."""
    gamma: float
    air_grey: float
    bone_grey: float
    shoulder_grey: float
    """Where highlights start to be compressed."""


@dataclass(frozen=True)
class Anchors:
    """Log signal of air, and of bone at a joint: the two points that the display holds on to."""

    air: float
    bone: float


def draw_exposure(rng: np.random.Generator, style: Style) -> Exposure:
    """One exposure of a style family."""
    heel = rng.uniform(0.05, 0.20)
    direction = rng.uniform(0, 2 * math.pi)
    return Exposure(
        quanta_per_square=draw(rng, style.quanta),
        blur_mm=draw(rng, style.blur_mm),
        scatter_share=float(rng.uniform(0.05, 0.25)),
        scatter_mm=float(rng.uniform(15, 40)),
        heel=(heel * math.cos(direction), heel * math.sin(direction)),
        gamma=draw(rng, style.lut_gamma),
        air_grey=float(rng.uniform(6, 38)),
        bone_grey=float(np.clip(rng.normal(138, 15), 110, 166)),
        shoulder_grey=float(rng.uniform(180, 215)),
    )


def expose(
    attenuation: Float, mm_per_px: float, exposure: Exposure, rng: np.random.Generator
) -> Float:
    """Negative log signal of a window, float32 like ``attenuation``."""
    height, width = attenuation.shape
    dose = np.exp(-attenuation)
    xs = (np.arange(width, dtype=np.float32) - width / 2) * np.float32(
        mm_per_px * exposure.heel[0] / 300
    )
    ys = (np.arange(height, dtype=np.float32) - height / 2) * np.float32(
        mm_per_px * exposure.heel[1] / 300
    )
    dose *= 1 + xs[None, :] + ys[:, None]
    dose = _scatter(dose, mm_per_px, exposure)
    quanta = exposure.quanta_per_square * (mm_per_px / 0.05) ** 2
    noise = rng.standard_normal(dose.shape, dtype=np.float32)
    dose += noise * np.sqrt(dose * np.float32(1 / quanta))
    # The detector blurs the quanta that it counts: noise is as soft as the picture.
    sigma_px = exposure.blur_mm / mm_per_px
    if sigma_px > 0.15:
        dose = cv2.GaussianBlur(dose, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE)
    signal: Float = -np.log(np.maximum(dose, np.float32(2e-3)))
    return signal


def _scatter(dose: Float, mm_per_px: float, exposure: Exposure) -> Float:
    """Add the veil: a blurred copy, computed on a coarse grid."""
    height, width = dose.shape
    coarse = (
        max(2, round(width * mm_per_px / _SCATTER_GRID_MM)),
        max(2, round(height * mm_per_px / _SCATTER_GRID_MM)),
    )
    small = cv2.resize(dose, coarse, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(
        small, (0, 0), exposure.scatter_mm / _SCATTER_GRID_MM, borderType=cv2.BORDER_REPLICATE
    )
    veil = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    share = np.float32(exposure.scatter_share)
    return dose * (1 - share) + veil * share  # type: ignore[no-any-return]


def find_anchors(
    signal: Float, bone: Float, tissue_mm: Float, fallback_air: float = 0.0
) -> Anchors:
    """Measure air and bone where the true attenuation says they are."""
    air = signal[tissue_mm < 0.5]
    solid = bone[bone > 0.02]
    level = float(np.median(solid)) if solid.size else 0.3
    inside = signal[bone > 0.6 * level]
    air_level = float(np.median(air)) if air.size > 50 else fallback_air
    bone_level = float(np.mean(inside)) if inside.size else air_level + 0.8
    return Anchors(air_level, max(bone_level, air_level + 0.2))


def display(signal: Float, exposure: Exposure, anchors: Anchors) -> npt.NDArray[np.float32]:
    """Grey 0..255 (float32): a power law from air to bone, highlights compressed above."""
    span = np.float32(1 / (anchors.bone - anchors.air))
    level = np.maximum((signal - np.float32(anchors.air)) * span, 0)
    grey = cv2.pow(level, exposure.gamma)
    grey *= np.float32(exposure.bone_grey - exposure.air_grey)
    # Below air the table runs on: noise round the air level stays symmetrical.
    below = np.minimum((signal - np.float32(anchors.air)) * span, 0)
    grey += below * np.float32(exposure.bone_grey - exposure.air_grey) + np.float32(
        exposure.air_grey
    )
    knee = np.float32(exposure.shoulder_grey)
    room = 255 - knee
    shown: Float = np.where(
        grey > knee, 255 - room * np.exp(-np.maximum(grey - knee, 0) / room), np.maximum(grey, 0)
    ).astype(np.float32, copy=False)
    return shown


def to_grey(grey: Float) -> GreyImage:
    """Round to 8 bits."""
    rounded: GreyImage = np.clip(grey + 0.5, 0, 255).astype(np.uint8)
    return rounded
