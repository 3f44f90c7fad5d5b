"""Measures how well a classifier separates simulated joints from real ones.

Layer: benchmarks; reads labelled real films, draws simulated ones; prints a table. No model of the
appliance takes part.
``python -m benchmarks.realism FILMS`` where FILMS holds the labelled FracAtlas films.

Linear discriminant analysis on oriented gradients (HOG) of healthy joint crops, films never on both
sides of a fold. An area under the curve of .5 would mean that it cannot tell; 1 that it always can.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from skimage.feature import hog

from edge.anatomy import Limb
from edge.model import DISCLAIMER
from phantom import render_crop
from training.datasets.labelled_films import FULL_SIZE_PX, SHIPPED_LABELS, read_labelled
from training.synthetic.framed_crops import film_crops
from training.synthetic.painted_films import sharp_films

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.model import GreyImage

SIZE_PX = 96
FOLDS = 5
RIDGE = 0.1


def real_crops(films_dir: Path, limb: Limb) -> tuple[list[GreyImage], list[int]]:
    """Crops of sharp adults' films, with the number of the film each is from."""
    rng = np.random.default_rng(1)
    crops: list[GreyImage] = []
    film_no: list[int] = []
    films = read_labelled(SHIPPED_LABELS, films_dir, limb, FULL_SIZE_PX)
    for number, sharp in enumerate(sharp_films(films)):
        cut = film_crops(sharp.film, tuple(sharp.joints), SIZE_PX, rng) or []
        crops += cut
        film_no += [number] * len(cut)
    return crops, film_no


def simulated_crops(limb: Limb, count: int) -> Iterator[GreyImage]:
    """Healthy simulated crops (erosion 0, narrowing 0 or none), in the evaluation's style."""
    rng = np.random.default_rng(2)
    given = 0
    while given < count:
        joint = limb.joints[given % len(limb.joints)]
        crop, erosion, narrowing = render_crop(rng, limb, joint, SIZE_PX, "eval")
        if erosion == 0 and not narrowing:
            given += 1
            yield crop


def features(crop: GreyImage) -> np.ndarray:
    """Oriented gradients, [n] float64."""
    return np.asarray(hog(crop, orientations=8, pixels_per_cell=(12, 12), cells_per_block=(2, 2)))


def discriminant(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Direction that tells two classes apart: shrunk linear discriminant analysis."""
    means = [x[y == label].mean(axis=0) for label in (0, 1)]
    within = np.concatenate([x[y == label] - means[label] for label in (0, 1)])
    spread = within.T @ within / len(within)
    ridge = RIDGE * np.trace(spread) / len(spread)
    return np.asarray(np.linalg.solve(spread + ridge * np.eye(len(spread)), means[1] - means[0]))


def area_under_curve(scores: np.ndarray, labels: np.ndarray) -> float:
    """Chance that a positive scores higher than a negative (Mann-Whitney), ties by half."""
    positive, negative = scores[labels == 1], scores[labels == 0]
    above = (positive[:, None] > negative[None]).mean()
    return float(above + 0.5 * (positive[:, None] == negative[None]).mean())


def gap(films_dir: Path, limb: Limb) -> tuple[float, int, int]:
    """Area under the curve over held-out films, number of real crops and of real films."""
    crops, film_no = real_crops(films_dir, limb)
    drawn = list(simulated_crops(limb, len(crops)))
    x = np.array([features(crop) for crop in [*crops, *drawn]])
    y = np.array([1] * len(crops) + [0] * len(drawn))
    fold = np.array([*film_no, *range(len(drawn))]) % FOLDS
    scores = np.empty(len(x))
    for held_out in range(FOLDS):
        apart = fold == held_out
        scores[apart] = x[apart] @ discriminant(x[~apart], y[~apart])
    return area_under_curve(scores, y), len(crops), max(film_no) + 1


def main(films_dir: Path) -> None:
    """Print the table."""
    print("Simulated or real: area under the curve of a linear classifier (.5: cannot tell)")
    for limb in Limb:
        area, crops, films = gap(films_dir, limb)
        print(f"{limb}: {area:.3f} ({crops} real crops of {films} films, as many simulated ones)")
    print(f"{DISCLAIMER.capitalize()}.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
