"""TensorRT-RTX builds plans for real without a GPU; where there is none, none of them serves."""

import importlib.util
import json
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

import edge.engine.backends.openvino
import export.acceptance.install
import export.builders.child
from edge.anatomy import Limb
from edge.engine.backend_table import Precision
from edge.engine.backends.tensorrt import refuse_stale
from edge.engine.device import preflight
from edge.engine.installed import activate, scan
from edge.engine.key import device_key
from edge.engine.loader import load_engines, open_backend
from edge.engine.passport import Acceptance, Role, open_engine, read_passport
from edge.errors import EngineError
from export.acceptance.gate import ACCEPTANCE_RULES, Rules
from export.acceptance.golden import phantom_set, reference_engines
from export.acceptance.install import Gate, accept, build_and_install, find_recipe
from export.builders.build import PROFILE, BuilderOptions, Calibration, build_candidate
from export.errors import BuildError
from export.exporter import export_engine, write_passport
from export.importers.compact import save_compact
from export.importers.unet import unet_shapes

RTX = "tensorrt-rtx"
needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason="tensorrt_rtx is not installed: pip install tensorrt_rtx",
)
needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None,
    reason="openvino is not installed: pip install openvino",
)
no_gpu = pytest.mark.skipif(
    preflight().device is not None, reason="this machine has a GPU: plans run here"
)
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
"""


@pytest.fixture
def small(tmp_path, tools):
    """A folder with one small exported engine."""
    widths = dict.fromkeys(("enc0", "enc1", "mid", "dec1", "dec0"), (3, 4))
    save_compact(tmp_path / "mask.npz", tools.arrays(unet_shapes(widths)), {})
    (tmp_path / "hand-mask.toml").write_text(MASK)
    export_engine(tmp_path / "hand-mask.toml", tmp_path / "built")
    return tmp_path / "built"


def silent(*_step):
    """Progress that nobody watches."""


@needs_rtx
@pytest.mark.parametrize("name", [f"{limb}-{role}" for limb in Limb for role in Role])
def test_every_shipped_engine_becomes_an_fp16_plan(installed, name):
    built = build_candidate(name, installed, RTX)
    passport = built.passport
    assert passport.engine.format == "plan"
    assert passport.engine.precision is Precision.FP16
    assert passport.build.strongly_typed
    assert passport.build.half_tensors > 30
    assert passport.build.profile == (PROFILE if name.endswith("score") else None)
    assert passport.graph == read_passport(installed / f"{name}.json").engine.sha256
    half_mib = read_passport(installed / f"{name}.json").half.bytes / 2**20
    assert passport.engine.bytes / 2**20 < half_mib + 2


@needs_rtx
def test_a_plan_is_built_once_and_again_when_its_graph_changes(small):
    steps = []
    first = build_candidate("hand-mask", small, RTX, lambda *step: steps.append(step))
    assert not first.cached
    assert steps
    assert all(0 <= done <= total for _, done, total in steps)
    again = build_candidate("hand-mask", small, RTX)
    assert again.cached
    assert again.passport == first.passport
    plan = small / first.passport.engine.file
    plan.write_bytes(plan.read_bytes()[:-1])
    assert not build_candidate("hand-mask", small, RTX).cached
    recipe = small.parent / "hand-mask.toml"
    recipe.write_text(recipe.read_text() + "std = [0.5]\nmean = [0.1]\n")
    export_engine(recipe, small)
    assert build_candidate("hand-mask", small, RTX).cached


@needs_rtx
def test_timings_are_kept_for_the_next_build_and_nothing_else_is_left(small):
    build_candidate("hand-mask", small, RTX)
    assert [path.suffix for path in (small / "timing").iterdir()] == [".cache"]
    assert not [path for path in small.iterdir() if path.name.startswith(".")]


@needs_rtx
def test_a_graph_without_fp16_is_no_fp16_plan(small):
    half = small / "hand-mask.fp16.onnx"
    shutil.copy(small / "hand-mask.onnx", half)
    resign_half(small, half)
    with pytest.raises(BuildError, match="no FP16 tensor"):
        build_candidate("hand-mask", small, RTX)
    assert not list(small.glob("*.engine"))


def resign_half(folder, half):
    import hashlib

    path = folder / "hand-mask.json"
    passport = read_passport(path)
    data = half.read_bytes()
    record = passport.half.model_copy(update={"sha256": hashlib.sha256(data).hexdigest()})
    write_passport(path, passport.model_copy(update={"half": record}), device_key())


@needs_rtx
def test_what_the_builder_refuses_is_reported_in_its_words(small):
    half = small / "hand-mask.fp16.onnx"
    model = onnx.load(half)
    model.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(model, half)
    resign_half(small, half)
    with pytest.raises(BuildError, match="NoSuchOperator"):
        build_candidate("hand-mask", small, RTX)


@needs_rtx
def test_a_builder_that_dies_ends_only_its_own_process(small, monkeypatch):
    monkeypatch.setattr(export.builders.child.sys, "executable", shutil.which("false"))
    with pytest.raises(BuildError, match="ended with status 1: without a message"):
        build_candidate("hand-mask", small, RTX)


@needs_rtx
def test_a_changed_sibling_is_not_built_from(small):
    half = small / "hand-mask.fp16.onnx"
    half.write_bytes(half.read_bytes() + b"\0")
    with pytest.raises(BuildError, match=r"fp16.onnx: the FP16 sibling was changed"):
        build_candidate("hand-mask", small, RTX)


@needs_rtx
@no_gpu
def test_a_plan_that_cannot_run_here_is_marked_and_never_serves(installed, golden_cache):
    golden = phantom_set(golden_cache, patients=1, seed=3)
    gate = Gate(golden, golden_cache, reference_engines(installed, threads=1))
    (built,) = build_and_install("hand-score", installed, [RTX], gate, silent)
    verdict = built.passport.acceptance
    assert not verdict.accepted
    assert verdict.reason == "no device"
    assert "simulated on the CPU: agrees" in verdict.warning
    assert 0 < verdict.figures["expected_max"] < 0.02
    assert not built.active
    engines = load_engines(installed, threads=1)
    assert engines.require(Role.SCORE, Limb.HAND).passport["backend"] == "onnxruntime"
    assert not engines.degraded
    with pytest.raises(EngineError, match="not accepted: no device"):
        activate(installed, built.stem, device_key())
    assert next(build_and_install("hand-score", installed, [RTX], gate, silent)).cached


@needs_rtx
@no_gpu
def test_a_plan_that_was_forced_in_is_refused_with_what_is_missing(small):
    built = build_candidate("hand-mask", small, RTX)
    forced = Acceptance(accepted=True, reason="forced")
    write_passport(
        built.path, built.passport.model_copy(update={"acceptance": forced}), device_key()
    )
    engines = load_engines(small)
    assert engines.degraded
    assert "no GPU: " in engines.refusals[0].why
    with pytest.raises(EngineError, match="no GPU"):
        load_engines(small, fallback=False)


@no_gpu
def test_without_a_gpu_the_preflight_reports_what_is_missing():
    found = preflight()
    assert found.missing
    assert found.fix


@no_gpu
@pytest.mark.skipif(
    importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is installed"
)
def test_tensorrt_that_is_not_there_is_refused_with_the_fix(small):
    with pytest.raises(BuildError, match=r"tensorrt is not installed.*fix: pip install"):
        build_candidate("hand-mask", small, "tensorrt")


def test_the_reference_back_end_needs_no_build_in_fp32(small):
    with pytest.raises(BuildError, match=r"ONNX Runtime takes the graph.*fix: sharpedge export"):
        build_candidate("hand-mask", small, "onnxruntime", precision=Precision.FP32)


def test_a_plan_of_another_device_or_version_is_stale(small):
    passport = read_passport(small / "hand-mask.json")
    device = {"gpu": "Orin", "compute_capability": "8.7", "driver": "540", "cuda": "12.6"}
    build = {
        "builder": "tensorrt", "version": "10.3", "flags": (), "strongly_typed": True,
        "half_tensors": 9, "profile": None, "seconds": 1.0, "peak_mib": 1.0, "device": device,
    }  # fmt: skip
    fields = {**passport.model_dump(), "build": build, "backend": "tensorrt"}
    plan = type(passport).model_validate(fields)
    here = plan.build.device
    refuse_stale(plan, here, "10.3")
    for changed, version, words in [
        ({}, "10.4", "for TensorRT 10.3, here is 10.4"),
        ({"gpu": "Thor"}, "10.3", "for GPU Orin, here is Thor"),
        ({"driver": "580"}, "10.3", "for driver 540, here is 580"),
    ]:
        with pytest.raises(EngineError, match=words) as caught:
            refuse_stale(plan, here.model_copy(update=changed), version)
        assert caught.value.fix == "sharpedge build hand-mask --backend tensorrt"


@needs_openvino
def test_openvino_gives_what_onnx_runtime_gives(small):
    built = build_candidate("hand-mask", small, "openvino")
    bf16 = built.passport.engine.precision is Precision.BF16
    one = open_backend(open_engine(small / "hand-mask.json", device_key()), threads=1)
    other = open_backend(open_engine(built.path, device_key()), threads=1)
    assert one.input_shapes == other.input_shapes
    image = np.random.default_rng(0).random((1, 1, 16, 24), dtype=np.float32)
    wanted, found = one.run({"image": image})["mask"], other.run({"image": image})["mask"]
    np.testing.assert_allclose(found, wanted, atol=0.05 if bf16 else 1e-4)
    assert other.timings.compute_ms > 0
    with pytest.raises(EngineError, match="input image"):
        other.run({"image": image[..., 1:]})


@needs_openvino
def test_openvino_is_judged_measured_and_serves_when_it_is_faster(installed, golden_cache):
    golden = phantom_set(golden_cache, patients=1, seed=3)
    gate = Gate(golden, golden_cache, reference_engines(installed, threads=1))
    *refused, built = build_and_install("hand-score", installed, ["openvino"], gate, silent)
    assert [one.passport.acceptance.accepted for one in refused] == [False] * len(refused)
    assert built.passport.acceptance.accepted, built.passport.acceptance
    mine = built.passport.latency_ms["total_p50"]
    theirs = read_passport(installed / "hand-score.json").latency_ms["total_p50"]
    assert built.active is (mine <= theirs)
    engine = load_engines(installed, threads=1).require(Role.SCORE, Limb.HAND)
    assert engine.passport["backend"] == ("openvino" if mine <= theirs else "onnxruntime")
    path = installed / f"{built.stem}.json"
    assert accept(built_again(path), gate, silent) == read_passport(path)


def built_again(path):
    return export.builders.build.Candidate(path, read_passport(path), cached=True)


@needs_openvino
def test_a_library_that_was_missing_is_asked_for_again(installed, golden_cache, monkeypatch):
    golden = phantom_set(golden_cache, patients=1, seed=3)
    gate = Gate(golden, golden_cache, reference_engines(installed, threads=1))
    monkeypatch.setattr(export.acceptance.install, "precisions", lambda _: (Precision.FP32,))
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "openvino", None)
        (built,) = build_and_install("hand-mask", installed, ["openvino"], gate, silent)
        assert "OpenVINO is not installed" in built.passport.acceptance.reason
    (again,) = build_and_install("hand-mask", installed, ["openvino"], gate, silent)
    assert again.cached
    assert again.passport.acceptance.accepted


@needs_openvino
def test_where_bf16_strays_too_far_fp32_is_built_instead(installed, golden_cache, monkeypatch):
    golden = phantom_set(golden_cache, patients=1, seed=3)
    gate = Gate(golden, golden_cache, reference_engines(installed, threads=1))
    monkeypatch.setattr(
        export.acceptance.install, "precisions", lambda _: (Precision.BF16, Precision.FP32)
    )
    monkeypatch.setitem(ACCEPTANCE_RULES, Precision.BF16, Rules(1, 0, 0, 0, 1, 1, 0))
    monkeypatch.setattr(edge.engine.backends.openvino, "cpu_has_bf16", lambda: True)
    first, second = build_and_install("hand-mask", installed, ["openvino"], gate, silent)
    assert not first.passport.acceptance.accepted
    assert second.passport.acceptance.accepted
    assert second.passport.engine.precision is Precision.FP32
    assert first.stem != second.stem


def test_a_recipe_is_found_by_path_and_by_name(engines_dir):
    assert find_recipe("hand-mask") == engines_dir / "hand-mask.toml"
    assert find_recipe(str(engines_dir / "foot-mask.toml")).name == "foot-mask.toml"
    with pytest.raises(export.errors.RecipeError, match="hand-score"):
        find_recipe("left-ear")


def test_passports_of_builds_hold_no_path(small):
    text = (small / "hand-mask.json").read_text()
    assert str(small.parent) not in text
    assert json.loads(text)["hmac"]


def test_other_options_of_the_builder_make_another_plan(monkeypatch):
    passport = SimpleNamespace(engine=SimpleNamespace(sha256="a"), half=None)
    monkeypatch.setattr(export.builders.build, "_version", lambda _backend: "10.3")

    def key(options, backend="tensorrt"):
        return export.builders.build._build_key(passport, backend, Precision.FP16, options, None)

    plain = key(BuilderOptions())
    assert len({plain, key(BuilderOptions(64)), key(BuilderOptions(level=5))}) == 3
    assert key(BuilderOptions(64), "openvino") == key(BuilderOptions(), "openvino")


def calibration(count=3, identity="a"):
    random = np.random.default_rng(7)
    images = [random.random((1, 1, 16, 24), dtype=np.float32) for _ in range(count)]
    return Calibration(identity, lambda _name: images)


def test_an_8_bit_engine_is_a_graph_of_its_own_and_gives_nearly_what_fp32_gives(small):
    built = build_candidate("hand-mask", small, "onnxruntime", calibration=calibration())
    passport = built.passport
    assert passport.engine.precision is Precision.INT8
    assert passport.engine.file == f"{built.stem}.onnx"
    assert passport.graph_sha256 == read_passport(small / "hand-mask.json").engine.sha256
    assert passport.rounded.images == 3
    assert not passport.is_reference
    image = calibration().images("hand-mask")[0]
    one = open_backend(open_engine(small / "hand-mask.json", device_key()))
    other = open_backend(open_engine(built.path, device_key()))
    wanted, found = one.run({"image": image})["mask"], other.run({"image": image})["mask"]
    assert 0 < np.abs(found - wanted).max() < 0.1


def test_an_8_bit_engine_is_built_again_when_its_calibration_changes(small):
    first = build_candidate("hand-mask", small, "onnxruntime", calibration=calibration())
    again = build_candidate("hand-mask", small, "onnxruntime", calibration=calibration())
    other = build_candidate(
        "hand-mask", small, "onnxruntime", calibration=calibration(identity="b")
    )
    assert again.cached
    assert again.stem == first.stem
    assert not other.cached
    assert other.stem != first.stem


def test_8_bits_without_anything_to_calibrate_on_are_refused(small):
    with pytest.raises(BuildError, match="needs inputs to calibrate on"):
        build_candidate("hand-mask", small, "onnxruntime", precision=Precision.INT8)
    with pytest.raises(BuildError, match="gave this engine no input to calibrate on"):
        build_candidate("hand-mask", small, "onnxruntime", calibration=calibration(0))


def test_builds_in_8_bits_and_replaced_graphs_are_pruned_apart(small, tools):
    widths = dict.fromkeys(("enc0", "enc1", "mid", "dec1", "dec0"), (3, 4))
    save_compact(small.parent / "mask.npz", tools.arrays(unet_shapes(widths), seed=9), {})
    before = read_passport(small / "hand-mask.json").engine.sha256
    export_engine(small.parent / "hand-mask.toml", small)
    for number in range(5):
        build_candidate(
            "hand-mask", small, "onnxruntime", calibration=calibration(identity=str(number))
        )
    kept = [item.passport for item in scan(small) if item.stem.startswith("hand-mask.onnxruntime-")]
    assert [it.engine.sha256 for it in kept if it.is_reference] == [before]
    rounded = [it for it in kept if not it.is_reference]
    assert len(rounded) == 3
    assert {path.name for path in small.glob("*.onnxruntime-*.onnx")} >= {
        it.engine.file for it in rounded
    }
    assert len(list(small.glob("*.onnxruntime-*.onnx"))) == 1 + 3 + 1  # and the FP16 sibling
