"""Finds the joint line: the dark band between two facing edges that are curved as a joint's are.

Layer: pipeline; pure functions over arrays. Every place, tilt, bend and width of the band is tried
at once; the band that most lines across it support is taken, so a joint half eaten away is found
by what is left of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from edge.pipeline.space.shapes import MIDDLE, Curves

if TYPE_CHECKING:
    from edge.model import GreyImage
    from edge.pipeline.space.sites import Floats, Singles, Sites

REACH = 0.84
"""Half of the joint line that is searched, over half the head's width."""
_STEP_MM = 0.2
_ALONG_MM = (np.arange(-22, 23) * _STEP_MM).astype(np.float64)
_LINES, _EACH = 32, 2
_SMOOTH_MM = 0.15
_TILTS = np.linspace(-0.3, 0.3, 7)
_BENDS = np.array([0.5, 1.0, 1.4])
_WIDEST = 16
"""Widest joint space, in steps."""
_STRONG = 0.9
"""Quantile of the slopes of a joint's patch that counts as one full edge."""
LEAST_CONTRAST = 20.0
"""Grey levels: a smaller range round a joint is noise, and an edge is no steeper for it."""
WIDE = 1.1
"""Over this multiple of the usual width a narrower band is looked for as well."""


@dataclass(frozen=True, eq=False)
class Bands:
    """The most likely joint line of each joint, [J] each; lengths in mm.

    ``middle_mm`` is its place along the joint's axis, ``tilt`` its slope, ``bend`` its curvature
    over the usual one; ``contrast`` is the range of grey values round the joint.
    """

    middle_mm: Floats
    width_mm: Floats
    tilt: Floats
    bend: Floats
    contrast: Floats

    def take(self, which: npt.NDArray[np.intp]) -> Bands:
        """The bands of some joints."""
        return Bands(
            self.middle_mm[which],
            self.width_mm[which],
            self.tilt[which],
            self.bend[which],
            self.contrast[which],
        )

    def line_mm(self, sites: Sites, tau: Floats) -> Floats:
        """The joint line over ``tau``, [J, T] along the axis of each joint."""
        return (
            self.middle_mm[:, None]
            + self.tilt[:, None] * tau * sites.half_mm[:, None]
            + self.bend[:, None] * Curves.of(sites.shapes, tau).line
        )


def lines_across(count: int) -> Floats:
    """Places of ``count`` evenly spaced lines over the joint line, over half the head's width."""
    return ((np.arange(count) + 0.5) / count * 2 - 1) * REACH


def smoothed(rows: Singles, sigma_steps: float) -> Singles:
    """Smooth [J, T, U] along its last axis."""
    reach = max(1, round(3 * sigma_steps))
    kernel = cv2.getGaussianKernel(2 * reach + 1, sigma_steps, cv2.CV_32F)
    flat = rows.reshape(-1, rows.shape[-1])
    done = cv2.sepFilter2D(
        flat, -1, kernel, np.ones((1, 1), np.float32), borderType=cv2.BORDER_REPLICATE
    )
    return np.asarray(done, np.float32).reshape(rows.shape)


def find_bands(film: GreyImage, sites: Sites) -> tuple[Bands, Bands]:
    """Find the joint line of every joint: the best of all, and the best that is not wide.

    Parameters
    ----------
    film : [h, w] uint8
        The film, bones bright.
    sites : Sites
        Its joints.
    """
    patch = _patch(film, sites)
    votes = _votes(patch, sites)
    low, high = np.quantile(patch.reshape(len(patch), -1), (0.05, 0.95), axis=1)
    contrast = np.maximum(high - low, LEAST_CONTRAST)
    penalty = _penalty(sites)
    best = votes - penalty[:, None]
    wide = _pairs()[1] * _STEP_MM > WIDE * sites.usual_mm[:, None]
    narrow = np.where(wide[:, None], -np.inf, best)
    return _band(best, contrast), _band(narrow, contrast)


def _patch(film: GreyImage, sites: Sites) -> Singles:
    """Grey values round each joint, straightened by its usual curve: [J, lines, along]."""
    tau = lines_across(_LINES * _EACH)
    line = Curves.of(sites.shapes, tau).line
    along = line[:, :, None] + _ALONG_MM
    across = np.broadcast_to((tau * sites.half_mm[:, None])[:, :, None], along.shape)
    fine = sites.sample(film, along, across, cv2.INTER_LINEAR)
    return np.asarray(fine.reshape(len(fine), _LINES, _EACH, -1).mean(axis=2))


def _votes(patch: Singles, sites: Sites) -> Singles:
    """How many lines support each pair of edges, [J, tilts and bends, pairs], 0 to about 1."""
    joints, _, steps = patch.shape
    smooth = smoothed(patch, _SMOOTH_MM / _STEP_MM)
    slope = np.zeros_like(smooth)
    slope[:, :, 1:-1] = smooth[:, :, 2:] - smooth[:, :, :-2]
    full = np.quantile(np.abs(slope).reshape(joints, -1), _STRONG, axis=1)[:, None, None] + 1e-3
    rise = np.sqrt(np.clip(slope / full, 0, 1.2)).astype(np.float32)
    fall = np.sqrt(np.clip(-slope / full, 0, 1.2)).astype(np.float32)
    tau = lines_across(_LINES)
    curves = Curves.of(sites.shapes, tau)
    apart = (curves.base - curves.head) / 2
    apart = apart - apart[:, np.abs(tau) < MIDDLE].mean(axis=1, keepdims=True)
    shift = (
        _TILTS[None, :, None, None] * (tau * sites.half_mm[:, None])[:, None, None]
        + (_BENDS - 1)[None, None, :, None] * curves.line[:, None, None]
    ).reshape(joints, -1, _LINES)
    heads = _shifted(fall, shift - apart[:, None])
    bases = _shifted(rise, shift + apart[:, None])
    # One product of matrices holds every pair of places: rows are heads, columns bases.
    table = np.matmul(heads.transpose(0, 1, 3, 2), bases) / _LINES
    return table.reshape(joints, -1, steps * steps)[:, :, _pairs()[0]]  # type: ignore[no-any-return]


def _shifted(rows: Singles, shift_mm: Floats) -> Singles:
    """Rows [J, T, U] moved by ``shift_mm`` [J, S, T], rounded to steps: [J, S, T, U]."""
    steps = rows.shape[-1]
    at = np.rint(shift_mm / _STEP_MM).astype(np.intp)[..., None] + np.arange(steps)
    np.clip(at, 0, steps - 1, out=at)
    return np.take_along_axis(rows[:, None], at, axis=3)


@lru_cache(maxsize=1)
def _pairs() -> tuple[npt.NDArray[np.intp], Floats, Floats]:
    """Pairs of edges that may be a joint: index into the table, width in steps, middle in mm."""
    steps = len(_ALONG_MM)
    head, base = np.divmod(np.arange(steps * steps), steps)
    width = base - head
    index = np.flatnonzero((width >= 1) & (width <= _WIDEST))
    middle = (_ALONG_MM[head] + _ALONG_MM[base]) / 2
    return index, width[index].astype(np.float64), middle[index]


def _penalty(sites: Sites) -> Floats:
    """What makes a pair of edges unlikely, [J, pairs]: far from the joint's place, or wide."""
    _, width, middle = _pairs()
    ratio = np.log(width * _STEP_MM / sites.usual_mm[:, None])
    wide = 0.8 * np.maximum(ratio - np.log(1.15), 0) + 0.02 * np.abs(ratio)
    return np.asarray(wide + 0.10 * np.square(middle / 4.0))


def _band(score: Floats, contrast: Floats) -> Bands:
    """The best pair of each joint; a tilt or a bend must be worth it."""
    unusual = 0.03 * (np.abs(_TILTS[:, None]) / 0.3 + np.abs(_BENDS[None] - 1)).ravel()
    rated = score - unusual[None, :, None]
    pose, pair = np.divmod(rated.reshape(len(rated), -1).argmax(axis=1), rated.shape[2])
    _, width, middle = _pairs()
    return Bands(
        middle_mm=middle[pair],
        width_mm=width[pair] * _STEP_MM,
        tilt=_TILTS[pose // len(_BENDS)],
        bend=_BENDS[pose % len(_BENDS)],
        contrast=contrast,
    )
