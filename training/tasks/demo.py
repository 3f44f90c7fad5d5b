"""Train every demo model from nothing, one command, resumable.

Room: training. The recipe ``demo`` is the one that made the committed weights. It writes
checkpoints under its runs folder and compact weights where it is told to.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge.model import Limb
from edge.system.paths import engines_home
from export.importers.compact import load_compact
from training.data.films import FULL_SIZE_PX, read_labelled, read_proposed, split
from training.models import detector, scorer, unet
from training.models.darknet import read_cfg
from training.run.estimate import estimate_hours
from training.run.publish import (
    committed_trunk,
    last_figures,
    linear_heads,
    provenance,
    ship_detector,
    ship_heads,
    ship_mask,
    ship_trunk,
    trunk_arrays,
)
from training.run.recipes import DemoRecipe
from training.run.split import keep_to_one_recipe
from training.synthetic.crops import CropSet, join_crops, read_crops, shelve_crops
from training.synthetic.framed_crops import shelve_framed
from training.synthetic.outlines import MaskExample, canvas_example
from training.synthetic.paint import sharp_films
from training.synthetic.painted_crops import shelve_painted
from training.synthetic.phantom_shelf import PhantomShelf, fill_shelf
from training.synthetic.vary import enlarge

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from training.data.films import LabelledFilm
    from training.synthetic.paint import SharpFilm

    Say = Callable[[str], None]

_REAL = ("painted", "enlarged")
"""Styles of the crops of real films: sharp ones, and small ones that were enlarged."""


class _Job:
    """What every step of one command shares."""

    def __init__(
        self, films_dir: Path | None, labels: Path, runs: Path, weights: Path, recipe: DemoRecipe
    ) -> None:
        self.films_dir, self.labels = films_dir, labels
        self.runs, self.weights, self.recipe = runs, weights, recipe
        self.shelf_dir = runs / "shelf"
        self.films: dict[Limb, list[LabelledFilm]] = {
            limb: []
            if films_dir is None
            else read_labelled(labels, films_dir, limb) + read_proposed(labels, films_dir, limb)
            for limb in Limb
        }

    def passport(
        self, recipe: Any, figures: dict[str, Any], learnt_from: set[str] | None = None
    ) -> dict[str, Any]:
        """What a model's file says of its training; ``learnt_from`` names its real films."""
        names = learnt_from or set()
        command = "sharpedge train demo"
        if self.recipe.name != DemoRecipe.name:
            command += f" --recipe {self.recipe.name}"
        paths: list[Path] = []
        if self.films_dir is not None:
            command += " --films FRACATLAS"
            paths = [path for path in self.films_dir.rglob("*.jpg") if path.name in names]
        sizes = ("seed", "hand_phantoms", "foot_phantoms")
        simulated = {key: getattr(self.recipe, key) for key in sizes}
        return provenance(command, paths, figures) | {
            "recipe": {"name": self.recipe.name, **simulated, **asdict(recipe)}
        }


def train_demo(
    films_dir: Path | None, labels: Path, runs: Path, weights: Path, recipe: DemoRecipe, say: Say
) -> dict[str, Any]:
    """Train all models; each step resumes where it was cut off. Returns the figures.

    Without ``films_dir`` everything is trained on simulated films alone, and that is said. The
    first line said is the estimate. Raises `TrainingError` for labels or films that cannot be used
    and for a runs folder that was begun with other values.
    """
    keep_to_one_recipe(runs, asdict(recipe))
    job = _Job(films_dir, labels, runs, weights, recipe)
    real = sum(len(films) for films in job.films.values())
    hours = estimate_hours(recipe, real)
    steps = ", ".join(f"{name} {value} h" for name, value in hours.items())
    say(
        f"estimate for this machine: at most {sum(hours.values()):.1f} h from nothing ({steps}); "
        f"recipe {recipe.name}"
    )
    if films_dir is None:
        say("no folder of FracAtlas films was named: training on simulated films alone")
    for limb, films in job.films.items():
        if films:
            kept = len(split(films)[1])
            say(f"{limb}: {len(films)} labelled real films, {kept} of them only measured")
    figures: dict[str, Any] = {}
    for limb in Limb if not recipe.further else ():
        say(f"{limb}: drawing simulated films")
        fill_shelf(job.shelf_dir, limb, recipe.phantoms(limb), recipe.seed, recipe.film_px)
        say(f"{limb}: detector")
        figures[f"{limb}-detect"] = _train_detector(job, limb)
        say(f"{limb}: mask")
        figures[f"{limb}-mask"] = _train_mask(job, limb)
    figures["scorers"] = _train_scorers(job, say)
    return figures


def _learnt_from(films: list[LabelledFilm]) -> set[str]:
    return {film.film for film in split(films)[0]}


def _train_detector(job: _Job, limb: Limb) -> dict[str, Any]:
    cfg = read_cfg(engines_home() / "cfg" / "yolov3-quarter.cfg")
    run_dir = job.runs / f"detect-{limb}"
    recipe, start_from = job.recipe.hand_detector, None
    learnt_from = _learnt_from(job.films[limb])
    if limb is Limb.FOOT:
        # The foot's detector begins with the hand's weights, so the hand's films made it too.
        recipe = job.recipe.foot_detector
        start_from = job.runs / f"detect-{Limb.HAND}" / "checkpoint.pt"
        learnt_from |= _learnt_from(job.films[Limb.HAND])
    shelf = PhantomShelf(job.shelf_dir, limb)
    detector.train(cfg, run_dir, job.films[limb], shelf, recipe, start_from)
    found = last_figures(run_dir)
    meta = job.passport(recipe, found, learnt_from)
    ship_detector(run_dir, cfg, job.weights / f"{limb}-detect.npz", meta)
    return found


def phantom_examples(shelf_dir: Path, limb: Limb, most: int) -> list[MaskExample]:
    """The first simulated films of a shelf on their canvases, with their true outlines."""
    found = []
    for film in PhantomShelf(shelf_dir, limb).films[:most]:
        outline = cv2.imread(str(shelf_dir / f"mask-{film.film}"), cv2.IMREAD_GRAYSCALE)
        found.append(canvas_example(film, np.asarray(outline, np.uint8)))
    return [example for example in found if example is not None]


def _train_mask(job: _Job, limb: Limb) -> dict[str, Any]:
    phantoms = phantom_examples(job.shelf_dir, limb, job.recipe.mask_phantoms)
    measured = min(40, len(phantoms) // 5)
    # An outline needs every finger: what engines proposed was looked at for its joints only.
    training, validation = split([film for film in job.films[limb] if not film.proposed])
    # A film whose outline cannot be made is not learnt from, and not named in the passport.
    real = [(film.film, canvas_example(film, None)) for film in training]
    usable = [(name, example) for name, example in real if example is not None]
    unseen = [canvas_example(film, None) for film in validation]
    run_dir = job.runs / f"mask-{limb}"
    unet.train(
        run_dir,
        phantoms[measured:],
        [example for _, example in usable],
        job.recipe.mask,
        (phantoms[:measured], [example for example in unseen if example is not None]),
    )
    found = last_figures(run_dir)
    ship_mask(
        run_dir,
        job.weights / f"{limb}-mask.npz",
        job.passport(job.recipe.mask, found, {name for name, _ in usable}),
    )
    return found


def _painted(job: _Job) -> tuple[set[str], set[str]]:
    """Paint damage on real films; the names of those learnt from, and the styles of crops made.

    The films are read once more, at full size. Small ones of plain adults are enlarged: there are
    seven times as many of them as of sharp ones.
    """
    recipe, shelf = job.recipe, job.runs / "crops"
    if job.films_dir is None:
        return set(), set()
    whole = [
        film
        for limb in Limb
        for read in (read_labelled, read_proposed)
        for film in read(job.labels, job.films_dir, limb, FULL_SIZE_PX)
    ]
    learnt, apart = split(whole)
    training, validation = sharp_films(learnt), sharp_films(apart)
    enlarged, enlarged_apart = _enlarged(learnt, training), _enlarged(apart, validation)
    shelves = (
        ("painted-eval", validation, 1, recipe.seed + 6),
        ("enlarged-eval", enlarged_apart, min(1, recipe.enlarged_shards), recipe.seed + 6),
        ("painted", training, recipe.painted_shards, recipe.seed),
        ("enlarged", enlarged, recipe.enlarged_shards, recipe.seed + 1),
    )
    made = set()
    for style, films, shards, seed in shelves:
        if films and shards:
            made.add(style)
            shelve_painted(
                shelf, films, shards, recipe.paintings, recipe.crop_px, seed, style,
                varied=not style.endswith("-eval"),
            )  # fmt: skip
    return {sharp.film.film for sharp in training + enlarged}, made


def _enlarged(films: list[LabelledFilm], sharp: list[SharpFilm]) -> list[SharpFilm]:
    """Small films of plain adults, at the size that damage is painted at."""
    known = {one.film.film for one in sharp}
    return sharp_films([enlarge(film) for film in films if film.clean and film.film not in known])


def _train_scorers(job: _Job, say: Say) -> dict[str, Any]:
    recipe, shelf = job.recipe, job.runs / "crops"
    say("scorers: drawing crops")
    shelve_crops(shelf, 1, recipe.held_out_crops, recipe.crop_px, recipe.seed + 6, "eval")
    shelve_crops(shelf, recipe.crop_shards, recipe.crops_per_shard, recipe.crop_px, recipe.seed)
    shelve_framed(shelf, recipe.framed_shards, recipe.framed_films, recipe.crop_px, recipe.seed + 2)
    alone = read_crops(shelf)
    framed = [read_crops(shelf, "framed")] if recipe.framed_shards else []
    say("scorers: painting damage on real films")
    painted, made = _painted(job)
    real, apart = (
        [read_crops(shelf, f"{style}{part}") for style in _REAL if f"{style}{part}" in made]
        for part in ("", "-eval")
    )
    crops = CropSet(join_crops([*framed, alone]), join_crops(real) if real else None)
    held_out = CropSet(read_crops(shelf, "eval"), join_crops(apart) if apart else None)
    shared = job.runs / "trunk"
    if not recipe.further:
        say("scorers: trunk")
        scorer.train_trunk(shared, crops, held_out, recipe.trunk)
    figures: dict[str, Any] = {}
    for limb in Limb:
        say(f"{limb}: scorers")
        mine, unseen = crops.of(limb), held_out.of(limb)
        run_dir, trained = shared, recipe.trunk
        if recipe.limb_trunk:
            run_dir, trained = job.runs / f"trunk-{limb}", recipe.limb_trunk
            begun = (
                load_compact(committed_trunk(limb))[0] if recipe.further else trunk_arrays(shared)
            )
            scorer.train_trunk(run_dir, mine, unseen, trained, begun)
        meta = job.passport(trained, last_figures(run_dir), painted)
        trunk = ship_trunk(run_dir, job.weights / f"{limb}-trunk.npz", meta)
        figures |= ship_heads(
            limb,
            trunk,
            CropSet(mine.simulated.first(recipe.head_crops), mine.painted),
            unseen,
            job.weights / f"{limb}-heads.npz",
            recipe.head,
            lambda found: job.passport(recipe.head, found, painted),
            linear_heads(run_dir) if recipe.head.of_the_trunk else None,
        )
    return figures
