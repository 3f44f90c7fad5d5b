"""From grades to geometry: width of the joint space, erosions, displacement.

Layer: phantom; numpy only. Every number here is chosen so that the grade can be read from the
picture: ratios keep a distance from a grade's borders, and the area bitten out of one bone grows by
a factor from grade to grade.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phantom.geometry import NO_BITES, TAU_MAX, TAU_STEPS, TAUS, Float

AREA_SHARES: dict[int, tuple[float, float]] = {
    1: (0.020, 0.028),
    2: (0.050, 0.066),
    3: (0.108, 0.135),
    4: (0.185, 0.225),
    5: (0.310, 0.400),
}
"""Area bitten out of one side of a joint over the square of the head's width, by grade."""

_RATIO: dict[int, tuple[float, float]] = {0: (0.92, 1.10), 1: (0.73, 0.81), 2: (0.53, 0.65)}
_BORDERLINE: dict[int, tuple[float, float]] = {0: (0.85, 0.88), 1: (0.70, 0.85), 2: (0.50, 0.70)}
_SEVERE = (0.14, 0.42)
_BORDERLINE_SEVERE = (0.44, 0.50)


@dataclass(frozen=True, eq=False)
class Narrowing:
    """Joint space of one joint: ratio to its norm over `TAUS`, displacement of the distal bone.

    ``shift_across`` and ``shift_along`` are shares of the head's width; ``fused`` means that
    trabeculae run through.
    """

    ratio: Float
    shift_across: float
    shift_along: float
    fused: bool


def narrowing(
    rng: np.random.Generator, grade: int, *, clear_side: float, borderline: bool
) -> Narrowing:
    """Draw the joint space for one grade.

    ``clear_side`` is -1, +1 or 0: the side whose surface erosions leave, where a focal
    narrowing must lie to be seen (0: anywhere). ``borderline`` lets ratios touch the borders.
    """
    settle = float(rng.normal(0, 0.02))
    bands = _BORDERLINE if borderline else _RATIO
    if grade == 4:
        if rng.random() < 0.6:
            return Narrowing(np.zeros_like(TAUS), settle, 0.0, fused=True)
        side = 1.0 if rng.random() < 0.5 else -1.0
        ratio = np.full_like(TAUS, rng.uniform(0.3, 0.9))
        return Narrowing(ratio, side * rng.uniform(0.62, 0.95), -rng.uniform(0.1, 0.4), fused=False)
    if grade == 3:
        ratio = np.full_like(TAUS, rng.uniform(*(_BORDERLINE_SEVERE if borderline else _SEVERE)))
        if rng.random() < 0.3:
            side = 1.0 if rng.random() < 0.5 else -1.0
            settle = side * rng.uniform(0.2, 0.36)
        return Narrowing(ratio, settle, 0.0, fused=False)
    level = float(rng.uniform(*bands[grade]))
    ratio = np.full_like(TAUS, level)
    if grade == 1 and not borderline and rng.random() < 0.4:
        place = clear_side * 0.42 if clear_side else float(rng.choice([-0.42, 0.0, 0.42]))
        dip = np.exp(-(((TAUS - place) / 0.30) ** 4)).astype(np.float32)
        ratio = 1.0 - dip * np.float32(rng.uniform(0.50, 0.62))
    return Narrowing(ratio.astype(np.float32), settle, 0.0, fused=False)


@dataclass(frozen=True, eq=False)
class Bites:
    """What erosion took from one side of a joint: discs, true area share and reach across."""

    discs: Float
    area_share: float
    reach: float


NO_EROSION = Bites(NO_BITES, 0.0, 0.0)


def bites(
    rng: np.random.Generator,
    grade: int,
    edge_mm: Float,
    half_width_mm: float,
    *,
    bone_is_proximal: bool,
    margin: float,
) -> Bites:
    """Scalloped marginal bites of one grade in the joint's frame.

    ``edge_mm`` is the surface over `TAUS`, ``margin`` the side they start from (-1 or +1).
    The discs are scaled until the area taken from the bone meets the grade's band.
    """
    if grade == 0:
        return NO_EROSION
    discs = _layout(rng, grade, edge_mm, half_width_mm, 1 if bone_is_proximal else -1, margin)
    target = float(rng.uniform(*AREA_SHARES[grade]))
    along, across, bone, cell = _bone_grid(edge_mm, half_width_mm, bone_is_proximal)
    factor = 1.0
    share = 0.0
    for _ in range(6):
        gone = np.zeros_like(bone)
        for a, t, radius, _depth, _soft in discs.tolist():
            gone |= np.hypot(along - a, across - t) < radius * factor
        share = float(np.count_nonzero(gone & bone)) * cell / (4 * half_width_mm**2)
        if abs(share / target - 1) < 0.03:
            break
        factor *= float(np.clip((target / max(share, 1e-4)) ** 0.55, 0.6, 1.7))
    discs[:, 2] *= factor
    taken = across[gone & bone]
    far = float(np.max(-margin * taken)) if taken.size else -half_width_mm
    return Bites(discs, share, float(np.clip(0.5 + far / (2 * half_width_mm), 0, 1)))


def _bone_grid(
    edge_mm: Float, half_width_mm: float, bone_is_proximal: bool
) -> tuple[Float, Float, np.ndarray, float]:
    """Cells of the bone's end on a grid of a twentieth of the half width."""
    step = half_width_mm / 18
    across = np.arange(-1.04, 1.05, 1 / 18, dtype=np.float32) * half_width_mm
    along = np.arange(-2.3, 2.3, 1 / 18, dtype=np.float32) * half_width_mm
    edge = np.interp(across / half_width_mm, TAUS, edge_mm)
    depth = (edge[None, :] - along[:, None]) * (1 if bone_is_proximal else -1)
    bone = (depth > 0) & (np.abs(across)[None, :] < half_width_mm)
    grid_along, grid_across = np.meshgrid(along, across, indexing="ij")
    return grid_along, grid_across, bone, step * step


def _edge_at(edge_mm: Float, tau: float) -> float:
    position = (tau + TAU_MAX) / (2 * TAU_MAX) * (TAU_STEPS - 1)
    return float(edge_mm[int(np.clip(position, 0, TAU_STEPS - 1))])


def _layout(
    rng: np.random.Generator,
    grade: int,
    edge_mm: Float,
    half: float,
    inward: int,
    margin: float,
) -> Float:
    """Discs before scaling; ``inward`` is +1 where the bone lies at smaller ``along``."""

    def disc(tau: float, below: float, radius: float) -> list[float]:
        along = _edge_at(edge_mm, float(np.clip(tau, -0.9, 0.9))) - inward * below * half
        depth = rng.uniform(0.72, 1.0) if grade < 4 else rng.uniform(0.85, 1.0)
        return [along, tau * half, radius * half, depth, rng.uniform(0.2, 0.45)]

    start = margin * rng.uniform(0.90, 1.02)
    below = rng.uniform(0.02, 0.30)
    if grade == 1:
        return np.array([disc(start, below, 0.25)], dtype=np.float32)
    if grade == 2:
        rows = [disc(start, below, 0.32)]
        if rng.random() < 0.5:
            rows.append(disc(start, below + rng.uniform(0.28, 0.45), 0.24))
        return np.array(rows, dtype=np.float32)
    # Past the midline: a row of scallops along the surface, from the margin on.
    # A third of the surface stays: it is what shows the joint space of an eroded joint.
    last = {3: 0.05, 4: rng.uniform(0.05, 0.15), 5: rng.uniform(0.18, 0.28)}[grade]
    size = {3: 0.27, 4: 0.38, 5: 0.55}[grade]
    count = {3: 4, 4: 4, 5: 5}[grade]
    deep = {3: 0.0, 4: 0.1, 5: 0.25}[grade]
    stops = np.linspace(1.0, -last + 0.5 * size - 0.13, count)
    rows = [
        disc(margin * float(stop), rng.uniform(0.0, 0.1) + deep, size * rng.uniform(0.9, 1.1))
        for stop in stops
    ]
    if grade == 4 and rng.random() < 0.4:
        rows.append(disc(-margin * rng.uniform(0.92, 1.0), rng.uniform(0.7, 0.9), 0.24))
    return np.array(rows, dtype=np.float32)


def cysts(
    rng: np.random.Generator, half: float, edge_mm: Float, *, bone_is_proximal: bool
) -> Float:
    """A round hole with a sclerotic rim inside the bone, far from every cortex: grade 0."""
    inward = 1 if bone_is_proximal else -1
    tau = float(rng.uniform(-0.36, 0.36))
    along = _edge_at(edge_mm, tau) - inward * float(rng.uniform(0.6, 0.95)) * half
    radius = float(rng.uniform(0.17, 0.26)) * half
    return np.array([[along, tau * half, radius, rng.uniform(0.4, 0.7), 0.4]], dtype=np.float32)


def surface_wobble(rng: np.random.Generator, half_width_mm: float) -> Float:
    """Small smooth irregularity that both bones of a joint share, in mm over `TAUS`."""
    wobble = np.zeros_like(TAUS)
    for k in (1.5, 2.5, 4.0):
        wobble += np.float32(rng.normal(0, 0.012 * half_width_mm / k)) * np.sin(
            np.float32(k) * TAUS + np.float32(rng.uniform(0, 6.28))
        )
    return wobble
