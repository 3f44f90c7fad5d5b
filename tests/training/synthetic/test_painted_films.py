"""Which films are painted, and that a seed repeats it."""

from __future__ import annotations

import numpy as np
from healthy_films import healthy

from edge.anatomy import Limb
from edge.pipeline.settings import PipelineSettings
from training.datasets.labelled_films import LabelledFilm
from training.synthetic.painted_films import draw_grades, paint_film, sharp_films


def test_paintings_repeat_by_seed():
    labelled, _, _ = healthy(Limb.FOOT)
    [sharp] = sharp_films([labelled])
    one, two = (
        paint_film(
            sharp,
            draw_grades(np.random.default_rng(4), Limb.FOOT, labelled.names),
            np.random.default_rng(5),
        )
        for _ in range(2)
    )
    assert np.array_equal(one.pixels, two.pixels)
    assert not np.array_equal(one.pixels, labelled.pixels)


def test_a_childs_film_and_a_coarse_one_are_not_painted():
    labelled, _, _ = healthy(Limb.HAND)
    assert len(sharp_films([labelled])) == 1
    least = PipelineSettings().hand.unit_unscored_px
    coarse, _, _ = healthy(Limb.HAND, long_side_px=round(1600 * least / labelled.unit * 0.9))
    assert sharp_films([coarse]) == []
    assert sharp_films([LabelledFilm(**{**vars(labelled), "immature": True})]) == []
