"""The true joint space of a joint: distance of both surfaces where neither is eaten away.

Layer: phantom; numpy only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edge.model import SpacePart
from phantom.geometry import TAUS, TrueSpace, across_of

if TYPE_CHECKING:
    from phantom.geometry import Surface, Vector

_TAU = np.linspace(-0.7, 0.7, 71)
_IN_MIDDLE = np.abs(_TAU) <= 0.5
_OUTER = _IN_MIDDLE & (np.abs(_TAU) > 0.5 / 3)
_LEAST_MIDDLE = 0.35
"""Share of the middle part that must be left for it to be the part that is measured."""
_LEAST_LINES = 4
_SLOPE_STEP = 0.02

Doubles = npt.NDArray[np.float64]


def true_space(head: Surface, base: Surface, centre: Vector, axis: Vector) -> TrueSpace | None:
    """Measure the joint space of two surfaces.

    Parameters
    ----------
    head, base : Surface
        Both ends, with what was bitten out of them.
    centre, axis
        The joint's frame, limb millimetres.

    Returns
    -------
    TrueSpace or None
        None where a surface is fused, or eaten away over the whole joint line. Over the middle half
        of the head's width, or where too little of it is left, over what is left within .7.
    """
    if head.fused or base.fused:
        return None
    across = _TAU * head.half_width_mm
    step = _SLOPE_STEP * head.half_width_mm

    def edge(surface: Surface, at: Doubles) -> Doubles:
        along, aside = _offset(surface, centre, axis)
        return along + np.interp((at - aside) / surface.half_width_mm, TAUS, surface.edge_mm)

    def line(at: Doubles) -> Doubles:
        return (edge(head, at) + edge(base, at)) / 2

    slope = (line(across + step) - line(across - step)) / (2 * step)
    width = (edge(base, across) - edge(head, across)) / np.sqrt(1 + slope * slope)
    left = _left(head, across, edge(head, across), centre, axis)
    left &= _left(base, across, edge(base, across), centre, axis)
    middle = left & _IN_MIDDLE
    whole = middle.sum() >= _LEAST_MIDDLE * _IN_MIDDLE.sum()
    used = middle if whole else left
    if used.sum() < _LEAST_LINES:
        return None
    sides = [width[left & _OUTER & (np.sign(_TAU) == side)] for side in (1, -1)]
    towards, away = (float(part.mean()) if len(part) > 1 else None for part in sides)
    return TrueSpace(
        part=SpacePart.MIDDLE if whole else SpacePart.MARGIN,
        mean=float(width[used].mean()),
        minimum=float(width[used].min()),
        towards=towards,
        away=away,
    )


def _offset(surface: Surface, centre: Vector, axis: Vector) -> tuple[float, float]:
    """Where a surface's origin lies in the joint's frame, along and across."""
    x, y = surface.origin[0] - centre[0], surface.origin[1] - centre[1]
    side = across_of(axis)
    return x * axis[0] + y * axis[1], x * side[0] + y * side[1]


def _left(
    surface: Surface, across: Doubles, along: Doubles, centre: Vector, axis: Vector
) -> npt.NDArray[np.bool_]:
    """Where a surface is neither bitten away nor beyond its bone."""
    up, aside = _offset(surface, centre, axis)
    kept = np.abs(across - aside) < surface.half_width_mm
    for bite_along, bite_across, radius, _, _ in surface.bites.tolist():
        kept &= np.hypot(along - up - bite_along, across - aside - bite_across) > radius
    return np.asarray(kept)
