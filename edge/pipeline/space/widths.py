"""Measures the joint space of each joint of a limb, or says why it cannot.

Layer: pipeline; pure functions over arrays. A width is given only where both edges are steep, run
on smoothly and belong together; nothing is filled in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.anatomy import Limb
from edge.errors import SpaceReason
from edge.model import JointSpace, PixelSize, SpacePart
from edge.pipeline.space.search import WIDE, find_bands, lines_across
from edge.pipeline.space.shapes import MIDDLE
from edge.pipeline.space.trace import LINES, Traces, trace
from edge.pipeline.template import apply

if TYPE_CHECKING:
    from edge.model import GreyImage, Transform
    from edge.pipeline.space.search import Bands
    from edge.pipeline.space.sites import Floats, Sites
    from edge.pipeline.space.trace import Flags

COARSEST_MM = 0.25
"""Coarser pixels, on a limb of usual size, show no edges that a width may be read from."""
EDGE_INSIDE_MM = 0.105
"""How far the steepest place of an edge lies inside the outline of a rounded bone end: measured on
phantoms, .100 to .112 at pixels of .1 to .2 mm and a blur of .05 to .2 mm (sd)."""
LEAST_STEEPNESS = 0.95
"""Grey values a mm over the range of grey values round the joint. Of fused phantom joints 2 in 100
have edges as steep, of joints with a space 9 in 10."""
_LEAST_LONG, _LEAST_DEEP, _LONG = 0.8, 0.35, 9
"""Less steep edges are believed on so many lines, where the space is dark."""
_MOST_RIVAL = 0.7
"""A second contour as steep as this beside an edge: which of both is the joint's cannot be said."""
_LEAST_LINES = 4
_LEAST_MIDDLE = 3
_MARGIN = 0.7
"""How far out the margin is measured, over half the head's width."""
_WIDEST = 1.6
_WIDEST_PART, _WIDEST_SHORT = 1.2, 1.15
"""Over these multiples of the usual width edges on a part of the joint line, and on less than
`_SHORT` lines, are those of an erosion."""
_PART, _SHORT = 11, 6
_MOST_SPREAD, _LEAST_SPREAD_MM = 0.35, 0.2
_MOST_TREND = 1.0
"""Change of the width from one end of the middle part to the other, over the mean: displaced."""
_TREND_LINES = 6
_SHALLOW = 0.2
_TAU = lines_across(LINES)
_IN_MIDDLE = np.abs(_TAU) <= MIDDLE
_IN_MARGIN = np.abs(_TAU) <= _MARGIN
_OUTER = np.abs(_TAU) > MIDDLE / 3


@dataclass(frozen=True, eq=False)
class StoredFilm:
    """How pixels of the film that is measured map to the film as stored, and their size there."""

    to_stored: Transform
    pixel_size: PixelSize | None = None


def measure_spaces(
    film: GreyImage, sites: Sites, limb: Limb, stored: StoredFilm
) -> dict[str, JointSpace]:
    """Measure the joint space of every joint of ``sites``.

    Parameters
    ----------
    film : [h, w] uint8
        The film, bones bright, in its own pixels: not equalised, not resampled.
    sites : Sites
        Its joints.
    limb : Limb
        Decides which side of a joint is medial.
    stored : StoredFilm
        Where results are given.

    Returns
    -------
    dict of str to JointSpace
        One for each joint, by its name: widths, or the reason why there are none.
    """
    if not sites.names:
        return {}
    if sites.mm_per_px > COARSEST_MM:
        return {name: JointSpace(reason=SpaceReason.LOW_RESOLUTION) for name in sites.names}
    bands, traces = _traced(film, sites)
    thumb_is_medial = limb is Limb.FOOT
    medial = sites.thumbwards * (1 if thumb_is_medial else -1)
    return {
        name: _space(_Joint.of(traces, bands, sites, at), sites, at, medial[at], stored)
        for at, name in enumerate(sites.names)
    }


def _traced(film: GreyImage, sites: Sites) -> tuple[Bands, Traces]:
    """Trace each joint; where its band is wide, along a narrower one if that has edges.

    Where an erosion has taken most of a surface its edge is the longest: the joint space is the
    narrower band beside it.
    """
    best, narrow = find_bands(film, sites)
    traces = trace(film, sites, best)
    wide = np.flatnonzero(best.width_mm > WIDE * sites.usual_mm)
    if not len(wide):
        return best, traces
    some = sites.take(wide)
    again = trace(film, some, narrow.take(wide))
    better = np.zeros(len(sites.names), dtype=bool)
    for at, joint in enumerate(wide):
        seen = _Joint.of(again, narrow.take(wide), some, at)
        better[joint] = seen.steepness > LEAST_STEEPNESS and seen.used.sum() >= _LEAST_MIDDLE
    return best, traces.replaced(again, wide, better)


@dataclass(frozen=True, eq=False)
class _Joint:
    """What is known of one joint; lengths in mm of a limb of usual size.

    ``used`` are the lines that the width is taken from. ``steepness`` is that of the weaker edge
    over the contrast round the joint, ``rival`` that of a second contour over its edge, ``depth``
    how much darker than both bones the space is.
    """

    found: Flags
    used: Flags
    width_mm: Floats
    usual_mm: float
    steepness: float
    rival: float
    depth: float
    along_mm: Floats
    across_mm: Floats

    @classmethod
    def of(cls, traces: Traces, bands: Bands, sites: Sites, at: int) -> _Joint:
        found = traces.found[at]
        middle = found & _IN_MIDDLE
        used = middle if middle.sum() >= _LEAST_MIDDLE else found & _IN_MARGIN
        seen = used if used.any() else _IN_MIDDLE
        contrast = bands.contrast[at]
        weaker = float(np.median(traces.slope[:, at, seen], axis=1).min())
        bone = min(np.median(traces.head[at, seen]), np.median(traces.base[at, seen]))
        return cls(
            found=found,
            used=used,
            width_mm=traces.width_mm[at],
            usual_mm=float(sites.usual_mm[at]),
            steepness=weaker / contrast,
            rival=float(np.median(traces.rival[:, at, seen], axis=1).max()),
            depth=float(bone - np.median(traces.inside[at, seen])) / contrast,
            along_mm=traces.along_mm[:, at],
            across_mm=traces.across_mm[:, at],
        )

    @property
    def problem(self) -> SpaceReason | None:
        """Why no width can be given."""
        lines = int(self.found.sum())
        long = lines >= _LONG and self.depth >= _LEAST_DEEP
        least = _LEAST_LONG if long else LEAST_STEEPNESS
        if not self.used.any() or self.steepness < least:
            if self.depth <= 0:
                return SpaceReason.OVERLAPPING
            return SpaceReason.FUSED if self.depth < _SHALLOW else SpaceReason.BLURRED
        width = self.width_mm[self.used]
        mean, spread = float(width.mean()), float(width.std())
        widest = self.usual_mm * _widest(lines)
        if self.rival > _MOST_RIVAL:
            return SpaceReason.OVERLAPPING
        if lines < _LEAST_LINES or mean > widest:
            return SpaceReason.INTERRUPTED
        if spread > max(_MOST_SPREAD * mean, _LEAST_SPREAD_MM) or self.trend > _MOST_TREND * mean:
            return SpaceReason.UNEVEN
        return None

    @property
    def trend(self) -> float:
        """Change of the width across the middle part in mm; 0 on too few lines to tell."""
        if self.used.sum() < _TREND_LINES:
            return 0.0
        return abs(float(np.polyfit(_TAU[self.used], self.width_mm[self.used], 1)[0]))


def _widest(lines: int) -> float:
    """Widest joint space that edges on so many lines are believed, over the usual width."""
    if lines < _SHORT:
        return _WIDEST_SHORT
    return _WIDEST_PART if lines < _PART else _WIDEST


def _space(joint: _Joint, sites: Sites, at: int, medial: float, stored: StoredFilm) -> JointSpace:
    problem = joint.problem
    if problem is not None:
        return JointSpace(reason=problem)
    edges = apply(stored.to_stored, _outline(joint, sites, at).reshape(-1, 2)).reshape(2, -1, 2)
    apart = edges[1] - edges[0]
    px = np.hypot(apart[:, 0], apart[:, 1])
    widths = {"px": px}
    if stored.pixel_size is not None:
        size = stored.pixel_size
        widths["mm"] = np.hypot(apart[:, 0] * size.column_mm, apart[:, 1] * size.row_mm)
    values = {
        f"{what}_{unit}": value
        for unit, width in widths.items()
        for what, value in _figures(width, joint.used, medial).items()
    }
    middle = joint.used.sum() >= _LEAST_MIDDLE and bool((joint.used <= _IN_MIDDLE).all())
    return JointSpace(
        part=SpacePart.MIDDLE if middle else SpacePart.MARGIN,
        proximal_edge=_rounded(edges[0]),
        distal_edge=_rounded(edges[1]),
        **values,  # type: ignore[arg-type]
    )


def _outline(joint: _Joint, sites: Sites, at: int) -> Floats:
    """Both outlines on the lines used, [2, n, 2] in pixels of the film."""
    one = sites.take(np.array([at]))
    edges = one.points(
        joint.along_mm[None][:, :, joint.used], joint.across_mm[None][:, :, joint.used]
    )[0]
    way = edges[1] - edges[0]
    apart = np.maximum(np.hypot(way[:, 0], way[:, 1]), 1e-9)
    # Edges nearer to each other than their blur meet in the middle.
    move = np.minimum(EDGE_INSIDE_MM / sites.mm_per_px, apart / 2)
    shift = way * (move / apart)[:, None]
    return np.stack([edges[0] + shift, edges[1] - shift])


def _figures(width: Floats, used: Flags, medial: float) -> dict[str, float | None]:
    """Mean, minimum, medial and lateral of the widths on the lines used."""
    beside = np.convolve(np.pad(width, 1, mode="edge"), (0.25, 0.5, 0.25), mode="valid")
    figures: dict[str, float | None] = {
        "mean": _round(width.mean()),
        "minimum": _round(beside.min()),
    }
    side = _TAU[used] * medial
    outer = _OUTER[used] & _IN_MIDDLE[used]
    for name, there in (("medial", side > 0), ("lateral", side < 0)):
        part = width[there & outer]
        figures[name] = _round(part.mean()) if len(part) > 1 else None
    return figures


def _round(value: float) -> float:
    return round(float(value), 3)


def _rounded(points: Floats) -> tuple[tuple[float, float], ...]:
    return tuple((round(float(x), 1), round(float(y), 1)) for x, y in points)
