"""``sharpedge train mask``: outlines made, looked at by a person, and learnt.

Room: training. Writes outlines, sheets, checkpoints and one model a limb.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from training.data.films import FULL_SIZE_PX
from training.data.placement import labelled, outline_of, place_films
from training.errors import TrainingError
from training.models import unet
from training.run.publish import last_figures, ship_mask
from training.run.split import Part, fingerprint, keep_to_one_recipe
from training.synthetic.outlines import MaskExample, canvas_example
from training.tasks.contact_sheet import Candidate, rejected, write_list, write_sheets
from training.tasks.job import limbs_of
from training.tasks.recipe_files import next_command, write_recipe

if TYPE_CHECKING:
    from pathlib import Path

    from edge.model import Limb
    from training.data.placement import Placed
    from training.datasets import FilmTruth
    from training.tasks.job import Job

LIST_NAME = "outlines.txt"
DRAWN, CLASSICAL = "drawn", "classical"


def train_masks(
    job: Job, *, sheets_only: bool, refuse: Path | None, epochs: int | None
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
        refused = rejected(refuse, names) & set(names) if refuse else set()
        kept = [one for one in candidates if one.film not in refused]
        job.say(f"{limb}: {len(kept)} outlines kept, {len(refused)} rejected")
        figures[str(limb)] = _train(job, limb, kept, by_name, recipe, run_dir)
        written.append(_ship(job, limb, kept, by_name, recipe, run_dir))
    if written:
        job.say(next_command(job.out, written))
    return figures


def _candidates(job: Job, limb: Limb, placed: list[Placed], run_dir: Path) -> list[Candidate]:
    """Outlines of every film, kept on disk: a training that goes on makes none again."""
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
    job: Job,
    limb: Limb,
    kept: list[Candidate],
    films: dict[str, FilmTruth],
    recipe: unet.MaskRecipe,
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
    keep_to_one_recipe(run_dir, asdict(recipe) | values)
    unet.train(
        run_dir,
        [],
        parts[Part.TRAIN],
        recipe,
        ([], parts[Part.VALIDATION]),
        parts[Part.VALIDATION],
    )
    return last_figures(run_dir)


def _ship(
    job: Job,
    limb: Limb,
    kept: list[Candidate],
    films: dict[str, FilmTruth],
    recipe: unet.MaskRecipe,
    run_dir: Path,
) -> Path:
    learnt = [films[one.film] for one in kept]
    learnt = [film for film in learnt if job.parts[film.patient] is Part.TRAIN]
    name = f"weights/{limb}-mask.npz"
    meta = job.passport(recipe, learnt, last_figures(run_dir))
    ship_mask(run_dir, job.out / name, meta)
    source = ['kind = "compact"', 'architecture = "unet"', f'files = ["{name}"]']
    return write_recipe(job.out, limb, "mask", source, recipe.size, 1)
