"""Simulated films without damage, as labelled films, for tests of painting."""

from __future__ import annotations

import numpy as np

from edge.model import Laterality
from phantom import JointGrade, render_film, sample_limb
from training.datasets.labelled_films import LabelledFilm


def healthy(limb, seed=3, long_side_px=1600):
    """A simulated film without any damage, and the limb that it shows."""
    rng = np.random.default_rng(seed)
    grades = {name: JointGrade((0, 0), 0) for name in limb.joints}
    model = sample_limb(rng, limb, Laterality.LEFT, grades)
    drawn = render_film(model, rng, long_side_px=long_side_px)
    film = LabelledFilm(
        film="drawn",
        limb=limb,
        pixels=drawn.pixels,
        scale=1.0,
        names=tuple(joint.name for joint in drawn.joints),
        points=np.array([joint.centre for joint in drawn.joints]),
        unit=drawn.unit_px,
    )
    return film, model, drawn
