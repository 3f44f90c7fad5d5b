"""Tuning times what agrees with FP32, in turns, and writes the fastest as a signed choice."""

import importlib.util
from types import SimpleNamespace

import pytest

import export.acceptance.install
import export.acceptance.tune
from edge.anatomy import Limb
from edge.engine.backend_table import Precision
from edge.engine.installed import activate, read_active
from edge.engine.key import device_key
from edge.engine.loader import load_engines
from edge.engine.passport import Role, read_passport
from edge.engine.tuned import read_tuned
from export.acceptance.gate import ACCEPTANCE_RULES, Rules
from export.acceptance.golden import phantom_set, reference_engines
from export.acceptance.install import Gate, build_and_install
from export.acceptance.tune import (
    Timed,
    in_order,
    installed_for_tuning,
    thread_counts,
    time_in_turns,
    tune,
)


def silent(*_step):
    pass


@pytest.fixture
def gate(installed, golden_cache, monkeypatch):
    monkeypatch.setattr(export.acceptance.install, "CALIBRATION_PATIENTS", 1)
    monkeypatch.setattr(export.acceptance.tune, "LEAST_S", 0.0)
    golden = phantom_set(golden_cache, patients=1, seed=3)
    return Gate(golden, golden_cache, reference_engines(installed, threads=1))


def test_the_8_bit_scorer_is_built_judged_timed_and_serves(installed, gate):
    (found,) = tune(installed, ["hand-score"], ["onnxruntime"], gate, silent)
    assert found.faults == ()
    assert found.refused == ()
    kinds = {(one.passport.engine.precision, one.threads) for one in found.timed}
    cores = thread_counts(export.acceptance.tune.usable_cores())
    assert kinds == {(p, n) for p in (Precision.FP32, Precision.INT8) for n in cores}
    tuned, why = read_tuned(installed, device_key())
    assert why is None
    best = found.timed[0]
    assert tuned.engines["hand-score"].stem == best.stem
    assert tuned.engines["hand-score"].threads == best.threads
    serving = load_engines(installed).require(Role.SCORE, Limb.HAND)
    assert serving.passport["engine"]["precision"] == best.passport.engine.precision
    for one in found.timed:
        assert read_passport(installed / f"{one.stem}.json").latency_ms["total_p50"] <= one.p50_ms


def test_a_detector_is_not_built_in_8_bits(installed, gate):
    (found,) = tune(installed, ["hand-detect"], ["onnxruntime"], gate, silent)
    assert {one.passport.engine.precision for one in found.timed} == {Precision.FP32}


def test_what_the_gate_refuses_is_named_and_never_chosen(installed, gate, monkeypatch):
    monkeypatch.setitem(ACCEPTANCE_RULES, Precision.INT8, Rules(1, 0, 0, 0, 1, 1, 0))
    (found,) = tune(installed, ["hand-mask"], ["onnxruntime"], gate, silent)
    assert all(one.passport.is_reference for one in found.timed)
    assert found.refused[0].startswith("ONNX Runtime int8: not accepted: a mask's")


def test_tuning_takes_an_earlier_choice_back_and_keeps_that_of_other_recipes(installed, gate):
    activate(installed, "hand-mask", device_key())
    activate(installed, "foot-mask", device_key())
    list(tune(installed, ["hand-mask"], [], gate, silent))
    assert read_active(installed).now.engines == {"foot-mask": "foot-mask"}
    list(tune(installed, ["foot-mask"], [], gate, silent))
    assert set(read_tuned(installed, device_key())[0].engines) == {"hand-mask", "foot-mask"}


def test_a_later_build_does_not_overrule_what_was_tuned(installed, gate):
    list(tune(installed, ["hand-mask"], [], gate, silent))
    (built,) = build_and_install("hand-mask", installed, ["onnxruntime"], gate, silent)
    assert built.passport.acceptance.accepted
    assert not built.active


def test_a_missing_library_is_a_fault_and_the_rest_is_timed(installed, gate):
    if importlib.util.find_spec("openvino") is not None:
        pytest.skip("OpenVINO is installed")
    (found,) = tune(installed, ["hand-mask"], ["openvino"], gate, silent)
    assert "openvino is not installed" in str(found.faults[0])
    assert found.timed


def test_each_run_comes_once_a_round_in_alternating_order():
    order, now = [], [0.0]

    def run(name, takes_s):
        def act():
            order.append(name)
            now[0] += takes_s

        return act

    medians = time_in_turns(
        [run("a", 0.010), run("b", 0.020)], least_rounds=4, least_s=0, clock=lambda: now[0]
    )
    assert medians == pytest.approx([10, 20])
    assert "".join(order) == "ab" + "ba" + "ab" + "ba" + "ab"


def timed(stem, p50_ms, *, exact=False, threads=2):
    return Timed(stem, SimpleNamespace(is_reference=exact), threads, p50_ms)


def test_the_fastest_is_chosen():
    ranked = in_order([timed("fp32", 10, exact=True), timed("bf16", 5), timed("int8", 4)])
    assert [one.stem for one in ranked] == ["int8", "bf16", "fp32"]


def test_the_fp32_graph_serves_where_nothing_gains_on_it():
    ranked = in_order([timed("other", 9.8), timed("fp32", 10, exact=True)])
    assert [one.stem for one in ranked] == ["fp32", "other"]


@pytest.mark.parametrize(("p50_ms", "chosen"), [(9.5, 2), (8.5, 1)])
def test_fewer_threads_are_chosen_only_where_they_gain_clearly(p50_ms, chosen):
    ranked = in_order([timed("int8", 10), timed("int8", p50_ms, threads=1)])
    assert ranked[0].threads == chosen


@pytest.mark.parametrize(("cores", "wanted"), [(1, (1,)), (2, (2, 1)), (8, (8, 4))])
def test_all_cores_and_half_of_them_are_tried(cores, wanted):
    assert thread_counts(cores) == wanted


def test_back_ends_of_a_gpu_are_left_out_where_there_is_none(monkeypatch):
    monkeypatch.setattr(export.acceptance.tune, "is_installed", lambda _: True)
    monkeypatch.setattr(export.acceptance.tune, "preflight", lambda: SimpleNamespace(device=None))
    assert installed_for_tuning() == ("openvino", "onnxruntime")
