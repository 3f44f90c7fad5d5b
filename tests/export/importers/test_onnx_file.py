"""Foreign ONNX files: brought to our form, or refused by operator, axis and name."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge.engine.backends.onnxruntime import OnnxRuntimeEngine
from edge.engine.key import device_key
from edge.engine.passport import open_engine
from export.errors import ContractError, ExportError, LayerError, WeightsError
from export.exporter import export_engine
from export.importers.numpy_reference import conv2d, sigmoid
from export.importers.onnx_file import import_onnx, load_onnx

RECIPE = """name = "foot-mask"
role = "mask"
limb = "foot"
[source]
kind = "onnx"
file = "net.onnx"
[input]
channels = 1
height = 8
width = 12
"""
SHAPE = (1, 1, 8, 12)


def make_model(*, opset=13, ir=8, shape=("b", 1, 8, 12), op="Conv", domain="", listed=False):
    """``x`` -> Conv -> BatchNormalization -> Sigmoid -> ``y``."""
    random = np.random.default_rng(0)
    arrays = {
        "w": random.standard_normal((1, shape[1] if op == "Conv" else 1, 3, 3)),
        "gamma": np.array([1.5]),
        "beta": np.array([0.1]),
        "mean": np.array([0.2]),
        "var": np.array([0.7]),
    }
    constants = [numpy_helper.from_array(a.astype(np.float32), n) for n, a in arrays.items()]
    nodes = [
        helper.make_node(
            op,
            ["x", "w"],
            ["c"],
            name="first",
            domain=domain,
            **({"pads": [1, 1, 1, 1]} if op == "Conv" else {}),
        ),
        helper.make_node("BatchNormalization", ["c", "gamma", "beta", "mean", "var"], ["n"]),
        helper.make_node("Sigmoid", ["n"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))]
    if listed:
        inputs += [
            helper.make_tensor_value_info(c.name, TensorProto.FLOAT, list(c.dims))
            for c in constants
        ]
    graph = helper.make_graph(
        nodes,
        "net",
        inputs,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [shape[0], 1, *shape[2:]])],
        initializer=constants,
    )
    opsets = [helper.make_opsetid("", opset)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir)


@pytest.fixture
def home(tmp_path):
    (tmp_path / "foot-mask.toml").write_text(RECIPE)
    onnx.save_model(make_model(), tmp_path / "net.onnx")
    return tmp_path


def reference(model, image):
    """The answer of `make_model` by hand: onnx's evaluator errs in opset 13's normalisation."""
    arrays = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    x = conv2d(image, arrays["w"], pad=1) - arrays["mean"]
    return sigmoid(arrays["gamma"] * x / np.sqrt(arrays["var"] + 1e-5) + arrays["beta"])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"opset": 11, "ir": 6},
        {"opset": 17, "ir": 9},
        {"opset": 21, "ir": 11},
        {"listed": True, "ir": 4},
        {"listed": True},
        {"shape": SHAPE},
    ],
)
def test_old_new_and_odd_files_become_the_same_graph(tmp_path, tools, options):
    model = make_model(**options)
    onnx.save_model(model, tmp_path / "net.onnx")
    made = import_onnx(load_onnx(tmp_path / "net.onnx"), input_shape=SHAPE, outputs={"mask": "y"})
    assert (made.ir_version, made.opset_import[0].version) == (8, 13)
    assert [node.op_type for node in made.graph.node] == ["Conv", "Sigmoid"]
    assert [value.name for value in made.graph.input] == ["image"]
    image = np.random.default_rng(1).random(SHAPE, dtype=np.float32)
    wanted = reference(make_model(), image)
    np.testing.assert_allclose(tools.run(made, image)["mask"], wanted, atol=1e-6)


def test_a_recipe_makes_an_engine_of_it(home):
    exported = export_engine(home / "foot-mask.toml", home / "built")
    engine = OnnxRuntimeEngine(open_engine(exported.passport, device_key()))
    image = np.random.default_rng(1).random(SHAPE, dtype=np.float32)
    np.testing.assert_allclose(
        engine.run({"image": image})["mask"], reference(make_model(), image), atol=1e-6
    )
    assert engine.passport["agreement"]["mask"] < 1e-5
    assert engine.passport["half"]["half_nodes"] == 1
    assert [kept["node"] for kept in engine.passport["half"]["kept_fp32"]] == ["mask"]


def test_images_channels_last_are_turned(tmp_path, tools):
    turn = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Relu", ["t"], ["r"]),
        helper.make_node("Transpose", ["r"], ["image"], perm=[0, 2, 3, 1]),
    ]
    sides = [1, 6, 8, 3]
    graph = helper.make_graph(
        turn,
        "last",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, sides)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save_model(model, tmp_path / "net.onnx")
    made = import_onnx(
        load_onnx(tmp_path / "net.onnx"),
        input_shape=(1, 3, 6, 8),
        layout="NHWC",
        outputs={"mask": "image"},
    )
    image = np.random.default_rng(0).standard_normal((1, 3, 6, 8)).astype(np.float32)
    np.testing.assert_array_equal(tools.run(made, image)["mask"], np.maximum(image, 0))


def save_external(model, path):
    onnx.save_model(model, path, save_as_external_data=True, location="net.bin", size_threshold=0)


def test_weights_beside_the_model_are_taken_in(home):
    (home / "net.onnx").unlink()
    save_external(make_model(), home / "net.onnx")
    assert (home / "net.bin").is_file()
    exported = export_engine(home / "foot-mask.toml", home / "built")
    made = onnx.load_model(exported.engine, load_external_data=False)
    assert not any(item.external_data for item in made.graph.initializer)


def test_a_missing_data_file_is_named(home):
    save_external(make_model(), home / "net.onnx")
    (home / "net.bin").unlink()
    with pytest.raises(WeightsError, match=r"tensor w: its data file net\.bin is missing"):
        export_engine(home / "foot-mask.toml", home / "built")


def test_a_short_data_file_is_named(home):
    save_external(make_model(), home / "net.onnx")
    data = home / "net.bin"
    data.write_bytes(data.read_bytes()[:-4])
    with pytest.raises(WeightsError, match=r"net\.bin"):
        export_engine(home / "foot-mask.toml", home / "built")


@pytest.mark.parametrize("place", ["../net.bin", "/etc/passwd", "a/../../net.bin", "C:\\net.bin"])
def test_data_outside_the_folder_are_refused(home, place):
    save_external(make_model(), home / "net.onnx")
    model = onnx.load_model(home / "net.onnx", load_external_data=False)
    next(e for e in model.graph.initializer[0].external_data if e.key == "location").value = place
    (home / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError, match="outside the model's folder"):
        load_onnx(home / "net.onnx")


def test_a_link_out_of_the_folder_is_refused(home, tmp_path_factory):
    save_external(make_model(), home / "net.onnx")
    outside = tmp_path_factory.mktemp("outside") / "net.bin"
    (home / "net.bin").rename(outside)
    (home / "net.bin").symlink_to(outside)
    with pytest.raises(WeightsError, match="outside the model's folder"):
        load_onnx(home / "net.onnx")


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        (
            {"op": "Special", "domain": "com.vendor"},
            LayerError,
            r"node first.*Special.*com\.vendor",
        ),
        ({"shape": ("b", 1, "high", 12)}, ContractError, r"input x: axis 2 is dynamic \(high\)"),
        ({"shape": ("b", 3, 8, 12)}, ContractError, r"axis 1 is 3, the recipe needs 1"),
        ({"shape": (4, 1, 8, 12)}, ContractError, r"axis 0 is 4, the recipe needs 1"),
        ({"op": "Nonsense"}, ExportError, "Nonsense"),
    ],
)
def test_what_cannot_serve_is_refused_by_name(home, options, kind, words):
    onnx.save_model(make_model(**options), home / "net.onnx")
    with pytest.raises(kind, match=words):
        export_engine(home / "foot-mask.toml", home / "built")


def test_an_opset_that_cannot_be_lowered_is_refused_with_both_numbers(home):
    model = make_model(opset=20, ir=9)
    model.graph.node[2].op_type = "IsNaN"
    model.graph.node[2].output[0] = "nan"
    model.graph.node.append(helper.make_node("Cast", ["nan"], ["y"], to=1, saturate=0))
    onnx.save_model(model, home / "net.onnx")
    with pytest.raises(LayerError, match=r"opset 20 .* to opset 17.*opset_version=17"):
        export_engine(home / "foot-mask.toml", home / "built")


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (helper.make_node("ReduceMean", ["s", "axes"], ["y"]), None),
        (helper.make_node("Cast", ["s"], ["y"], to=1, saturate=1), None),
        (helper.make_node("Cast", ["s"], ["y"], to=1, saturate=0), "Cast with saturate=0"),
        (helper.make_node("Reshape", ["s", "shape"], ["y"], allowzero=1), "Reshape with allowzero"),
        (helper.make_node("Reshape", ["s", "shape"], ["y"]), None),
    ],
)
def test_newer_operators_are_lowered_only_where_they_mean_the_same(tools, node, words):
    model = make_model(opset=21, ir=10)
    model.graph.node[2].output[0] = "s"
    model.graph.node.append(node)
    for name, values in (("axes", [1]), ("shape", [1, 1, 8, 12])):
        model.graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
    if words is not None:
        with pytest.raises(LayerError, match=words):
            import_onnx(model, input_shape=SHAPE, ceiling=13)
        return
    image = np.random.default_rng(1).random(SHAPE, dtype=np.float32)
    found = tools.run(import_onnx(model, input_shape=SHAPE, ceiling=13), image)["y"]
    np.testing.assert_allclose(found, reference(make_model(), image), atol=1e-6)


def test_a_scorer_with_a_fixed_batch_is_refused():
    with pytest.raises(ContractError, match=r"axis 0 is 1, the recipe needs free"):
        import_onnx(make_model(shape=SHAPE), input_shape=(None, 1, 6, 8))


def test_a_mask_of_another_size_breaks_the_contract(home):
    text = (home / "foot-mask.toml").read_text()
    (home / "foot-mask.toml").write_text(text.replace("[input]", 'outputs = { m = "y" }\n[input]'))
    with pytest.raises(ContractError, match="tensor m"):
        export_engine(home / "foot-mask.toml", home / "built")


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e20])
def test_a_weight_that_no_training_gives_is_refused_by_tensor(home, value):
    model = make_model()
    item = next(item for item in model.graph.initializer if item.name == "w")
    array = numpy_helper.to_array(item).copy()
    array.flat[3] = value
    item.CopyFrom(numpy_helper.from_array(array, "w"))
    onnx.save_model(model, home / "net.onnx")
    with pytest.raises(WeightsError, match=r"net.onnx, tensor w: a value"):
        export_engine(home / "foot-mask.toml", home / "built")


@pytest.mark.parametrize("keep", [0, 1, 40, -1, -30])
def test_a_truncated_file_is_an_error_with_a_fix(home, keep):
    whole = (home / "net.onnx").read_bytes()
    (home / "net.onnx").write_bytes(whole[:keep])
    with pytest.raises(ExportError, match=r"\(fix: "):
        export_engine(home / "foot-mask.toml", home / "built")


def test_raw_heads_are_decoded_with_the_recipes_anchors(tmp_path, tools):
    from export.importers.darknet import darknet_to_onnx

    text = (
        "[net]\nheight=16\nwidth=24\nchannels=1\n[convolutional]\nfilters=14\nsize=3\nstride=2\n"
        "pad=1\nactivation=linear\n[yolo]\nmask=0,1\nanchors=4,4, 8,9\nclasses=2\n"
    )
    network, arrays = tools.darknet(text)
    onnx.save_model(darknet_to_onnx(network, arrays, output="raw"), tmp_path / "raw.onnx")
    (tmp_path / "r.toml").write_text(
        'name = "hand-detect"\nrole = "detect"\nlimb = "hand"\nanchors = [[4, 4], [8, 9]]\n'
        '[source]\nkind = "onnx"\nfile = "raw.onnx"\n'
        "[input]\nchannels = 1\nheight = 16\nwidth = 24\n"
        '[[classes]]\nname = "PIP"\nmeaning = "a"\n[[classes]]\nname = "MCP"\nmeaning = "b"\n'
    )
    exported = export_engine(tmp_path / "r.toml", tmp_path / "built")
    image = np.random.default_rng(0).random((1, 1, 16, 24), dtype=np.float32)
    found = OnnxRuntimeEngine(open_engine(exported.passport, device_key())).run({"image": image})[
        "boxes"
    ]
    np.testing.assert_allclose(
        found, tools.run(darknet_to_onnx(network, arrays), image)["boxes"], atol=1e-5
    )
    assert json.loads(exported.passport.read_text())["anchors"] == [[4, 4], [8, 9]]
    short = (tmp_path / "r.toml").read_text().replace(", [8, 9]]", "]")
    (tmp_path / "r.toml").write_text(short)
    with pytest.raises(ContractError, match="anchors"):
        export_engine(tmp_path / "r.toml", tmp_path / "built")


def test_a_damaged_file_never_raises_anything_but_an_export_error(home):
    whole = (home / "net.onnx").read_bytes()
    random = np.random.default_rng(5)
    outcomes = set()
    for _ in range(80):
        broken = bytearray(whole)
        broken[int(random.integers(len(broken)))] = int(random.integers(256))
        (home / "net.onnx").write_bytes(broken)
        try:
            export_engine(home / "foot-mask.toml", home / "built")
            outcomes.add("built")
        except ExportError:
            outcomes.add("refused")
    assert outcomes == {"built", "refused"}
