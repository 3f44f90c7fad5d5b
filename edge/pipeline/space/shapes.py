"""How the two bones of a joint end: widths and curves, as the search for the joint line expects.

Layer: pipeline; tables. Lengths are in mm of a limb whose unit joints lie `UNIT_MM` apart, which is
how far they lie apart in adults on average; a film's own size is found from its joints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edge.anatomy import Limb

if TYPE_CHECKING:
    from collections.abc import Sequence

Floats = npt.NDArray[np.float64]

UNIT_MM = {Limb.HAND: 43.0, Limb.FOOT: 67.0}
"""Usual distance of MCP3 and PIP3, and of MTP1 and MTP5."""
MIDDLE = 0.5
"""Half of the middle part of the joint line, over half the head's width."""
_CORNER = 0.16
"""How the corners of the distal bone fall back, over tau**8."""
_GROOVE = 9.0


@dataclass(frozen=True)
class JointShape:
    """The ends of both bones of a joint.

    ``width_mm`` is the full width of the proximal bone's end. The surfaces fall back from the
    joint's middle by ``head`` and ``base``, coefficients of tau**2, tau**4 and tau**8 in half
    widths, and by ``groove`` in the middle of a bicondylar head. ``usual_mm`` is the width of a
    healthy joint space.
    """

    width_mm: float
    head: tuple[float, float, float]
    base: tuple[float, float, float]
    groove: float
    usual_mm: float
    heading_deg: float
    """Usual direction of the distal bone on the shape template, + towards thumb or hallux."""


def _mcp(width_mm: float, heading_deg: float) -> JointShape:
    return JointShape(
        width_mm, (0.50, 0.14, 0.30), (0.36, 0.04, 0.05), 0.0, 0.133 * width_mm, heading_deg
    )


def _pip(width_mm: float, heading_deg: float) -> JointShape:
    return JointShape(
        width_mm, (0.06, 0.06, 0.26), (0.05, 0.03, 0.02), 0.10, 0.110 * width_mm, heading_deg
    )


def _ip(width_mm: float, heading_deg: float) -> JointShape:
    return JointShape(
        width_mm, (0.12, 0.08, 0.26), (0.11, 0.04, 0.02), 0.06, 0.110 * width_mm, heading_deg
    )


def _mtp(width_mm: float, heading_deg: float) -> JointShape:
    return JointShape(
        width_mm, (0.42, 0.16, 0.30), (0.32, 0.04, 0.05), 0.0, 0.185 * width_mm, heading_deg
    )


SHAPES: dict[Limb, dict[str, JointShape]] = {
    Limb.HAND: {
        "IP1": _ip(12.6, 20), "PIP2": _pip(12.0, 6.6), "PIP3": _pip(12.4, -1.4),
        "PIP4": _pip(11.4, -10.3), "PIP5": _pip(10.0, -25.6), "MCP1": _mcp(15.0, 20),
        "MCP2": _mcp(14.6, 6.6), "MCP3": _mcp(14.4, -1.4), "MCP4": _mcp(12.8, -10.3),
        "MCP5": _mcp(12.4, -25.6),
    },
    Limb.FOOT: {
        "IP1": _ip(15.8, 5),
        "MTP1": JointShape(20.6, (0.26, 0.10, 0.26), (0.22, 0.06, 0.02), 0.0, 0.115 * 20.6, 5),
        "MTP2": _mtp(10.8, -1), "MTP3": _mtp(10.4, -3), "MTP4": _mtp(10.2, -4),
        "MTP5": _mtp(10.6, -6),
    },
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Curves:
    """Both surfaces of several joints over ``tau`` [T]: ``head``, ``base`` [J, T] in mm.

    Zero is the middle of the joint space, averaged over the middle part of the joint line; + is
    distal. The joint space itself is left out.
    """

    head: Floats
    base: Floats

    @classmethod
    def of(cls, shapes: Sequence[JointShape], tau: Floats) -> Curves:
        """Curves of joints at ``tau``, across the joint over half the head's width."""
        middle = np.linspace(-MIDDLE, MIDDLE, 21)
        head, base = _falls(shapes, tau)
        zero = sum(part.mean(axis=1, keepdims=True) for part in _falls(shapes, middle)) / 2
        half = np.array([shape.width_mm / 2 for shape in shapes])[:, None]
        return cls((zero - head) * half, (zero - base) * half)

    @property
    def line(self) -> Floats:
        """The line between both surfaces, [J, T]."""
        return (self.head + self.base) / 2


def _falls(shapes: Sequence[JointShape], tau: Floats) -> tuple[Floats, Floats]:
    """How far both surfaces lie behind the joint's middle, [J, T] each, in half widths."""
    square = np.minimum(tau * tau, 1.0)
    powers = np.stack([square, square**2, square**4])
    groove = np.exp(-_GROOVE * square)
    head = np.array([shape.head for shape in shapes]) @ powers
    base = np.array([shape.base for shape in shapes]) @ powers - _CORNER * powers[2]
    dip = np.array([[shape.groove] for shape in shapes]) * groove
    return head + dip, base + dip
