"""Daemon and worker with all engines loaded stay small enough for a box of two gigabytes."""

from __future__ import annotations

import pytest

from benchmarks.appliance import ALONE, measure
from edge.engine.loader import load_engines
from edge.engine.passport import Role
from edge.errors import EngineError
from edge.system.paths import built_engines
from phantom.command import write_patients

LIMIT_MIB = 700


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_daemon_and_worker_take_less_than_700_mib_with_all_engines(tmp_path, backend):
    try:
        engines = load_engines(built_engines(), backend=backend, fallback=False)
    except EngineError as error:
        pytest.skip(str(error))
    if len(engines.engines) != 2 * len(Role):
        pytest.skip("not every engine is built: sharpedge export")
    write_patients(tmp_path / "films", 1, 7)
    films = sorted((tmp_path / "films").glob("*.jpg"))
    settings = f'[worker]\nbackend = "{backend}"\n'
    found = measure(tmp_path / "run", films, ALONE, 4, settings=settings)
    memory_mib = {it.labels["process"]: it.values[0] for it in found if it.name == "memory"}
    assert memory_mib["workers"] > 100
    assert sum(memory_mib.values()) < LIMIT_MIB, memory_mib
