"""Crops of real films with painted damage, that the scorers learn from.

Layer: training.synthetic; reads labelled films; writes shards of crops beside the simulated ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.anatomy import Limb
from training.synthetic.crops import UNKNOWN, Crops, join_crops, write_crops
from training.synthetic.framed_crops import film_crops
from training.synthetic.painted_films import draw_grades, paint_film, sharp_films
from training.synthetic.variation import own_sharpness, varied_film

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from training.synthetic.painted_films import SharpFilm

VARIED_SHARE = 0.85


def painted_crops(
    films: list[SharpFilm], count: int, size_px: int, seed: int, *, varied: bool
) -> Crops:
    """Crops of ``count`` paintings, one film after the other, all joints of each.

    ``varied``: most films are bent and exposed differently before they are painted
    (`training.synthetic.variation`).
    """
    rng = np.random.default_rng((seed, len(films)))
    pixels, which, erosion, narrowing = [], [], [], []
    for i in range(count):
        sharp = films[i % len(films)]
        if varied and rng.random() < VARIED_SHARE:
            another = sharp_films([varied_film(sharp.film, rng)])
            sharp = another[0] if another else sharp
        limb, names = sharp.film.limb, tuple(sharp.joints)
        grades = draw_grades(rng, limb, names)
        painted = own_sharpness(paint_film(sharp, grades, rng))
        crops = film_crops(painted, names, size_px, rng)
        for name, crop in zip(names, crops or [], strict=bool(crops)):
            grade = grades[name]
            pixels.append(crop)
            which.append(list(Limb).index(limb))
            erosion.append(grade.erosion)
            narrowing.append(UNKNOWN if grade.narrowing is None else grade.narrowing)
    return Crops(np.stack(pixels), np.array(which), np.array(erosion), np.array(narrowing))


def paint_crop_shards(
    folder: Path,
    films: list[SharpFilm],
    shards: int,
    paintings: Mapping[Limb, int],
    size_px: int,
    seed: int,
    style: str,
    *,
    varied: bool,
) -> None:
    """Paint to disk in shards, as `crops.read_crops` reads them; an existing shard is kept.

    ``paintings`` is how many films of each limb are painted for one shard; ``varied`` is for crops
    to learn from: what measures is painted on films as they are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        path = folder / f"crops-{style}-{shard:04d}.npz"
        if path.exists():
            continue
        parts = []
        for limb, count in paintings.items():
            mine = [sharp for sharp in films if sharp.film.limb is limb]
            if mine:
                parts.append(
                    painted_crops(mine, count, size_px, seed * 100_003 + shard, varied=varied)
                )
        write_crops(path, join_crops(parts))
