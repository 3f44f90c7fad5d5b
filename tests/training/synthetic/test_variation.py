import cv2
import numpy as np
import pytest

from edge.anatomy import Limb, shape_template
from edge.pipeline.template import unit_px
from training.datasets.labelled_films import LabelledFilm
from training.synthetic.variation import PAINTED_UNIT_PX, enlarge, own_sharpness, varied_film


def dotted(limb, unit=180.0):
    """Bright dots where the joints are, on a film with room around them."""
    template = shape_template(limb)
    points = template.mean * unit
    points = points - points.min(axis=0) + 1.5 * unit
    width, height = (points.max(axis=0) + 1.5 * unit).astype(int)
    pixels = np.full((height, width), 60, np.uint8)
    for x, y in points.round().astype(int):
        cv2.circle(pixels, (int(x), int(y)), 5, 255, -1)
    names = tuple(template.joints)
    return LabelledFilm("dots", limb, pixels, 1.0, names, points, unit_px(limb, names, points))


@pytest.mark.parametrize("limb", list(Limb))
@pytest.mark.parametrize("seed", range(8))
def test_joints_stay_where_the_points_say_when_a_film_is_bent(limb, seed):
    film = dotted(limb)
    bent = varied_film(film, np.random.default_rng(seed))
    assert bent.names == film.names
    for x, y in bent.points:
        top, left = round(y) - 12, round(x) - 12
        near = bent.pixels[top : top + 25, left : left + 25].astype(float)
        bright = np.argwhere(near > near.max() * 0.8)
        off = bright.mean(axis=0) - 12
        assert np.hypot(*off) < 2.5
    assert 0.75 < bent.unit / film.unit < 1.3


def test_no_two_films_are_alike_and_a_seed_repeats_one():
    film = dotted(Limb.HAND)
    first, second = (varied_film(film, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(first.pixels, second.pixels)
    other = varied_film(film, np.random.default_rng(5))
    assert first.pixels.shape != other.pixels.shape or (first.pixels != other.pixels).any()


@pytest.mark.parametrize("limb", list(Limb))
def test_small_film_is_enlarged_with_its_points_and_a_sharp_one_is_not(limb):
    film = dotted(limb, unit=60.0)
    large = enlarge(film)
    assert large.unit == pytest.approx(PAINTED_UNIT_PX[limb])
    for x, y in large.points:
        top, left = round(y) - 15, round(x) - 15
        near = large.pixels[top : top + 31, left : left + 31].astype(float)
        bright = np.argwhere(near > near.max() * 0.8)
        assert np.hypot(*(bright.mean(axis=0) - 15)) < 3
    sharp = dotted(limb, unit=400.0)
    assert enlarge(sharp) is sharp
    assert own_sharpness(sharp) is sharp


def test_paint_on_an_enlarged_film_is_no_sharper_than_the_film():
    large = enlarge(dotted(Limb.HAND, unit=60.0))
    large.pixels[::2] = 255
    large.pixels[1::2] = 0
    stripes = own_sharpness(large)
    assert stripes.pixels.shape == large.pixels.shape
    assert stripes.pixels[20:-20].std() < 30
