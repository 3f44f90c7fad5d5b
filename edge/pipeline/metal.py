"""Stage 10b: finds metal in a joint, and what covers one.

Layer: pipeline; pure functions over arrays. A joint that cannot be read is not graded (the hazard
table of the method): a prosthesis or a screw is ``implant``, a ring or wire across it ``occluded``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.errors import NullReason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.model import GreyImage

BONE_PERCENTILE = 97.0
METAL_ABOVE_BONE = 0.62
"""Metal is brighter than the limb's brightest bone by this share of what is left up to white
(343 labelled real films without metal: at most .59, where fingers overlap, else .38)."""
ON_SESAMOIDS = {"MTP1": 0.88, "MCP1": 0.88}
"""The same where sesamoids lie on a head (simulated great toes: up to .8)."""
LEAST_ROOM = 24
"""Grey levels above bone without which metal and bone cannot be distinguished."""
LEAST_AREA = 0.02
"""Metal must cover this share of a joint's box."""


def find_hazards(
    film: GreyImage,
    names: Sequence[str],
    centres: Sequence[tuple[float, float]],
    sides_px: Sequence[float],
) -> list[NullReason | None]:
    """For each joint what forbids its grade, or ``None``.

    Parameters
    ----------
    film : [h, w] uint8
        The framed film before its contrast is equalised: metal must still be brighter than bone.
    names, centres, sides_px : of the joints and their square boxes, in its pixels
    """
    boxes = [_box(film, centre, side) for centre, side in zip(centres, sides_px, strict=True)]
    bones = sorted(
        float(np.percentile(box, BONE_PERCENTILE))
        for name, box in zip(names, boxes, strict=True)
        if box.size and name not in ON_SESAMOIDS
    )
    if len(bones) < 2:
        return [None] * len(boxes)
    # The second brightest joint's: metal in one of them must not raise the bar for itself.
    bone = bones[-2]
    if 255 - bone < LEAST_ROOM:
        return [None] * len(boxes)
    return [
        _hazard(box > bone + ON_SESAMOIDS.get(name, METAL_ABOVE_BONE) * (255 - bone))
        for name, box in zip(names, boxes, strict=True)
    ]


def _box(film: GreyImage, centre: tuple[float, float], side: float) -> GreyImage:
    left, top = (max(0, round(c - side / 2)) for c in centre)
    right, bottom = (max(0, round(c + side / 2)) for c in centre)
    return film[top:bottom, left:right]


def _hazard(metal: np.ndarray) -> NullReason | None:
    """What a box's metal is: inside the bone's outline an implant, right across a cover."""
    if not metal.any():
        return None
    opened = cv2.morphologyEx(metal.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(opened)
    largest = max(stats[1:], key=lambda row: row[cv2.CC_STAT_AREA], default=None)
    if largest is None or largest[cv2.CC_STAT_AREA] < LEAST_AREA * metal.size:
        return None
    across = largest[cv2.CC_STAT_WIDTH] / metal.shape[1]
    return NullReason.OCCLUDED if across > 0.85 else NullReason.IMPLANT
