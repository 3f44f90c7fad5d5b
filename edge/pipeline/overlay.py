"""Stage 13: draws the labelled picture.

Layer: pipeline; arrays only. It shows the framed canvas inside the dilated mask, so that names
burned into the film's edge stay off it, with a strip of totals below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from edge.model import DISCLAIMER, JointScore, LimbResult, Radiograph
from edge.pipeline.template import apply

if TYPE_CHECKING:
    from edge.model import Subtotal
    from edge.pipeline.limb import LimbAnalysis

Colour = tuple[int, int, int]

GRADE_COLOURS: tuple[Colour, ...] = (
    (120, 190, 90),
    (80, 200, 220),
    (40, 160, 240),
    (50, 110, 240),
    (60, 60, 230),
    (140, 50, 210),
)
"""Blue-green-red of joints by their worse grade, as a share of its maximum: green to magenta."""
NULL_COLOUR: Colour = (160, 160, 160)
INK: Colour = (235, 235, 235)
PAPER: Colour = (24, 24, 24)
FONT = cv2.FONT_HERSHEY_SIMPLEX
STRIP_PX = 150
MASK_MARGIN_PX = 45
SHOWN_HEIGHT_PX = 1200


def draw_overlay(analysis: LimbAnalysis, film: Radiograph) -> npt.NDArray[np.uint8]:
    """Draw a limb's result on its canvas: [h, w, 3] uint8 in OpenCV's channel order."""
    zoom = SHOWN_HEIGHT_PX / analysis.canvas.shape[0]
    margin = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * MASK_MARGIN_PX + 1,) * 2)
    small_mask = cv2.resize(
        analysis.mask.foreground.astype(np.uint8), None, fx=0.25, fy=0.25,
        interpolation=cv2.INTER_NEAREST,
    )  # fmt: skip
    margin = cv2.resize(margin, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_NEAREST)
    size = (round(analysis.canvas.shape[1] * zoom), SHOWN_HEIGHT_PX)
    grown = cv2.GaussianBlur(cv2.dilate(small_mask, margin) * 255, (0, 0), 2)
    shown = cv2.resize(grown, size, interpolation=cv2.INTER_LINEAR) > 127
    grey = cv2.resize(analysis.canvas, size, interpolation=cv2.INTER_LINEAR)
    picture = np.asarray(cv2.cvtColor(grey * shown, cv2.COLOR_GRAY2BGR), np.uint8)
    to_picture = np.diag([zoom, zoom, 1.0]) @ analysis.to_canvas @ film.stored_to_upright
    for joint in analysis.result.joints:
        _draw_joint(picture, joint, to_picture, analysis.result)
    strip = np.full((STRIP_PX, size[0], 3), PAPER, dtype=np.uint8)
    _write_strip(strip, analysis.result)
    return np.vstack([picture, strip]).astype(np.uint8)


def _draw_joint(
    picture: npt.NDArray[np.uint8], joint: JointScore, to_picture: npt.NDArray[np.float64],
    result: LimbResult,
) -> None:  # fmt: skip
    if joint.box is None or joint.centre is None:
        return
    zoom = float(np.sqrt(abs(np.linalg.det(to_picture[:2, :2]))))
    x, y = apply(to_picture, np.array([joint.centre]))[0]
    half = joint.box[2] * zoom / 2
    colour = _colour(joint, result)
    low, high = (round(x - half), round(y - half)), (round(x + half), round(y + half))
    cv2.rectangle(picture, low, high, (0, 0, 0), 5, cv2.LINE_AA)
    cv2.rectangle(picture, low, high, colour, 2, cv2.LINE_AA)
    name = joint.name or f"{joint.name_candidate}?"
    if joint.erosion is None and joint.narrowing is None:
        grades = "-"
    else:
        grades = f"E{_text(joint.erosion)} N{_text(joint.narrowing)}"
    _label(picture, name, (low[0] + 3, low[1] - 8), colour)
    _label(picture, grades, (low[0] + 3, high[1] + 20), colour)


def _text(grade: int | None) -> str:
    return "-" if grade is None else str(grade)


def _colour(joint: JointScore, result: LimbResult) -> Colour:
    if (joint.erosion is None and joint.narrowing is None) or result.limb is None:
        return NULL_COLOUR
    worst = max((joint.erosion or 0) / result.limb.erosion_maximum, (joint.narrowing or 0) / 4)
    return GRADE_COLOURS[min(round(worst * 5 + 0.49) if worst else 0, 5)]


def _label(picture: npt.NDArray[np.uint8], text: str, at: tuple[int, int], colour: Colour) -> None:
    cv2.putText(picture, text, at, FONT, 0.6, (0, 0, 0), 5, cv2.LINE_AA)
    cv2.putText(picture, text, at, FONT, 0.6, colour, 2, cv2.LINE_AA)


def _write_strip(strip: npt.NDArray[np.uint8], result: LimbResult) -> None:
    side = {"L": "left", "R": "right"}.get(str(result.laterality), "side not known:")
    head = f"{side} {result.limb}"
    if result.laterality_source is not None:
        head += f"  (side from {result.laterality_source})"
    lines = [(head, 0.8, INK)]
    if result.subtotals is not None:
        lines.append((f"erosion   {_sum(result.subtotals.erosion)}", 0.7, INK))
        lines.append((f"narrowing {_sum(result.subtotals.narrowing)}", 0.7, INK))
    else:
        lines.append((f"{result.status}: {result.reason}", 0.8, GRADE_COLOURS[2]))
        lines.append((result.advice or "", 0.6, INK))
    lines.append((DISCLAIMER, 0.6, NULL_COLOUR))
    for i, (text, size, colour) in enumerate(lines):
        cv2.putText(strip, text, (16, 32 + 34 * i), FONT, size, colour, 1, cv2.LINE_AA)


def _sum(subtotal: Subtotal) -> str:
    score = "-" if subtotal.score is None else str(subtotal.score)
    return (
        f"{score} of {subtotal.maximum}   "
        f"({subtotal.n_scored} of {subtotal.n_expected} joints scored)"
    )
