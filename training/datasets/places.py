"""Joint places that a data set itself gives, by name or by the arrangement of its boxes.

Layer: training.datasets; pure functions over arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.anatomy import unit_joints
from edge.pipeline.identify import LEAST_JOINTS, identify
from edge.pipeline.namings import Prior

if TYPE_CHECKING:
    from edge.anatomy import Limb
    from edge.model import Points
    from training.datasets.truth import FilmTruth


@dataclass(frozen=True)
class Placed:
    """Named joints of one film; ``points`` [n, 2] in pixels of the film as stored."""

    truth: FilmTruth
    limb: Limb
    names: tuple[str, ...]
    points: Points
    by_engines: bool = False


def stated_places(film: FilmTruth) -> Placed | None:
    """Named places that the data set gives; ``None`` for too few, or names that are uncertain."""
    placed = [(joint, joint.place) for joint in film.joints if joint.place is not None]
    if film.limb is None or len(placed) < LEAST_JOINTS[film.limb]:
        return None
    points = np.array([place for _, place in placed], np.float64)
    names = [joint.name for joint, _ in placed]
    if not all(names):
        classes = [joint.joint_class for joint, _ in placed]
        identity = identify(film.limb, points, classes, Prior())
        if identity is None or not identity.certain:
            return None
        names = list(identity.names)
    kept = [i for i, name in enumerate(names) if name is not None]
    chosen = tuple(str(names[i]) for i in kept)
    if len(chosen) < LEAST_JOINTS[film.limb] or not set(unit_joints(film.limb)) <= set(chosen):
        return None
    return Placed(film, film.limb, chosen, points[kept])
