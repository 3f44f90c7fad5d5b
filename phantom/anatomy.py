"""Sizes and shapes of bones: tables in millimetres or in shares of the limb's unit.

Layer: phantom; no imports. Points are those of the shape template (centroid 0, RMS 1, y down, thumb
or hallux at the right).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EndShape:
    """How a kind of joint is formed.

    ``head`` and ``base`` are the coefficients of tau**2, tau**4 and tau**8 by which the surface
    falls back from the middle, in half widths of the head; ``groove`` the dip of a bicondylar
    head; ``space`` the normal joint space over the head's full width.
    """

    head: tuple[float, float, float]
    base: tuple[float, float, float]
    groove: float
    space: float
    head_round: float
    base_round_mm: float
    lip: tuple[float, float]
    """Range of the lip's overlap over the head's half width, where rims overlap."""


MCP = EndShape((0.50, 0.14, 0.30), (0.36, 0.04, 0.05), 0.0, 0.133, 0.48, 1.6, (0.25, 0.60))
PIP = EndShape((0.06, 0.06, 0.26), (0.05, 0.03, 0.02), 0.10, 0.110, 0.30, 1.5, (0.20, 0.42))
IP = EndShape((0.12, 0.08, 0.26), (0.11, 0.04, 0.02), 0.06, 0.110, 0.32, 1.5, (0.18, 0.36))
MTP = EndShape((0.42, 0.16, 0.30), (0.32, 0.04, 0.05), 0.0, 0.185, 0.45, 1.4, (0.25, 0.55))
MTP_FIRST = EndShape((0.26, 0.10, 0.26), (0.22, 0.06, 0.02), 0.0, 0.115, 0.38, 1.8, (0.14, 0.28))
DIP = EndShape((0.08, 0.06, 0.26), (0.07, 0.03, 0.02), 0.08, 0.110, 0.45, 1.3, (0.15, 0.3))
CARPAL = EndShape((-0.05, 0.0, 0.20), (-0.05, 0.0, -0.10), 0.0, 0.10, 0.5, 1.8, (0.1, 0.2))
TIP = EndShape((0.30, 0.20, 0.40), (0.3, 0.0, 0.0), 0.0, 0.10, 0.6, 1.2, (0.1, 0.2))


@dataclass(frozen=True)
class Tube:
    """Full widths (mm at unit size) of a tubular bone: base, waist, head; cortex at mid-shaft."""

    base: float
    waist: float
    head: float
    cortex: float


@dataclass(frozen=True)
class Ray:
    """One finger or toe: joints from the carpus or tarsus to the tip.

    ``root`` is the template point of the first bone's base; ``lengths`` the lengths of the
    bones beyond the last scored joint, in shares of the unit; ``tubes`` from the root on.
    """

    root: tuple[float, float]
    scored: tuple[str, ...]
    lengths: tuple[float, ...]
    tubes: tuple[Tube, ...]
    heading_deg: float
    """Usual direction of the ray beyond the last scored joint, + towards thumb or hallux."""


HAND_UNIT_MM = 43.0
HAND_RAYS: tuple[Ray, ...] = (
    Ray((0.60, 1.86), ("MCP1", "IP1"), (0.52,),
        (Tube(14.5, 10.5, 15.0, 1.9), Tube(14.0, 9.2, 12.6, 1.6), Tube(13.0, 6.6, 8.6, 0.9)), 20),
    Ray((0.33, 1.58), ("MCP2", "PIP2"), (0.56, 0.40),
        (Tube(16.5, 8.8, 14.6, 2.1), Tube(15.4, 9.6, 12.0, 1.8), Tube(13.2, 8.0, 10.0, 1.3),
         Tube(10.6, 5.0, 7.6, 0.8)), 6.6),
    Ray((0.05, 1.62), ("MCP3", "PIP3"), (0.64, 0.42),
        (Tube(14.0, 8.6, 14.4, 2.1), Tube(15.4, 9.8, 12.4, 1.9), Tube(13.6, 8.4, 10.4, 1.4),
         Tube(11.0, 5.2, 8.0, 0.8)), -1.4),
    Ray((-0.22, 1.62), ("MCP4", "PIP4"), (0.60, 0.42),
        (Tube(11.8, 7.4, 12.8, 1.8), Tube(14.0, 8.8, 11.4, 1.7), Tube(12.6, 7.8, 9.8, 1.3),
         Tube(10.4, 4.9, 7.6, 0.8)), -10.3),
    Ray((-0.46, 1.60), ("MCP5", "PIP5"), (0.43, 0.38),
        (Tube(12.8, 7.4, 12.4, 1.7), Tube(13.0, 7.6, 10.0, 1.5), Tube(11.0, 6.6, 8.6, 1.1),
         Tube(9.2, 4.4, 6.6, 0.7)), -25.6),
)  # fmt: skip

FOOT_UNIT_MM = 67.0
_TOE = (Tube(11.4, 5.2, 8.4, 1.3), Tube(8.8, 7.0, 8.6, 0.7), Tube(8.0, 5.2, 5.8, 0.6))
FOOT_RAYS: tuple[Ray, ...] = (
    Ray((0.66, 2.30), ("MTP1", "IP1"), (0.34,),
        (Tube(19.0, 13.0, 20.6, 2.2), Tube(18.6, 12.4, 15.8, 1.7), Tube(16.6, 9.4, 11.6, 1.0)), 5),
    Ray((0.20, 2.38), ("MTP2",), (0.385, 0.16, 0.13),
        (Tube(13.0, 6.6, 10.8, 2.1), *_TOE), -1),
    Ray((-0.16, 2.46), ("MTP3",), (0.36, 0.14, 0.13),
        (Tube(12.0, 6.2, 10.4, 1.9), *_TOE), -3),
    Ray((-0.48, 2.56), ("MTP4",), (0.335, 0.12, 0.13),
        (Tube(12.0, 6.2, 10.2, 1.9), *_TOE), -4),
    Ray((-0.80, 2.66), ("MTP5",), (0.315, 0.11, 0.12),
        (Tube(15.0, 6.4, 10.6, 1.8), *_TOE), -6),
)  # fmt: skip


@dataclass(frozen=True)
class BlockShape:
    """A short bone: template point, half length and half width (mm), angle, half depth (mm)."""

    at: tuple[float, float]
    half_length_mm: float
    half_width_mm: float
    turn_deg: float
    half_depth_mm: float


CARPUS: tuple[BlockShape, ...] = (
    BlockShape((0.52, 2.04), 8.5, 8.8, -25, 7.0),
    BlockShape((0.28, 1.95), 8.2, 6.8, 0, 7.0),
    BlockShape((0.03, 2.05), 13.0, 8.2, 4, 8.0),
    BlockShape((-0.27, 2.00), 10.8, 9.4, 14, 8.0),
    BlockShape((0.36, 2.36), 12.5, 7.0, -38, 7.0),
    BlockShape((0.04, 2.47), 8.0, 9.4, 0, 7.5),
    BlockShape((-0.27, 2.36), 7.6, 8.6, 25, 7.0),
    BlockShape((-0.34, 2.29), 5.6, 5.0, 0, 4.5),
)
TARSUS: tuple[BlockShape, ...] = (
    BlockShape((0.62, 2.72), 11.5, 9.0, 4, 13.0),
    BlockShape((0.22, 2.74), 9.0, 7.5, 2, 12.0),
    BlockShape((-0.10, 2.82), 10.0, 7.8, 0, 12.0),
    BlockShape((-0.50, 3.06), 15.0, 12.0, -8, 13.0),
    BlockShape((0.30, 3.24), 8.5, 18.5, -6, 15.0),
    BlockShape((0.18, 3.88), 19.0, 17.0, 0, 20.0),
    BlockShape((-0.02, 4.20), 25.0, 17.0, 5, 20.0),
)

LEG_HAND: tuple[tuple[tuple[float, float], Tube], ...] = (
    ((0.18, 2.70), Tube(30.0, 14.0, 27.0, 2.8)),
    ((-0.36, 2.74), Tube(17.0, 12.0, 13.5, 2.6)),
)
"""Radius and ulna: template point of the distal end, full widths."""
LEG_FOOT: tuple[tuple[tuple[float, float], Tube], ...] = (
    ((0.20, 4.34), Tube(50.0, 26.0, 44.0, 4.5)),
    ((-0.62, 4.52), Tube(18.0, 13.0, 22.0, 3.2)),
)
"""Tibia and fibula."""


@dataclass(frozen=True)
class RayTissue:
    """Soft tissue of one ray.

    Half widths and half depths (mm) at its joints from the knuckle on, and of the palm's or
    sole's part at both ends.
    """

    palm_width_mm: tuple[float, float]
    palm_depth_mm: tuple[float, float]
    half_width_mm: tuple[float, ...]
    half_depth_mm: tuple[float, ...]


_PALM = ((14.5, 12.5), (14.5, 12.5))
_SOLE = ((15.0, 13.0), (24.0, 11.5))
RAY_TISSUE: dict[tuple[bool, bool], RayTissue] = {
    (True, False): RayTissue(*_PALM, (12.0, 10.4, 8.8, 7.4), (11.0, 8.6, 7.0, 5.2)),
    (True, True): RayTissue(*_PALM, (12.5, 10.8, 8.6), (10.5, 8.6, 6.2)),
    (False, False): RayTissue(*_SOLE, (10.0, 8.6, 8.0, 7.0), (9.5, 7.6, 6.6, 5.6)),
    (False, True): RayTissue(*_SOLE, (16.0, 13.0, 11.0), (13.0, 10.5, 8.0)),
}
"""By (is a hand, is the first ray)."""
