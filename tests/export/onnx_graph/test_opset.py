"""Graphs of any opset come to the opset of their target and give what they gave, or are refused."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.errors import LayerError
from export.exporter import export_engine, export_recipes
from export.importers.onnx_file import import_onnx, run_original
from export.onnx_graph.opset import CEILINGS

SHAPE = (1, 2, 8, 6)
RANDOM = np.random.default_rng(0)
WEIGHT = RANDOM.normal(0, 0.5, (4, 2, 3, 3)).astype(np.float32)


def floats(*values):
    return np.array(values, np.float32)


def graph_of(nodes, arrays, *, opset, ir, shape=SHAPE, listed=False):
    constants = [numpy_helper.from_array(np.asarray(a), n) for n, a in arrays.items()]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))]
    if listed:
        inputs += [
            helper.make_tensor_value_info(c.name, c.data_type, list(c.dims)) for c in constants
        ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "net", inputs, [output], initializer=constants)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir)


def behind_conv(op, opset, ir, inputs=("c",), arrays=None, shape=SHAPE, **attributes):
    """``x`` -> Conv -> the operator -> ``y``."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node(op, list(inputs), ["y"], **attributes),
    ]
    return graph_of(nodes, {"w": WEIGHT, **(arrays or {})}, opset=opset, ir=ir, shape=shape)


SCALE4 = {"s": floats(1, 2, 3, 4), "b": floats(0, 1, 2, 3)}
DOUBLE = {"s": floats(1, 1, 2, 2)}
TRIPLE = {"s": floats(1, 1, 3, 2)}
AXES = {"a": np.array([2, 3])}
NEW = {
    "gelu": ("Gelu", 20, 9, ("c",), {}, {}),
    "gelu tanh": ("Gelu", 20, 9, ("c",), {}, {"approximate": "tanh"}),
    "hardswish": ("HardSwish", 14, 7, ("c",), {}, {}),
    "mish": ("Mish", 18, 8, ("c",), {}, {}),
    "mish 22": ("Mish", 22, 10, ("c",), {}, {}),
    "swish": ("Swish", 24, 11, ("c",), {}, {}),
    "layer norm": ("LayerNormalization", 17, 8, ("c", "s"), {"s": floats(1, 2, 3, 4, 5, 6)}, {}),
    "layer norm of images": (
        "LayerNormalization", 17, 8, ("c", "s"),
        {"s": RANDOM.random((4, 8, 6), dtype=np.float32)}, {"axis": 1, "epsilon": 1e-3},
    ),
    "group norm 18": (
        "GroupNormalization", 18, 8, ("c", "s", "b"),
        {"s": floats(1, 2), "b": floats(0, 1)}, {"num_groups": 2},
    ),
    "group norm 21": ("GroupNormalization", 21, 10, ("c", "s", "b"), SCALE4, {"num_groups": 2}),
    "rms norm": ("RMSNormalization", 23, 11, ("c", "s"), {"s": floats(1, 2, 3, 4, 5, 6)}, {}),
    "instance norm": ("InstanceNormalization", 22, 10, ("c", "s", "b"), SCALE4, {}),
    "softmax 18": ("Softmax", 18, 8, ("c",), {}, {"axis": 1}),
    "softmax 13": ("Softmax", 13, 8, ("c",), {}, {"axis": 1}),
    "softmax 11": ("Softmax", 11, 6, ("c",), {}, {"axis": 1}),
    "log softmax 11": ("LogSoftmax", 11, 6, ("c",), {}, {"axis": 2}),
    "resize 18": ("Resize", 18, 8, ("c", "", "s"), DOUBLE, {"mode": "linear", "antialias": 0}),
    "resize 11": ("Resize", 11, 6, ("c", "r", "s"), {**DOUBLE, "r": floats()}, {"mode": "linear"}),
    "resize 10 linear": ("Resize", 10, 5, ("c", "s"), DOUBLE, {"mode": "linear"}),
    "resize 10 nearest": ("Resize", 10, 5, ("c", "s"), TRIPLE, {"mode": "nearest"}),
    "upsample 9 linear": ("Upsample", 9, 4, ("c", "s"), DOUBLE, {"mode": "linear"}),
    "upsample 9 nearest": ("Upsample", 9, 4, ("c", "s"), TRIPLE, {"mode": "nearest"}),
    "upsample 7": ("Upsample", 7, 3, ("c",), {}, {"scales": [1.0, 1.0, 2.0, 3.0]}),
    "reduce mean": ("ReduceMean", 18, 8, ("c", "a"), AXES, {}),
    "reduce max": ("ReduceMax", 20, 9, ("c", "a"), AXES, {}),
    "celu": ("Celu", 12, 7, ("c",), {}, {}),
    "pool with dilations": (
        "AveragePool", 19, 9, ("c",), {}, {"kernel_shape": [3, 3], "dilations": [1, 1]},
    ),
    "clip of attributes": ("Clip", 9, 4, ("c",), {}, {"min": 0.0, "max": 6.0}),
    "pad of attributes": ("Pad", 9, 4, ("c",), {}, {"pads": [0, 0, 1, 1, 0, 0, 1, 1]}),
    "dropout": ("Dropout", 9, 4, ("c",), {}, {"ratio": 0.5}),
}  # fmt: skip


@pytest.mark.parametrize("target", CEILINGS)
@pytest.mark.parametrize("name", NEW)
def test_an_operator_of_current_and_old_exporters_is_imported(name, target):
    op, opset, ir, inputs, arrays, attributes = NEW[name]
    model = behind_conv(op, opset, ir, inputs, arrays, **attributes)
    made = import_onnx(model, input_shape=SHAPE, ceiling=CEILINGS[target])
    version = made.opset_import[0].version
    assert 13 <= version <= CEILINGS[target]
    assert made.ir_version == (9 if version >= 18 else 8)
    image = np.random.default_rng(1).normal(0, 1, SHAPE).astype(np.float32)
    wanted = run_original(model, image)["y"]
    found = run_original(made, image)["y"]
    np.testing.assert_allclose(found, wanted, atol=3e-5)
    sides = [side.dim_value for side in made.graph.output[0].type.tensor_type.shape.dim]
    assert tuple(sides) == found.shape


@pytest.mark.parametrize("name", ["softmax 13", "resize 11", "reduce mean", "pool with dilations"])
def test_a_graph_that_opset_13_holds_stays_there_whatever_the_target(name):
    op, opset, ir, inputs, arrays, attributes = NEW[name]
    model = behind_conv(op, opset, ir, inputs, arrays, **attributes)
    made = import_onnx(model, input_shape=SHAPE, ceiling=20)
    assert (made.opset_import[0].version, made.ir_version) == (13, 8)


@pytest.mark.parametrize("name", ["group norm 21", "gelu", "softmax 11", "layer norm"])
def test_a_free_batch_stays_free(name):
    op, opset, ir, inputs, arrays, attributes = NEW[name]
    model = behind_conv(op, opset, ir, inputs, arrays, shape=("n", *SHAPE[1:]), **attributes)
    made = import_onnx(model, input_shape=(None, *SHAPE[1:]), ceiling=13)
    assert made.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "n"
    for count in (1, 3):
        image = np.random.default_rng(1).normal(0, 1, (count, *SHAPE[1:])).astype(np.float32)
        wanted = run_original(model, image)["y"]
        np.testing.assert_allclose(run_original(made, image)["y"], wanted, atol=3e-5)


@pytest.mark.parametrize(
    ("node", "opset", "arrays", "words"),
    [
        (("Pad", ("c", "p"), {"mode": "wrap"}), 19, {"p": np.zeros(8, np.int64)}, "mode=wrap"),
        (
            (
                "Resize",
                ("c", "", "s"),
                {"mode": "linear", "coordinate_transformation_mode": "half_pixel_symmetric"},
            ),
            19,
            DOUBLE,
            "half_pixel_symmetric",
        ),
        (
            ("Resize", ("c", "", "s"), {"axes": [2, 3]}),
            18,
            {"s": floats(2, 2)},
            r"Resize with axes",
        ),
        (("Cast", ("c",), {"to": 1, "saturate": 0}), 19, {}, "Cast with saturate"),
    ],
)
def test_what_only_a_newer_opset_means_needs_a_newer_target(node, opset, arrays, words):
    op, inputs, attributes = node
    model = behind_conv(op, opset, 9, inputs, arrays, **attributes)
    with pytest.raises(LayerError, match=words) as caught:
        import_onnx(model, input_shape=SHAPE)
    assert "tensorrt-10" in caught.value.fix
    assert import_onnx(model, input_shape=SHAPE, ceiling=20).opset_import[0].version == opset


def loop():
    values = [("v", TensorProto.FLOAT, [1, 4, 8, 6]), ("v2", TensorProto.FLOAT, [1, 4, 8, 6])]
    given, result = (helper.make_tensor_value_info(*value) for value in values)
    body = helper.make_graph(
        [
            helper.make_node("Add", ["v", "one"], ["v2"]),
            helper.make_node("Identity", ["go"], ["gone"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            given,
        ],
        [helper.make_tensor_value_info("gone", TensorProto.BOOL, []), result],
    )
    arrays = {"count": np.array(3), "true": np.array(True), "one": np.float32(1)}
    return behind_conv("Loop", 17, 8, ("count", "true", "c"), arrays, body=body)


def test_a_graph_with_a_loop_keeps_what_its_body_reads():
    made = import_onnx(loop(), input_shape=SHAPE)
    image = np.random.default_rng(1).normal(0, 1, SHAPE).astype(np.float32)
    wanted = run_original(loop(), image)["y"]
    np.testing.assert_allclose(run_original(made, image)["y"], wanted, atol=1e-6)


OLD = {
    "conv": ([("Conv", ("x", "w"), {"pads": [1, 1, 1, 1]})], {"w": WEIGHT}),
    "batch norm": (
        [("BatchNormalization", ("x", "g", "b", "m", "v"), {})],
        {name: floats(1, 0.5) for name in "gbmv"},
    ),
    "prelu": ([("PRelu", ("x", "s"), {})], {"s": np.full((2, 1, 1), 0.1, np.float32)}),
    "gemm": (
        [("Flatten", ("x",), {}), ("Gemm", ("Flatten", "k", "b"), {})],
        {"k": np.ones((96, 3), np.float32), "b": floats(1, 2, 3)},
    ),
}


@pytest.mark.parametrize("opset", [7, 9, 11, 12])
@pytest.mark.parametrize("name", OLD)
def test_files_of_ir_3_with_weights_as_inputs_are_imported(name, opset):
    nodes, arrays = OLD[name]
    made = [
        helper.make_node(op, list(inputs), ["y" if i == len(nodes) - 1 else op], **attributes)
        for i, (op, inputs, attributes) in enumerate(nodes)
    ]
    model = graph_of(made, arrays, opset=opset, ir=3, listed=True)
    image = np.random.default_rng(1).normal(0, 1, SHAPE).astype(np.float32)
    found = run_original(import_onnx(model, input_shape=SHAPE), image)["y"]
    np.testing.assert_allclose(found, run_original(model, image)["y"], atol=1e-5)


@pytest.mark.parametrize(
    ("field", "words"), [("ir", "IR version 99"), ("opset", "the file has opset 99")]
)
def test_a_file_of_the_future_names_which_number_is_too_new(field, words):
    model = behind_conv("Relu", 13, 8)
    if field == "ir":
        model.ir_version = 99
    else:
        model.opset_import[0].version = 99
    with pytest.raises(LayerError, match=words):
        import_onnx(model, input_shape=SHAPE)


RECIPE = """name = "{name}"
role = "mask"
limb = "hand"
{more}
[source]
kind = "onnx"
file = "{name}.onnx"
[input]
channels = 1
height = 8
width = 12
"""


def mask(activation, opset, ir):
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node(activation, ["c"], ["g"]),
        helper.make_node("Sigmoid", ["g"], ["y"]),
    ]
    arrays = {"w": np.full((1, 1, 3, 3), 0.2, np.float32)}
    return graph_of(nodes, arrays, opset=opset, ir=ir, shape=(1, 1, 8, 12))


@pytest.mark.parametrize(
    ("more", "target", "opset"),
    [
        ("", None, 17),
        ('target = "tensorrt-8.5"', None, 13),
        ('target = "tensorrt-10"', None, 20),
        ('target = "tensorrt-10"', "tensorrt-8.6", 17),
    ],
)
def test_the_target_limits_the_opset(tmp_path, more, target, opset):
    onnx.save_model(mask("Gelu", 20, 9), tmp_path / "hand-mask.onnx")
    (tmp_path / "r.toml").write_text(RECIPE.format(name="hand-mask", more=more))
    exported = export_engine(tmp_path / "r.toml", tmp_path / "built", target=target)
    assert onnx.load_model(exported.engine).opset_import[0].version == opset


def broken_files():
    """File name to bytes that make an import fail in some way."""
    future = mask("Relu", 13, 8)
    future.ir_version = 99
    unknown = mask("Nonsense", 13, 8)
    plugin = mask("Relu", 13, 8)
    plugin.graph.node[1].domain = "com.vendor"
    return {
        "a-empty": b"",
        "b-text": b"no model",
        "c-future": future.SerializeToString(),
        "d-unknown": unknown.SerializeToString(),
        "e-plugin": plugin.SerializeToString(),
    }


def test_one_failing_recipe_never_ends_the_others(tmp_path):
    files = broken_files() | {"f-good": mask("Relu", 9, 3).SerializeToString()}
    for name, data in files.items():
        (tmp_path / f"{name}.onnx").write_bytes(data)
        (tmp_path / f"{name}.toml").write_text(RECIPE.format(name=name, more=""))
    recipes = [tmp_path / "missing.toml", *sorted(tmp_path.glob("*.toml"))]
    outcomes = list(export_recipes(recipes, tmp_path / "built"))
    assert [outcome.recipe.stem for outcome in outcomes if outcome.exported] == ["f-good"]
    for outcome in outcomes[:-1]:
        assert "\n" not in str(outcome.error)
        assert outcome.recipe.stem in str(outcome.error) or outcome.error.where


@pytest.mark.parametrize(
    "error", [RuntimeError("deep\ninside"), OSError(28, "No space left"), ZeroDivisionError()]
)
def test_a_fault_of_any_kind_is_one_line_and_the_next_recipe_goes_on(tmp_path, monkeypatch, error):
    import export.exporter

    for name in ("one", "two"):
        onnx.save_model(mask("Relu", 13, 8), tmp_path / f"{name}.onnx")
        (tmp_path / f"{name}.toml").write_text(RECIPE.format(name=name, more=""))
    build = export.exporter.build_graph

    def fail(recipe, folder):
        if recipe.name == "one":
            raise error
        return build(recipe, folder)

    monkeypatch.setattr(export.exporter, "build_graph", fail)
    first, second = export_recipes(sorted(tmp_path.glob("*.toml")), tmp_path / "built")
    assert first.exported is None
    assert "\n" not in str(first.error)
    assert second.exported is not None


def test_the_command_exports_what_it_can_and_ends_with_1(tmp_path, capsys):
    from sharpedge import engines

    onnx.save_model(mask("Relu", 9, 3), tmp_path / "good.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    for name in ("bad", "good"):
        (tmp_path / f"{name}.toml").write_text(RECIPE.format(name=name, more=""))
    words = [str(tmp_path / f"{name}.toml") for name in ("absent", "bad", "good")]
    assert engines.export(words, tmp_path / "built", None) == 1
    shown = capsys.readouterr()
    assert "good.onnx" in shown.out
    assert [line.count("sharpedge: ") for line in shown.err.splitlines()] == [1, 1]
    assert "Traceback" not in shown.err
    assert engines.export(words[2:], tmp_path / "built", None) == 0
