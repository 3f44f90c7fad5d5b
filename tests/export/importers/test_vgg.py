"""The scorer: published counts, agreement with plain numpy, named faults."""

import numpy as np
import pytest

from edge.anatomy import Limb
from export.errors import WeightsError
from export.importers.numpy_reference import vgg_forward
from export.importers.vgg import (
    exclusion_shapes,
    head_shapes,
    scorer_shapes,
    trunk_shapes,
    vgg_to_onnx,
)


@pytest.fixture(scope="module")
def scorer(tools):
    return tools.arrays(scorer_shapes(Limb.HAND))


def test_the_scorer_has_the_published_number_of_parameters():
    def parameter_count(shapes):
        return sum(int(np.prod(shape)) for shape in shapes.values())

    trunk = parameter_count(trunk_shapes())
    assert trunk == 14_714_688
    totals = {k: trunk + parameter_count(head_shapes("any", k)) for k in (5, 6, 11)}
    assert totals == {5: 15_113_049, 6: 15_113_310, 11: 15_114_615}


def test_the_scorer_gives_what_its_arrays_give(tools, scorer):
    image = np.random.default_rng(0).random((3, 3, 32, 32), dtype=np.float32)
    found = tools.run(vgg_to_onnx(scorer, limb=Limb.HAND, side=32), image)
    wanted = vgg_forward(scorer, image, Limb.HAND)
    assert {name: array.shape for name, array in found.items()} == {
        "erosion": (3, 6),
        "narrowing": (3, 5),
    }
    for name, array in wanted.items():
        assert array.std() > 1e-3
        np.testing.assert_allclose(found[name], array, atol=1e-5)


def test_what_forbids_a_grade_is_a_third_output_where_its_arrays_are_given(tools, scorer):
    image = np.random.default_rng(0).random((2, 3, 32, 32), dtype=np.float32)
    arrays = scorer | tools.arrays(exclusion_shapes(Limb.HAND))
    found = tools.run(vgg_to_onnx(arrays, limb=Limb.HAND, side=32), image)
    wanted = vgg_forward(arrays, image, Limb.HAND)
    assert found["exclusion"].shape == (2, 3)
    assert set(wanted) == set(found)
    np.testing.assert_allclose(found["exclusion"], wanted["exclusion"], atol=1e-5)
    del arrays["hand_exclusion.bias"]
    with pytest.raises(WeightsError, match=r"hand_exclusion\.bias.*missing"):
        vgg_to_onnx(arrays, limb=Limb.HAND, side=32)


def test_one_file_may_hold_both_limbs(scorer, tools):
    foot = tools.arrays(scorer_shapes(Limb.FOOT))
    model = vgg_to_onnx({**foot, **scorer}, limb=Limb.FOOT, side=32)
    image = np.random.default_rng(0).random((1, 3, 32, 32), dtype=np.float32)
    assert tools.run(model, image)["erosion"].shape == (1, 11)


def test_a_scorer_of_the_other_limb_is_refused(scorer):
    with pytest.raises(WeightsError, match=r"foot_erosion.bn0.beta.*missing"):
        vgg_to_onnx(scorer, limb=Limb.FOOT, side=32)
