"""The side of a limb: what is stated, what a marker says, what the joints say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.anatomy import Limb, View, shape_template
from edge.errors import Reason
from edge.model import Laterality, LateralitySource, Radiograph, StatedIdentity
from edge.pipeline.marker.read import Marker
from edge.pipeline.settings import PipelineSettings
from edge.pipeline.side import L_TURN_DEG, TURNED_L_SURE, decide_side, markers_of
from edge.pipeline.template import fit

L, R = Laterality.LEFT, Laterality.RIGHT
SETTINGS = PipelineSettings()


def film_of(**stated):
    pixels = np.zeros((1000, 800), np.uint8)
    return Radiograph(pixels, (800, 1000), np.eye(3), StatedIdentity(**stated))


def a_marker(side=R, *, mirrored=False, turn_deg=0.0, centre=(700.0, 100.0), probability=0.99):
    x, y = centre
    return Marker(side, mirrored, turn_deg, probability, (x - 15, y - 20, 30, 40))


def decide(*markers, mirrored=False, **stated):
    return decide_side(film_of(**stated), mirrored=mirrored, settings=SETTINGS, markers=markers)


def test_letter_and_joints_that_agree_give_the_side():
    side = decide(a_marker(L))
    assert (side.laterality, side.source) == (L, LateralitySource.MARKER)
    assert side.problem is None
    assert decide(a_marker(R), mirrored=True).laterality is R


def test_a_mirrored_letter_beside_a_mirrored_limb_is_a_film_that_was_turned_over():
    side = decide(a_marker(L, mirrored=True), mirrored=True)
    assert side.problem is Reason.MIRRORED_FILM
    assert side.flags == ("marker L mirrored, geometry R",)


@pytest.mark.parametrize(
    "markers",
    [
        (a_marker(R),),
        (a_marker(L, mirrored=True),),
        (a_marker(L), a_marker(R)),
        (a_marker(L), a_marker(L, mirrored=True)),
        (a_marker(R, mirrored=True), a_marker(L)),
    ],
)
def test_any_other_contradiction_is_a_conflict(markers):
    side = decide(*markers)
    assert (side.laterality, side.source) == (L, LateralitySource.GEOMETRY)
    assert side.problem is Reason.SIDE_CONFLICT
    assert side.flags[0].startswith("marker L") or side.flags[0].startswith("marker R")


def test_a_palm_up_hand_shows_its_thumb_on_the_other_side():
    side = decide(a_marker(R), limb=Limb.HAND, view=View.AP)
    assert (side.laterality, side.source, side.problem) == (R, LateralitySource.MARKER, None)


def test_a_contradicting_letter_holds_even_where_the_joints_alone_would_do():
    settings = PipelineSettings(accept_side_from_geometry=True)
    side = decide_side(film_of(), mirrored=False, settings=settings, markers=[a_marker(R)])
    assert side.problem is Reason.SIDE_CONFLICT
    assert decide_side(film_of(), mirrored=False, settings=settings).problem is None


markers_st = st.lists(
    st.builds(a_marker, st.sampled_from([L, R]), mirrored=st.booleans(),
              turn_deg=st.floats(-180, 180)),
    max_size=4,
)  # fmt: skip


@given(
    markers_st,
    st.booleans(),
    st.sampled_from([None, L, R]),
    st.sampled_from(list(LateralitySource)),
)
def test_no_marker_ever_gives_a_side_that_joints_or_statement_contradict(
    markers, mirrored, stated, source
):
    film = film_of(laterality=stated, laterality_source=None if stated is None else source)
    side = decide_side(film, mirrored=mirrored, settings=SETTINGS, markers=markers)
    if stated is not None:
        bare = decide_side(film, mirrored=mirrored, settings=SETTINGS)
        assert side == bare
        return
    accepted = side.problem is None
    geometry = R if mirrored else L
    plain = {one.side for one in markers if not one.mirrored}
    assert accepted == (plain == {geometry} and not any(one.mirrored for one in markers))
    if accepted:
        assert (side.laterality, side.source) == (geometry, LateralitySource.MARKER)


def test_without_markers_nothing_is_decided_that_was_not_before():
    for stated in (None, L, R):
        source = None if stated is None else LateralitySource.DICOM
        side = decide(laterality=stated, laterality_source=source)
        expected = {None: Reason.SIDE_NOT_KNOWN, L: None, R: Reason.SIDE_CONFLICT}[stated]
        assert side.problem is expected


def limb_at(centre, *, turn_deg=0.0, mirrored=False, unit_px=120.0):
    """Joints of a hand with their fit."""
    names = shape_template(Limb.HAND).mean.copy()
    if mirrored:
        names[:, 0] *= -1
    angle = math.radians(turn_deg)
    turned = names @ np.array(
        [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    )
    points = turned * unit_px + np.asarray(centre)
    return fit(Limb.HAND, tuple(range(len(names))), points, mirrored=mirrored), points


def owned(markers, *limbs):
    shapes, joints = zip(*limbs, strict=True)
    return markers_of(markers, shapes, joints)


@pytest.mark.parametrize("limb_turn", [0, 90, 180, -90, 130])
@pytest.mark.parametrize("mirrored", [False, True])
def test_an_l_counts_upright_on_the_film_or_beside_the_limb(limb_turn, mirrored):
    limb = limb_at((400, 500), turn_deg=limb_turn, mirrored=mirrored)
    for turn in (0, 10, limb_turn, limb_turn - 20):
        marker = a_marker(L, turn_deg=turn)
        assert owned([marker], limb) == [(marker,)]
    for turn in range(-180, 180, 15):
        near = min(abs((turn - upright + 180) % 360 - 180) for upright in (0, limb_turn))
        counts = bool(owned([a_marker(L, turn_deg=turn)], limb)[0])
        assert counts == (near <= L_TURN_DEG) or abs(near - L_TURN_DEG) < 1
        assert owned([a_marker(R, turn_deg=turn)], limb)[0]


def test_an_l_that_is_upright_beside_the_limb_alone_must_be_surer():
    """A 7 that is turned by half looks like it."""
    limb = limb_at((400, 500), turn_deg=180)
    sure = a_marker(L, turn_deg=180, probability=TURNED_L_SURE)
    unsure = a_marker(L, turn_deg=180, probability=TURNED_L_SURE - 0.01)
    upright = a_marker(L, turn_deg=0, probability=TURNED_L_SURE - 0.01)
    assert owned([sure, unsure, upright], limb) == [(sure, upright)]


def test_what_lies_among_the_joints_is_no_marker():
    limb = limb_at((400, 500))
    assert owned([a_marker(R, centre=(400, 500))], limb) == [()]


def test_each_of_two_limbs_has_the_marker_beside_it():
    left, right = limb_at((300, 500)), limb_at((1300, 500), mirrored=True)
    first, second = a_marker(L, centre=(300, 100)), a_marker(R, centre=(1300, 100))
    assert owned([first, second], left, right) == [(first,), (second,)]
    assert owned([a_marker(L, centre=(800, 100))], left, right) == [(), ()]
