"""Describes the film of one limb in a few numbers that do not identify the patient.

Layer: pipeline; pure functions. The drift watch compares many of them with a site's first ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.pipeline.plausibility import STATISTICS, crop_statistics
from edge.pipeline.template import unit_px

if TYPE_CHECKING:
    from edge.model import GreyImage, LimbResult

_SIDE_PX = 256


def film_figures(plain: GreyImage, result: LimbResult) -> dict[str, float]:
    """Figures of one scored limb; empty where nothing was scored.

    `STATISTICS` are of the framed film before its contrast is equalised, ``unit_px`` is
    MCP3-PIP3 or MTP1-MTP5 in pixels of the film as stored; the others are means over the joints,
    ``left_out`` the share of joints without an erosion grade.
    """
    scored = [joint for joint in result.joints if joint.erosion_expected is not None]
    if result.limb is None or not scored:
        return {}
    small = cv2.resize(plain, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
    found = dict(
        zip(STATISTICS, crop_statistics(small[None].astype(np.uint8))[0].tolist(), strict=True)
    )
    placed = {joint.name: joint.centre for joint in result.joints if joint.name and joint.centre}
    if len(placed) > 1:
        found["unit_px"] = unit_px(result.limb, list(placed), np.array(list(placed.values())))
    narrowed = [j.narrowing_expected for j in scored if j.narrowing_expected is not None]
    return found | {
        "confidence": float(np.mean([joint.confidence or 0.0 for joint in scored])),
        "erosion": float(np.mean([joint.erosion_expected for joint in scored])),
        "narrowing": float(np.mean(narrowed)) if narrowed else 0.0,
        "left_out": 1 - len(scored) / len(result.limb.joints),
    }
