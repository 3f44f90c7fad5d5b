"""Traces both bone edges along a joint line, to a fraction of a pixel.

Layer: pipeline; pure functions over arrays. An edge is where the grey value along a line normal to
the joint line changes most steeply. From the stretch where both edges fit the joint line best they
are followed to either side, line by line, as far as they run on smoothly.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from edge.pipeline.space.search import lines_across, smoothed
from edge.pipeline.space.shapes import MIDDLE, Curves

if TYPE_CHECKING:
    from edge.model import GreyImage
    from edge.pipeline.space.search import Bands
    from edge.pipeline.space.sites import Floats, Singles, Sites

Flags = npt.NDArray[np.bool_]

LINES, _EACH = 14, 5
"""Profiles along the joint line, each the mean of so many lines."""
STEP_MM = 0.08
_NORMAL_MM = np.arange(-35, 36) * STEP_MM
SMOOTH_MM = 0.10
_FIRST_REACH_MM = 0.35
"""How far from the joint line's own edges the first ones are looked for."""
_NEXT_REACH_MM = 0.30
"""How far an edge may lie from where its neighbours point to."""
_NEAR_FIT_MM = 0.15
_LEAST_START, _LEAST_NEXT = 0.35, 0.4
"""Steepness that an edge must have, over that of the best ones and of those it started from."""
_MOST_MISSED = 2
"""So many lines in turn without an edge end it."""
_STEEPEST = 1.2
_LEAST_APART_MM = 0.05
_RIVAL_MM = (0.25, 0.8)
"""How far from an edge another of the same kind is a second contour of the same bone."""
_SIDES = np.array([-1.0, 1.0])
"""Head and base, as they lie along the joint's axis."""


@dataclass(frozen=True, eq=False)
class Traces:
    """Both edges of each joint on `LINES` lines across it.

    ``found`` [J, LINES] says where both edges were found. ``at_mm`` [2, J, LINES] is the place of
    head and base along the line's normal, ``slope`` the steepness there in grey values a mm,
    ``rival`` that of the next edge of the same kind beside it, over its own.
    ``inside``, ``head`` and ``base`` [J, LINES] are grey values: the darkest between the edges, and
    those of the bones beside them. ``along_mm`` and ``across_mm`` [2, J, LINES] are the edges'
    places in the frame of the joint.
    """

    found: Flags
    at_mm: Floats
    slope: Floats
    rival: Floats
    inside: Floats
    head: Floats
    base: Floats
    along_mm: Floats
    across_mm: Floats

    @property
    def width_mm(self) -> Floats:
        """Distance of both edges, [J, LINES]."""
        return np.asarray(self.at_mm[1] - self.at_mm[0])

    def replaced(self, other: Traces, joints: npt.NDArray[np.intp], wanted: Flags) -> Traces:
        """These, with the traces ``other`` of some ``joints`` in place of those ``wanted``."""
        new = {}
        for field in fields(self):
            mine = getattr(self, field.name).copy()
            axis = mine.ndim - 2
            for at, joint in enumerate(joints):
                if wanted[joint]:
                    np.moveaxis(mine, axis, 0)[joint] = np.moveaxis(
                        getattr(other, field.name), axis, 0
                    )[at]
            new[field.name] = mine
        return Traces(**new)


def trace(film: GreyImage, sites: Sites, bands: Bands) -> Traces:
    """Trace both edges of each joint.

    Parameters
    ----------
    film : [h, w] uint8
        The film, bones bright.
    sites : Sites
        Its joints.
    bands : Bands
        Their joint lines.
    """
    normals = _Normals.of(sites, bands)
    rows = _profiles(film, sites, normals)
    smooth = smoothed(rows, SMOOTH_MM / STEP_MM)
    slope = np.zeros((2, *smooth.shape))
    slope[1, :, :, 1:-1] = (smooth[:, :, 2:] - smooth[:, :, :-2]) / (2 * STEP_MM)
    slope[0] = -slope[1]
    start = _usual_edges(sites, bands, normals)
    first = _peaks(slope, start, _FIRST_REACH_MM)
    run = _best_run(first, start)
    found, at, steep = _followed(slope, first, start, run)
    at = np.where(found, at, start)
    return Traces(found, at, steep, _rivals(slope, at), *_levels(rows, at), *normals.places(at))


@dataclass(frozen=True, eq=False)
class _Normals:
    """The lines across the joints: where they cross the joint line, and how they lie.

    [J, LINES * _EACH] each: ``along_mm`` and ``across_mm`` in the joint's frame, ``rise`` and
    ``lean`` the unit normal's parts along and across.
    """

    along_mm: Floats
    across_mm: Floats
    rise: Floats
    lean: Floats

    @classmethod
    def of(cls, sites: Sites, bands: Bands) -> _Normals:
        tau = lines_across(LINES * _EACH)
        half = sites.half_mm[:, None]
        step = 0.01
        ahead, behind = bands.line_mm(sites, tau + step), bands.line_mm(sites, tau - step)
        tilt = np.clip((ahead - behind) / (2 * step * half), -_STEEPEST, _STEEPEST)
        rise = 1 / np.sqrt(1 + tilt * tilt)
        return cls(bands.line_mm(sites, tau), tau * half, rise, -tilt * rise)

    def places(self, at_mm: Floats) -> tuple[Floats, Floats]:
        """Along and across of places [2, J, LINES] on the middle line of each profile."""
        middle = slice(_EACH // 2, None, _EACH)
        along = self.along_mm[:, middle] + self.rise[:, middle] * at_mm
        across = self.across_mm[:, middle] + self.lean[:, middle] * at_mm
        return along, across


def _profiles(film: GreyImage, sites: Sites, normals: _Normals) -> Singles:
    """Grey values along the normals, [J, LINES, U]."""
    along = normals.along_mm[:, :, None] + normals.rise[:, :, None] * _NORMAL_MM
    across = normals.across_mm[:, :, None] + normals.lean[:, :, None] * _NORMAL_MM
    fine = sites.sample(film, along, across, cv2.INTER_CUBIC)
    return np.asarray(fine.reshape(len(fine), LINES, _EACH, -1).mean(axis=2))


def _usual_edges(sites: Sites, bands: Bands, normals: _Normals) -> Floats:
    """Where the edges lie if the joint is as wide everywhere as its band, [2, J, LINES]."""
    tau = lines_across(LINES)
    curves = Curves.of(sites.shapes, tau)
    apart = (curves.base - curves.head) / 2
    apart = apart - apart[:, np.abs(tau) < MIDDLE].mean(axis=1, keepdims=True)
    rise = normals.rise[:, _EACH // 2 :: _EACH]
    return np.asarray(_SIDES[:, None, None] * (bands.width_mm[:, None] / 2 + apart) * rise)


@dataclass(frozen=True, eq=False)
class _Peaks:
    """Steepest places near others: ``at_mm`` and ``slope``; the slope is 0 where there is none."""

    at_mm: Floats
    slope: Floats


def _peaks(slope: Floats, near_mm: Floats, reach_mm: float) -> _Peaks:
    """Steepest place of each profile [..., U] within reach of ``near_mm`` [...], by a parabola.

    A place at the end of the reach is taken only where the profile is steepest there.
    """
    away = np.abs(_NORMAL_MM - near_mm[..., None])
    # Of two places as steep the nearer one: neighbours point to it.
    rated = np.where(away <= reach_mm, slope * (1 - 0.3 * away / reach_mm), -np.inf)
    at = np.clip(rated.argmax(axis=-1), 2, len(_NORMAL_MM) - 3)
    at = _climbed(slope, at)
    before, peak, after = (_at(slope, at + step) for step in (-1, 0, 1))
    bend = before - 2 * peak + after
    top = (peak >= before) & (peak >= after) & (bend < 0)
    shift = np.where(top, 0.5 * (before - after) / np.where(top, bend, -1.0), 0.0)
    return _Peaks(_NORMAL_MM[at] + shift * STEP_MM, np.where(top, np.maximum(peak, 0), 0.0))


def _climbed(slope: Floats, at: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """One step uphill: the rating moves a peak by no more."""
    before, here, after = (_at(slope, at + step) for step in (-1, 0, 1))
    up = np.where(after > before, 1, -1) * (np.maximum(before, after) > here)
    return np.asarray(np.clip(at + up, 1, len(_NORMAL_MM) - 2))


def _at(rows: Floats, index: npt.NDArray[np.intp]) -> Floats:
    """One value of each row."""
    return np.take_along_axis(rows, index[..., None], axis=-1)[..., 0]


def _best_run(first: _Peaks, start: Floats) -> Flags:
    """The longest stretch of lines [J, LINES] on which both first edges fit the joint line."""
    tau = lines_across(LINES)
    offset = first.at_mm - start
    best = np.sort(first.slope, axis=-1)[..., -3:-2] + 1e-6
    weight = np.clip(first.slope.min(axis=0) / best.max(axis=0), 0, 1) ** 2 + 1e-6
    powers = np.stack([np.ones_like(tau), tau, tau**2])
    fit = np.zeros_like(offset)
    for _ in range(3):
        close = np.square(np.clip(1 - np.square((offset - fit) / 0.3), 0, 1))
        pull = weight * close + 1e-6
        normal = np.einsum("sjt,at,bt->sjab", pull, powers, powers) + np.diag([0.02, 0.03, 0.05])
        right = np.einsum("sjt,at,sjt->sja", pull, powers, offset)
        fit = np.linalg.solve(normal, right[..., None])[..., 0] @ powers
    fits = (np.abs(offset - fit) < _NEAR_FIT_MM) & (first.slope > _LEAST_START * best)
    good: Flags = np.asarray(fits.all(axis=0))
    length = np.zeros(good.shape, dtype=np.intp)
    for line in range(LINES):
        before = length[:, line - 1] if line else 0
        length[:, line] = np.where(good[:, line], before + 1, 0)
    end = length.argmax(axis=1)[:, None]
    lines = np.arange(LINES)
    return np.asarray((lines <= end) & (lines > end - length.max(axis=1)[:, None]))


def _followed(
    slope: Floats, first: _Peaks, start: Floats, run: Flags
) -> tuple[Flags, Floats, Floats]:
    """Follow both edges from the middle of a run to either side.

    Returns where both were found [J, LINES], their places and their steepness [2, J, LINES].
    """
    joints = len(run)
    lines = np.arange(LINES)
    any_run = run.any(axis=1)
    from_line = np.where(
        any_run, np.rint((run * lines).sum(axis=1) / np.maximum(run.sum(axis=1), 1)), 0
    )
    origin = from_line.astype(np.intp)
    each = np.arange(joints)
    # A mean: an erosion's edge that fits by chance must not decide what is steep.
    total = (first.slope * run).sum(axis=-1)
    reference = np.where(any_run, total / np.maximum(run.sum(axis=1), 1), np.inf)
    found = np.zeros((joints, LINES), dtype=bool)
    at, steep = start.copy(), np.zeros_like(start)
    found[each, origin] = any_run
    at[:, each, origin] = first.at_mm[:, each, origin]
    steep[:, each, origin] = first.slope[:, each, origin]
    # Both directions at once: rows are joints going down, then joints going up.
    way = np.repeat([-1, 1], joints)
    row = np.tile(each, 2)
    here = np.tile(origin, 2)
    place = at[:, row, here]
    drift = np.zeros_like(place)
    missed = np.where(any_run, 0, _MOST_MISSED)[row]
    for _ in range(LINES - 1):
        there = here + way
        open_ = (there >= 0) & (there < LINES) & (missed < _MOST_MISSED)
        if not open_.any():
            break
        there = np.clip(there, 0, LINES - 1)
        usual = start[:, row, there] - start[:, row, here]
        seen = _peaks(slope[:, row, there], place + drift + usual, _NEXT_REACH_MM)
        # Beyond its reach a steeper place belongs to something else.
        close = np.abs(seen.at_mm - place - drift - usual) <= _NEXT_REACH_MM + STEP_MM
        both = (close & (seen.slope > _LEAST_NEXT * reference[:, row])).all(axis=0) & open_
        both &= seen.at_mm[1] - seen.at_mm[0] > _LEAST_APART_MM
        step = np.clip(seen.at_mm - place - usual, -0.2, 0.2)
        drift = np.where(both, 0.5 * drift + 0.5 * step, 0.5 * drift)
        place = np.where(both, seen.at_mm, place + drift + usual)
        hit, line = row[both], there[both]
        found[hit, line] = True
        at[:, hit, line] = seen.at_mm[:, both]
        steep[:, hit, line] = seen.slope[:, both]
        missed = np.where(both, 0, missed + 1)
        here = there
    return found, at, steep


def _rivals(slope: Floats, at: Floats) -> Floats:
    """Steepness of the steepest place a little away from each edge, over its own, [2, J, LINES]."""
    away = np.abs(_NORMAL_MM - at[..., None])
    own = np.where(away <= SMOOTH_MM, slope, 0).max(axis=-1)
    near, far = _RIVAL_MM
    other = np.where((away > near) & (away < far), slope, 0).max(axis=-1)
    return np.asarray(other / np.maximum(own, 1e-6))


def _levels(rows: Singles, at: Floats) -> tuple[Floats, Floats, Floats]:
    """Darkest grey value between the edges, and those of both bones beside them, [J, LINES]."""
    head, base = at[0][..., None], at[1][..., None]
    middle, half = (head + base) / 2, np.maximum((base - head) / 2, STEP_MM)
    inside = np.where(np.abs(_NORMAL_MM - middle) <= half, rows, np.inf).min(axis=-1)
    past_head, past_base = head - _NORMAL_MM, _NORMAL_MM - base
    beside = [(past > 0.4) & (past < 1.1) for past in (past_head, past_base)]
    levels = [(rows * part).sum(axis=-1) / np.maximum(part.sum(axis=-1), 1) for part in beside]
    return np.asarray(inside), levels[0], levels[1]
