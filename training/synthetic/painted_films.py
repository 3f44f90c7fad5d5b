"""Films with painted damage: which films are sharp enough, which grades are painted on them.

Layer: training.synthetic; pure functions over arrays and one random generator.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edge.anatomy import NARROWING_MAXIMUM, Limb, has_narrowing
from edge.pipeline.settings import PipelineSettings
from phantom.geometry import JointGrade
from phantom.statistics import split_erosion
from training.synthetic.joint_measurement import RealJoint, measure_joint
from training.synthetic.paint import paint_joint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from training.datasets.labelled_films import LabelledFilm

HEALTHY_SHARE = 0.4
"""Share of joints that stay as they are, so that real texture does not mean damage."""


@dataclass(frozen=True, eq=False)
class SharpFilm:
    """A labelled film sharp enough to be scored, with its joints measured."""

    film: LabelledFilm
    joints: Mapping[str, RealJoint]


def sharp_films(films: list[LabelledFilm]) -> list[SharpFilm]:
    """Adults' films, read at full size, on which the pipeline would score, measured."""
    found = []
    for film in films:
        least = PipelineSettings().limb(film.limb).unit_unscored_px
        if film.immature or film.unit < least:
            continue
        measured = {name: measure_joint(film, name) for name in film.names}
        joints = {name: joint for name, joint in measured.items() if joint is not None}
        if joints:
            found.append(SharpFilm(film, joints))
    return found


def draw_grades(
    rng: np.random.Generator, limb: Limb, names: tuple[str, ...]
) -> dict[str, JointGrade]:
    """Grades to paint: `HEALTHY_SHARE` untouched, the rest with every grade equally often."""
    grades = {}
    for name in names:
        narrows = has_narrowing(limb, name)
        if rng.random() < HEALTHY_SHARE:
            grades[name] = JointGrade((0, 0), 0 if narrows else None)
            continue
        erosion = int(rng.integers(limb.erosion_maximum + 1))
        narrowing = int(rng.integers(NARROWING_MAXIMUM + 1)) if narrows else None
        grades[name] = JointGrade(split_erosion(rng, limb, erosion), narrowing)
    return grades


def paint_film(
    sharp: SharpFilm, grades: Mapping[str, JointGrade], rng: np.random.Generator
) -> LabelledFilm:
    """The film with its joints damaged; the points are those of the joints afterwards."""
    film = sharp.film
    pixels = film.pixels.astype(np.float32)
    points = film.points.copy()
    for name, joint in sharp.joints.items():
        if grades[name].erosion or grades[name].narrowing:
            points[film.names.index(name)] = paint_joint(pixels, joint, grades[name], rng)
    painted = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return replace(film, pixels=painted, points=points)
