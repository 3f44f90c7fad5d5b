"""Crops of what must not be graded, and of joints that must: labelled joints, blur, other parts.

Layer: training.synthetic; reads labelled films, the table of exclusions and films of other body
parts; writes nothing.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.pipeline.contrast import equalise
from edge.pipeline.plausibility import EXCLUSIONS
from edge.pipeline.settings import PipelineSettings
from training.datasets.labelled_films import FULL_SIZE_PX, read_labelled, read_proposed
from training.errors import TrainingError
from training.synthetic.crops import augment
from training.synthetic.framed_crops import film_crops
from training.synthetic.variation import PAINTED_UNIT_PX, enlarge

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.anatomy import Limb
    from edge.model import GreyImage
    from training.datasets.labelled_films import LabelledFilm
    from training.synthetic.crops import Crops

TABLE = "exclusions.csv"
"""File beside the joint labels: ``film, limb, joint, x_px, y_px, kind``."""
KINDS = ("covered", "blurred", "cut", "uncertain")
UNKNOWN = -1
SHARP_SHARE = 0.7
"""A film is enlarged where its unit is under this share of the size that films are painted at."""
BLUR_PX = (3.5, 8.0)
"""Standard deviation of the blur that forbids a grade, in pixels of a crop of 128."""
_BLURRED_SIDE_PX = 128
MADE = "made-"
"""Beginning of what stands for the film of simulated and painted crops."""
_MADE_FILMS = 20


@dataclass(frozen=True)
class ExclusionCrops:
    """Crops [n, s, s] uint8, targets [n, 3] (0, 1 or -1: not known) and the film of each [n].

    ``plain`` [n]: a sharp joint of an adult's plain view as it is; ``views`` [n]: another view of a
    crop that is here as it is too.
    """

    pixels: np.ndarray
    targets: np.ndarray
    films: np.ndarray
    plain: np.ndarray
    views: np.ndarray

    def __len__(self) -> int:
        return len(self.films)


def join(parts: Sequence[ExclusionCrops]) -> ExclusionCrops:
    """Crops of one size, one after the other."""
    return ExclusionCrops(
        *(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(parts[0]))
    )


def read_exclusions(labels: Path) -> dict[tuple[str, str, tuple[float, float]], str]:
    """Kind of each joint that the table beside the labels names: by film, joint and place.

    Raises `TrainingError` for a table that cannot be read or names another kind.
    """
    path = labels.with_name(TABLE)
    found = {}
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            for row in csv.DictReader(handle):
                if row["kind"] not in KINDS:
                    raise TrainingError(
                        f"{path}: {row['film']} {row['joint']} is {row['kind']!r}",
                        fix=f"the kinds are {', '.join(KINDS)}",
                    )
                place = float(row["x_px"]), float(row["y_px"])
                found[row["film"], row["joint"], place] = row["kind"]
    except OSError as error:
        raise TrainingError(
            f"{path}: the table cannot be read: {error.strerror}",
            fix="put it beside the joint labels",
        ) from error
    except (KeyError, ValueError) as error:
        raise TrainingError(
            f"{path}: a column is missing or no number: {error}",
            fix="see training/labels/README.md",
        ) from error
    return found


def joint_crops(
    labels: Path, films_dir: Path, limb: Limb, size_px: int, rng: np.random.Generator
) -> ExclusionCrops:
    """Every labelled joint of a limb with what forbids its grade.

    Small films are enlarged; whether such a joint is unfamiliar is not known.
    """
    kinds = read_exclusions(labels)
    pixels, targets, names, plain = [], [], [], []
    for film in (
        *read_labelled(labels, films_dir, limb, FULL_SIZE_PX),
        *read_proposed(labels, films_dir, limb, FULL_SIZE_PX),
    ):
        small = film.unit < SHARP_SHARE * PAINTED_UNIT_PX[limb]
        crops = film_crops(enlarge(film) if small else film, film.names, size_px, rng)
        for joint, (x, y), crop in zip(film.names, film.points, crops or [], strict=bool(crops)):
            place = round(float(x), 1), round(float(y), 1)
            kind = kinds.get((film.film, joint, place), "")
            pixels.append(crop)
            targets.append(_targets(film, kind, small=small))
            names.append(film.film)
            plain.append(film.clean and not small and not kind)
    return ExclusionCrops(
        np.stack(pixels),
        np.array(targets),
        np.array(names),
        np.array(plain),
        np.zeros(len(names), bool),
    )


def _targets(film: LabelledFilm, kind: str, *, small: bool) -> tuple[int, int, int]:
    if kind in {"uncertain", "cut"}:
        return UNKNOWN, UNKNOWN, UNKNOWN
    if kind == "blurred":
        return UNKNOWN, UNKNOWN, 1
    if kind == "covered":
        return 1, UNKNOWN, UNKNOWN
    return 0, int(film.immature), UNKNOWN if small else 0


def seen_in_many_ways(
    crops: ExclusionCrops, views: int, rng: np.random.Generator
) -> ExclusionCrops:
    """The same crops ``views`` times, each turned, mirrored and exposed otherwise."""
    return join(
        [
            ExclusionCrops(
                augment(crops.pixels, rng),
                crops.targets,
                crops.films,
                np.zeros(len(crops), bool),
                np.ones(len(crops), bool),
            )
            for _ in range(views)
        ]
    )


def blurred(crops: ExclusionCrops, rng: np.random.Generator) -> ExclusionCrops:
    """The plain ones among the crops, blurred until their joint spaces cannot be judged."""
    chosen = crops.pixels[crops.plain]
    share = chosen.shape[1] / _BLURRED_SIDE_PX
    pixels = [
        cv2.GaussianBlur(crop, (0, 0), share * math.exp(rng.uniform(*np.log(BLUR_PX))))
        for crop in chosen
    ]
    return _foreign(np.stack(pixels), crops.films[crops.plain])


def other_parts(
    folder: Path, count: int, size_px: int, rng: np.random.Generator
) -> ExclusionCrops | None:
    """``count`` square pieces of each film of other body parts in a folder.

    ``None`` where the folder holds no film that can be read.
    """
    settings = PipelineSettings()
    pixels, names = [], []
    for path in sorted(folder.rglob("*.jpg")):
        stored = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if stored is None:
            continue
        film = np.asarray(stored, np.uint8)
        film = equalise(film, settings.clahe_clip_limit, settings.clahe_grid)
        for _ in range(count):
            pixels.append(_piece(film, size_px, rng))
            names.append(path.name)
    return _foreign(np.stack(pixels), np.array(names)) if pixels else None


def _piece(film: GreyImage, size_px: int, rng: np.random.Generator) -> GreyImage:
    side = int(min(film.shape) * rng.uniform(0.12, 0.4))
    top, left = (int(rng.integers(0, length - side + 1)) for length in film.shape)
    piece = film[top : top + side, left : left + side]
    way = cv2.INTER_AREA if side > size_px else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(piece, (size_px, size_px), interpolation=way), np.uint8)


def _foreign(pixels: np.ndarray, films: np.ndarray) -> ExclusionCrops:
    row = [1 if name == "unfamiliar" else UNKNOWN for name in EXCLUSIONS]
    none = np.zeros(len(pixels), bool)
    return ExclusionCrops(pixels, np.tile(np.array(row), (len(pixels), 1)), films, none, none)


def gradable(crops: Crops) -> ExclusionCrops:
    """Simulated or painted crops, which show nothing that forbids a grade."""
    none = np.zeros(len(crops), bool)
    names = np.array([f"{MADE}{i % _MADE_FILMS}" for i in range(len(crops))])
    return ExclusionCrops(
        crops.pixels, np.zeros((len(crops), len(EXCLUSIONS)), int), names, none, none
    )
