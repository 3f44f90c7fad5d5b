"""Where the joints of a data set's films lie: as stated, else as the installed engines find them.

Layer: training.data; reads films, runs the installed engines, and keeps their results in
``places.jsonl`` of a runs folder, so that each film is analysed once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge.anatomy import JointClass, joint_box_side_px, joint_class, unit_joints
from edge.engine.loader import EngineSet, load_engines
from edge.engine.passport import Role
from edge.errors import EngineError
from edge.model import OperatorStatement, Points
from edge.pipeline.identify import LEAST_JOINTS
from edge.pipeline.settings import PipelineSettings
from edge.pipeline.template import apply, unit_px
from edge.scoring.film_scorer import FilmScorer
from training.datasets.files import decode
from training.datasets.labelled_films import FULL_SIZE_PX, WORKING_SIDE_PX, LabelledFilm, shrink
from training.datasets.places import Placed, stated_places
from training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from edge.anatomy import Limb
    from edge.model import GreyImage
    from training.datasets.truth import FilmTruth

CACHE_NAME = "places.jsonl"


@dataclass(frozen=True)
class BoxedFilm(LabelledFilm):
    """A film whose boxes were drawn: ``sides`` [n] replace the sizes usual for the joints."""

    sides: tuple[float, ...] = ()

    @property
    def boxes(self) -> np.ndarray:
        """[n, 3] float64: centre x, centre y and side of each joint's square box, in pixels."""
        return np.column_stack([self.points, np.asarray(self.sides)])


class Finder:
    """Finds joints with the installed detectors and masks; the scorers are not run."""

    def __init__(self, engines: Path, cache: Path) -> None:
        try:
            loaded = load_engines(engines)
        except EngineError as error:
            raise TrainingError(
                f"joints without boxes are found by installed engines, and there are none: {error}",
                fix="sharpedge export, or draw boxes (labelImg) on every film",
            ) from error
        kept = {key: one for key, one in loaded.engines.items() if key[0] is not Role.SCORE}
        self._engines = EngineSet(kept)
        settings = PipelineSettings(accept_side_from_geometry=True, read_markers=False)
        self._scorer = FilmScorer(self._engines, settings)
        self._path = cache / CACHE_NAME
        self._known = self._read()

    def places(self, film: FilmTruth) -> Placed | None:
        """Joints whose names are certain; ``None`` where the film is held or shows too few."""
        if film.limb is None or film.path is None:
            return None
        row = self._known.get(film.name)
        if row is None:
            row = {"film": film.name, "engines": self._engines.engine_set_hash,
                   "places": self._find(film, film.path)}  # fmt: skip
            self._known[film.name] = row
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        places = row["places"]
        if len(places) < LEAST_JOINTS[film.limb] or not set(unit_joints(film.limb)) <= set(places):
            return None
        points = np.array(list(places.values()), np.float64)
        return Placed(film, film.limb, tuple(places), points, by_engines=True)

    def _find(self, film: FilmTruth, path: Path) -> dict[str, tuple[float, float]]:
        stated = OperatorStatement(film.limb, film.laterality)
        outcome = self._scorer.score(path.read_bytes(), path.name, stated)
        result = outcome.limbs[0].result
        if len(outcome.limbs) != 1 or result.limb is not film.limb:
            return {}
        return {
            joint.name: joint.centre
            for joint in result.joints
            if joint.name is not None and joint.centre is not None
        }

    def _read(self) -> dict[str, Any]:
        """Earlier results of these engines; a film with an incomplete line is analysed again."""
        known: dict[str, Any] = {}
        lines = self._path.read_text("utf-8").split("\n")[:-1] if self._path.is_file() else []
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if row["engines"] == self._engines.engine_set_hash:
                known[row["film"]] = row
        return known


def place_films(
    films: Sequence[FilmTruth],
    engines: Path,
    runs: Path,
    progress: Callable[[int, int], None],
) -> list[Placed]:
    """Every film whose joints are known or found; the others are left out.

    Raises `TrainingError` where engines are needed and none is installed.
    """
    finder: Finder | None = None
    found = []
    for number, film in enumerate(films):
        progress(number, len(films))
        placed = stated_places(film)
        if placed is None and film.path is not None and film.limb is not None:
            finder = finder or Finder(engines, runs)
            placed = finder.places(film)
        if placed is not None:
            found.append(placed)
    progress(len(films), len(films))
    return found


def labelled(placed: Placed, longest_px: int = FULL_SIZE_PX) -> LabelledFilm:
    """A placed film as the trainings take it, upright by its orientation tag."""
    pixels, points, scale = _upright(placed.truth, placed.points, longest_px)
    return LabelledFilm(
        film=placed.truth.name,
        limb=placed.limb,
        pixels=pixels,
        scale=scale,
        names=placed.names,
        points=points,
        unit=unit_px(placed.limb, placed.names, points),
    )


def boxed_films(
    films: Iterable[FilmTruth], longest_px: int = WORKING_SIDE_PX
) -> list[LabelledFilm]:
    """Films with the boxes that were drawn on them, for the detector; those without are left out.

    A box that is not square counts as the square round it. Joints with a place and no box get the
    size usual for them.
    """
    found: list[LabelledFilm] = []
    for film in films:
        joints = [joint for joint in film.joints if joint.place is not None]
        if film.limb is None or not joints:
            continue
        stored = np.array([joint.place for joint in joints], np.float64)
        pixels, points, scale = _upright(film, stored, longest_px)
        names = tuple(joint.name or str(joint.joint_class) for joint in joints)
        drawn = [None if j.box is None else max(j.box[2:]) * scale for j in joints]
        unit = _unit(film.limb, names, points, [j.joint_class for j in joints], drawn)
        if unit is None:
            continue
        sides = tuple(
            joint_box_side_px(film.limb, j.name or representative(film.limb, j.joint_class), unit)
            if side is None
            else side
            for j, side in zip(joints, drawn, strict=True)
        )
        found.append(
            BoxedFilm(
                film=film.name,
                limb=film.limb,
                pixels=pixels,
                scale=scale,
                names=names,
                points=points,
                unit=unit,
                sides=sides,
            )
        )
    return found


def representative(limb: Limb, kind: JointClass) -> str:
    """A joint that represents its class."""
    return next(name for name in reversed(limb.joints) if joint_class(name) is kind)


def _unit(
    limb: Limb,
    names: tuple[str, ...],
    points: Points,
    classes: list[JointClass],
    sides: list[float | None],
) -> float | None:
    """The film's own unit of length: by the named joints, else by what the boxes are shares of."""
    if set(unit_joints(limb)) <= set(names):
        return unit_px(limb, names, points)
    shares = [
        side / joint_box_side_px(limb, representative(limb, kind), 1.0)
        for kind, side in zip(classes, sides, strict=True)
        if side is not None
    ]
    return float(np.median(shares)) if shares else None


def _upright(film: FilmTruth, stored: Points, longest_px: int) -> tuple[GreyImage, Points, float]:
    if film.path is None:
        raise TrainingError(
            f"{film.name}: there are crops of its joints, no film", fix="train the scorers on it"
        )
    decoded = decode(film.path).film
    pixels, scale = shrink(decoded.pixels, longest_px)
    return pixels, apply(decoded.stored_to_upright, stored) * scale, scale


def outline_of(film: FilmTruth) -> GreyImage | None:
    """The mask that the data set has of a film, upright like the film; ``None`` without one."""
    if film.mask is None or film.path is None:
        return None
    stored = cv2.imread(str(film.mask), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    decoded = decode(film.path).film
    if stored is None or stored.shape[::-1] != decoded.stored_size:
        return None
    size = decoded.pixels.shape[::-1]
    turned = cv2.warpAffine(np.asarray(stored, np.uint8), decoded.stored_to_upright[:2], size)
    return np.asarray(turned, np.uint8)
