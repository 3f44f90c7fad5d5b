"""Outputs that do not mean what the recipe declares are refused; declared forms are read right."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge.engine.backends.onnxruntime import OnnxRuntimeEngine
from edge.engine.key import device_key
from edge.engine.passport import open_engine
from edge.pipeline.ordinal import decode_ordinal
from export.errors import ContractError, ExportError, RecipeError, WeightsError
from export.exporter import export_engine
from export.recipe import read_recipe
from export.verification.probe import check_meaning

SIDE = 16
CLASSES = "".join(f'[[classes]]\nname = "{n}"\nmeaning = "joint"\n' for n in ("PIP", "MCP"))


def save(path, nodes, outputs, arrays, shape):
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
    constants = [numpy_helper.from_array(np.asarray(a), n) for n, a in arrays.items()]
    declared = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()]
    graph = helper.make_graph(nodes, "net", [image], declared, initializer=constants)
    opset = [helper.make_opsetid("", 13)]
    onnx.save_model(helper.make_model(graph, opset_imports=opset, ir_version=8), path)


def recipe(folder, role, more="", classes=""):
    channels = 3 if role == "score" else 1
    path = folder / "r.toml"
    path.write_text(
        f'name = "hand-{role}"\nrole = "{role}"\nlimb = "hand"\n'
        f'[source]\nkind = "onnx"\nfile = "net.onnx"\n'
        f"[input]\nchannels = {channels}\nheight = {SIDE}\nwidth = {SIDE}\n{more}{classes}"
    )
    return path


def run(exported, shape):
    engine = OnnxRuntimeEngine(open_engine(exported.passport, device_key()))
    image = np.random.default_rng(3).random(shape, dtype=np.float32)
    return engine.run({"image": image})


# Erosion 3 and narrowing 2 in every form that a grading head may have; `spread` lets the values
# follow the image a little.
def logits_of(form, count, grade):
    k = np.arange(count)
    return {
        "ordinal": np.where(k <= grade, 6.0, -6.0),
        "softmax": np.where(k == grade, 6.0, 0.0),
        "one-hot": np.where(k == grade, 6.0, -6.0),
        "above": np.where(k < grade, 6.0, -6.0),
        "reversed": np.where(k >= grade, 6.0, -6.0),
    }[form]


def save_scorer(folder, form, last, spread=0.0):
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
    ]
    arrays, outputs = {}, {}
    for head, count, grade in (("erosion", 6, 3), ("narrowing", 5, 2)):
        arrays[f"{head}.kernel"] = np.full((3, count), spread, np.float32)
        arrays[f"{head}.bias"] = logits_of(form, count, grade).astype(np.float32)
        inputs = ["flat", f"{head}.kernel", f"{head}.bias"]
        nodes.append(helper.make_node("Gemm", inputs, [f"{head}.sum"]))
        if last == "Exp/Sum":
            nodes += [
                helper.make_node("Exp", [f"{head}.sum"], [f"{head}.exp"]),
                helper.make_node("ReduceSum", [f"{head}.exp", "axis"], [f"{head}.total"]),
                helper.make_node("Div", [f"{head}.exp", f"{head}.total"], [head]),
            ]
            arrays["axis"] = np.array([1], np.int64)
        else:
            nodes.append(helper.make_node(last, [f"{head}.sum"], [head]))
        outputs[head] = ["n", count]
    save(folder / "net.onnx", nodes, outputs, arrays, ["n", 3, SIDE, SIDE])


@pytest.mark.parametrize("spread", [0.0, 0.5])
@pytest.mark.parametrize(
    ("form", "last", "meaning", "words"),
    [
        ("ordinal", "Sigmoid", "", None),
        ("ordinal", "Identity", 'values = "logit"', None),
        ("softmax", "Softmax", 'grades = "each"', None),
        ("softmax", "Exp/Sum", 'grades = "each"', None),
        ("softmax", "Identity", 'grades = "each"\nvalues = "logit"', None),
        ("softmax", "LogSoftmax", 'grades = "each"\nvalues = "logit"', None),
        ("softmax", "Softmax", "", "softmax over the grades"),
        ("softmax", "Exp/Sum", "", "softmax over the grades"),
        ("softmax", "LogSoftmax", "", "logits"),
        ("ordinal", "Identity", "", "logits"),
        ("softmax", "Identity", "", "logits"),
        ("ordinal", "Tanh", "", "logits, or another scale"),
        ("one-hot", "Sigmoid", "", "at least grade 0"),
        ("reversed", "Sigmoid", "", "at least grade 0"),
        ("ordinal", "Sigmoid", 'grades = "each"', "not to 1"),
        ("ordinal", "Sigmoid", 'values = "logit"', "probabilities, not logits"),
        ("softmax", "Softmax", 'grades = "each"\nvalues = "logit"', "probabilities, not logits"),
        ("one-hot", "Identity", 'values = "logit"', "at least grade 0"),
    ],
)
def test_a_scorer_gives_its_grades_or_is_refused(tmp_path, form, last, meaning, words, spread):
    save_scorer(tmp_path, form, last, spread)
    path = recipe(tmp_path, "score", f"[meaning]\n{meaning}\n" if meaning else "")
    if words is not None:
        with pytest.raises(ContractError, match=words) as caught:
            export_engine(path, tmp_path / "built")
        assert "output erosion" in str(caught.value)
        assert not (tmp_path / "built").exists()
        return
    exported = export_engine(path, tmp_path / "built")
    outputs = run(exported, (4, 3, SIDE, SIDE))
    for head, grade in (("erosion", 3), ("narrowing", 2)):
        for row in outputs[head]:
            found = decode_ordinal(row)
            assert found.grade == grade
            assert not found.head_uncertain
            assert 0 <= found.expected <= len(row) - 1
    declared = json.loads(exported.passport.read_text())["settings"].get("meaning")
    assert (declared is not None) == bool(meaning)


def test_a_declared_softmax_keeps_the_probability_of_each_grade(tmp_path):
    save_scorer(tmp_path, "softmax", "Softmax")
    exported = export_engine(recipe(tmp_path, "score", '[meaning]\ngrades = "each"\n'), tmp_path)
    wanted = np.exp(logits_of("softmax", 6, 3))
    found = decode_ordinal(run(exported, (1, 3, SIDE, SIDE))["erosion"][0])
    np.testing.assert_allclose(found.probabilities, wanted / wanted.sum(), atol=1e-6)


def limb_mask(image):
    """A mask of the middle of the image that follows its grey a little."""
    return 1 / (1 + np.exp(-limb_logits() - image))


def limb_logits():
    logits = np.full((1, 1, SIDE, SIDE), -5, np.float32)
    logits[..., 3:-3, 3:-3] = 5
    return logits


def save_mask(folder, *ops):
    arrays = {"limb": limb_logits(), "one": np.float32(1)}
    nodes = [helper.make_node("Add", ["image", "limb"], ["l0"])]
    for i, op in enumerate(ops):
        if op == "1-x":
            nodes.append(helper.make_node("Sub", ["one", f"l{i}"], [f"l{i + 1}"]))
        elif op == "255x":
            arrays["white"] = np.float32(255)
            nodes.append(helper.make_node("Mul", [f"l{i}", "white"], [f"l{i + 1}"]))
        else:
            nodes.append(helper.make_node(op, [f"l{i}"], [f"l{i + 1}"]))
    nodes.append(helper.make_node("Identity", [f"l{len(ops)}"], ["mask"]))
    shape = [1, 1, SIDE, SIDE]
    save(folder / "net.onnx", nodes, {"mask": shape}, arrays, shape)


@pytest.mark.parametrize(
    ("ops", "meaning", "words"),
    [
        (("Sigmoid",), "", None),
        ((), 'values = "logit"', None),
        ((), "", "logits"),
        (("Sigmoid", "255x"), "", "another scale"),
        (("Tanh",), "", "another scale"),
        (("Sigmoid", "1-x"), "", "marks the background"),
        (("Neg",), 'values = "logit"', "marks the background"),
        (("Sigmoid",), 'values = "logit"', "probabilities, not logits"),
    ],
)
def test_a_mask_marks_the_limb_or_is_refused(tmp_path, ops, meaning, words):
    save_mask(tmp_path, *ops)
    path = recipe(tmp_path, "mask", f"[meaning]\n{meaning}\n" if meaning else "")
    if words is not None:
        with pytest.raises(ContractError, match=words):
            export_engine(path, tmp_path / "built")
        return
    found = run(export_engine(path, tmp_path / "built"), (1, 1, SIDE, SIDE))["mask"]
    image = np.random.default_rng(3).random((1, 1, SIDE, SIDE), dtype=np.float32)
    np.testing.assert_allclose(found, limb_mask(image), atol=1e-5)


def rows_of(form):
    """Rows of a detector over a grid of 4 x 4 cells, boxes of a quarter of the side."""
    y, x = (np.mgrid[0:4, 0:4].reshape(2, -1) + 0.5) * SIDE / 4
    size = np.full(16, SIDE / 4)
    scores = [np.full(16, v) for v in (0.9, 0.7, 0.1)]
    rows = np.stack([x, y, size, size, *scores], axis=1)
    if form == "share":
        rows[:, :4] /= SIDE
    if form == "cells":
        rows[:, :4] /= 4
    if form == "corners":
        rows[:, 2:4] += rows[:, :2]
    if form == "logit":
        rows[:, 4:] = np.log(rows[:, 4:] / (1 - rows[:, 4:]))
    if form == "percent":
        rows[:, 4:] *= 100
    if form == "negative":
        rows[:, 2] *= -1
    return rows[None].astype(np.float32)


@pytest.mark.parametrize(
    ("form", "meaning", "words"),
    [
        ("px", "", None),
        ("share", 'boxes = "share"', None),
        ("logit", 'values = "logit"', None),
        ("share", "", "shares"),
        ("px", 'boxes = "share"', "not shares"),
        ("cells", "", "cells of a grid"),
        ("corners", "", "corners"),
        ("logit", "", "objectness and classes"),
        ("percent", "", "objectness and classes"),
        ("px", 'values = "logit"', "probabilities, not logits"),
        ("negative", "", "negative"),
    ],
)
def test_a_detector_gives_boxes_in_px_or_is_refused(tmp_path, form, meaning, words):
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "axis"], ["column"]),
        helper.make_node("Mul", ["column", "nothing"], ["zero"]),
        helper.make_node("Add", ["zero", "rows"], ["boxes"]),
    ]
    arrays = {"rows": rows_of(form), "nothing": np.float32(0), "axis": np.array([2], np.int64)}
    save(tmp_path / "net.onnx", nodes, {"boxes": [1, 16, 7]}, arrays, [1, 1, SIDE, SIDE])
    path = recipe(tmp_path, "detect", f"[meaning]\n{meaning}\n" if meaning else "", CLASSES)
    if words is not None:
        with pytest.raises(ContractError, match=words):
            export_engine(path, tmp_path / "built")
        return
    found = run(export_engine(path, tmp_path / "built"), (1, 1, SIDE, SIDE))["boxes"]
    np.testing.assert_allclose(found, rows_of("px"), atol=1e-4)


@pytest.mark.parametrize(
    ("role", "key"),
    [("mask", 'grades = "each"'), ("score", 'boxes = "share"'), ("mask", 'valeus = "logit"')],
)
def test_a_meaning_that_a_role_lacks_is_an_error_of_the_recipe(tmp_path, role, key):
    with pytest.raises(RecipeError, match="meaning"):
        export_engine(recipe(tmp_path, role, f"[meaning]\n{key}\n"), tmp_path)


def save_pair(folder, wrong=0.0, **names):
    """A logistic mask and the pair that its own framework would store."""
    save_mask(folder, "Sigmoid")
    grey = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE), dtype=np.uint8)
    image = grey[:, None].astype(np.float32) / 255
    mask = limb_mask(image) + wrong
    stored = {"pixels": grey, "input": image, "last": image.transpose(0, 2, 3, 1)}
    stored |= {"mask": mask, "mask_last": mask.transpose(0, 2, 3, 1), "flat": mask[:, 0]}
    arrays = {name: stored[key].astype(stored[key].dtype) for name, key in names.items()}
    np.savez(folder / "pair.npz", **arrays)
    return recipe(folder, "mask", '[reference]\nfile = "pair.npz"\n')


@pytest.mark.parametrize(
    "names",
    [
        {"pixels": "pixels", "mask": "mask"},
        {"input": "input", "output": "mask_last"},
        {"input": "last", "mask": "flat"},
    ],
)
def test_a_stored_reference_is_met(tmp_path, names):
    exported = export_engine(save_pair(tmp_path, **names), tmp_path / "built")
    passport = json.loads(exported.passport.read_text())
    assert passport["agreement"]["reference.mask"] < 1e-5
    assert [source["file"] for source in passport["sources"]] == ["net.onnx", "pair.npz"]


@pytest.mark.parametrize("wrong", [0.01, np.nan, np.inf])
def test_a_reference_that_differs_is_refused(tmp_path, wrong):
    path = save_pair(tmp_path, wrong, pixels="pixels", mask="mask")
    with pytest.raises(ContractError, match=r"mask differs by .* from the stored output"):
        export_engine(path, tmp_path / "built")


def test_a_reference_of_pixels_tests_the_scale_of_the_recipe(tmp_path):
    path = save_pair(tmp_path, pixels="pixels", mask="mask")
    path.write_text(path.read_text().replace("[reference]", "mean = [0.5]\n[reference]"))
    with pytest.raises(ContractError, match="differs by"):
        export_engine(path, tmp_path / "built")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"mask": "mask"}, "one of input and pixels"),
        ({"input": "input", "pixels": "pixels", "mask": "mask"}, "one of input and pixels"),
        ({"pixels": "pixels"}, "outputs none; the model gives mask"),
        ({"pixels": "pixels", "other": "mask"}, "outputs other; the model gives mask"),
        ({"pixels": "mask", "mask": "mask"}, "pixels is float"),
        ({"input": "pixels", "mask": "mask"}, "input is uint8"),
        ({"pixels": "pixels", "mask": "pixels"}, "mask is uint8"),
    ],
)
def test_a_reference_that_cannot_be_used_is_named(tmp_path, names, words):
    with pytest.raises(WeightsError, match=words):
        export_engine(save_pair(tmp_path, **names), tmp_path / "built")


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x03\x04 cut"])
def test_a_reference_that_is_no_archive_is_named(tmp_path, data):
    path = save_pair(tmp_path, pixels="pixels", mask="mask")
    (tmp_path / "pair.npz").write_bytes(data)
    with pytest.raises(ExportError, match=r"pair\.npz"):
        export_engine(path, tmp_path / "built")


def test_a_reference_is_hashed_like_a_source(tmp_path):
    path = save_pair(tmp_path, pixels="pixels", mask="mask")
    first = export_engine(path, tmp_path / "built")
    assert export_engine(path, tmp_path / "built").cached
    save_pair(tmp_path, 1.0, pixels="pixels", mask="mask")
    with pytest.raises(ContractError):
        export_engine(path, tmp_path / "built")
    assert first.engine.exists()


def test_weights_of_this_package_need_no_training_to_be_exported(engines_dir):
    recipe = read_recipe(engines_dir / "hand-score.toml")
    untrained = {"erosion": np.full((3, 6), 0.3), "narrowing": np.full((3, 5), 0.3)}
    check_meaning(onnx.ModelProto(), recipe, [untrained])
    untrained["erosion"][0, 0] = np.nan
    with pytest.raises(ContractError, match="not finite"):
        check_meaning(onnx.ModelProto(), recipe, [untrained])
