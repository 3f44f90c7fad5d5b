"""Random Darknet networks give what a plain numpy run of their arrays gives."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from export.importers.darknet import darknet_to_onnx, parse_cfg, read_weights, write_darknet_weights
from export.importers.darknet.cfg import ACTIVATIONS, Yolo
from export.importers.darknet.weights import array_shapes
from export.importers.numpy_reference import darknet_forward, decode_heads


@st.composite
def networks(draw):
    """Text of a network in which every layer kind can follow every other."""
    height, width = draw(st.integers(6, 20)), draw(st.integers(6, 20))
    channels = draw(st.sampled_from([1, 2, 3]))
    lines = [f"[net]\nheight={height}\nwidth={width}\nchannels={channels}"]
    for index in range(draw(st.integers(1, 7))):
        shape = parse_cfg("\n".join([*lines, "[dropout]"])).layers[-1].shape
        lines.append(draw(_layer(index, shape, lines)))
    if draw(st.booleans()):
        anchors, classes = draw(st.integers(1, 3)), draw(st.integers(1, 3))
        filters = anchors * (5 + classes)
        mask = draw(st.permutations(range(4)))[:anchors]
        lines.append(f"[convolutional]\nfilters={filters}\nsize=1\nactivation=linear")
        lines.append(
            f"[yolo]\nmask={','.join(map(str, mask))}\nanchors=3,4, 5,7, 11,9, 2,13\nnum=4\n"
            f"classes={classes}\nscale_x_y={draw(st.sampled_from(['1', '1.05', '1.2']))}\n"
            f"new_coords={draw(st.integers(0, 1))}"
        )
    return "\n".join(lines)


@st.composite
def _layer(draw, index, shape, lines):
    kinds = ["conv", "conv", "conv", "maxpool", "upsample", "dropout"]
    if index:
        kinds += ["shortcut", "route", "route"]
    kind = draw(st.sampled_from(kinds))
    activation = draw(st.sampled_from(ACTIVATIONS))
    depth, height, width = shape
    if kind == "conv":
        groups = draw(st.sampled_from([g for g in (1, 2, 3) if depth % g == 0]))
        size = draw(st.integers(1, 4))
        dilation = draw(st.integers(1, 2)) if size == 3 else 1
        return (
            f"[convolutional]\nfilters={groups * draw(st.integers(1, 4))}\nsize={size}\npad=1\n"
            f"stride={draw(st.integers(1, 2)) if min(height, width) > 6 else 1}\n"
            f"groups={groups}\ndilation={dilation}\n"
            f"batch_normalize={draw(st.integers(0, 1))}\nactivation={activation}"
        )
    if kind == "maxpool":
        size = draw(st.integers(1, 5))
        stride = draw(st.integers(1, 3)) if min(height, width) > 6 else 1
        return f"[maxpool]\nsize={size}\nstride={stride}"
    if kind == "upsample" and max(height, width) < 16:
        return f"[upsample]\nstride={draw(st.integers(1, 2))}"
    layers = parse_cfg("\n".join(lines)).layers if index else ()
    fitting = [i for i, layer in enumerate(layers) if layer.shape[1:] == (height, width)]
    if kind == "shortcut":
        source = draw(st.sampled_from(fitting)) - draw(st.sampled_from([0, index]))
        return f"[shortcut]\nfrom={source}\nactivation={activation}"
    if kind == "route":
        sources = draw(st.lists(st.sampled_from(fitting), min_size=1, max_size=3))
        groups = draw(
            st.sampled_from(
                [g for g in (1, 2) if all(layers[s].shape[0] % g == 0 for s in sources)]
            )
        )
        shown = ",".join(str(s - draw(st.sampled_from([0, index]))) for s in sources)
        return (
            f"[route]\nlayers={shown}\ngroups={groups}\ngroup_id={draw(st.integers(0, groups - 1))}"
        )
    return "[dropout]\nprobability=.5"


@settings(max_examples=150, deadline=None)
@given(networks(), st.integers(0, 1000), st.sampled_from([1e-6, 1e-5]))
def test_a_random_network_gives_what_its_arrays_give(tools, text, seed, epsilon):
    network = parse_cfg(text)
    arrays = tools.arrays(array_shapes(network), seed)
    if network.heads:
        arrays[f"conv{network.convolutions[-1].ordinal}.weight"] *= 0.1
    image = np.random.default_rng(seed).random((1, *network.input), dtype=np.float32)
    outputs = darknet_forward(network, arrays, image, bn_epsilon=epsilon)
    model = darknet_to_onnx(network, arrays, bn_epsilon=epsilon)
    if isinstance(network.layers[-1], Yolo):
        wanted, found = decode_heads(network, outputs), tools.run(model, image)["boxes"]
    else:
        wanted, found = outputs[-1], tools.run(model, image)["features"]
    scale = 1 + np.abs(wanted).max()
    np.testing.assert_allclose(found / scale, wanted / scale, atol=2e-5)


@settings(max_examples=50, deadline=None)
@given(networks(), st.integers(0, 1000))
def test_written_weights_read_back_as_the_same_arrays(tools, text, seed):
    network = parse_cfg(text)
    arrays = tools.arrays(array_shapes(network), seed)
    data = write_darknet_weights(network, arrays, seen=seed)
    back = read_weights(network, data)
    assert back.seen == seed
    assert set(back.arrays) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(back.arrays[name], array)
