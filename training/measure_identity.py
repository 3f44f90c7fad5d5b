"""``sharpedge evaluate identity``: how often joints are named right from their places alone.

Room: training; needs no torch. Reads a table of landmarks, writes nothing.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.model import Limb, Points, joint_class
from edge.pipeline.identify import Prior, identify
from edge.pipeline.shape import unit_px
from training.errors import TrainingError

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = ("image", "limb", "width", "height", "joint", "x", "y")
KNOWN_WITHIN_DEG = 45.0
"""A turn beyond this is looked for, one within it is known to the naming, as on a framed limb."""


@dataclass(frozen=True)
class Trial:
    """How landmarks are disturbed before they are named.

    ``drop`` joints are taken away at random, ``noise`` is a standard deviation as a share of
    MCP3-PIP3 (MTP1-MTP5), ``turn_deg`` the largest turn to either side (180: any), ``mirror``
    turns half of the images over, unknown to the naming.
    """

    drop: int = 0
    noise: float = 0.0
    turn_deg: float = 10.0
    mirror: bool = False
    seed: int = 1


@dataclass(frozen=True)
class Naming:
    """Shares of one limb's images: 0..1, and how many images there were.

    ``right``: the best naming is right in every joint; ``certain``: names would be printed;
    ``wrong_certain``: of the certain ones, a name is wrong.
    """

    limb: Limb
    images: int
    right: float
    certain: float
    wrong_certain: float

    def __str__(self) -> str:
        return (
            f"{self.limb}: {self.images} images, best naming right {100 * self.right:.2f} %, "
            f"certain {100 * self.certain:.2f} %, of these with a wrong name "
            f"{100 * self.wrong_certain:.2f} %"
        )


def measure_identity(points_csv: Path, trial: Trial) -> list[Naming]:
    """Name every image of a table. Raises `TrainingError` for a table that cannot be read."""
    counts: dict[Limb, Counter[str]] = {limb: Counter() for limb in Limb}
    rng = np.random.default_rng(trial.seed)
    for limb, names, points in _read(points_csv):
        seen, moved = _disturb(limb, names, points, trial, rng)
        prior = Prior(0.0) if trial.turn_deg <= KNOWN_WITHIN_DEG else Prior()
        found = identify(limb, moved, [joint_class(name) for name in seen], prior)
        right = found is not None and found.names == seen
        certain = found is not None and found.certain
        counts[limb].update(
            images=1, right=right, certain=certain, wrong_certain=certain and not right
        )
    return [
        Naming(
            limb=limb,
            images=tally["images"],
            right=tally["right"] / tally["images"],
            certain=tally["certain"] / tally["images"],
            wrong_certain=tally["wrong_certain"] / max(tally["certain"], 1),
        )
        for limb, tally in counts.items()
        if tally["images"]
    ]


def _disturb(
    limb: Limb, names: list[str], points: Points, trial: Trial, rng: np.random.Generator
) -> tuple[tuple[str, ...], Points]:
    unit = unit_px(limb, names, points)
    kept = np.sort(rng.permutation(len(names))[: max(len(names) - trial.drop, 0)])
    angle = math.radians(rng.uniform(-trial.turn_deg, trial.turn_deg))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    moved = points[kept] @ turn.T
    if trial.mirror and rng.random() < 0.5:
        moved = moved * (-1.0, 1.0)
    moved = moved + rng.normal(0, trial.noise * unit, moved.shape)
    return tuple(names[i] for i in kept), moved


def _read(points_csv: Path) -> list[tuple[Limb, list[str], Points]]:
    """Limb, joint names and places [n, 2] of every image and limb, in the table's order."""
    images: dict[tuple[str, Limb], list[tuple[str, float, float]]] = {}
    try:
        with points_csv.open(newline="", encoding="utf-8") as handle:
            for number, row in enumerate(csv.DictReader(handle), 2):
                try:
                    limb = Limb(row["limb"])
                    place = (row["joint"], float(row["x"]), float(row["y"]))
                    image = row["image"]
                except (KeyError, TypeError, ValueError) as error:
                    raise TrainingError(
                        f"{points_csv}, line {number}: {error}",
                        mend=f"give the columns {', '.join(COLUMNS)}; limb is hand or foot",
                    ) from error
                if place[0] in limb.joints:
                    images.setdefault((image, limb), []).append(place)
    except OSError as error:
        raise TrainingError(
            f"{points_csv}: the table cannot be read: {error.strerror}", mend="name a CSV file"
        ) from error
    if not images:
        raise TrainingError(
            f"{points_csv}: no joint that is scored stands in it",
            mend=f"give the columns {', '.join(COLUMNS)}",
        )
    return [
        (limb, [name for name, _, _ in places], np.array([(x, y) for _, x, y in places]))
        for (_, limb), places in images.items()
    ]
