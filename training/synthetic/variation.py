"""Another patient's film made from a labelled one: bent bones, another exposure, another size.

Layer: training.synthetic; pure functions over arrays and one random generator. A handful of sharp
films would be memorised; what is painted afterwards is painted on bones that no film shows.
Small films are enlarged to be painted and given their own sharpness back: they show many more
patients' joints.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.anatomy import Limb
from edge.pipeline.template import unit_px

if TYPE_CHECKING:
    from edge.model import GreyImage
    from training.datasets.labelled_films import LabelledFilm

MARGIN_UNITS = 1.2
"""What is kept of a film around its joints, in units (MCP3-PIP3, or MTP1-MTP5)."""
STRETCH = 0.12
SHEAR = 0.08
BEND_UNITS = 0.03
"""Standard deviation of the bending field, in units."""
BEND_GRID_UNITS = 0.5
PAINTED_UNIT_PX = {Limb.HAND: 170.0, Limb.FOOT: 260.0}
"""Size to which a film is enlarged that is too small to be painted as it is."""


def varied_film(film: LabelledFilm, rng: np.random.Generator) -> LabelledFilm:
    """Cut out a film's joints, stretch, shear and bend them, and change their exposure.

    Stretching is at most `STRETCH` along each of the film's axes, so that a joint space keeps its
    width relative to its bones within what healthy joints differ by anyway.
    """
    low = np.maximum(film.points.min(axis=0) - MARGIN_UNITS * film.unit, 0).astype(int)
    high = (film.points.max(axis=0) + MARGIN_UNITS * film.unit).astype(int) + 1
    cut = film.pixels[low[1] : high[1], low[0] : high[0]]
    points = film.points - low
    linear = np.diag(1 + rng.uniform(-STRETCH, STRETCH, 2)) @ np.array(
        [[1, rng.uniform(-SHEAR, SHEAR)], [rng.uniform(-SHEAR, SHEAR), 1]]
    )
    height, width = cut.shape
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]]) @ linear.T
    shift = -corners.min(axis=0)
    size = np.ceil(np.ptp(corners, axis=0)).astype(int)
    bend = _bend(size, film.unit, rng)
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    back = np.linalg.inv(linear)
    source = (np.dstack([x, y]) - shift) @ back.T + bend
    bent = cv2.remap(
        cut, source[..., 0].astype(np.float32), source[..., 1].astype(np.float32),
        cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    moved = points @ linear.T + shift
    for _ in range(3):  # the field is smooth: this settles below a pixel
        at = np.clip(np.rint(moved).astype(int), 0, size - 1)
        moved = (points - bend[at[:, 1], at[:, 0]]) @ linear.T + shift
    pixels = _expose(np.asarray(bent, np.uint8), film.unit, rng)
    unit = unit_px(film.limb, film.names, moved)
    return replace(film, pixels=pixels, points=moved, unit=unit)


def _bend(size: np.ndarray, unit: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth displacement [h, w, 2] in pixels."""
    cells = np.maximum(np.ceil(size / (BEND_GRID_UNITS * unit)).astype(int), 2) + 2
    coarse = rng.normal(0, BEND_UNITS * unit, (cells[1], cells[0], 2)).astype(np.float32)
    return np.asarray(
        cv2.resize(coarse, (int(size[0]), int(size[1])), interpolation=cv2.INTER_CUBIC)
    )


def _expose(pixels: GreyImage, unit: float, rng: np.random.Generator) -> GreyImage:
    """Another gamma, contrast, sharpness and noise."""
    x = (pixels.astype(np.float32) / 255) ** math.exp(rng.uniform(-0.4, 0.4))
    x = (x - 0.5) * rng.uniform(0.75, 1.2) + 0.5 + rng.uniform(-0.06, 0.06)
    kind = rng.random()
    if kind < 0.3:
        x = np.asarray(cv2.GaussianBlur(x, (0, 0), rng.uniform(0.002, 0.008) * unit))
    elif kind < 0.6:
        x += rng.uniform(0.3, 1.2) * (x - cv2.GaussianBlur(x, (0, 0), 0.01 * unit))
    if rng.random() < 0.6:
        grain = rng.normal(0, rng.uniform(0.003, 0.025), x.shape).astype(np.float32)
        x += cv2.GaussianBlur(grain, (0, 0), rng.uniform(0.3, 1.0))
    return np.asarray(np.clip(x * 255, 0, 255), np.uint8)


def enlarge(film: LabelledFilm) -> LabelledFilm:
    """The film at the size that damage is painted at; one that is larger already stays."""
    factor = PAINTED_UNIT_PX[film.limb] / film.unit
    if factor <= 1:
        return film
    size = (round(film.pixels.shape[1] * factor), round(film.pixels.shape[0] * factor))
    pixels = np.asarray(cv2.resize(film.pixels, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    # Pixel centres keep their places when a picture is resized about its corner.
    points = (film.points + 0.5) * factor - 0.5
    return replace(
        film, pixels=pixels, points=points, unit=film.unit * factor, scale=film.scale * factor
    )


def own_sharpness(film: LabelledFilm) -> LabelledFilm:
    """An enlarged film as blurred as the film was that it was made from; others stay.

    What was painted on it shall not be sharper than its bones.
    """
    if film.scale <= 1:
        return film
    height, width = film.pixels.shape
    size = (max(1, round(width / film.scale)), max(1, round(height / film.scale)))
    stored = cv2.resize(film.pixels, size, interpolation=cv2.INTER_AREA)
    pixels = cv2.resize(stored, (width, height), interpolation=cv2.INTER_CUBIC)
    return replace(film, pixels=np.asarray(pixels, np.uint8))
