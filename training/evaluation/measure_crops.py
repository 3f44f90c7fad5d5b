"""Grades of joints whose set holds ready-made pictures of them instead of films.

Layer: training.evaluation; reads crops, runs a scorer's engine on them as the pipeline does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge import __version__
from edge.anatomy import has_narrowing
from edge.engine.inputs import input_size, to_inputs
from edge.engine.outputs import run_engine
from edge.engine.passport import Role
from edge.errors import NullReason
from edge.model import JointScore, LimbResult, Status, Versions
from edge.pipeline.ordinal import decode_ordinal
from edge.pipeline.plausibility import doubt
from edge.pipeline.score import site_threshold
from training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    from edge.anatomy import Limb
    from edge.engine.loader import EngineSet
    from edge.model import GreyImage

Probabilities = dict[tuple[str, str], "npt.NDArray[np.float64]"]


def score_crops(
    engines: EngineSet, limb: Limb, crops: Mapping[str, Path], doubt_limit: float
) -> tuple[LimbResult, Probabilities]:
    """Grade the joints of one limb from a picture each.

    A grade that the scorer itself doubts is left out, as in the pipeline. Raises `TrainingError`
    for a picture that cannot be read and `EngineError` where no scorer is installed.
    """
    engine = engines.require(Role.SCORE, limb)
    size = input_size(engine)[0]
    pictures = np.stack([square_crop(_read(path), size) for path in crops.values()])
    outputs = run_engine(engine, Role.SCORE, to_inputs(engine, pictures))
    joints = []
    probabilities: Probabilities = {}
    for i, name in enumerate(crops):
        fields: dict[str, Any] = {}
        for kind in ("erosion", "narrowing"):
            if kind == "narrowing" and not has_narrowing(limb, name):
                fields["narrowing_reason"] = str(NullReason.NOT_IN_SVH)
                continue
            estimate = decode_ordinal(outputs[kind][i], site_threshold(engine, kind))
            probabilities[name, kind] = estimate.probabilities
            if doubt(estimate) > doubt_limit:
                fields[f"{kind}_reason"] = str(NullReason.DOUBTFUL)
            else:
                fields |= {kind: estimate.grade, f"{kind}_expected": round(estimate.expected, 3)}
        joints.append(JointScore(name=name, **fields))
    result = LimbResult(
        file=next(iter(crops.values())).parent.name,
        limb_index=0,
        status=Status.SCORED,
        limb=limb,
        joints=tuple(joints),
        n_scored=sum(joint.erosion is not None for joint in joints),
        n_expected=len(limb.joints),
        versions=Versions(software=__version__, engines=engines.versions),
    )
    return result, probabilities


def square_crop(picture: GreyImage, size_px: int) -> GreyImage:
    """Return the largest centred square of a picture [h, w] at the scorer's size."""
    side = min(picture.shape)
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    cut = picture[top : top + side, left : left + side]
    way = cv2.INTER_AREA if side > size_px else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(cut, (size_px, size_px), interpolation=way), np.uint8)


def _read(path: Path) -> GreyImage:
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise TrainingError(
            f"{path}: the joint's picture cannot be decoded", fix="copy it again, or remove it"
        )
    return np.asarray(picture, np.uint8)
