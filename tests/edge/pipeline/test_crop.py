import numpy as np

from edge.pipeline.crop import crop_joint, crop_joints


def test_crop_inside_is_the_square_itself():
    canvas = np.arange(100 * 80, dtype=np.uint32).reshape(100, 80).astype(np.uint8)
    assert (crop_joint(canvas, (40, 50), 20, 20) == canvas[40:60, 30:50]).all()


def test_crop_over_the_edge_repeats_the_edge():
    canvas = np.full((60, 60), 9, np.uint8)
    canvas[:, 0] = 200
    crop = crop_joint(canvas, (0, 30), 20, 20)
    assert crop.shape == (20, 20)
    assert (crop[:, :11] == 200).all()
    assert (crop[:, 11:] == 9).all()


def test_crop_in_the_corner_keeps_its_size():
    canvas = np.random.default_rng(1).integers(0, 256, (50, 50)).astype(np.uint8)
    assert crop_joint(canvas, (49, 49), 40, 16).shape == (16, 16)


def test_crops_come_in_the_order_of_the_joints():
    canvas = np.zeros((100, 200), np.uint8)
    canvas[40:60, 140:160] = 250
    crops = crop_joints(canvas, [(50, 50), (150, 50)], [20, 20], 12)
    assert crops.shape == (2, 12, 12)
    assert crops[0].max() == 0
    assert crops[1].min() == 250
