"""Damage painted on real joints, grade by grade."""

from __future__ import annotations

import numpy as np
import pytest
from healthy_films import healthy

from edge.anatomy import Limb
from phantom import JointGrade
from training.synthetic.joint_measurement import measure_joint
from training.synthetic.paint import paint_joint


@pytest.fixture(scope="module", params=list(Limb))
def film(request):
    return healthy(request.param)


def test_a_healthy_grade_changes_nothing(film):
    labelled, _, _ = film
    name = labelled.names[1]
    pixels = labelled.pixels.astype(np.float32)
    centre = paint_joint(
        pixels, measure_joint(labelled, name), JointGrade((0, 0), 0), np.random.default_rng(1)
    )
    assert np.abs(pixels - labelled.pixels).max() < 1e-2
    assert np.hypot(*(centre - labelled.points[1])) < 0.1 * labelled.unit


@pytest.mark.parametrize("side", [0, 1])
def test_a_bite_grows_with_its_grade_and_stays_at_its_joint(film, side):
    labelled, _, _ = film
    name = labelled.names[2]
    joint = measure_joint(labelled, name)
    lost = []
    for grade in range(1, 6):
        sides = (grade, 0) if side == 0 else (0, grade)
        pixels = labelled.pixels.astype(np.float32)
        paint_joint(pixels, joint, JointGrade(sides, 0), np.random.default_rng(grade))
        change = labelled.pixels - pixels
        rows, columns = np.nonzero(np.abs(change) > 20)
        away = np.hypot(columns - joint.centre[0], rows - joint.centre[1])
        assert away.max() < 3 * joint.half_px
        lost.append(float(np.maximum(change, 0).sum()))
    assert lost == sorted(lost)
    assert lost[-1] > 5 * lost[0]


def test_a_narrower_joint_has_less_dark_between_its_bones():
    labelled, _, _ = healthy(Limb.HAND, seed=5)
    name = "MCP3"
    joint = measure_joint(labelled, name)
    means = []
    for grade in (0, 2, 3):
        pixels = labelled.pixels.astype(np.float32)
        paint_joint(pixels, joint, JointGrade((0, 0), grade), np.random.default_rng(11))
        x, y = (round(v) for v in joint.centre)
        reach = round(0.35 * joint.half_px)
        means.append(float(pixels[y - reach : y + reach, x - reach : x + reach].mean()))
    assert means == sorted(means)


def test_a_luxated_joint_lies_between_its_bones():
    labelled, _, _ = healthy(Limb.HAND, seed=5)
    joint = measure_joint(labelled, "PIP3")
    moved = set()
    for seed in range(12):
        pixels = labelled.pixels.astype(np.float32)
        centre = paint_joint(pixels, joint, JointGrade((0, 0), 4), np.random.default_rng(seed))
        moved.add(round(float(np.hypot(*np.subtract(centre, joint.centre))) / joint.half_px, 1))
    assert min(moved) < 0.1
    assert 0.6 < max(moved) < 1.1
