"""Axis and width of labelled joints."""

from __future__ import annotations

import numpy as np
import pytest

from edge.anatomy import Limb
from edge.model import Laterality
from phantom import JointGrade, render_film, sample_limb
from training.datasets.labelled_films import LabelledFilm
from training.synthetic.joint_measurement import measure_joint


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


@pytest.fixture(scope="module", params=list(Limb))
def film(request):
    return healthy(request.param)


def test_a_joints_axis_and_width_are_measured(film):
    labelled, model, drawn = film
    off, widths = [], []
    for name in labelled.names:
        joint = measure_joint(labelled, name)
        truth = model.joint(name)
        to_film = np.linalg.inv(drawn.affine[:, :2])
        x, y = to_film @ truth.axis
        off.append(abs(np.degrees(np.angle(np.exp(1j * (joint.angle - np.arctan2(x, -y)))))))
        widths.append(joint.half_px * drawn.mm_per_px / truth.half_width_mm)
    assert np.median(off) < 6
    assert max(off) < 25
    assert 0.85 < np.median(widths) < 1.15
