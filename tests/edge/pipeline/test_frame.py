import numpy as np
import pytest

from edge.anatomy import Limb, joint_class, shape_template
from edge.pipeline.frame import frame, letterbox, warp
from edge.pipeline.identify import identify
from edge.pipeline.settings import PipelineSettings
from edge.pipeline.template import apply, inverse

SETTINGS = PipelineSettings()


def seen(limb, points):
    identity = identify(limb, points, [joint_class(name) for name in limb.joints])
    assert identity is not None
    return identity


def pose(limb, zoom, turn_deg, shift, *, mirrored=False):
    angle = np.radians(turn_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    mean = shape_template(limb).mean * (-1.0 if mirrored else 1.0, 1.0)
    return mean @ turn.T * zoom + shift


@pytest.mark.parametrize("limb", list(Limb))
@pytest.mark.parametrize("turn_deg", [0, 90, 180, 270, 37])
@pytest.mark.parametrize("mirrored", [False, True])
def test_any_turn_is_laid_upright_in_the_cohorts_place(limb, turn_deg, mirrored):
    points = pose(limb, 60, turn_deg, (500, 400), mirrored=mirrored)
    laid = frame((1000, 1200), seen(limb, points), points, SETTINGS.limb(limb), SETTINGS)
    on_canvas = apply(laid.to_canvas, points)
    upright = pose(limb, 60, 0, (0, 0), mirrored=mirrored)
    got, wanted = on_canvas - on_canvas.mean(axis=0), upright - upright.mean(axis=0)
    got, wanted = got / np.linalg.norm(got), wanted / np.linalg.norm(wanted)
    assert np.abs(got - wanted).max() < 0.01
    height = SETTINGS.canvas_height_px / (1 - SETTINGS.limb(limb).bottom_crop)
    assert 0.15 < np.ptp(on_canvas[:, 1]) / height < 0.45
    assert on_canvas.min() > 0
    assert on_canvas[:, 0].max() < SETTINGS.canvas_width_px
    assert on_canvas[:, 1].max() < SETTINGS.canvas_height_px


def test_film_framed_like_the_cohorts_passes_untouched():
    points = pose(Limb.HAND, 285, 3, (552, 690))
    laid = frame((1104, 1491), seen(Limb.HAND, points), points, SETTINGS.hand, SETTINGS)
    assert laid.untouched
    corner = apply(laid.to_canvas, np.array([[0.0, 0.0], [1103.0, 0.0]]))
    assert corner[0, 1] == pytest.approx(corner[1, 1])


def test_letterbox_keeps_the_aspect_and_centres():
    matrix = letterbox((400, 200), (100, 100))
    corners = apply(matrix, np.array([[-0.5, -0.5], [399.5, 199.5]]))
    assert corners == pytest.approx(np.array([[-0.5, 24.5], [99.5, 74.5]]))


@pytest.mark.parametrize("zoom", [0.2, 0.9, 2.5])
def test_warp_moves_a_spot_where_the_transform_says(zoom):
    image = np.zeros((400, 300), np.uint8)
    image[120:131, 200:211] = 255
    matrix = np.array([[zoom, 0, 5], [0, zoom, 9], [0, 0, 1.0]])
    out = warp(image, matrix, (900, 1100)).astype(float)
    ys, xs = np.indices(out.shape)
    centre = (xs * out).sum() / out.sum(), (ys * out).sum() / out.sum()
    assert centre == pytest.approx((205 * zoom + 5, 125 * zoom + 9), abs=0.3)


def test_inverse_undoes_a_transform():
    matrix = np.array([[0.0, -2.0, 7.0], [2.0, 0.0, 1.0], [0, 0, 1.0]])
    points = np.array([[3.0, 4.0], [10.0, -2.0]])
    assert apply(inverse(matrix), apply(matrix, points)) == pytest.approx(points)
