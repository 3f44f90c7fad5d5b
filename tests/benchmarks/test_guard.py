from __future__ import annotations

import json

import pytest

from benchmarks import guard as guarding
from benchmarks.guard import GROWTH, grown, guard, measure_ratios, read_history
from benchmarks.intervals import Interval
from edge.anatomy import Limb
from edge.engine.loader import load_engines
from edge.engine.passport import Role
from edge.errors import EdgeError, EngineError
from edge.system.paths import built_engines

FP32 = {"hand-score": "onnxruntime fp32"}
INT8 = {"hand-score": "openvino int8"}


def line(value, **others):
    same = {"machine": "box", "serving": FP32, "grown": []}
    return {**same, "ratios": {"engine a": [value] * 3}, **others}


@pytest.mark.parametrize(
    ("low", "slower"), [(2.0 * GROWTH + 0.01, True), (2.0 * GROWTH - 0.01, False), (1.0, False)]
)
def test_a_ratio_grew_where_its_whole_interval_lies_above_the_limit(low, slower):
    ratios = {"engine a": Interval(low, low + 0.2, low + 0.4)}
    found = grown(ratios, [line(2.0), line(2.1), line(1.9)])
    assert ("engine a" in found) is slower


def test_only_the_last_runs_count_and_a_new_name_is_compared_with_nothing():
    ratios = {"engine a": Interval(3.0, 3.0, 3.0), "engine b": Interval(9.0, 9.0, 9.0)}
    assert grown(ratios, [line(1.0)] * 9 + [line(3.0)] * 5) == {}
    assert grown(ratios, []) == {}


def test_runs_of_other_machines_or_engines_and_slower_ones_are_no_measure(tmp_path):
    path = tmp_path / "history.jsonl"
    lines = [line(1.0), line(2.0, machine="other"), line(3.0, grown=["engine a"])]
    lines += [line(4.0), line(5.0, serving=INT8)]
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    found = read_history(path, "box", FP32)
    assert [one["ratios"]["engine a"][0] for one in found] == [1.0, 4.0]
    assert read_history(tmp_path / "none.jsonl", "box", FP32) == []
    path.write_text("{")
    with pytest.raises(EdgeError, match=r"history\.jsonl: the history cannot be read"):
        read_history(path, "box", FP32)


@pytest.fixture
def engines():
    try:
        found = load_engines(built_engines())
    except EngineError as error:
        pytest.skip(str(error))
    if found.get(Role.SCORE, Limb.HAND) is None:
        pytest.skip("the scorers are not built: sharpedge export")
    return found


def test_engines_stages_and_film_are_measured_against_the_reference(engines):
    found = measure_ratios(engines, 4, lambda *_: None)
    assert {f"engine {engine.name}" for engine in engines.engines.values()} <= found.keys()
    assert {"pipeline whole film", "pipeline score"} <= found.keys()
    assert all(0 < ratio.low <= ratio.value <= ratio.high for ratio in found.values())


def test_a_slower_run_ends_with_1_and_is_kept_apart_until_it_is_accepted(
    engines, tmp_path, monkeypatch
):
    assert engines
    told = []
    ratio = {"now": 1.0}

    def measured(*_):
        return {"engine a": Interval(ratio["now"], ratio["now"], ratio["now"])}

    monkeypatch.setattr(guarding, "measure_ratios", measured)
    path = tmp_path / "history.jsonl"

    def run(*, accept=False):
        return guard(path, 4, accept=accept, say=told.append)

    assert (run(), run()) == (0, 0)
    ratio["now"] = 1.5
    assert (run(), run()) == (1, 1)
    assert any("1.50 times the last runs: SLOWER" in line for line in told)
    assert (run(accept=True), run(accept=True)) == (0, 0)
    assert run(accept=True) == 0
    assert run() == 0
    entries = [json.loads(one) for one in path.read_text().splitlines()]
    assert [entry["grown"] for entry in entries] == [[], [], ["engine a"], ["engine a"]] + [[]] * 4
    assert all(entry["engine_set"] for entry in entries)
