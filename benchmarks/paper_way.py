"""Whole pipelines with full-size networks of random weights: the paper's own way, and ours.

Layer: benchmarks; makes networks in memory. Random weights find nothing, so joints lie where the
simulation put them; the time of a network does not depend on its weights.

Paper, sections 2.2 to 2.4: crop the lower part off, 1500 x 1200 px, CLAHE; mask by entropy over
37 x 37 px, Otsu, contours and flood fill, or by a U-Net; YOLOv3; one VGG16 for erosion and one for
narrowing, which share a frozen trunk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from benchmarks.full_size import computing_as, random_engine
from benchmarks.peers import PEERS
from edge.anatomy import Limb
from edge.engine.inputs import input_size, to_inputs
from edge.engine.loader import open_backend
from edge.engine.passport import Role
from edge.imaging.decode import decode_film
from edge.model import Mask
from edge.pipeline.contrast import equalise
from edge.pipeline.crop import crop_joints
from edge.pipeline.detect import detect
from edge.pipeline.frame import letterbox, warp
from edge.pipeline.mask import apply_mask, unet_mask
from edge.pipeline.ordinal import decode_ordinal
from edge.pipeline.score import score_joints
from edge.pipeline.settings import PipelineSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.films import BenchFilm
    from edge.engine.loader import EngineSet
    from edge.engine.protocol import Engine
    from edge.model import GreyImage, Points

NETWORKS = {
    Role.MASK: "full-unet-512",
    Role.DETECT: "full-yolov3-608",
    Role.SCORE: "full-vgg16-224",
}
ENTROPY_WINDOW_PX = 37
_LEAST_REGION = 0.01
_FIRST_LOOK_PX = 1024
_SETTINGS = PipelineSettings()
_CANVAS = (_SETTINGS.canvas_width_px, _SETTINGS.canvas_height_px)


class PaperWay:
    """The paper's pipeline: each network float32 in ONNX Runtime with its defaults."""

    def __init__(self) -> None:
        default = PEERS[0]
        self._engines = {role: default.make(random_engine(name)) for role, name in NETWORKS.items()}

    def grade(self, film: BenchFilm, *, by_entropy: bool) -> list[tuple[int, int]]:
        """Erosion and narrowing of each joint of a film."""
        limb = limb_of(film)
        stored = cv2.imdecode(np.frombuffer(film.data, np.uint8), cv2.IMREAD_GRAYSCALE)
        grey = np.asarray(stored, np.uint8)
        kept = grey[: round(grey.shape[0] * (1 - _SETTINGS.limb(limb).bottom_crop))]
        to_canvas = letterbox((kept.shape[1], kept.shape[0]), _CANVAS)
        canvas = _equalised(warp(kept, to_canvas, _CANVAS))
        mask = entropy_mask(canvas) if by_entropy else unet_mask(self._engines[Role.MASK], canvas)
        masked = np.where(mask, canvas, 0).astype(np.uint8)
        _look(self._engines[Role.DETECT], limb, masked)
        centres, sides = _placed(film, to_canvas)
        engine = self._engines[Role.SCORE]
        crops = crop_joints(masked, centres, sides, input_size(engine)[0])
        # One model for each task: the same trunk runs twice over the same crops.
        erosion = engine.run(to_inputs(engine, crops))["erosion"]
        narrowing = engine.run(to_inputs(engine, crops))["narrowing"]
        return [
            (decode_ordinal(one).grade, decode_ordinal(other).grade)
            for one, other in zip(erosion, narrowing, strict=True)
        ]


class OurWay:
    """Our pipeline's steps around full-size networks: the trunk runs once for both heads."""

    def __init__(self, engines: dict[Role, Engine], description: str) -> None:
        self._engines, self.description = engines, description

    def grade(self, film: BenchFilm) -> list[tuple[int, int]]:
        """Erosion and narrowing of each joint of a film."""
        limb = limb_of(film)
        decoded = decode_film(film.data, film.name, _SETTINGS.max_megapixels).pixels
        height, width = decoded.shape
        zoom = min(1.0, _FIRST_LOOK_PX / max(height, width))
        small = warp(
            decoded, np.diag([zoom, zoom, 1.0]), (round(width * zoom), round(height * zoom))
        )
        _look(self._engines[Role.DETECT], limb, small)
        to_canvas = letterbox((width, height), _CANVAS)
        canvas = _equalised(warp(decoded, to_canvas, _CANVAS))
        foreground = unet_mask(self._engines[Role.MASK], canvas)
        _look(self._engines[Role.DETECT], limb, apply_mask(canvas, Mask(foreground)))
        centres, sides = _placed(film, to_canvas)
        grades = score_joints(self._engines[Role.SCORE], canvas, centres, sides)
        return [(one.erosion.grade, one.narrowing.grade) for one in grades]


def our_way(serving: EngineSet) -> OurWay:
    """Our way, each network in the back end and precision that serves its role on this machine.

    ``serving`` are the engines of hands.
    """
    engines, told = {}, []
    for role, name in NETWORKS.items():
        served = serving.require(role, Limb.HAND).passport
        verified = computing_as(random_engine(name), served)
        engines[role] = open_backend(verified)
        told.append(f"{name} {verified.passport.backend} {verified.passport.engine.precision}")
    return OurWay(engines, ", ".join(told))


def limb_of(film: BenchFilm) -> Limb:
    """Hand or foot, by the letter that ends the film's name."""
    return Limb.HAND if film.name.partition(".")[0].endswith("H") else Limb.FOOT


def entropy_mask(canvas: GreyImage) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """The paper's mask at full size: [h, w] bool, by scikit-image's entropy filter."""
    from skimage.filters.rank import entropy as rank_entropy  # noqa: PLC0415 - takes half a second

    found = rank_entropy(canvas, np.ones((ENTROPY_WINDOW_PX, ENTROPY_WINDOW_PX), np.uint8))
    scaled = (found * (255 / max(float(found.max()), 1e-6))).astype(np.uint8)
    _, white = cv2.threshold(scaled, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    contours, _ = cv2.findContours(white, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    least = _LEAST_REGION * int((white > 0).sum())
    filled = np.zeros_like(canvas)
    large = [contour for contour in contours if cv2.contourArea(contour) >= least]
    cv2.drawContours(filled, large, -1, 255, cv2.FILLED)
    ground = np.pad(filled, 1)
    cv2.floodFill(ground, None, (0, 0), 128)
    return np.asarray(ground[1:-1, 1:-1] != 128)


def _equalised(image: GreyImage) -> GreyImage:
    return equalise(image, _SETTINGS.clahe_clip_limit, _SETTINGS.clahe_grid)


def _look(engine: Engine, limb: Limb, image: GreyImage) -> None:
    detect(engine, limb, image, _SETTINGS.confidence, _SETTINGS.overlap_limit)


def _placed(
    film: BenchFilm, to_canvas: Points
) -> tuple[Sequence[tuple[float, float]], Sequence[float]]:
    """Centres and sides of the joints' crops on the canvas."""
    zoom = float(to_canvas[0, 0])
    centres, sides = [], []
    for joint in film.joints:
        if joint.centre is None or joint.box is None:
            continue
        x, y = (to_canvas @ (*joint.centre, 1.0))[:2]
        centres.append((float(x), float(y)))
        sides.append(_SETTINGS.crop_scale * max(joint.box[2:]) * zoom)
    return centres, sides
