"""Joints of a data set, cropped as the pipeline crops them, with their grades.

Layer: training.tasks; reads films, keeps crops film by film in the runs folder. Imports no torch.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.system.files import whole_file
from phantom.ra2_columns import ScoreKind
from training.data.placement import labelled, place_films
from training.datasets.split import Part
from training.errors import TrainingError
from training.evaluation.measure_crops import square_crop
from training.synthetic.crops import UNKNOWN
from training.synthetic.framed_crops import film_crops

if TYPE_CHECKING:
    from pathlib import Path

    from edge.anatomy import Limb
    from training.datasets.places import Placed
    from training.datasets.truth import FilmTruth
    from training.tasks.dataset_job import DataSetJob


@dataclass(frozen=True)
class JointCrops:
    """Crops [n, views, s, s] uint8, their grades [n] (-1: not known), their patients and films."""

    pixels: np.ndarray
    grades: dict[ScoreKind, np.ndarray]
    patients: tuple[str, ...]
    films: tuple[FilmTruth, ...]


def cut_joints(job: DataSetJob, limb: Limb) -> JointCrops:
    """Crops of every joint with a grade. Raises `TrainingError` where there is none."""
    films = [film for film in job.films(limb, *Part) if _graded(film)]
    whole = [film for film in films if film.path is not None]
    placed = place_films(whole, job.engines, job.runs, job.progress(f"{limb} joints"))
    by_engines = sum(one.by_engines for one in placed)
    job.say(
        f"{limb}: joints of {len(placed)} of {len(whole)} graded films have a place "
        f"({by_engines} found by the installed engines)"
    )
    folder = job.runs / f"scorers-{limb}" / "crops"
    folder.mkdir(parents=True, exist_ok=True)
    show = job.progress(f"{limb} crops")
    pixels: list[np.ndarray] = []
    grades: dict[ScoreKind, list[int]] = {kind: [] for kind in ScoreKind}
    owners: list[FilmTruth] = []
    found = {one.truth.name: one for one in placed}
    for number, film in enumerate(films):
        show(number, len(films))
        views = job.recipe.heads.crop_views
        if film.path is None:
            crops = _ready_made(film, job.recipe.heads.crop_px, views)
        elif film.name in found:
            crops = _cut(found[film.name], folder, job)
        else:
            continue
        for joint in film.joints:
            if joint.name in crops and _known(joint.erosion, joint.narrowing):
                pixels.append(crops[joint.name])
                owners.append(film)
                for kind in ScoreKind:
                    grade = joint.grade(kind)
                    grades[kind].append(UNKNOWN if grade is None else grade)
    show(len(films), len(films))
    if not pixels:
        raise TrainingError(
            f"{limb}: no joint has both a grade and a place",
            fix="draw boxes, or install engines that find the joints: sharpedge export",
        )
    return JointCrops(
        np.stack(pixels),
        {kind: np.array(values) for kind, values in grades.items()},
        tuple(film.patient for film in owners),
        tuple(owners),
    )


def _graded(film: FilmTruth) -> bool:
    return any(_known(joint.erosion, joint.narrowing) for joint in film.joints)


def _known(*grades: int | None) -> bool:
    return any(grade is not None for grade in grades)


def _cut(one: Placed, folder: Path, job: DataSetJob) -> dict[str, np.ndarray]:
    """Crops [views, s, s] by joint; a film that was cropped before is read from disk."""
    recipe = job.recipe.heads
    path = folder / f"{one.truth.name.replace('/', '__')}.npz"
    if path.is_file():
        with np.load(path) as kept:
            return {name: kept[name] for name in kept.files}
    film = labelled(one)
    rng = np.random.default_rng((recipe.seed, zlib.crc32(one.truth.name.encode())))
    views = [film_crops(film, one.names, recipe.crop_px, rng) for _ in range(recipe.crop_views)]
    cut = [view for view in views if view is not None]
    if len(cut) < len(views):
        return {}
    crops = {name: np.stack([view[i] for view in cut]) for i, name in enumerate(one.names)}
    with whole_file(path, durable=False) as file:
        np.savez(file, allow_pickle=False, **crops)
    return crops


def _ready_made(film: FilmTruth, size_px: int, views: int) -> dict[str, np.ndarray]:
    crops = {}
    for joint in film.joints:
        if joint.crop is not None and joint.name is not None:
            picture = cv2.imread(str(joint.crop), cv2.IMREAD_GRAYSCALE)
            if picture is not None:
                crops[joint.name] = np.stack([square_crop(np.asarray(picture, np.uint8), size_px)]
                                             * views)  # fmt: skip
    return crops
