"""Outlines of limbs on their canvases, that the masks learn from: true ones, and made ones.

Layer: training.synthetic; pure functions over arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.pipeline.contrast import equalise
from edge.pipeline.frame import frame, warp
from edge.pipeline.identify import identify
from edge.pipeline.mask import classical_mask
from edge.pipeline.namings import Prior
from edge.pipeline.settings import PipelineSettings

if TYPE_CHECKING:
    from edge.model import GreyImage, Points
    from training.datasets.labelled_films import LabelledFilm


@dataclass(frozen=True)
class MaskExample:
    """A canvas before contrast [h, w] uint8, shrunk, and its outline [h, w] uint8 (0 or 255)."""

    canvas: GreyImage
    outline: GreyImage


def canvas_example(
    film: LabelledFilm, outline: GreyImage | None, zoom: float = 0.4
) -> MaskExample | None:
    """Lay a labelled film on its canvas as the pipeline does; ``None`` where it cannot be framed.

    Without an ``outline`` one is made by `refined_outline`, and refused when it loses a joint.
    """
    base = PipelineSettings()
    settings = base.model_copy(
        update={
            "canvas_height_px": round(base.canvas_height_px * zoom),
            "canvas_width_px": round(base.canvas_width_px * zoom),
        }
    )
    identity = identify(film.limb, film.points, film.classes, Prior())
    if identity is None or not identity.certain:
        return None
    size = (film.pixels.shape[1], film.pixels.shape[0])
    laid = frame(size, identity, film.points, settings.limb(film.limb), settings)
    target = (settings.canvas_width_px, settings.canvas_height_px)
    canvas = warp(film.pixels, laid.to_canvas, target)
    if outline is not None:
        laid_outline = warp(outline, laid.to_canvas, target)
        return MaskExample(canvas, np.where(laid_outline > 127, 255, 0).astype(np.uint8))
    points = film.points @ laid.to_canvas[:2, :2].T + laid.to_canvas[:2, 2]
    made = refined_outline(canvas, points)
    return None if made is None else MaskExample(canvas, made)


def refined_outline(canvas: GreyImage, points: Points) -> GreyImage | None:
    """Outline of a real limb: the classical mask, tightened to the edge of the soft tissue.

    The entropy window fattens an outline by half its width; a threshold between the background's
    and the tissue's brightness inside it finds the skin. ``None`` when joints are lost or the area
    is implausible.
    """
    rough = classical_mask(equalise(canvas, 2.0, 8))
    smooth = cv2.GaussianBlur(canvas, (0, 0), 2)
    outside = smooth[~rough & (canvas > 0)]
    if outside.size < 500 or rough.sum() < 500:
        return None
    ground = float(np.median(outside))
    tissue = float(np.percentile(smooth[rough], 45))
    if tissue - ground < 8:
        return None
    bright = (rough & (smooth > ground + 0.18 * (tissue - ground))).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    opened = cv2.morphologyEx(bright, cv2.MORPH_OPEN, kernel)
    _, labels = cv2.connectedComponents(cv2.morphologyEx(opened, cv2.MORPH_CLOSE, kernel))
    rows, columns = points.round().astype(int)[:, 1], points.round().astype(int)[:, 0]
    inside = (rows >= 0) & (rows < canvas.shape[0]) & (columns >= 0) & (columns < canvas.shape[1])
    at_joints = labels[rows[inside], columns[inside]]
    values, counts = np.unique(at_joints[at_joints > 0], return_counts=True)
    if not len(values) or counts.max() < len(at_joints):
        return None
    kept = (labels == values[counts.argmax()]).astype(np.uint8) * 255
    contours, _ = cv2.findContours(kept, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(kept, contours, -1, 255, cv2.FILLED)
    share = float((kept > 0).mean())
    return np.asarray(kept, np.uint8) if 0.1 < share < 0.7 else None
