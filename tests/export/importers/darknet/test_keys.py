"""A key that Darknet would ignore, and a value that cannot be meant, are refused by line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.errors import CfgError, ExportError, LayerError
from export.importers.darknet import parse_cfg
from export.importers.darknet.keys import KEYS
from export.importers.darknet.weights import array_shapes, epsilon_notes

SECTIONS = {
    "net": "[net]\nheight=16\nwidth=16\nchannels=4\n",
    "convolutional": "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\n",
    "dropout": "[dropout]\n",
    "maxpool": "[maxpool]\nsize=2\n",
    "route": "[route]\nlayers=-1\n",
    "shortcut": "[shortcut]\nfrom=-1\n",
    "upsample": "[upsample]\nstride=1\n",
    "head": "[convolutional]\nfilters=14\n",
    "yolo": "[yolo]\nmask=0,1\nanchors=4,4, 8,8\nclasses=2\n",
}
READ = {
    "antialiasing", "assisted_excitation", "bin_output", "binary", "classes", "deform", "dontload",
    "dontloadscales", "dontsave", "flipped", "maxpool_depth", "num", "reverse", "rotate",
    "share_index", "stretch", "stretch_sway", "sway", "stream", "use_bin_output", "weights_type",
    "xnor",
}  # fmt: skip


def network_with(section, line):
    """A network with one line more in a section, and that line's number."""
    parts = {
        name: text + (f"{line}\n" if name == section else "") for name, text in SECTIONS.items()
    }
    text = "".join(parts.values())
    return text, text.splitlines().index(line) + 1


@pytest.mark.parametrize(
    ("section", "line", "near"),
    [
        ("convolutional", "strid=2", "stride"),
        ("convolutional", "stirde=2", "stride"),
        ("convolutional", "filter=8", "filters"),
        ("convolutional", "Stride=2", "stride"),
        ("convolutional", "batchnormalize=1", "batch_normalize"),
        ("convolutional", "activaton=leaky", "activation"),
        ("convolutional", "padd=1", "pad"),
        ("convolutional", "kernel_size=3", None),
        ("maxpool", "stride_z=2", "stride_"),
        ("shortcut", "form=-2", "from"),
        ("route", "layer=-2", "layers"),
        ("upsample", "strides=2", "stride"),
        ("yolo", "anchor=4,4", "anchors"),
        ("yolo", "scale_xy=1.05", "scale_x_y"),
        ("yolo", "newcoords=1", "new_coords"),
        ("net", "heigth=16", "height"),
        ("net", "batchsize=1", None),
        ("dropout", "probabilty=.5", "probability"),
    ],
)
def test_an_unknown_key_is_refused_with_its_line_and_the_nearest_known(section, line, near):
    text, number = network_with(section, line)
    with pytest.raises(CfgError) as caught:
        parse_cfg(text)
    key = line.partition("=")[0]
    assert f"the key {key} (line {number}) is not known" in str(caught.value)
    assert f"[{section}]" in str(caught.value)
    if near is not None:
        assert f"nearest known key is {near}" in str(caught.value)


@given(section=st.sampled_from(sorted(KEYS)), data=st.data())
def test_any_slip_in_a_known_key_is_refused(section, data):
    key = data.draw(st.sampled_from(sorted(KEYS[section])))
    at = data.draw(st.integers(0, len(key)))
    slip = key[:at] + data.draw(st.sampled_from("aeiouxyz_")) + key[at + 1 :]
    if slip in KEYS[section]:
        return
    with pytest.raises(CfgError, match="is not known"):
        parse_cfg(network_with(section, f"{slip}=1")[0])


@pytest.mark.parametrize("section", sorted(KEYS))
def test_keys_that_only_training_reads_change_nothing(section):
    wanted = parse_cfg("".join(SECTIONS.values()))
    for key in sorted(KEYS[section] - READ):
        if f"{key}=" in SECTIONS[section]:
            continue
        value = "linear" if key == "activation" else "0,1" if key == "mask" else "1"
        if key in ("padding", "group_id"):
            continue
        found = parse_cfg(network_with(section, f"{key}={value}")[0])
        assert [layer.shape for layer in found.layers] == [layer.shape for layer in wanted.layers]


@pytest.mark.parametrize(
    ("section", "line"),
    [
        *(("convolutional", f"share_index={value}") for value in (0, -1, 3)),
        *(("convolutional", f"{key}=1") for key in ("dontload", "dontloadscales", "reverse")),
        ("convolutional", "bin_output=1"),
        ("shortcut", "alpha=0.5"),
        ("shortcut", "beta=0"),
        ("upsample", "scale=0.5"),
        ("upsample", "scale=0"),
        ("yolo", "num=3"),
        ("yolo", "scale_x_y=0"),
        ("yolo", "scale_x_y=-1"),
    ],
)
def test_a_value_that_changes_the_network_is_refused(section, line):
    with pytest.raises(ExportError, match=line.partition("=")[0]):
        parse_cfg(network_with(section, line)[0])


@pytest.mark.parametrize(
    "value", ["0,0, 8,8", "4,4, 8,0", "-4,4, 8,8", "4,4, 0.0,8", "1e999,4, 8,8"]
)
def test_an_anchor_without_a_size_is_refused(value):
    text = "".join(SECTIONS.values()).replace("anchors=4,4, 8,8", f"anchors={value}")
    with pytest.raises(CfgError, match="anchor"):
        parse_cfg(text)


@pytest.mark.parametrize("mask", ["0,0", "1,1"])
def test_an_anchor_named_twice_is_refused(mask):
    text = "".join(SECTIONS.values()).replace("mask=0,1", f"mask={mask}")
    with pytest.raises(CfgError, match="mask"):
        parse_cfg(text)


def test_the_first_of_two_share_index_is_refused_wherever_it_stands():
    text = SECTIONS["net"] + SECTIONS["convolutional"] * 2 + "share_index=0\n"
    with pytest.raises(LayerError, match=r"layer 1 .*share_index=0 \(line 15\)"):
        parse_cfg(text)


PUBLIC = {
    "yolo-fastest-1.1": 131,
    "yolo-fastest-1.1-xl": 131,
    "yolov3": 107,
    "yolov3-spp": 114,
    "yolov3-tiny": 24,
    "yolov3-tiny_3l": 31,
    "yolov3-voc": 107,
}


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_network_is_read(darknet_data, name):
    path = next(darknet_data.rglob(f"{name}.cfg"))
    assert len(parse_cfg(path.read_text(encoding="utf-8-sig")).layers) == PUBLIC[name]


def test_a_public_network_with_another_layer_names_that_layer(darknet_data):
    path = next(darknet_data.rglob("darknet53.cfg"))
    with pytest.raises(LayerError, match=r"\[avgpool\] is not known"):
        parse_cfg(path.read_text())


@pytest.mark.parametrize(
    ("variance", "epsilon", "noted"),
    [(1.0, 1e-6, 0), (1e-2, 1e-6, 0), (1e-5, 1e-6, 1), (0.0, 1e-5, 1), (1e-2, 1e-3, 1)],
)
def test_a_variance_near_the_epsilon_is_noted_with_its_section(tools, variance, epsilon, noted):
    network = parse_cfg("".join(SECTIONS.values()))
    arrays = tools.arrays(array_shapes(network))
    arrays["conv0.bn.var"] = np.array([1, 1, variance, 1], np.float32)
    notes = epsilon_notes(network, arrays, epsilon)
    assert len(notes) == noted
    assert all(note.startswith("layer 0 [convolutional] (line 5): 1 of 4") for note in notes)
