"""Any Darknet detector with two classes, and the weights that fit it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
from export.errors import ExportError  # noqa: E402
from export.importers.darknet import parse_cfg, write_darknet_weights  # noqa: E402
from export.importers.darknet.weights import array_shapes  # noqa: E402
from training.errors import TrainingError  # noqa: E402
from training.models.darknet import DarknetModule, sections_of  # noqa: E402
from training.tasks.pretrained import fitting_arrays, two_classes  # noqa: E402

pytestmark = pytest.mark.training


def many_classes(tiny_cfg):
    text = (
        tiny_cfg.read_text().replace("classes=2", "classes=4").replace("filters=21", "filters=27")
    )
    return text.replace("channels=1", "channels=3")


def random_arrays(network, seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: np.abs(rng.standard_normal(shape)).astype(np.float32)
        for name, shape in array_shapes(network).items()
    }


def test_any_detector_becomes_one_of_two_classes(tiny_cfg):
    network = parse_cfg(two_classes(many_classes(tiny_cfg)))
    assert [head.classes for head in network.heads] == [2, 2]
    assert two_classes(tiny_cfg.read_text()) == two_classes(two_classes(tiny_cfg.read_text()))
    with pytest.raises(TrainingError, match=r"no \[yolo\]"):
        two_classes(tiny_cfg.read_text().split("[yolo]")[0])
    with pytest.raises(TrainingError, match="128 x 96"):
        two_classes(tiny_cfg.read_text().replace("width=96", "width=128"))


def test_weights_of_more_classes_or_of_the_first_layers_give_what_fits(tiny_cfg):
    text = many_classes(tiny_cfg)
    network, adapted = parse_cfg(text), parse_cfg(two_classes(text))
    arrays = random_arrays(network)
    data = write_darknet_weights(network, arrays)
    model = DarknetModule(sections_of(two_classes(text)))
    shapes = array_shapes(adapted)
    fitting = [name for name, shape in shapes.items() if arrays[name].shape == shape]
    assert model.load_arrays(fitting_arrays(text, data)) == len(fitting) == len(shapes) - 4
    two = write_darknet_weights(adapted, random_arrays(adapted))
    assert set(fitting_arrays(text, two)) == set(shapes)
    first = sum(int(np.prod(shape)) for name, shape in shapes.items() if name[:6] in
                ("conv0.", "conv1."))  # fmt: skip
    some = fitting_arrays(text, data[: 20 + 4 * first])
    assert {name.partition(".")[0] for name in some} == {"conv0", "conv1"}
    np.testing.assert_array_equal(some["conv1.weight"], arrays["conv1.weight"])
    with pytest.raises(ExportError, match="end inside"):
        fitting_arrays(text, data[: 24 + 4 * first])


@given(st.binary(max_size=400))
@settings(max_examples=60, deadline=None)
def test_no_bytes_end_the_reader_of_weights(data):
    text = "[net]\nwidth=32\nheight=32\nchannels=1\n[convolutional]\nfilters=7\nsize=1\nstride=1\n"
    text += "activation=linear\n[yolo]\nmask=0\nanchors=5,5\nclasses=2\nnum=1\n"
    try:
        found = fitting_arrays(text, data)
    except ExportError:
        return
    assert all(np.isfinite(array).all() for array in found.values())
