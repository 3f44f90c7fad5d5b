"""One command writes a recipe from a model's files, and the recipe exports that model."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from edge.engine.passport import Role
from edge.model import Limb
from export.errors import ExportError, RecipeError
from export.exporter import export_engine
from export.importers.darknet import parse_cfg, write_darknet_weights
from export.importers.darknet.weights import array_shapes
from export.importers.facts import Facts
from export.recipe import read_recipe
from export.template import render, write_template
from sharpedge.cli import app

KERAS = Path(__file__).parent / "data" / "keras"
CFG = (
    "[net]\nheight=32\nwidth=64\nchannels=1\n[convolutional]\nfilters=14\nsize=3\npad=1\n"
    "activation=linear\n[yolo]\nmask=0,1\nanchors=4,4, 8,8\nclasses=2\n"
)


@pytest.fixture
def yolo(tmp_path, tools):
    (tmp_path / "foot joints.cfg").write_text(CFG)
    network = parse_cfg(CFG)
    weights = tmp_path / "foot joints.weights"
    weights.write_bytes(write_darknet_weights(network, tools.arrays(array_shapes(network))))
    return [tmp_path / "foot joints.cfg", weights]


def test_a_recipe_of_darknet_files_exports_as_it_is(yolo, tmp_path):
    path = write_template(yolo)
    recipe = read_recipe(path)
    assert (recipe.role, recipe.limb, recipe.source.kind) == (Role.DETECT, Limb.FOOT, "darknet")
    assert (recipe.input.height, recipe.input.width, recipe.input.channels) == (32, 64, 1)
    assert [item.name for item in recipe.classes] == ["PIP", "MTP"]
    assert export_engine(path, tmp_path / "built").name == "foot-detect"


def test_the_order_of_the_files_does_not_matter(yolo):
    assert read_recipe(write_template(yolo[::-1])).source.cfg == "foot joints.cfg"


@pytest.mark.parametrize("name", ["unet_keras3.keras", "unet_keras2.h5"])
def test_a_recipe_of_a_keras_mask_is_valid(tmp_path, name):
    shutil.copy(KERAS / name, tmp_path / name)
    recipe = read_recipe(write_template([tmp_path / name]))
    assert (recipe.role, recipe.source.kind, recipe.source.file) == (Role.MASK, "keras", name)
    assert recipe.input.height == 20


def test_a_recipe_of_a_keras_scorer_names_both_heads(tmp_path):
    name = "scorer_keras3.keras"
    shutil.copy(KERAS / name, tmp_path / name)
    text = write_template([tmp_path / name]).read_text()
    assert 'role = "score"' in text
    assert "grades" in text


def save(path, sides, outputs):
    nodes = [helper.make_node("Identity", ["k"], [name]) for name in outputs]
    nodes[0] = helper.make_node("Identity", ["x"], [next(iter(outputs))])
    declared = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()]
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, sides)
    constant = numpy_helper.from_array(np.zeros(1, np.float32), "k")
    graph = helper.make_graph(nodes, "net", [image], declared, initializer=[constant])
    opset = [helper.make_opsetid("", 13)]
    onnx.save_model(helper.make_model(graph, opset_imports=opset, ir_version=8), path)


@pytest.mark.parametrize(
    ("sides", "outputs", "role", "layout", "names"),
    [
        ([1, 1, 64, 48], {"y": [1, 1, 64, 48]}, "mask", "NCHW", {}),
        ([1, 64, 48, 1], {"y": [1, 64, 48, 1]}, "mask", "NHWC", {}),
        ([1, 1, 416, 416], {"out": [1, 900, 7]}, "detect", "NCHW", {}),
        (
            ["n", 3, 96, 96],
            {"a": ["n", 5], "b": ["n", 6]},
            "score",
            "NCHW",
            {"erosion": "b", "narrowing": "a"},
        ),
        (["n", 3, 96, 96], {"erosion": ["n", 6], "narrowing": ["n", 5]}, "score", "NCHW", {}),
    ],
)
def test_a_recipe_of_an_onnx_file_has_its_sides_and_role(
    tmp_path, sides, outputs, role, layout, names
):
    save(tmp_path / "net.onnx", sides, outputs)
    recipe = read_recipe(write_template([tmp_path / "net.onnx"]))
    assert recipe.role == role
    assert recipe.input.layout == layout
    assert recipe.source.outputs == names
    assert {recipe.input.height, recipe.input.width} <= set(sides)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("limb", list(Limb))
@pytest.mark.parametrize("own_scale", [True, False])
def test_every_template_is_a_valid_recipe_with_every_option_taken(tmp_path, role, limb, own_scale):
    side = 96
    facts = Facts(
        ('kind = "onnx"', 'file = "a\\"b.onnx"'), 1, None if role == "score" else side, side,
        "NCHW", role, {}, 2 if role == "detect" else 0, own_scale,
    )  # fmt: skip
    text = render(facts, limb).replace("height = 416", f"height = {side}")
    for at, taken in (("# [meaning]", "[meaning]"), ("# [reference]", "[reference]")):
        text = text.replace(at, taken)
    for key in ("grades", "boxes", "values", "file"):
        text = text.replace(f"\n# {key} =", f"\n{key} =")
    (tmp_path / "r.toml").write_text(text)
    recipe = read_recipe(tmp_path / "r.toml")
    assert recipe.name == f"{limb}-{role}"
    assert recipe.reference is not None
    assert (recipe.input.scale == 1) is own_scale


def test_a_recipe_is_never_overwritten(yolo):
    write_template(yolo)
    with pytest.raises(RecipeError, match="there already"):
        write_template(yolo)


@pytest.mark.parametrize("names", [(), ("a.cfg",), ("a.cfg", "b.cfg"), ("a.txt", "b.txt")])
def test_files_that_are_no_model_are_refused(tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("[net]\n")
    with pytest.raises(ExportError) as caught:
        write_template([tmp_path / name for name in names])
    assert caught.value.fix


def test_a_file_of_another_framework_is_named(tmp_path):
    (tmp_path / "m.tflite").write_bytes(b"\x1c\0\0\0TFL3" + b"\0" * 40)
    with pytest.raises(RecipeError, match="TensorFlow Lite"):
        write_template([tmp_path / "m.tflite"])


def test_the_command_writes_the_recipe_and_shows_what_comes_next(yolo):
    done = CliRunner().invoke(app, ["export", "--init", *map(str, yolo)])
    assert done.exit_code == 0, done.output
    assert yolo[0].with_suffix(".toml").exists()
    assert "then: sharpedge export" in done.output
