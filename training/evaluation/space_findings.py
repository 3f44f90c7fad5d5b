"""How well joint spaces were measured: coverage, error against the truth, repeatability.

Layer: training.evaluation; pure functions over rows.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from edge.anatomy import Limb
from training.evaluation.findings import SpaceGroup, SpaceRepeat
from training.evaluation.space_rows import CHANGES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from training.evaluation.space_rows import RepeatRow, SpaceRow

_FUSED = 4
_EROSIONS = ((0, 2), (3, 5), (6, 10))


def space_groups(rows: Sequence[SpaceRow]) -> tuple[SpaceGroup, ...]:
    """Coverage and error: of each limb, of each narrowing grade, and by erosion.

    Joints of narrowing grade 4 are fused or displaced: they stand in a group of their own and in no
    other but the limb's.
    """
    return tuple(_group(name, members) for name, members in _grouped(rows) if members)


def _grouped(rows: Sequence[SpaceRow]) -> Iterator[tuple[str, list[SpaceRow]]]:
    for limb in Limb:
        yield f"{limb}, all joints", [row for row in rows if row.limb is limb]
    open_ = [row for row in rows if row.narrowing is not None and row.narrowing != _FUSED]
    if any(row.true_mm is not None for row in rows):
        yield "narrowing grades 0-3", open_
    for grade in range(_FUSED + 1):
        yield f"narrowing {grade}", [row for row in rows if row.narrowing == grade]
    for low, high in _EROSIONS:
        eroded = [row for row in open_ if row.erosion is not None and low <= row.erosion <= high]
        yield f"narrowing 0-3, erosion {low}-{high}", eroded


def _group(name: str, rows: list[SpaceRow]) -> SpaceGroup:
    measured = [row for row in rows if row.width_mm is not None]
    errors = np.array(
        [
            row.width_mm - row.true_mm
            for row in measured
            if row.width_mm is not None and row.true_mm is not None
        ]
    )
    return SpaceGroup(
        name=name,
        joints=len(rows),
        measured=len(measured),
        errors=len(errors),
        mean_error_mm=float(errors.mean()) if len(errors) else None,
        sd_error_mm=float(errors.std()) if len(errors) else None,
        largest_error_mm=float(np.abs(errors).max()) if len(errors) else None,
        reasons=dict(Counter(row.reason or "" for row in rows if row.width_mm is None)),
    )


def space_repeats(rows: Sequence[RepeatRow]) -> tuple[SpaceRepeat, ...]:
    """Repeatability: of each change against the film as it is, and over all changes together."""
    first = CHANGES[0].name
    found = []
    for change in CHANGES[1:]:
        pairs = np.array(
            [
                row.widths_mm[change.name] - row.widths_mm[first]
                for row in rows
                if change.name in row.widths_mm and first in row.widths_mm
            ]
        )
        # The difference of two measurements has twice the variance of one.
        found.append(_repeat(change.name, pairs, pairs / np.sqrt(2)))
    parts = [np.array(list(row.widths_mm.values())) for row in rows if len(row.widths_mm) > 1]
    if parts:
        inside = np.concatenate(
            [(part - part.mean()) * np.sqrt(len(part) / (len(part) - 1)) for part in parts]
        )
        found.append(_repeat("all changes, within a joint", inside, inside, joints=len(parts)))
    return tuple(one for one in found if one.joints)


def _repeat(
    name: str, differences: np.ndarray, spread: np.ndarray, joints: int | None = None
) -> SpaceRepeat:
    some = len(differences) > 0
    return SpaceRepeat(
        change=name,
        joints=len(differences) if joints is None else joints,
        sd_mm=float(np.sqrt(np.square(spread).mean())) if some else None,
        median_mm=float(np.median(np.abs(differences))) if some else None,
        largest_mm=float(np.abs(differences).max()) if some else None,
    )


def space_text(groups: Sequence[SpaceGroup], repeats: Sequence[SpaceRepeat]) -> list[str]:
    """Lines for a terminal."""
    lines = []
    for group in groups:
        error = ""
        if group.sd_error_mm is not None and group.mean_error_mm is not None:
            error = f", error {group.mean_error_mm:+.3f} mm, sd {group.sd_error_mm:.3f} mm"
        lines.append(
            f"joint space, {group.name}: {group.measured} of {group.joints} joints measured{error}"
        )
    lines += [
        f"joint space repeated, {one.change}: sd {one.sd_mm:.3f} mm, median difference "
        f"{one.median_mm:.3f} mm, largest {one.largest_mm:.2f} mm ({one.joints} joints)"
        for one in repeats
    ]
    return lines
