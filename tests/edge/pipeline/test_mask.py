import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.anatomy import Limb
from edge.model import Laterality
from edge.pipeline.mask import (
    LARGEST_HOLE,
    apply_mask,
    classical_mask,
    judge,
    without_holes,
)
from phantom import render_film, sample_limb

AREA = (0.08, 0.75)


def blob():
    foreground = np.zeros((300, 240), bool)
    foreground[60:260, 50:190] = True
    return foreground


def test_plausible_mask_is_used():
    judged = judge(blob(), np.array([[120.0, 150.0]]), 20, AREA)
    assert judged.flags == ()
    assert (judged.foreground == blob()).all()


def test_part_without_a_joint_falls_away():
    foreground = blob()
    foreground[5:30, 200:230] = True
    judged = judge(foreground, np.array([[120.0, 150.0]]), 20, AREA)
    assert (judged.foreground == blob()).all()


def test_mask_that_cuts_a_joint_fails_open():
    judged = judge(blob(), np.array([[120.0, 150.0], [48.0, 150.0]]), 20, AREA)
    assert judged.flags == ("mask_cuts_joint",)
    assert judged.foreground.all()


def test_mask_of_implausible_area_fails_open():
    for share in (0.01, 0.95):
        foreground = np.zeros((100, 100), bool)
        foreground[: int(100 * share)] = True
        assert judge(foreground, np.zeros((0, 2)), 20, AREA).flags == ("mask_implausible",)


def test_background_becomes_black():
    canvas = np.full((300, 240), 77, np.uint8)
    masked = apply_mask(canvas, judge(blob(), np.zeros((0, 2)), 20, AREA))
    assert set(np.unique(masked)) == {0, 77}
    assert ((masked > 0) == blob()).all()


def test_classical_mask_finds_a_simulated_hand():
    rng = np.random.default_rng(11)
    film = render_film(sample_limb(rng, Limb.HAND, Laterality.LEFT), rng, long_side_px=750)
    found = classical_mask(cv2.createCLAHE(2.0, (8, 8)).apply(film.pixels))
    both = (found & film.mask).sum() * 2 / (found.sum() + film.mask.sum())
    assert both > 0.8


def test_dark_bone_is_no_hole_but_the_gap_between_two_limbs_stays():
    foreground = np.zeros((300, 240), np.bool_)
    foreground[20:280, 20:220] = True
    foreground[100:120, 60:80] = False
    foreground[150:250, 90:150] = False
    filled = without_holes(foreground)
    assert filled[100:120, 60:80].all()
    assert not filled[150:250, 90:150].any()
    assert not filled[:20].any()


def clouds(seed, grain_px, share):
    """A foreground of a share of the picture, in parts that are the larger the coarser it is."""
    rng = np.random.default_rng(seed)
    grey = rng.random((int(rng.integers(20, 160)), int(rng.integers(20, 160)))).astype(np.float32)
    grey = cv2.GaussianBlur(grey, (0, 0), grain_px)
    return grey > np.quantile(grey, 1 - share)


def parts_of(foreground):
    """Labels of the parts and how many pixels each has; 0 is what lies outside."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(foreground.astype(np.uint8))
    return labels, stats[:, cv2.CC_STAT_AREA]


CLOUDS = st.builds(
    clouds, st.integers(0, 2**32), st.sampled_from([0.3, 1.0, 4.0, 12.0]), st.floats(0.02, 0.98)
)


@settings(max_examples=80, deadline=None)
@given(CLOUDS)
def test_every_small_part_of_the_background_is_filled_and_no_other(foreground):
    labels, sizes = parts_of(~foreground)
    small = sizes < LARGEST_HOLE * foreground.size
    small[0] = False
    assert (without_holes(foreground) == (foreground | small[labels])).all()


@settings(max_examples=80, deadline=None)
@given(CLOUDS, st.lists(st.tuples(st.floats(-9, 170), st.floats(-9, 170)), max_size=8))
def test_parts_with_a_joint_stay_or_all_where_none_has_one(foreground, joints):
    joints = np.array(joints, np.float64).reshape(-1, 2)
    labels, _ = parts_of(foreground)
    height, width = foreground.shape
    x, y = joints.round().astype(int).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    held = set(labels[y[inside], x[inside]].tolist()) - {0}
    judged = judge(foreground, joints, 0, (0.0, 1.0))
    if not judged.flags:
        expected = np.isin(labels, list(held)) if held else foreground
        assert (judged.foreground == expected).all()
