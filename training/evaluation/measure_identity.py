"""How often joints are named right from their places alone, some of them missing.

Layer: training.evaluation; reads a table of landmarks, writes nothing.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.anatomy import Limb, joint_class
from edge.model import Laterality, Points
from edge.pipeline.identify import identify
from edge.pipeline.namings import Prior
from edge.pipeline.template import unit_px
from training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

COLUMNS = ("image", "limb", "width", "height", "joint", "x", "y")
KNOWN_WITHIN_DEG = 45.0
"""A larger turn is estimated; a smaller one is given to the naming, as on a framed limb."""
_LIMBS = {
    **{limb.value: (limb, None) for limb in Limb},
    **{
        f"{side.value}{limb.value[0].upper()}": (limb, side) for limb in Limb for side in Laterality
    },
}
"""Values of the column ``limb``: hand, foot, or with its side LH RH LF RF."""


@dataclass(frozen=True)
class Trial:
    """How landmarks are disturbed before they are named.

    ``drop`` joints are taken away at random, ``noise`` is a standard deviation as a share of
    MCP3-PIP3 (foot: of half of MTP1-MTP5), ``turn_deg`` the largest turn to either side (180: any),
    ``mirror`` turns half of the images over, unknown to the naming.
    """

    drop: int = 0
    noise: float = 0.0
    turn_deg: float = 10.0
    mirror: bool = False
    seed: int = 1


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Named joints of one limb of one image: ``points`` [n, 2] in pixels."""

    image: str
    limb: Limb
    names: tuple[str, ...]
    points: Points
    side: Laterality | None = None


@dataclass(frozen=True)
class Attempt:
    """One image named: ``right`` in every joint, ``certain``: the names would be printed."""

    image: str
    limb: Limb
    right: bool
    certain: bool


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


def name_all(images: Sequence[Landmarks], trial: Trial) -> list[Attempt]:
    """Disturb and name each image."""
    rng = np.random.default_rng(trial.seed)
    attempts = []
    for image in images:
        seen, moved = _disturb(image, trial, rng)
        found = identify(
            image.limb, moved, [joint_class(name) for name in seen], _prior(image, trial)
        )
        right = found is not None and found.names == seen
        certain = found is not None and found.certain
        attempts.append(Attempt(image.image, image.limb, right, certain))
    return attempts


def summed(attempts: Sequence[Attempt]) -> list[Naming]:
    """Shares by limb."""
    namings = []
    for limb in Limb:
        mine = [attempt for attempt in attempts if attempt.limb is limb]
        if mine:
            certain = [attempt for attempt in mine if attempt.certain]
            namings.append(
                Naming(
                    limb=limb,
                    images=len(mine),
                    right=sum(attempt.right for attempt in mine) / len(mine),
                    certain=len(certain) / len(mine),
                    wrong_certain=sum(not a.right for a in certain) / max(len(certain), 1),
                )
            )
    return namings


def _prior(image: Landmarks, trial: Trial) -> Prior:
    """Prior of the naming: the turn where it is small, the side where the table states it."""
    mirrored = None if image.side is None or trial.mirror else image.side is Laterality.RIGHT
    known = 0.0 if trial.turn_deg <= KNOWN_WITHIN_DEG else None
    return Prior(rotation_deg=known, mirrored=mirrored)


def _disturb(
    image: Landmarks, trial: Trial, rng: np.random.Generator
) -> tuple[tuple[str, ...], Points]:
    unit = unit_px(image.limb, list(image.names), image.points)
    if image.limb is Limb.FOOT:
        unit /= 2
    count = len(image.names)
    kept = np.sort(rng.permutation(count)[: max(count - trial.drop, 0)])
    angle = math.radians(rng.uniform(-trial.turn_deg, trial.turn_deg))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    moved = image.points[kept] @ turn.T
    if trial.mirror and rng.random() < 0.5:
        moved = moved * (-1.0, 1.0)
    moved = moved + rng.normal(0, trial.noise * unit, moved.shape)
    return tuple(image.names[i] for i in kept), moved


def finite(text: str) -> float:
    """Read a number that is one. Raises ValueError."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no place")
    return value


def read_landmarks(points_csv: Path) -> list[Landmarks]:
    """Every image and limb of a table, in its order. Raises `TrainingError`."""
    images: dict[tuple[str, Limb, Laterality | None], list[tuple[str, float, float]]] = {}
    try:
        with points_csv.open(newline="", encoding="utf-8") as handle:
            for number, row in enumerate(csv.DictReader(handle), 2):
                try:
                    limb, side = _LIMBS[row["limb"]]
                    place = (row["joint"], finite(row["x"]), finite(row["y"]))
                    image = row["image"]
                except (KeyError, TypeError, ValueError) as error:
                    raise TrainingError(
                        f"{points_csv}, line {number}: {error}",
                        fix=f"give the columns {', '.join(COLUMNS)}; limb is one of "
                        f"{', '.join(_LIMBS)}",
                    ) from error
                if place[0] in limb.joints:
                    images.setdefault((image, limb, side), []).append(place)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise TrainingError(
            f"{points_csv}: the table cannot be read: {why}", fix="name a CSV file"
        ) from error
    if not images:
        raise TrainingError(
            f"{points_csv}: no joint that is scored stands in it",
            fix=f"give the columns {', '.join(COLUMNS)}",
        )
    return [
        Landmarks(
            image,
            limb,
            tuple(name for name, _, _ in places),
            np.array([(x, y) for _, x, y in places]),
            side,
        )
        for (image, limb, side), places in images.items()
    ]
