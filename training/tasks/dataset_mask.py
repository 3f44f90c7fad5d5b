"""``sharpedge train mask``: outlines of a data set, reviewed by a person, and the training on them.

Layer: training.tasks; writes outlines, sheets, checkpoints and one model a limb.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from training.data.placement import labelled, outline_of, place_films
from training.datasets.labelled_films import FULL_SIZE_PX
from training.datasets.split import Part, fingerprint
from training.errors import TrainingError
from training.run.run_folder import last_figures, require_same_values
from training.synthetic.outlines import MaskExample, canvas_example
from training.tasks.contact_sheet import Candidate, rejected, write_list, write_sheets
from training.tasks.dataset_job import limbs_of
from training.tasks.mask import MaskExamples, train_mask
from training.tasks.publish import publish_mask
from training.tasks.recipe_files import next_command, write_recipe

if TYPE_CHECKING:
    from pathlib import Path

    from edge.anatomy import Limb
    from training.datasets.places import Placed
    from training.datasets.truth import FilmTruth
    from training.tasks.dataset_job import DataSetJob
    from training.tasks.recipes import MaskRecipe

LIST_NAME = "outlines.txt"
DRAWN, CLASSICAL = "drawn", "classical"


def train_masks(
    job: DataSetJob, *, sheets_only: bool, reject: Path | None, epochs: int | None
) -> dict[str, Any]:
    """Make outlines and sheets, then train one network a limb; returns the figures by limb."""
    recipe = job.recipe.mask if epochs is None else replace(job.recipe.mask, epochs=epochs)
    figures: dict[str, Any] = {}
    written = []
    for limb in limbs_of(job):
        run_dir = job.runs / f"mask-{limb}"
        films = job.films(limb, Part.TRAIN, Part.VALIDATION)
        placed = place_films(films, job.engines, job.runs, job.progress(f"{limb} joints"))
        candidates = _candidates(job, limb, placed, run_dir)
        by_name = {one.truth.name: one.truth for one in placed}
        job.say(
            f"{limb}: {len(candidates)} outlines of {len(films)} films "
            f"({sum(one.source == DRAWN for one in candidates)} drawn, the others made by the "
            "classical algorithm)"
        )
        pages = write_sheets(run_dir, candidates)
        write_list(run_dir / LIST_NAME, candidates)
        if sheets_only:
            job.say(f"look at {len(pages)} sheets, then mark {run_dir / LIST_NAME}")
            continue
        names = [one.film for one in candidates]
        dropped = rejected(reject, names) & set(names) if reject else set()
        kept = [one for one in candidates if one.film not in dropped]
        job.say(f"{limb}: {len(kept)} outlines kept, {len(dropped)} rejected")
        figures[str(limb)] = _train(job, limb, kept, by_name, recipe, run_dir)
        written.append(_publish(job, limb, kept, by_name, recipe, run_dir))
    if written:
        job.say(next_command(job.out, written))
    return figures


def _candidates(
    job: DataSetJob, limb: Limb, placed: list[Placed], run_dir: Path
) -> list[Candidate]:
    """Outlines of every film, kept on disk: a training that resumes does not make them again."""
    folder = run_dir / "outlines"
    folder.mkdir(parents=True, exist_ok=True)
    show = job.progress(f"{limb} outlines")
    found = []
    for number, one in enumerate(placed):
        show(number, len(placed))
        candidate = _candidate(one, folder)
        if candidate is not None:
            found.append(candidate)
    show(len(placed), len(placed))
    return found


def _candidate(one: Placed, folder: Path) -> Candidate | None:
    stem = one.truth.name.replace("/", "__")
    paths = [folder / f"{stem}.{part}.png" for part in ("canvas", "outline")]
    source = DRAWN if one.truth.mask is not None else CLASSICAL
    if all(path.is_file() for path in paths):
        canvas, outline = (cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths)
        if canvas is not None and outline is not None:
            return Candidate(
                one.truth.name, np.asarray(canvas, np.uint8), np.asarray(outline, np.uint8), source
            )
    example = canvas_example(labelled(one, FULL_SIZE_PX), outline_of(one.truth))
    if example is None:
        return None
    cv2.imwrite(str(paths[0]), example.canvas)
    cv2.imwrite(str(paths[1]), example.outline)
    return Candidate(one.truth.name, example.canvas, example.outline, source)


def _train(
    job: DataSetJob,
    limb: Limb,
    kept: list[Candidate],
    films: dict[str, FilmTruth],
    recipe: MaskRecipe,
    run_dir: Path,
) -> dict[str, Any]:
    parts: dict[Part, list[MaskExample]] = {part: [] for part in Part}
    for one in kept:
        part = job.parts[films[one.film].patient]
        parts[part].append(MaskExample(one.canvas, one.outline))
    if not parts[Part.TRAIN] or not parts[Part.VALIDATION]:
        raise TrainingError(
            f"{limb}: {len(parts[Part.TRAIN])} outlines to learn from and "
            f"{len(parts[Part.VALIDATION])} to stop by are too few",
            fix="bring more films, or reject fewer outlines",
        )
    values = {"data_set": fingerprint(job.dataset), "kept": sorted(one.film for one in kept)}
    require_same_values(run_dir, asdict(recipe) | values)
    validation = parts[Part.VALIDATION]
    train_mask(run_dir, MaskExamples([], parts[Part.TRAIN], [], validation, validation), recipe)
    return last_figures(run_dir)


def _publish(
    job: DataSetJob,
    limb: Limb,
    kept: list[Candidate],
    films: dict[str, FilmTruth],
    recipe: MaskRecipe,
    run_dir: Path,
) -> Path:
    learnt = [films[one.film] for one in kept]
    learnt = [film for film in learnt if job.parts[film.patient] is Part.TRAIN]
    name = f"weights/{limb}-mask.npz"
    meta = job.record(recipe, learnt, last_figures(run_dir))
    publish_mask(run_dir, job.out / name, meta)
    source = ['kind = "compact"', 'architecture = "unet"', f'files = ["{name}"]']
    return write_recipe(job.out, limb, "mask", source, recipe.size, 1)
