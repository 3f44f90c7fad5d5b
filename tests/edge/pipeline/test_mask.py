import cv2
import numpy as np

from edge.anatomy import Limb
from edge.model import Laterality
from edge.pipeline.mask import apply_mask, classical_mask, judge, without_holes
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
