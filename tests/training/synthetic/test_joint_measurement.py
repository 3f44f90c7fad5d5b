"""Axis and width of labelled joints."""

from __future__ import annotations

import numpy as np
import pytest
from healthy_films import healthy

from edge.anatomy import Limb
from training.synthetic.joint_measurement import measure_joint


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
