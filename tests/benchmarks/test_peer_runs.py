from __future__ import annotations

import pytest

from benchmarks import peer_runs
from benchmarks.peer_runs import in_turns, run_peers
from benchmarks.peer_tables import ratios
from benchmarks.peers import PEERS, Peer
from benchmarks.session import Session
from edge.engine.loader import load_engines
from edge.errors import EngineError
from edge.system.paths import built_engines


def test_everybody_runs_once_a_round_in_an_order_that_changes():
    order = []
    contenders = {name: lambda number, name=name: order.append((number, name)) for name in "abc"}
    spent, at_s = in_turns(contenders, 3)
    warm, rounds = order[:6], order[6:]
    assert warm == [(number, name) for name in "abc" for number in (0, 1)]
    assert [name for _, name in rounds] == list("abcbcacab")
    assert [number for number, _ in rounds] == [0] * 3 + [1] * 3 + [2] * 3
    assert {name: len(values) for name, values in spent.items()} == dict.fromkeys("abc", 3)
    assert at_s == sorted(at_s)


@pytest.fixture
def built():
    try:
        return load_engines(built_engines())
    except EngineError as error:
        pytest.skip(str(error))


def refuse(_verified):
    raise RuntimeError("cannot parse\nthe graph")


def test_graphs_and_pipeline_run_beside_peers_and_lacks_are_noted(built, monkeypatch):
    assert built
    lacking = Peer("Missing", "no_such_module", "missing", refuse)
    refusing = Peer("Refusing", "onnx", "onnx", refuse)
    monkeypatch.setattr(peer_runs, "PEERS", (PEERS[0], lacking, refusing))
    monkeypatch.setattr(peer_runs, "PAUSE_S", 0.0)
    session = Session({}, rest_s=0.01)
    run_peers(session, None, 4, ["graph", "pipeline"], lambda *_: None)
    report = session.close()
    assert {row.name for row in report.engines} == set(built.versions)
    assert "Missing: not installed (fix: pip install missing)" in report.notes
    assert "Refusing: refuses hand-mask: cannot parse" in report.notes
    graphs = {(s.name, s.labels["contender"]) for s, _, _ in ratios(report.of("peers"), "graph")}
    names = {engine.name for engine in built.engines.values()}
    assert graphs >= {(name, who) for name in names for who in ("ours", PEERS[0].name)}
    whole = [series for series, _, _ in ratios(report.of("peers"), "pipeline")]
    assert {one.labels["contender"] for one in whole} == {"ours", PEERS[0].name}
    assert all(len(one.values) == 4 and one.labels["cycle"] == "4" for one in whole)
