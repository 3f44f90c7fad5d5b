"""Looks at a limb: when one settles which limb it is, when two agree."""

from dataclasses import replace

import numpy as np
import pytest

from edge.anatomy import Limb, joint_class, shape_template
from edge.model import Detection
from edge.pipeline.find import SETTLED, FirstLook, confirmed, name_detections

UNIT_PX = 100.0


def sighting(moved=(0.0, 0.0), joint="MCP4", without=(), certain=None, confidence=0.9):
    """A hand as its template, one joint moved by so many units, seen by a detector."""
    template = shape_template(Limb.HAND)
    detections = []
    for name, place in zip(template.joints, template.mean * UNIT_PX + 400, strict=True):
        x, y = place + (np.array(moved) * UNIT_PX if name == joint else 0)
        if name not in without:
            detections.append(
                Detection(joint_class(name), confidence, (x - 15, y - 15, 30.0, 30.0))
            )
    seen = name_detections(Limb.HAND, detections)
    if certain is None:
        return seen
    return replace(seen, identity=replace(seen.identity, certain=certain))


def test_a_look_in_doubt_is_certain_where_a_certain_one_says_the_same():
    first = sighting(moved=(0.1, 0.15))
    assert first.identity.certain
    second = confirmed(sighting(certain=False), first)
    assert second.identity.certain
    assert second.named() == sighting().named()


def test_two_looks_in_doubt_make_nothing_certain():
    second = confirmed(sighting(certain=False), sighting(certain=False))
    assert not second.identity.certain


def test_a_joint_in_another_place_confirms_nothing():
    second = confirmed(sighting(certain=False), sighting(moved=(0.0, 0.3), certain=True))
    assert not second.identity.certain


def test_a_joint_that_only_one_look_found_confirms_nothing():
    fewer = sighting(without=("PIP5",), certain=True)
    assert not confirmed(sighting(certain=False), fewer).identity.certain
    assert not confirmed(replace(fewer, identity=replace(fewer.identity, certain=False)),
                         sighting()).identity.certain  # fmt: skip


def test_a_whole_certain_limb_settles_which_limb_it_is():
    assert FirstLook((sighting(),)).settled


@pytest.mark.parametrize(
    "look",
    [
        FirstLook(),
        FirstLook((sighting(without=("PIP5",), certain=True),)),
        FirstLook((sighting(certain=False),)),
        FirstLook((sighting(confidence=SETTLED - 0.02),)),
        FirstLook((sighting(), sighting())),
        FirstLook((sighting(),), crowded=True),
    ],
    ids=["nothing", "a joint missing", "in doubt", "faint", "two limbs", "crowded"],
)
def test_nothing_less_settles_it(look):
    assert not look.settled
