"""The shape template: where the joints of one hand or foot lie, as an aggregate of a cohort.

Model-level helper, read by the simulator, the training code and the identification stage.
Imports only `edge.model`; reads one package data file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from edge.model import Limb, Points

_BOX_SHARE_HAND = {"IP": 0.43, "PIP": 0.43, "MCP": 0.53}
_BOX_SHARE_FOOT = {"IP1": 0.32, "MTP1": 0.32}
_BOX_SHARE_LESSER_TOE = 0.22


@dataclass(frozen=True)
class ShapeTemplate:
    """Joint centres normalised to centroid 0 and RMS 1, y down, thumb or hallux at the right.

    ``mean`` is float64 [n, 2]; ``covariance`` is float64 [2n, 2n] in the order x1 y1 x2 y2 ...
    """

    joints: tuple[str, ...]
    mean: Points
    covariance: npt.NDArray[np.float64]


@lru_cache(maxsize=2)
def shape_template(limb: Limb) -> ShapeTemplate:
    """The cohort's aggregate for one limb."""
    text = files("edge").joinpath("data/shape_template.json").read_text(encoding="utf-8")
    entry = json.loads(text)[limb.value]
    mean = np.asarray(entry["mean"], dtype=np.float64)
    covariance = np.asarray(entry["cov"], dtype=np.float64)
    return ShapeTemplate(tuple(entry["joints"]), mean, covariance)


def unit_joints(limb: Limb) -> tuple[str, str]:
    """The two joints whose distance is the limb's own unit of length."""
    return ("MCP3", "PIP3") if limb is Limb.HAND else ("MTP1", "MTP5")


def joint_box_side_px(limb: Limb, joint: str, unit_px: float) -> float:
    """Side of the square box round one joint.

    ``unit_px`` is MCP3-PIP3 (hand) or MTP1-MTP5 (foot); the side comes in the same unit.
    """
    if limb is Limb.HAND:
        return _BOX_SHARE_HAND[joint.rstrip("12345")] * unit_px
    return _BOX_SHARE_FOOT.get(joint, _BOX_SHARE_LESSER_TOE) * unit_px
