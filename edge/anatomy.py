"""Facts of hand and foot: joints, grades, sizes, and how the joints of a cohort lie.

Every fact that differs between the limbs is a column of `LIMBS`.

Layer: vocabulary; reads one file of the package's data.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edge.enums import StrEnum

if TYPE_CHECKING:
    from collections.abc import Mapping

NARROWING_MAXIMUM = 4
"""Highest narrowing grade of one joint, hand and foot."""


class Limb(StrEnum):
    """Which extremity; decides joint names, detector and scorer."""

    HAND = "hand"
    FOOT = "foot"

    @property
    def joints(self) -> tuple[str, ...]:
        """Joint names in the order of the shape template."""
        return LIMBS[self].joints

    @property
    def erosion_maximum(self) -> int:
        """Highest erosion grade of one joint."""
        return LIMBS[self].erosion_maximum


class View(StrEnum):
    """Projection of the film."""

    PA = "pa"
    AP = "ap"
    OBLIQUE = "oblique"
    LATERAL = "lateral"
    UNKNOWN = "unknown"


class JointClass(StrEnum):
    """Classes of the detectors: hand PIP (with the thumb's IP) and MCP; foot PIP and MTP."""

    PIP = "PIP"
    MCP = "MCP"
    MTP = "MTP"


@dataclass(frozen=True)
class LimbFacts:
    """What is known of one limb.

    Attributes
    ----------
    letter
        Of film names and study places: ``LH``, ``RF``.
    plural, digits
        Words for people.
    frontal_view
        Projection of an ordinary film: from the back of the hand, from the top of the foot.
    joints
        Names in the order of the shape template.
    without_narrowing
        Joints that SvH gives no narrowing grade.
    erosion_maximum
        Highest erosion grade of one joint; in the foot 0 to 5 on each side of the joint.
    detector_classes
        Classes of the limb's detector, in the order of its outputs.
    unit_joints
        The two joints whose distance is the limb's own unit of length.
    box_shares
        Side of a joint's square box as a share of that unit.
    """

    letter: str
    plural: str
    digits: str
    frontal_view: View
    joints: tuple[str, ...]
    without_narrowing: frozenset[str]
    erosion_maximum: int
    detector_classes: tuple[JointClass, JointClass]
    unit_joints: tuple[str, str]
    box_shares: Mapping[str, float]


LIMBS = {
    Limb.HAND: LimbFacts(
        letter="H",
        plural="hands",
        digits="fingers",
        frontal_view=View.PA,
        joints=(
            "IP1", "PIP2", "PIP3", "PIP4", "PIP5", "MCP1", "MCP2", "MCP3", "MCP4", "MCP5",
        ),
        without_narrowing=frozenset({"IP1"}),
        erosion_maximum=5,
        detector_classes=(JointClass.PIP, JointClass.MCP),
        unit_joints=("MCP3", "PIP3"),
        box_shares={
            "IP1": 0.43, "PIP2": 0.43, "PIP3": 0.43, "PIP4": 0.43, "PIP5": 0.43,
            "MCP1": 0.53, "MCP2": 0.53, "MCP3": 0.53, "MCP4": 0.53, "MCP5": 0.53,
        },
    ),
    Limb.FOOT: LimbFacts(
        letter="F",
        plural="feet",
        digits="toes",
        frontal_view=View.AP,
        joints=("IP1", "MTP1", "MTP2", "MTP3", "MTP4", "MTP5"),
        without_narrowing=frozenset(),
        erosion_maximum=10,
        detector_classes=(JointClass.PIP, JointClass.MTP),
        unit_joints=("MTP1", "MTP5"),
        box_shares={
            "IP1": 0.32, "MTP1": 0.32, "MTP2": 0.22, "MTP3": 0.22, "MTP4": 0.22, "MTP5": 0.22,
        },
    ),
}  # fmt: skip


def limb_of_letter(letter: str) -> Limb:
    """Give the limb of a letter in a film's name. Raises `KeyError` for another letter."""
    return {facts.letter: limb for limb, facts in LIMBS.items()}[letter]


def has_narrowing(limb: Limb, joint: str) -> bool:
    """Whether SvH gives this joint a narrowing grade."""
    return joint not in LIMBS[limb].without_narrowing


def joint_class(joint: str) -> JointClass:
    """Detector class of a joint name: ``IP1`` counts as PIP (paper, section 2.3)."""
    return JointClass.PIP if joint.startswith(("IP", "PIP")) else JointClass(joint[:3])


@dataclass(frozen=True)
class ShapeTemplate:
    """Joint centres normalised to centroid 0 and RMS 1, y down, thumb or hallux at the right.

    ``mean`` is float64 [n, 2]; ``covariance`` is float64 [2n, 2n] in the order x1 y1 x2 y2 ...
    """

    joints: tuple[str, ...]
    mean: npt.NDArray[np.float64]
    covariance: npt.NDArray[np.float64]


@lru_cache(maxsize=2)
def shape_template(limb: Limb) -> ShapeTemplate:
    """Give the aggregate of a cohort for one limb."""
    text = files("edge").joinpath("data/shape_template.json").read_text(encoding="utf-8")
    entry = json.loads(text)[limb.value]
    mean = np.asarray(entry["mean"], dtype=np.float64)
    covariance = np.asarray(entry["cov"], dtype=np.float64)
    return ShapeTemplate(tuple(entry["joints"]), mean, covariance)


def unit_joints(limb: Limb) -> tuple[str, str]:
    """Give the two joints whose distance is the limb's own unit of length."""
    return LIMBS[limb].unit_joints


def joint_box_side_px(limb: Limb, joint: str, unit_px: float) -> float:
    """Side of the square box round one joint, in the unit of ``unit_px``.

    ``unit_px`` is the distance of `unit_joints`.
    """
    return LIMBS[limb].box_shares[joint] * unit_px
