"""The joint space of drawn joints: widths, what they do not depend on, and refusals."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.anatomy import Limb
from edge.errors import SPACE_REASONS, SpaceReason
from edge.model import PixelSize, PixelSource, SpacePart
from edge.pipeline.space.sites import Sites
from edge.pipeline.space.widths import StoredFilm, measure_spaces
from tests.edge.pipeline.space.drawn_joints import SIZE_PX, DrawnJoint

AS_STORED = StoredFilm(np.eye(3))
KINDS = [
    (Limb.HAND, "PIP3"),
    (Limb.HAND, "MCP2"),
    (Limb.HAND, "IP1"),
    (Limb.FOOT, "MTP3"),
    (Limb.FOOT, "MTP1"),
]


def measured(joint, stored=AS_STORED, shift_px=(0.0, 0.0), film=None):
    film = joint.film() if film is None else film
    return measure_spaces(film, joint.sites(shift_px), joint.limb, stored)[joint.name]


def mean_mm(joint, **given_):
    space = measured(joint, **given_)
    assert space.reason is None
    return space.mean_px * joint.mm_per_px


@pytest.mark.parametrize(("limb", "name"), KINDS)
@pytest.mark.parametrize("width_mm", [0.8, 1.2, 1.6])
def test_a_width_is_measured_to_a_tenth_of_a_millimetre(limb, name, width_mm):
    assert mean_mm(DrawnJoint(limb, name, width_mm)) == pytest.approx(width_mm, abs=0.1)


@settings(max_examples=15, deadline=None)
@given(
    x=st.floats(-0.5, 0.5), y=st.floats(-0.5, 0.5), turn=st.floats(-180, 180),
    off=st.tuples(st.floats(-6, 6), st.floats(-6, 6)),
)  # fmt: skip
def test_place_turn_and_an_inexact_centre_change_no_width(x, y, turn, off):
    joint = DrawnJoint(Limb.HAND, "MCP3", 1.5)
    moved = replace(joint, centre=(180 + x, 180 + y), turn_deg=turn)
    assert mean_mm(moved, shift_px=off) == pytest.approx(mean_mm(joint), abs=0.06)


@settings(max_examples=8, deadline=None)
@given(mm_per_px=st.floats(0.1, 0.2))
def test_a_film_of_other_pixels_shows_the_same_width(mm_per_px):
    joint = DrawnJoint(Limb.HAND, "PIP2", 1.2)
    assert mean_mm(replace(joint, mm_per_px=mm_per_px)) == pytest.approx(mean_mm(joint), abs=0.06)


def test_the_width_follows_the_true_one():
    widths = [mean_mm(DrawnJoint(Limb.FOOT, "MTP2", true)) for true in (0.6, 1.0, 1.4, 1.8)]
    assert np.all(np.diff(widths) > 0.3)


def test_thirds_and_minimum_of_a_wedge():
    # Thumb or hallux lies where `across` points to: there the wedge is wide.
    wedge = DrawnJoint(Limb.FOOT, "MTP1", 1.8, wedge=0.6)
    foot = measured(wedge)
    hand = measure_spaces(wedge.film(), wedge.sites(), Limb.HAND, AS_STORED)["MTP1"]
    assert foot.medial_px > foot.mean_px > foot.lateral_px > 0
    assert (hand.medial_px, hand.lateral_px) == (foot.lateral_px, foot.medial_px)
    assert foot.minimum_px < foot.lateral_px + 0.5
    assert foot.part is SpacePart.MIDDLE


def test_edges_are_in_pixels_of_the_film_as_stored_and_as_far_apart_as_the_width():
    joint = DrawnJoint(Limb.HAND, "PIP3", 1.3)
    # The film as stored is turned by a quarter, its pixels are twice as high as wide.
    to_stored = np.array([[0.0, -1.0, SIZE_PX - 1], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    size = PixelSize(row_mm=0.2, column_mm=0.1, source=PixelSource.CALIBRATED)
    plain = measured(joint)
    space = measured(joint, StoredFilm(to_stored, size))
    head, base = np.array(space.proximal_edge), np.array(space.distal_edge)
    apart = np.linalg.norm(head - base, axis=1)
    assert apart.mean() == pytest.approx(space.mean_px, abs=0.15)
    assert space.mean_px == pytest.approx(plain.mean_px, abs=0.01)
    # The finger points along the rows of the film as stored: its columns measure the width.
    assert space.mean_mm == pytest.approx(space.mean_px * 0.1, rel=0.05)
    assert plain.mean_mm is None
    assert np.array(plain.proximal_edge)[:, 1].min() > np.array(plain.distal_edge)[:, 1].max()


@pytest.mark.parametrize(
    ("joint", "reason"),
    [
        (DrawnJoint(Limb.HAND, "PIP3", 1.2, fused=True), {SpaceReason.FUSED}),
        (
            DrawnJoint(Limb.HAND, "PIP3", 1.2, overlap=True),
            {SpaceReason.OVERLAPPING, SpaceReason.FUSED},
        ),
        (DrawnJoint(Limb.HAND, "MCP3", 1.5, blur_mm=0.9), {SpaceReason.BLURRED, SpaceReason.FUSED}),
        (DrawnJoint(Limb.HAND, "MCP3", 1.5, mm_per_px=0.3), {SpaceReason.LOW_RESOLUTION}),
        (DrawnJoint(Limb.FOOT, "MTP1", 1.2, wedge=2.2), {SpaceReason.UNEVEN}),
    ],
)
def test_what_has_no_clear_edges_has_no_width_and_says_why(joint, reason):
    space = measured(joint)
    assert space.reason in reason
    assert space.reason in SPACE_REASONS
    assert space.mean_px is None
    assert space.proximal_edge == ()


def test_a_film_without_any_edge_has_no_width():
    joint = DrawnJoint(Limb.HAND, "PIP3", 1.2)
    flat = np.full((SIZE_PX, SIZE_PX), 90, np.uint8)
    noise = np.random.default_rng(1).integers(0, 255, flat.shape, dtype=np.uint8)
    assert measured(joint, film=flat).reason is not None
    assert measured(joint, film=noise).reason is not None


def test_a_joint_at_the_edge_of_the_film_ends_without_an_error():
    joint = DrawnJoint(Limb.HAND, "PIP3", 1.2, centre=(2.0, 3.0))
    assert measured(joint).mean_px is None or measured(joint).reason is None


def test_no_joint_no_measurement():
    none = np.zeros((0, 2))
    sites = Sites((), (), none, none, np.zeros(0), 0.1)
    assert measure_spaces(np.zeros((9, 9), np.uint8), sites, Limb.HAND, AS_STORED) == {}


def test_compression_changes_no_width():
    joint = DrawnJoint(Limb.HAND, "MCP4", 1.4)
    film = joint.film()
    _, jpeg = cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, 70])
    again = cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE)
    assert mean_mm(joint, film=again) == pytest.approx(mean_mm(joint, film=film), abs=0.05)
