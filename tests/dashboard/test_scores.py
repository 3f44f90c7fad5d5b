"""The dashboard's facts and words are the appliance's."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from dashboard import scores
from edge.anatomy import LIMBS, Limb
from edge.errors import NULL_REASONS, REASONS
from edge.pipeline.picture.colours import NOT_GRADED, STEPS, step_of

STATIC = Path(scores.__file__).parent / "static"


@pytest.mark.parametrize("limb", Limb)
def test_steps_are_those_of_the_labelled_picture(limb):
    grades = [None, *range(limb.erosion_maximum + 1)]
    for erosion, narrowing in itertools.product(grades, [None, *range(5)]):
        assert scores.step_of(limb, erosion, narrowing) == step_of(erosion, narrowing, limb)


def test_colours_are_those_of_the_labelled_picture():
    css = (STATIC / "dashboard.css").read_text()
    for name, colours in (("g", [*STEPS, NOT_GRADED]), ("b", STEPS)):
        for step, colour in zip([*map(str, range(6)), "x"], colours, strict=False):
            wanted = "#" + "".join(f"{it:02x}" for it in colour)
            found = re.search(rf"\.{name}{step} {{ (?:background|stroke): (#[0-9a-f]+)", css)
            assert found is not None
            assert found[1] == wanted


@pytest.mark.parametrize("limb", Limb)
def test_each_joint_has_its_range(limb):
    for joint in limb.joints:
        assert scores.maximum_of(limb, joint, "erosion") == limb.erosion_maximum
        narrowing = None if joint in LIMBS[limb].without_narrowing else 4
        assert scores.maximum_of(limb, joint, "narrowing") == narrowing
    assert scores.maximum_of(limb, "elbow", "erosion") is None


def test_every_reason_has_its_words_and_an_unknown_one_its_code():
    assert {scores.null_words(str(it)) for it in NULL_REASONS} == set(NULL_REASONS.values())
    assert all(scores.reason_words(str(it)) == REASONS[it].meaning for it in REASONS)
    assert scores.reason_words("of_a_later_release") == "of a later release"
    assert scores.null_words(None) == "not graded"
