"""Joint labels that the installed engines propose for unlabelled films.

Layer: training.data; reads films, runs the pipeline, writes a table of labels.

A proposal counts only when four analyses of the film agree: as stored, mirrored, and both again at
another scale. Every joint must be named with certainty in each of them, which bounds the shape
template's residual, and lie in one place.
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.anatomy import Limb
from edge.engine.loader import load_engines
from edge.pipeline.settings import PipelineSettings
from edge.pipeline.template import unit_px
from edge.scoring.film_scorer import FilmScorer
from edge.system.paths import built_engines
from training.datasets.labelled_films import PROPOSED, LabelledFilm, labelled_films
from training.errors import TrainingError
from training.evaluation.measure import named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from edge.model import GreyImage, Points

AGREE = {Limb.HAND: 0.08, Limb.FOOT: 0.04}
"""Farthest that a joint may lie from its mean place, as a share of MCP3-PIP3 or MTP1-MTP5; labels
set by eye are .04 apart in the median on hands."""
OTHER_SCALE = 0.75
FILM_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"})
COLUMNS = (
    "film", "limb", "limb_no", "view", "thumb_or_hallux_side", "immature", "issues", "joint",
    "x_px", "y_px",
)  # fmt: skip


@dataclass(frozen=True)
class Refusal:
    """A film that got no labels, and the reason.

    ``looks``: the analyses differ; ``limbs``: not one limb; ``uncertain``: a joint has no certain
    name; ``unit``: no length to measure by.
    """

    film: str
    why: str


def propose(
    scorer: FilmScorer,
    paths: Sequence[Path],
    tick: Callable[[int, int], None],
) -> Iterator[LabelledFilm | Refusal]:
    """Label unlabelled films.

    The scorer must accept geometry's side. Pixels are those of the film as stored, points too.
    Raises `TrainingError` for a film that cannot be decoded.
    """
    for number, path in enumerate(paths, 1):
        stored = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
        if stored is None:
            raise TrainingError(
                f"{path}: the film cannot be decoded", fix="take it out of the folder"
            )
        yield _propose(scorer, path.name, np.asarray(stored, np.uint8))
        tick(number, len(paths))


def _propose(scorer: FilmScorer, film: str, pixels: GreyImage) -> LabelledFilm | Refusal:
    found_each = []
    for mirrored in (False, True):
        for zoom in (1.0, OTHER_SCALE):
            found = _analyse(scorer, pixels, mirrored=mirrored, zoom=zoom)
            if isinstance(found, str):
                return Refusal(film, found)
            found_each.append(found)
    limb, names, _ = found_each[0]
    if any((other, seen) != (limb, names) for other, seen, _ in found_each):
        return Refusal(film, "looks")
    places = np.stack([points for _, _, points in found_each])
    mean = places.mean(axis=0)
    unit = unit_px(limb, names, mean)
    if not unit > 0:
        return Refusal(film, "unit")
    if np.linalg.norm(places - mean, axis=2).max() > AGREE[limb] * unit:
        return Refusal(film, "looks")
    return LabelledFilm(film, limb, pixels, 1.0, names, mean, unit, view="pa", issues=PROPOSED)


def _analyse(
    scorer: FilmScorer, pixels: GreyImage, *, mirrored: bool, zoom: float
) -> tuple[Limb, tuple[str, ...], Points] | str:
    """Limb, names and places in the film's own pixels; or why there are none."""
    seen = pixels[:, ::-1] if mirrored else pixels
    if zoom != 1.0:
        seen = cv2.resize(seen, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA).astype(
            np.uint8
        )
    _, png = cv2.imencode(".png", np.ascontiguousarray(seen))
    results = [one.result for one in scorer.score(png.tobytes(), "film.png").limbs]
    if len(results) != 1 or results[0].limb is None:
        return "limbs"
    joints = named(results[0])
    names = results[0].limb.joints
    if set(joints) != set(names):
        return "uncertain"
    centres = [joints[name].centre for name in names]
    # Pixel centres keep their places when a picture is resized about its corner.
    points = (np.asarray(centres, dtype=np.float64) + 0.5) / zoom - 0.5
    if mirrored:
        points[:, 0] = pixels.shape[1] - 1 - points[:, 0]
    return results[0].limb, names, points


def write_labels(out: Path, films: Iterable[LabelledFilm]) -> None:
    """Write proposals as `labelled_films.read_labelled` reads them."""
    with out.open("w", newline="", encoding="utf-8") as handle:
        rows = csv.writer(handle, lineterminator="\n")
        rows.writerow(COLUMNS)
        for film in films:
            for name, (x, y) in zip(film.names, film.points.tolist(), strict=True):
                values = (film.film, film.limb, 0, film.view, "", 0, film.issues, name)
                rows.writerow((*values, round(x, 1), round(y, 1)))


def propose_folder(
    folder: Path, out: Path, known: Path, engines: Path | None, tick: Callable[[int, int], None]
) -> tuple[int, Counter[str]]:
    """Label the films of a folder that ``known`` (labels) does not name.

    Returns how many were labelled, and why the others were refused.
    """
    settings = PipelineSettings(accept_side_from_geometry=True, read_markers=False)
    scorer = FilmScorer(load_engines(engines or built_engines()), settings)
    passed_over = labelled_films(known)
    paths = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in FILM_SUFFIXES and path.name not in passed_over
    ]
    found = list(propose(scorer, paths, tick))
    films = [one for one in found if isinstance(one, LabelledFilm)]
    write_labels(out, films)
    return len(films), Counter(one.why for one in found if isinstance(one, Refusal))
