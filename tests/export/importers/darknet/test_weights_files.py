"""Darknet files as they are found: odd headers, loose text, and faults that are named."""

import struct

import numpy as np
import pytest

from export.errors import CfgError, ExportError, LayerError, WeightsError
from export.importers.darknet import (
    darknet_to_onnx,
    parse_cfg,
    read_weights,
    write_darknet_weights,
)
from export.importers.darknet.weights import array_shapes

NET = "[net]\nheight=16\nwidth=32\nchannels=1\n"
CONV = "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"
HEAD = "[convolutional]\nfilters=14\nsize=1\nactivation=linear\n"
YOLO = "[yolo]\nmask=0,1\nanchors=4,4, 8,8\nclasses=2\n"
TEXT = NET + CONV + HEAD + YOLO


@pytest.fixture
def network():
    return parse_cfg(TEXT)


@pytest.fixture
def arrays(network, tools):
    return tools.arrays(array_shapes(network))


@pytest.fixture
def data(network, arrays):
    return write_darknet_weights(network, arrays)


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("\n", "\r\n"),
        "\ufeff" + TEXT,
        TEXT.replace("filters=14", "filters = 14 # two classes"),
        TEXT.replace("filters=14", "filters=14;two classes"),
        TEXT.replace("filters=14", "filters=14.0"),
        TEXT.replace("[yolo]", "# comment\n[yolo]  # the head"),
        TEXT.replace("filters=14", "filters=14\nfilters=99"),
        TEXT.replace("anchors=4,4, 8,8", "anchors = 4,4,  8,8,  # two"),
        TEXT.replace("[convolutional]", "[conv]").replace("[net]", "[network]"),
    ],
)
def test_loose_text_reads_like_darknet_reads_it(text, network):
    loose = parse_cfg(text)
    assert [layer.shape for layer in loose.layers] == [layer.shape for layer in network.layers]
    assert loose.heads[0].anchors == ((4, 4), (8, 8))


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        (TEXT.replace("filters=14", "filters=255"), CfgError, ["255", "filters=14", "line"]),
        (TEXT.replace("[yolo]", "[crnn]"), LayerError, ["[crnn]", "layer 2", "line 15"]),
        (TEXT.replace("leaky", "selu"), LayerError, ["selu", "layer 0", "line 5"]),
        (TEXT.replace("filters=4", "filters=four"), CfgError, ["filters=four", "line 7"]),
        (TEXT.replace("width=32\n", ""), CfgError, ["width", "[net]"]),
        (TEXT.replace("size=3", "size=3\nxnor=1"), LayerError, ["xnor=1"]),
        (CONV, CfgError, ["[net]"]),
        ("", CfgError, ["[net]"]),
        (NET, CfgError, ["no layers"]),
        (NET + "[route]\nlayers=-1", CfgError, ["layer -1", "line 5"]),
        (NET + "[shortcut]\nfrom=-1", CfgError, ["no layer before", "line 5"]),
        (NET + CONV + "[route]\nlayers=4", CfgError, ["layer 4"]),
        (TEXT + CONV, CfgError, ["[yolo]", "[route]"]),
        (TEXT + "[route]\nlayers=2", CfgError, ["[yolo]"]),
        (TEXT.replace("mask=0,1", "mask=0,2"), CfgError, ["mask", "anchors"]),
        (NET + "[maxpool]\nsize=2\nstride=0", CfgError, ["size, stride and padding"]),
        (NET + CONV + "[maxpool]\nsize=2\nstride=2\n[route]\nlayers=0,1", CfgError, ["32 x 16"]),
        (NET + CONV + "[maxpool]\nsize=2\nstride=2\n[shortcut]\nfrom=0", CfgError, ["32 x 16"]),
        (NET + "[convolutional\nfilters=2", CfgError, ["line 5"]),
        (NET + "hello", CfgError, ["line 5", "hello"]),
        (NET + "[convolutional]\nfilters=3\ngroups=2", CfgError, ["groups"]),
        (NET + "[convolutional]\nsize=40\nactivation=relu", CfgError, ["nothing is left"]),
    ],
)
def test_a_fault_in_the_cfg_is_named_with_its_place(text, kind, words):
    with pytest.raises(kind) as caught:
        parse_cfg(text)
    for word in words:
        assert word in str(caught.value)
    assert "(fix: " in str(caught.value)


@pytest.mark.parametrize("cut", [1, 4, 8, 40])
def test_a_short_file_is_refused_where_it_ends(network, data, cut):
    with pytest.raises(WeightsError, match=r"layer 1 \[convolutional\].*ends here"):
        read_weights(network, data[:-cut])


def test_a_file_that_ends_in_an_early_section_names_that_section(network, data):
    with pytest.raises(WeightsError, match=r"layer 0 \[convolutional\] \(line 5\)"):
        read_weights(network, data[:60])


@pytest.mark.parametrize("extra", [b"\0", b"\0\0\0\0", struct.pack("<f", 0.5)])
def test_left_over_bytes_are_refused(network, data, extra):
    with pytest.raises(WeightsError, match=f"{len(extra)} bytes are left over"):
        read_weights(network, data + extra)


def test_an_old_header_is_four_bytes_shorter(network, arrays, data):
    old = struct.pack("<4i", 0, 1, 0, 77) + data[20:]
    weights = read_weights(network, old)
    assert weights.seen == 77
    np.testing.assert_array_equal(weights.arrays["conv1.weight"], arrays["conv1.weight"])


@pytest.mark.parametrize(
    "header", [struct.pack("<3iq", 0, 1, 0, 77), struct.pack("<4i", 0, 2, 5, 77)]
)
def test_a_header_that_is_wrong_about_its_length_is_read_and_noted(network, arrays, data, header):
    weights = read_weights(network, header + data[20:])
    assert weights.seen == 77
    assert weights.notes
    np.testing.assert_array_equal(weights.arrays["conv0.bn.var"], arrays["conv0.bn.var"])


@pytest.mark.parametrize("value", [-0.25, np.nan, np.inf])
def test_an_impossible_variance_names_its_section(network, data, value):
    at = 20 + 4 * (3 * 4 + 2)
    broken = data[:at] + struct.pack("<f", value) + data[at + 4 :]
    with pytest.raises(WeightsError, match=r"layer 0 \[convolutional\] \(line 5\), conv0.bn.var"):
        read_weights(network, broken)


@pytest.mark.parametrize("at", [0, 4, 9, 11])
def test_a_flipped_bit_in_an_exponent_names_its_section(network, data, at):
    broken = bytearray(data)
    broken[20 + 4 * (4 * 4 + at) + 3] ^= 0x40
    with pytest.raises(WeightsError, match=r"layer 0 \[convolutional\] .*conv0.weight"):
        read_weights(network, bytes(broken))


def test_weights_of_another_network_are_refused(data):
    other = parse_cfg(TEXT.replace("filters=4", "filters=5"))
    with pytest.raises(WeightsError):
        read_weights(other, data)


def test_no_weights_at_all_are_refused(network):
    with pytest.raises(WeightsError, match="0 bytes"):
        read_weights(network, b"")


def test_a_missing_array_is_named(network, arrays):
    del arrays["conv1.bias"]
    with pytest.raises(WeightsError, match=r"conv1.bias"):
        write_darknet_weights(network, arrays)


def test_folded_arrays_are_written_for_a_normalised_section(network, arrays, tools):
    from export.onnx_graph.builder import fold_batch_norm

    image = np.random.default_rng(0).random((1, 1, 16, 32), dtype=np.float32)
    wanted = tools.run(darknet_to_onnx(network, arrays), image)["boxes"]
    parts = {key: arrays.pop(f"conv0.bn.{key}") for key in ("gamma", "beta", "mean", "var")}
    weight, bias = fold_batch_norm(
        arrays["conv0.weight"],
        None,
        gamma=parts["gamma"],
        beta=parts["beta"],
        mean=parts["mean"],
        variance=parts["var"],
        epsilon=1e-6,
    )
    folded = {**arrays, "conv0.weight": weight, "conv0.bias": bias}
    model = tools.import_darknet(TEXT, write_darknet_weights(network, folded))
    np.testing.assert_allclose(tools.run(model, image)["boxes"], wanted, rtol=1e-4, atol=1e-4)


def test_raw_heads_are_the_last_convolutions(network, arrays, tools):
    image = np.random.default_rng(0).random((1, 1, 16, 32), dtype=np.float32)
    raw = tools.run(darknet_to_onnx(network, arrays, output="raw"), image)
    assert {name: array.shape for name, array in raw.items()} == {"head0": (1, 14, 16, 32)}


def test_maxpool_pads_the_odd_pixel_at_the_end(tools):
    text = "[net]\nheight=2\nwidth=2\nchannels=1\n[maxpool]\nsize=2\nstride=1\n"
    image = np.array([[[[-4, -3], [-2, -1]]]], np.float32)
    found = tools.run(darknet_to_onnx(parse_cfg(text), {}), image)["features"]
    np.testing.assert_array_equal(found, [[[[-1, -1], [-1, -1]]]])


def test_upsampling_repeats_pixels(tools):
    text = "[net]\nheight=1\nwidth=2\nchannels=1\n[upsample]\nstride=2\n"
    image = np.array([[[[1, 2]]]], np.float32)
    found = tools.run(darknet_to_onnx(parse_cfg(text), {}), image)["features"]
    np.testing.assert_array_equal(found, [[[[1, 1, 2, 2], [1, 1, 2, 2]]]])


def test_graphs_are_what_the_oldest_builder_reads(network, arrays):
    model = darknet_to_onnx(network, arrays)
    assert model.ir_version == 8
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 13)]
    assert {node.op_type for node in model.graph.node}.isdisjoint({"BatchNormalization"})


def test_heads_of_different_classes_cannot_be_joined(tools):
    text = TEXT + "[route]\nlayers=0\n[convolutional]\nfilters=12\nactivation=linear\n"
    text += "[yolo]\nmask=0,1\nanchors=4,4, 8,8\nclasses=1\n"
    network, arrays = tools.darknet(text)
    with pytest.raises(ExportError, match="class counts"):
        darknet_to_onnx(network, arrays)
    assert len(darknet_to_onnx(network, arrays, output="raw").graph.output) == 2


def test_the_shipped_detector_is_yolov3_at_a_quarter(engines_dir):
    network = parse_cfg((engines_dir / "cfg" / "yolov3-quarter.cfg").read_text())
    assert network.input == (1, 416, 416)
    assert [head.section.index for head in network.heads] == [82, 94, 106]
    assert [head.shape for head in network.heads] == [(21, 13, 13), (21, 26, 26), (21, 52, 52)]
    assert len(network.convolutions) == 75
