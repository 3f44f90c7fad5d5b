"""Every installed peer computes what our reference computes; others are said to be missing."""

from __future__ import annotations

import pytest

from benchmarks.engines import installed
from benchmarks.peers import PEERS, Peer, largest_difference
from edge.engine.loader import open_backend
from edge.system.paths import built_engines
from export.acceptance.latency import typical_inputs


@pytest.fixture(scope="module", params=["hand-mask", "foot-detect", "hand-score"])
def reference(request):
    found = [
        v for path, v in installed(built_engines(), [request.param]) if v.passport.is_reference
    ]
    if not found:
        pytest.skip("no engines are built: sharpedge export")
    return found[0]


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_a_peer_has_the_protocol_of_an_engine_and_gives_the_same(peer, reference):
    if not peer.installed:
        pytest.skip(f"{peer.module} is not installed")
    ours = open_backend(reference)
    inputs = typical_inputs(ours, 3 if str(ours.passport["role"]) == "score" else 1)
    wanted = ours.run(inputs)
    engine = peer.make(reference)
    found = engine.run(inputs)
    assert found.keys() == wanted.keys()
    assert engine.input_shapes == ours.input_shapes
    assert engine.sha256 == ours.sha256
    assert engine.timings.compute_ms > 0
    coarse = str(peer.precision()) == "bf16"
    assert largest_difference(wanted, found) < (0.2 if coarse else 1e-3)


def test_a_peer_without_its_library_is_not_installed():
    assert not Peer("none", "no_such_module", "none", PEERS[0].make).installed


def test_a_difference_is_relative_to_the_largest_value():
    import numpy as np

    wanted = {"a": np.array([0.0, 200.0], "f4"), "b": np.array([0.5], "f4")}
    found = {"a": np.array([2.0, 200.0], "f4"), "b": np.array([0.5], "f4")}
    assert largest_difference(wanted, found) == pytest.approx(0.01)
