"""Labelled films for training: reads the joint labels, splits them by film, shrinks them.

Layer: training.datasets; reads the label table and image files, never writes beside them.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.anatomy import JointClass, Limb, joint_box_side_px, joint_class
from edge.pipeline.template import unit_px
from training.errors import TrainingError

if TYPE_CHECKING:
    from edge.model import GreyImage, Points

SHIPPED_LABELS = Path(__file__).parents[1] / "labels" / "joints.csv"
"""The project's own joint labels."""
PROPOSED = "proposed"
"""Value of ``issues`` in labels that `training.data.proposals` wrote."""
VALIDATION_SHARE = 6
"""One film in this many, chosen by the hash of its name, is kept out of every training."""
FULL_SIZE_PX = 100_000
"""Longest side of a film that is read as it is stored."""
WORKING_SIDE_PX = 1024
"""Longest side of the copy that the detector and the mask are trained from."""


@dataclass(frozen=True)
class LabelledFilm:
    """One film with the joints that a person could see on it.

    ``pixels`` is [h, w] uint8 as stored, shrunk by ``scale``; ``points`` [n, 2] are the centres of
    the joint spaces in its pixels, ``names`` their names, ``unit`` the length in pixels that box
    sizes and tolerances are shares of (MCP3-PIP3, or MTP1-MTP5).
    """

    film: str
    limb: Limb
    pixels: GreyImage
    scale: float
    names: tuple[str, ...]
    points: Points
    unit: float
    view: str = "pa"
    immature: bool = False
    issues: str = ""

    @cached_property
    def boxes(self) -> np.ndarray:
        """[n, 3] float64: centre x, centre y and side of each joint's square box, in pixels."""
        sides = [joint_box_side_px(self.limb, name, self.unit) for name in self.names]
        return np.column_stack([self.points, sides])

    @property
    def classes(self) -> tuple[JointClass, ...]:
        """Detector class of each joint."""
        return tuple(joint_class(name) for name in self.names)

    @property
    def proposed(self) -> bool:
        """Whether engines labelled it, and no person: learnt from, never measured on."""
        return self.issues == PROPOSED

    @property
    def clean(self) -> bool:
        """An adult's plain view without cast, cut, flexion or overlap."""
        trouble = ("cast", "bandage", "cut", "flexed", "overlap", "foreshortened", "amputated")
        return (
            not self.immature
            and self.view in ("pa", "ap")
            and not any(word in self.issues for word in trouble)
        )


def is_validation(film: str) -> bool:
    """Whether a film belongs to the validation part; depends on its name alone."""
    digest = hashlib.sha256(film.encode()).digest()
    return digest[0] % VALIDATION_SHARE == 0


def shrink(pixels: GreyImage, longest_px: int) -> tuple[GreyImage, float]:
    """An image shrunk until its longest side is at most ``longest_px``, and the factor."""
    factor = min(1.0, longest_px / max(pixels.shape))
    if factor == 1.0:
        return pixels, 1.0
    size = (round(pixels.shape[1] * factor), round(pixels.shape[0] * factor))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8), factor


def read_labelled(
    labels_csv: Path, films_dir: Path, limb: Limb, longest_px: int = WORKING_SIDE_PX
) -> list[LabelledFilm]:
    """Read every labelled film of one limb, sorted by name.

    ``films_dir`` is searched recursively by file name. A label whose film is not there is left
    out: the labels are public, the films may not all be there. Raises `TrainingError` where the
    labels cannot be read, where none of their films is there, or where a film is damaged.
    """
    rows = _read_rows(labels_csv, limb)
    paths = {path.name: path for path in sorted(films_dir.rglob("*.jpg"))}
    films = []
    for (film, _), joints in sorted(rows.items()):
        if film not in paths:
            continue
        stored = cv2.imread(str(paths[film]), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
        if stored is None:
            raise TrainingError(
                f"{paths[film]}: the film cannot be decoded", fix="download it again"
            )
        pixels, scale = shrink(np.asarray(stored, dtype=np.uint8), longest_px)
        points = np.array([[float(j["x_px"]), float(j["y_px"])] for j in joints]) * scale
        names = tuple(j["joint"] for j in joints)
        first = joints[0]
        films.append(
            LabelledFilm(
                film=film,
                limb=limb,
                pixels=pixels,
                scale=scale,
                names=names,
                points=points,
                unit=unit_px(limb, names, points),
                view=first["view"],
                immature=first["immature"] == "1",
                issues=first["issues"],
            )
        )
    if not films:
        raise TrainingError(
            f"{films_dir}: none of the {len(rows)} labelled {limb} films is there",
            fix="name the folder of FracAtlas that holds IMG*.jpg, or leave --films out to train "
            "on simulated films alone",
        )
    return films


def read_proposed(
    labels_csv: Path, films_dir: Path, limb: Limb, longest_px: int = WORKING_SIDE_PX
) -> list[LabelledFilm]:
    """Read films with proposed labels: ``proposed.csv`` beside the labels, where it is there."""
    proposed = labels_csv.with_name("proposed.csv")
    if not proposed.exists() or limb not in labelled_limbs(proposed, films_dir, least=0):
        return []
    return read_labelled(proposed, films_dir, limb, longest_px)


def labelled_films(labels_csv: Path) -> frozenset[str]:
    """File names of every film that a label table names."""
    return frozenset(film for limb in Limb for film, _ in _read_rows(labels_csv, limb))


def labelled_limbs(labels_csv: Path, films_dir: Path, least: int = 1) -> tuple[Limb, ...]:
    """Limbs of which a labelled film is in a folder. Raises `TrainingError` below ``least``."""
    there = {path.name for path in films_dir.rglob("*.jpg")}
    found = tuple(
        limb for limb in Limb if any(film in there for film, _ in _read_rows(labels_csv, limb))
    )
    if len(found) < least:
        raise TrainingError(
            f"{films_dir}: none of the films labelled in {labels_csv} is there",
            fix="name the folder that holds them, or the labels that belong to it (--labels)",
        )
    return found


def _read_rows(labels_csv: Path, limb: Limb) -> dict[tuple[str, str], list[dict[str, str]]]:
    rows: dict[tuple[str, str], list[dict[str, str]]] = {}
    try:
        with labels_csv.open(newline="", encoding="utf-8") as handle:
            for row in csv.DictReader(handle):
                if row["limb"] == limb.value:
                    rows.setdefault((row["film"], row["limb_no"]), []).append(row)
    except OSError as error:
        raise TrainingError(
            f"{labels_csv}: the joint labels cannot be read: {error.strerror}",
            fix="name the file with --labels, or leave the option out for the shipped one",
        ) from error
    except KeyError as error:
        raise TrainingError(
            f"{labels_csv}: the column {error} is missing", fix="see training/labels/README.md"
        ) from error
    return rows


def split(films: list[LabelledFilm]) -> tuple[list[LabelledFilm], list[LabelledFilm]]:
    """Training and validation part, by film; proposed labels are only learnt from."""
    kept = [film for film in films if is_validation(film.film) and not film.proposed]
    apart = {film.film for film in kept}
    return [film for film in films if film.film not in apart], kept
