"""Crops made as the pipeline makes them: out of a whole limb, framed, equalised and masked.

Layer: training.synthetic; writes shards of crops of simulated films beside those of joints that
were drawn alone (`training.synthetic.crops`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.anatomy import Limb, joint_box_side_px
from edge.model import Laterality
from edge.pipeline.contrast import equalise
from edge.pipeline.crop import crop_joint
from edge.pipeline.frame import frame, warp
from edge.pipeline.identify import identify
from edge.pipeline.namings import Prior
from edge.pipeline.settings import PipelineSettings
from edge.pipeline.template import apply, unit_px
from phantom import render_film, sample_limb
from training.datasets.labelled_films import LabelledFilm
from training.synthetic.crops import UNKNOWN, Crops, join_crops, write_crops
from training.synthetic.outlines import refined_outline

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.model import GreyImage, Points
    from phantom.style import StyleName

MASKED_SHARE = 0.85
"""The pipeline leaves out a mask that cuts a joint."""
_OUTLINE_ZOOM = 0.4


def film_crops(
    film: LabelledFilm,
    names: tuple[str, ...],
    size_px: int,
    rng: np.random.Generator,
    outline: GreyImage | None = None,
) -> list[GreyImage] | None:
    """Cut joints as the pipeline does, with a detector's errors: uint8 [size_px, size_px] each.

    ``outline`` [h, w] (0 or 255) is the film's where it is known; else one is made. ``None`` where
    the film cannot be framed.
    """
    settings = PipelineSettings()
    identity = identify(film.limb, film.points, film.classes, Prior())
    if identity is None:
        return None
    size = (film.pixels.shape[1], film.pixels.shape[0])
    laid = frame(size, identity, film.points, settings.limb(film.limb), settings)
    canvas = warp(
        film.pixels, laid.to_canvas, (settings.canvas_width_px, settings.canvas_height_px)
    )
    points = apply(laid.to_canvas, film.points)
    masked, whole = rng.random() < MASKED_SHARE, None
    if masked and outline is not None:
        whole = warp(outline, laid.to_canvas, (canvas.shape[1], canvas.shape[0]))
    elif masked:
        whole = _canvas_outline(canvas, points)
    canvas = equalise(canvas, settings.clahe_clip_limit, settings.clahe_grid)
    if whole is not None:
        canvas = np.where(whole > 127, canvas, 0).astype(np.uint8)
    unit = unit_px(film.limb, film.names, points)
    crops = []
    for name in names:
        side = settings.crop_scale * joint_box_side_px(film.limb, name, unit)
        side *= rng.uniform(0.92, 1.08)
        x, y = points[film.names.index(name)] + side * rng.uniform(-0.06, 0.06, 2)
        crops.append(crop_joint(canvas, (float(x), float(y)), side, size_px))
    return crops


def _canvas_outline(canvas: GreyImage, points: Points) -> GreyImage | None:
    """Outline of the limb on its canvas, made on a smaller copy."""
    small = cv2.resize(
        canvas, None, fx=_OUTLINE_ZOOM, fy=_OUTLINE_ZOOM, interpolation=cv2.INTER_AREA
    )
    made = refined_outline(np.asarray(small, np.uint8), points * _OUTLINE_ZOOM)
    if made is None:
        return None
    return np.asarray(cv2.resize(made, (canvas.shape[1], canvas.shape[0])), np.uint8)


def framed_crops(
    limb: Limb, films: int, size_px: int, seed: int, style: StyleName = "train"
) -> Crops:
    """Crops of all joints of simulated films, cut as the pipeline cuts them.

    Beside its neighbours, framed and equalised with the whole limb, a joint looks different from
    one that was drawn alone.
    """
    rng = np.random.default_rng((seed, films))
    pixels, erosion, narrowing = [], [], []
    for _ in range(films):
        side = Laterality.LEFT if rng.random() < 0.5 else Laterality.RIGHT
        drawn = render_film(sample_limb(rng, limb, side, "flat", style), rng, style)
        seen = {j.name: j for j in drawn.joints if j.name is not None and j.centre is not None}
        points = np.array([joint.centre for joint in seen.values()])
        film = LabelledFilm("drawn", limb, drawn.pixels, 1.0, tuple(seen), points, drawn.unit_px)
        outline = np.where(drawn.mask, 255, 0).astype(np.uint8)
        crops = film_crops(film, tuple(seen), size_px, rng, outline)
        for joint, crop in zip(seen.values(), crops or [], strict=bool(crops)):
            pixels.append(crop)
            erosion.append(UNKNOWN if joint.erosion is None else joint.erosion)
            narrowing.append(UNKNOWN if joint.narrowing is None else joint.narrowing)
    which = np.full(len(pixels), list(Limb).index(limb))
    return Crops(np.stack(pixels), which, np.array(erosion), np.array(narrowing))


def draw_framed_shards(
    folder: Path,
    shards: int,
    films: int,
    size_px: int,
    seed: int,
    limbs: Sequence[Limb] = tuple(Limb),
) -> None:
    """Draw ``films`` of each of ``limbs`` a shard to disk; an existing shard is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        path = folder / f"crops-framed-{shard:04d}.npz"
        if not path.exists():
            begun = seed * 100_003 + shard
            write_crops(
                path, join_crops([framed_crops(limb, films, size_px, begun) for limb in limbs])
            )
