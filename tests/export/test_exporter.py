"""Recipes to engines: checked, cached by content, and refused with the place and the fix."""

import json

import numpy as np
import pytest

import sharpedge.engines
from edge.engine.inputs import input_size, to_inputs
from edge.engine.installed import activate
from edge.engine.key import device_key
from edge.engine.loader import load_engines
from edge.engine.passport import Role
from edge.model import Limb
from export.errors import ContractError, ExportError, RecipeError, WeightsError
from export.exporter import export_engine, export_recipes
from export.importers.compact import load_compact, save_compact
from export.importers.darknet import parse_cfg, write_darknet_weights
from export.importers.darknet.weights import array_shapes
from export.importers.unet import unet_shapes
from export.recipe import read_recipe

CFG = """[net]
height=32
width=32
channels=1
[convolutional]
batch_normalize=1
filters=4
size=3
stride=2
pad=1
activation=leaky
[convolutional]
filters=14
size=1
activation=linear
[yolo]
mask=0,1
anchors=4,4, 8,8
classes=2
"""
DETECT = """name = "hand-detect"
role = "detect"
limb = "hand"
[source]
kind = "compact"
architecture = "yolov3"
files = ["net.npz"]
cfg = "net.cfg"
[input]
channels = 1
height = 32
width = 64
[[classes]]
name = "PIP"
meaning = "finger"
[[classes]]
name = "MCP"
meaning = "knuckle"
"""
MASK = """name = "hand-mask"
role = "mask"
limb = "hand"
[source]
kind = "compact"
architecture = "unet"
files = ["mask.npz"]
[input]
channels = 1
height = 16
width = 24
mean = [0.5]
std = [0.25]
"""
WIDTHS = dict.fromkeys(("enc0", "enc1", "mid", "dec1", "dec0"), (3, 4))


@pytest.fixture
def home(tmp_path, tools):
    home = tmp_path / "engines"
    home.mkdir()
    (home / "net.cfg").write_text(CFG)
    save_compact(home / "net.npz", tools.arrays(array_shapes(parse_cfg(CFG))), {"data": "phantom"})
    save_compact(home / "mask.npz", tools.arrays(unet_shapes(WIDTHS)), {"epochs": 2})
    (home / "hand-detect.toml").write_text(DETECT)
    (home / "hand-mask.toml").write_text(MASK)
    return home


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_folder_of_recipes_becomes_engines_that_run(home, tmp_path):
    seen = []
    recipes = sorted(home.glob("*.toml"))
    outcomes = list(export_recipes(recipes, tmp_path / "built", lambda *step: seen.append(step)))
    assert seen == [("hand-detect", 0, 2), ("hand-mask", 1, 2)]
    assert [outcome.error for outcome in outcomes] == [None, None]
    engines = load_engines(tmp_path / "built", threads=1)
    detector = engines.require(Role.DETECT, Limb.HAND)
    assert input_size(detector) == (32, 64)
    grey = np.random.default_rng(0).integers(0, 256, (1, 32, 64), dtype=np.uint8)
    boxes = detector.run(to_inputs(detector, grey))["boxes"]
    assert boxes.shape == (1, 16 * 32 * 2, 7)
    assert (boxes[..., 4:] >= 0).all()
    assert (boxes[..., 4:] <= 1).all()


def test_the_passport_states_what_was_built_and_from_what(home, tmp_path):
    exported = export_engine(home / "hand-detect.toml", tmp_path / "built")
    passport = json.loads(exported.passport.read_text())
    assert passport["role"] == "detect"
    assert passport["input"]["mean"] == [0.0]
    assert [c["name"] for c in passport["classes"]] == ["PIP", "MCP"]
    assert passport["anchors"] == [[4.0, 4.0], [8.0, 8.0]]
    assert [s["file"] for s in passport["sources"]] == ["net.npz", "net.cfg"]
    assert passport["engine"]["sha256"] == exported.sha256
    assert passport["training"] == {"data": "phantom"}
    assert passport["settings"]["bn_epsilon"] == 1e-6
    assert passport["agreement"]["boxes"] < 1e-4
    assert passport["notice"] == "research use only, not a medical device"


def test_a_second_export_changes_nothing_and_a_new_one_gives_the_same_bytes(home, tmp_path):
    first = export_engine(home / "hand-mask.toml", tmp_path / "built")
    stamp = first.engine.stat().st_mtime_ns
    second = export_engine(home / "hand-mask.toml", tmp_path / "built")
    assert (first.cached, second.cached) == (False, True)
    assert second.engine.stat().st_mtime_ns == stamp
    elsewhere = export_engine(home / "hand-mask.toml", tmp_path / "elsewhere")
    assert elsewhere.engine.read_bytes() == first.engine.read_bytes()


def test_changed_weights_recipes_or_engines_are_built_again(home, tmp_path):
    built = tmp_path / "built"
    first = export_engine(home / "hand-mask.toml", built)
    first.engine.write_bytes(b"damaged")
    repaired = export_engine(home / "hand-mask.toml", built)
    assert not repaired.cached
    assert repaired.sha256 == first.sha256
    arrays, meta = load_compact(home / "mask.npz")
    save_compact(home / "mask.npz", {k: v * 2 for k, v in arrays.items()}, meta)
    assert export_engine(home / "hand-mask.toml", built).sha256 != first.sha256
    change(home / "hand-mask.toml", "std = [0.25]", "std = [0.5]")
    assert not export_engine(home / "hand-mask.toml", built).cached


def test_darknet_files_and_compact_weights_give_the_same_graph(home, tmp_path):
    compact = export_engine(home / "hand-detect.toml", tmp_path / "a")
    arrays, _ = load_compact(home / "net.npz")
    (home / "net.weights").write_bytes(write_darknet_weights(parse_cfg(CFG), arrays, seen=9))
    change(
        home / "hand-detect.toml",
        'kind = "compact"\narchitecture = "yolov3"\nfiles = ["net.npz"]',
        'kind = "darknet"\nweights = "net.weights"',
    )
    darknet = export_engine(home / "hand-detect.toml", tmp_path / "b")
    assert darknet.sha256 == compact.sha256
    assert json.loads(darknet.passport.read_text())["training"] == {"images_seen": 9}


def test_missing_weights_stop_only_their_own_recipe(home, tmp_path):
    (home / "mask.npz").unlink()
    outcomes = list(export_recipes(sorted(home.glob("*.toml")), tmp_path / "built"))
    assert outcomes[0].exported is not None
    assert "mask.npz" in str(outcomes[1].error)
    assert "(fix: " in str(outcomes[1].error)


def test_weights_may_be_pinned_by_hash(home, tmp_path):
    change(
        home / "hand-mask.toml", "[input]", f'[source.sha256]\n"mask.npz" = "{"0" * 64}"\n[input]'
    )
    with pytest.raises(RecipeError, match=r"SHA-256 of mask.npz"):
        export_engine(home / "hand-mask.toml", tmp_path)


def test_weights_of_another_cfg_are_refused(home, tmp_path):
    arrays, _ = load_compact(home / "net.npz")
    save_compact(home / "net.npz", arrays, {"cfg_sha256": "0" * 64})
    with pytest.raises(WeightsError, match=r"another .cfg"):
        export_engine(home / "hand-detect.toml", tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("channels = 1", "channels = 3", "input.channels"),
        ('[[classes]]\nname = "MCP"\nmeaning = "knuckle"\n', "", "classes"),
        ("[input]", "[input]\nchanels = 1", "input.chanels: unknown key"),
        ('role = "detect"', 'role = "mask"', "classes belong to"),
        ('architecture = "yolov3"', 'architecture = "unet"', "cfg is needed"),
        ('limb = "hand"', 'limb = "arm"', "limb"),
        ('kind = "compact"', 'kind = "caffe"', "source"),
        ("height = 32", "height = 32\nmean = [0.1, 0.2]", "one a channel"),
        ('name = "hand-detect"', 'name = "../up"', "name"),
        ('role = "detect"', "role = ", "no TOML"),
        ('limb = "hand"', 'limb = "hand"\nanchors = [[1, 2], [3, 4]]', "anchors"),
    ],
)
def test_a_fault_in_a_recipe_is_named(home, tmp_path, old, new, words):
    change(home / "hand-detect.toml", old, new)
    with pytest.raises(ExportError) as caught:
        export_engine(home / "hand-detect.toml", tmp_path / "built")
    assert words in str(caught.value)
    assert not (tmp_path / "built").exists()


def test_a_graph_that_overflows_is_not_installed(home, tmp_path):
    arrays, meta = load_compact(home / "net.npz")
    arrays["conv1.bias"] += 1e6
    save_compact(home / "net.npz", arrays, meta)
    with pytest.raises(ContractError, match="not finite"):
        export_engine(home / "hand-detect.toml", tmp_path / "built")
    assert not list((tmp_path / "built").glob("*.onnx"))


def test_a_folder_without_recipes_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sharpedge.engines, "engines_home", lambda: tmp_path)
    with pytest.raises(RecipeError, match=rf"{tmp_path}: no recipe"):
        sharpedge.engines.export((), tmp_path, None)


def test_every_shipped_recipe_is_valid_and_named_like_its_file(engines_dir):
    recipes = {path.stem: read_recipe(path) for path in engines_dir.glob("*.toml")}
    assert set(recipes) == {f"{limb}-{role}" for limb in Limb for role in Role}
    for name, recipe in recipes.items():
        assert recipe.name == name == f"{recipe.limb}-{recipe.role}"


@pytest.mark.parametrize("name", [f"{limb}-{role}" for limb in Limb for role in Role])
def test_shipped_weights_export_with_an_fp16_sibling(shipped, name):
    passport = json.loads((shipped / f"{name}.json").read_text())
    assert passport["training"]
    assert (shipped / passport["half"]["file"]).stat().st_size == passport["half"]["bytes"]
    assert passport["half"]["half_nodes"] > len(passport["half"]["kept_fp32"])
    assert passport["half"]["agreement"]


def test_an_engine_that_is_replaced_is_kept_and_can_be_brought_back(home, tmp_path):
    built = tmp_path / "built"
    first = export_engine(home / "hand-mask.toml", built)
    arrays, meta = load_compact(home / "mask.npz")
    save_compact(home / "mask.npz", {k: v * 2 for k, v in arrays.items()}, meta)
    second = export_engine(home / "hand-mask.toml", built)
    kept = f"hand-mask.onnxruntime-{first.sha256[:8]}"
    assert load_engines(built).versions == {"hand-mask": second.sha256[:16]}
    activate(built, kept, device_key())
    assert load_engines(built).versions == {"hand-mask": first.sha256[:16]}
    assert not load_engines(built).degraded
    half = json.loads((built / f"{kept}.json").read_text())["half"]["file"]
    assert (built / half).is_file()
