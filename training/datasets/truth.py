"""What is known of films before a training: the types that every reader returns.

Layer: training.datasets; values only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.anatomy import LIMBS, NARROWING_MAXIMUM, JointClass, Limb, has_narrowing
from edge.enums import StrEnum
from phantom.ra2_columns import ScoreKind

if TYPE_CHECKING:
    from pathlib import Path

    from edge.model import Laterality


class Code(StrEnum):
    """What can be wrong with a data set; part of ``data check --json``, so codes are stable."""

    IMPOSSIBLE_SCORE = "impossible_score"
    NO_SUCH_SCORE = "no_such_score"
    TOTAL_DIFFERS = "total_differs"
    COLUMN_MISSING = "column_missing"
    TWO_ROWS = "two_rows_of_one_patient"
    TWO_FILMS = "two_films_of_one_limb"
    DUPLICATE_FILM = "duplicate_film"
    FILM_MISSING = "film_missing"
    FILM_WITHOUT_TRUTH = "film_without_truth"
    FILM_DAMAGED = "film_damaged"
    SIDE_CONFLICT = "side_conflict"
    SIDE_AGAINST_GEOMETRY = "side_against_geometry"
    LOW_RESOLUTION = "low_resolution"
    NOT_UNDERSTOOD = "not_understood"
    OUTSIDE_FOLDER = "outside_folder"
    UNKNOWN_CLASS = "unknown_class"
    IMPOSSIBLE_BOX = "impossible_box"
    JOINT_TWICE = "joint_twice"
    SIZE_DIFFERS = "size_differs"
    NO_GRADES_OF_CLASS = "no_grades_of_class"
    NOTHING_TO_TRAIN = "nothing_to_train"


WARNINGS = frozenset(
    {
        Code.FILM_MISSING,
        Code.FILM_WITHOUT_TRUTH,
        Code.LOW_RESOLUTION,
        Code.NO_GRADES_OF_CLASS,
    }
)
"""Faults that do not stop a training; every other one would make it learn something wrong."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: ``where`` is a file, with its line or column where it has one."""

    code: Code
    where: str
    message: str
    patient: str | None = None

    @property
    def stops(self) -> bool:
        """Whether it stops a training, which would learn something wrong."""
        return self.code not in WARNINGS


@dataclass(frozen=True)
class JointTruth:
    """What is known of one joint.

    ``name`` is ``None`` where only the class is known (a box drawn as "PIP"). ``box`` is x, y (top
    left), width and height, ``centre`` x and y, in pixels of the film as stored. ``crop`` is a
    ready-made picture of the joint, where the set has those instead of places.
    """

    name: str | None
    joint_class: JointClass
    box: tuple[float, float, float, float] | None = None
    centre: tuple[float, float] | None = None
    erosion: int | None = None
    narrowing: int | None = None
    crop: Path | None = None

    def grade(self, kind: ScoreKind) -> int | None:
        """Grade of one kind, or ``None`` where it is not known."""
        return self.erosion if kind is ScoreKind.EROSION else self.narrowing

    @property
    def place(self) -> tuple[float, float] | None:
        """Centre of the joint: as stated, else of its box."""
        if self.centre is not None or self.box is None:
            return self.centre
        x, y, width, height = self.box
        return x + width / 2, y + height / 2


@dataclass(frozen=True)
class FilmTruth:
    """One limb of one film. ``path`` is ``None`` where the set has crops of joints only.

    ``left_out`` says why nothing may be learnt from it (a film that is held), else it is empty.
    """

    name: str
    path: Path | None
    patient: str
    limb: Limb | None
    laterality: Laterality | None
    joints: tuple[JointTruth, ...] = ()
    mask: Path | None = None
    left_out: str = ""
    simulated: bool = False


@dataclass(frozen=True)
class DataSet:
    """A folder's films, the layouts read, and the faults that the readers found.

    ``simulated``: no patients, so no figure on it holds for patients.
    """

    folder: Path
    layouts: tuple[str, ...]
    films: tuple[FilmTruth, ...]
    faults: tuple[Fault, ...] = ()
    simulated: bool = False

    @property
    def usable(self) -> tuple[FilmTruth, ...]:
        """Films that something may be learnt from."""
        return tuple(film for film in self.films if not film.left_out)

    @property
    def patients(self) -> tuple[str, ...]:
        """Every patient, sorted."""
        return tuple(sorted({film.patient for film in self.films}))


def detector_classes(limb: Limb) -> tuple[JointClass, JointClass]:
    """Detector classes of a limb in the order of its outputs."""
    return LIMBS[limb].detector_classes


def grade_maximum(limb: Limb, joint: str, kind: ScoreKind) -> int | None:
    """Highest grade that a joint can have; ``None`` where SvH gives it no such grade."""
    if kind is ScoreKind.EROSION:
        return limb.erosion_maximum
    return NARROWING_MAXIMUM if has_narrowing(limb, joint) else None
