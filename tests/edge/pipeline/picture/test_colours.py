"""Colours of grades can be told apart by everybody, and the legend says what they stand for."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edge.anatomy import NARROWING_MAXIMUM, Limb
from edge.model import JointScore
from edge.pipeline.picture.colours import NOT_GRADED, STEPS, colour_of, legend, step_of

# Machado, Oliveira and Fernandes 2009, full deficiency, over linear RGB.
SEEN_BY = {
    "normal": np.eye(3),
    "protanope": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranope": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanope": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
         [0.004733, 0.691367, 0.303900]]
    ),
}  # fmt: skip
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
     [0.0193339, 0.1191920, 0.9503041]]
)  # fmt: skip
WHITE = np.array([0.95047, 1.0, 1.08883])


def lab(colour, seen_by):
    part = np.array(colour) / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(seen_by @ linear, 0, 1) / WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("eye", SEEN_BY)
def test_every_eye_tells_any_two_colours_apart(eye):
    seen = [lab(colour, SEEN_BY[eye]) for colour in (*STEPS, NOT_GRADED)]
    nearest = min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))
    assert nearest > 18


@pytest.mark.parametrize("limb", Limb)
def test_the_worse_grade_gives_the_colour_and_steps_ascend(limb):
    erosion = [step_of(grade, None, limb) for grade in range(limb.erosion_maximum + 1)]
    narrowing = [step_of(None, grade, limb) for grade in range(NARROWING_MAXIMUM + 1)]
    for steps in (erosion, narrowing):
        assert steps == sorted(steps)
        assert (steps[0], steps[-1]) == (0, len(STEPS) - 1)
        assert steps[1] > 0
    assert step_of(1, NARROWING_MAXIMUM, limb) == len(STEPS) - 1
    assert step_of(None, None, limb) is None


def test_a_joint_without_a_grade_is_grey():
    assert colour_of(JointScore(name="MCP2"), Limb.HAND) == NOT_GRADED
    assert colour_of(JointScore(name="MCP2", erosion=0), Limb.HAND) == STEPS[0]


def test_the_legend_names_each_grade_once():
    words = [entry.words for entry in legend(Limb.HAND)]
    assert words == [
        "E 0  N 0",
        "E 1",
        "E 2  N 1",
        "E 3  N 2",
        "E 4  N 3",
        "E 5  N 4",
        "not graded",
        "E erosion, N narrowing",
    ]
    assert [entry.words for entry in legend(Limb.FOOT)][1:4] == [
        "E 1-2",
        "E 3-4  N 1",
        "E 5-6  N 2",
    ]
