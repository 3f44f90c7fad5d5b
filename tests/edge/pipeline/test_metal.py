"""Metal in or across a joint forbids its grade, and only its own."""

import numpy as np
import pytest

from edge.anatomy import Limb
from edge.errors import NullReason
from edge.model import Laterality
from edge.pipeline.metal import find_hazards
from phantom import film as phantom_film
from phantom import render_film, sample_limb
from phantom.hidden import bar

REACH = {NullReason.OCCLUDED: (10.0, 2.8), NullReason.IMPLANT: (6.0, 5.0)}


def draw(limb, seed, monkeypatch, metal=None):
    """A simulated film with metal at one joint, or none at all."""
    rng = np.random.default_rng(seed)
    model = sample_limb(rng, limb, Laterality.RIGHT, "flat")
    bars = () if metal is None else (bar(model, *metal, *REACH[metal[1]]),)
    monkeypatch.setattr(phantom_film, "draw_metal", lambda *_: bars)
    while True:
        film = render_film(model, rng, long_side_px=1500)
        # The pipeline looks at upright limbs.
        if film.turn_deg == 0:
            return film


def found(film):
    names = [joint.name for joint in film.joints]
    centres = [joint.centre for joint in film.joints]
    hazards = find_hazards(film.pixels, names, centres, [joint.box[2] for joint in film.joints])
    return {name: why for name, why in zip(names, hazards, strict=True) if why}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("limb", list(Limb))
def test_no_bone_is_taken_for_metal(limb, seed, monkeypatch):
    assert found(draw(limb, seed, monkeypatch)) == {}


@pytest.mark.parametrize(
    ("limb", "joint", "why"),
    [
        (Limb.HAND, "PIP4", NullReason.OCCLUDED),
        (Limb.HAND, "MCP2", NullReason.IMPLANT),
        (Limb.FOOT, "IP1", NullReason.IMPLANT),
    ],
)
def test_metal_is_found_at_its_joint_alone(limb, joint, why, monkeypatch):
    films = [draw(limb, seed, monkeypatch, (joint, why)) for seed in range(6)]
    hazards = [found(film) for film in films]
    # Under much scatter and a flat display table metal is no whiter than bone: one may be missed.
    assert sum(hazard == {joint: why} for hazard in hazards) >= 5
    assert all(hazard in ({joint: why}, {}) for hazard in hazards)
    truth = next(one for one in films[0].joints if one.name == joint)
    assert (truth.erosion, truth.erosion_reason) == (None, why)
    assert (truth.narrowing, truth.narrowing_reason) == (None, why)
    assert truth.centre is not None


def test_a_film_burnt_out_to_white_says_nothing():
    film = np.full((400, 400), 250, np.uint8)
    film[100:150, 100:150] = 255
    assert find_hazards(film, ["MCP2", "MCP3"], [(125, 125), (300, 300)], [80, 80]) == [None, None]


def test_one_joint_alone_has_nothing_to_be_compared_with():
    film = np.full((200, 200), 90, np.uint8)
    film[90:110, 90:110] = 255
    assert find_hazards(film, ["MCP2"], [(100, 100)], [60]) == [None]
