"""Joint crops that the demo's scorers learn from: simulated ones, and real ones painted on.

Layer: training.tasks; reads labelled films, keeps crops in shards in the runs folder. Imports no
torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.datasets.labelled_films import FULL_SIZE_PX, read_labelled, read_proposed, split
from training.synthetic.crops import CropSet, draw_crop_shards, join_crops, read_crops
from training.synthetic.framed_crops import draw_framed_shards
from training.synthetic.painted_crops import paint_crop_shards
from training.synthetic.painted_films import sharp_films
from training.synthetic.variation import enlarge

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from training.datasets.labelled_films import LabelledFilm
    from training.synthetic.painted_films import SharpFilm
    from training.tasks.recipes import DemoRecipe

_PAINTED = ("painted", "enlarged")
"""Styles of the crops of real films: sharp films, and small films that were enlarged."""


@dataclass(frozen=True, eq=False)
class DemoCrops:
    """Crops to learn from, crops of films kept apart, and the real films that were learnt from."""

    crops: CropSet
    held_out: CropSet
    painted: set[str]


def crops_of_films(
    folder: Path,
    films_dir: Path | None,
    labels: Path,
    recipe: DemoRecipe,
    say: Callable[[str], None],
) -> DemoCrops:
    """Draw or read every shard that a recipe asks for."""
    say("scorers: drawing crops")
    size, seed = recipe.crop_px, recipe.seed
    draw_crop_shards(folder, 1, recipe.held_out_crops, size, seed + 6, "eval", recipe.limbs)
    draw_crop_shards(
        folder, recipe.crop_shards, recipe.crops_per_shard, size, seed, limbs=recipe.limbs
    )
    draw_framed_shards(
        folder, recipe.framed_shards, recipe.framed_films, size, seed + 2, recipe.limbs
    )
    alone = read_crops(folder)
    framed = [read_crops(folder, "framed")] if recipe.framed_shards else []
    say("scorers: painting damage on real films")
    painted, made = _paint(folder, films_dir, labels, recipe)
    real, apart = (
        [read_crops(folder, f"{style}{part}") for style in _PAINTED if f"{style}{part}" in made]
        for part in ("", "-eval")
    )
    return DemoCrops(
        CropSet(join_crops([*framed, alone]), join_crops(real) if real else None),
        CropSet(read_crops(folder, "eval"), join_crops(apart) if apart else None),
        painted,
    )


def _paint(
    folder: Path, films_dir: Path | None, labels: Path, recipe: DemoRecipe
) -> tuple[set[str], set[str]]:
    """Paint damage on real films; the names of those learnt from, and the styles of crops made.

    The films are read again, at full size. Small ones of plain adults are enlarged: there are seven
    times as many of them as of sharp ones.
    """
    if films_dir is None:
        return set(), set()
    whole = [
        film
        for limb in recipe.limbs
        for read in (read_labelled, read_proposed)
        for film in read(labels, films_dir, limb, FULL_SIZE_PX)
    ]
    learnt, apart = split(whole)
    training, validation = sharp_films(learnt), sharp_films(apart)
    enlarged, enlarged_apart = _enlarged(learnt, training), _enlarged(apart, validation)
    shards = (
        ("painted-eval", validation, 1, recipe.seed + 6),
        ("enlarged-eval", enlarged_apart, min(1, recipe.enlarged_shards), recipe.seed + 6),
        ("painted", training, recipe.painted_shards, recipe.seed),
        ("enlarged", enlarged, recipe.enlarged_shards, recipe.seed + 1),
    )
    made = set()
    for style, films, count, seed in shards:
        if films and count:
            made.add(style)
            paint_crop_shards(
                folder, films, count, recipe.paintings, recipe.crop_px, seed, style,
                varied=not style.endswith("-eval"),
            )  # fmt: skip
    return {sharp.film.film for sharp in training + enlarged}, made


def _enlarged(films: list[LabelledFilm], sharp: list[SharpFilm]) -> list[SharpFilm]:
    """Small films of plain adults, at the size that damage is painted at."""
    known = {one.film.film for one in sharp}
    return sharp_films([enlarge(film) for film in films if film.clean and film.film not in known])
