"""Stage 7: finds joints with a YOLOv3 engine.

Layer: pipeline; arrays and an `Engine`. The engine takes one grey square and gives decoded rows
(centre x, centre y, width, height in input pixels, objectness, class probabilities).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.anatomy import LIMBS, Limb
from edge.engine.inputs import input_size, to_inputs
from edge.engine.outputs import run_engine
from edge.engine.passport import Role
from edge.model import Detection, GreyImage, Transform
from edge.pipeline.frame import letterbox, warp

if TYPE_CHECKING:
    from edge.engine.protocol import Engine


def detect(
    engine: Engine, limb: Limb, image: GreyImage, confidence: float, overlap_limit: float
) -> tuple[Detection, ...]:
    """Find joints on an image [h, w] uint8, best first, in that image's pixels."""
    height, width = input_size(engine)
    to_input = letterbox((image.shape[1], image.shape[0]), (width, height))
    square = warp(image, to_input, (width, height))
    rows = next(iter(run_engine(engine, Role.DETECT, to_inputs(engine, square[None])).values()))[0]
    return to_detections(rows, limb, to_input, confidence, overlap_limit)


def to_detections(
    rows: np.ndarray, limb: Limb, to_input: Transform, confidence: float, overlap_limit: float
) -> tuple[Detection, ...]:
    """Turn decoded rows [N, 5 + 2] into detections: threshold, suppress overlaps, map back.

    The confidence is objectness x class probability, as Darknet has it. Suppression ignores the
    class: two joints of a hand never share a place.
    """
    scores = rows[:, 4:5] * rows[:, 5:]
    best = scores.max(axis=1)
    keep = best >= confidence
    rows, scores, best = rows[keep], scores[keep], best[keep]
    if not len(rows):
        return ()
    corner = rows[:, :2] - rows[:, 2:4] / 2
    order = cv2.dnn.NMSBoxes(
        np.hstack([corner, rows[:, 2:4]]).tolist(), best.tolist(), confidence, overlap_limit
    )
    zoom = float(to_input[0, 0])
    found = []
    for i in np.asarray(order, dtype=int).ravel():
        x, y = (corner[i] - to_input[:2, 2]) / zoom
        w, h = rows[i, 2:4] / zoom
        kind = LIMBS[limb].detector_classes[int(scores[i].argmax())]
        found.append(Detection(kind, float(best[i]), (float(x), float(y), float(w), float(h))))
    return tuple(found)
