from __future__ import annotations

import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from benchmarks.report import as_table, write_report
from benchmarks.stages import time_stages
from benchmarks.machine import machine, summary
from edge.anatomy import Limb
from edge.engine.loader import load_engines
from edge.engine.passport import Role
from edge.errors import EdgeError, EngineError
from edge.pipeline.settings import PipelineSettings
from edge.scoring.film_scorer import FilmScorer
from edge.system.paths import built_engines

FIGURES = {"p50_ms": 1.0, "p90_ms": 2.0, "p99_ms": 3.0}
REPORT = {
    "notice": "research use only, not a medical device",
    "machine": {"processor": "one", "cores": 2},
    "rounds": 1,
    "stages": {"decode": FIGURES, "whole film": FIGURES},
    "delivery": {"closed_to_received": FIGURES},
}


def test_percentiles_are_those_of_the_values():
    found = summary(range(101))
    assert (found["n"], found["p50_ms"], found["p90_ms"], found["p99_ms"]) == (101, 50, 90, 99)
    assert summary([5.0] * 3)["variation"] == 0


def test_the_machine_is_described_well_enough_to_compare_figures():
    about = machine()
    assert about["cores"] == len(os.sched_getaffinity(0))
    assert about["versions"]["numpy"] == np.__version__
    assert about["processor"] != ""


def test_a_report_is_json_a_table_and_a_plot(tmp_path):
    pytest.importorskip("matplotlib", reason="no matplotlib: the plot is left out")
    written = write_report(REPORT, tmp_path)
    assert [path.name for path in written] == ["latency.json", "latency.png"]
    assert json.loads(written[0].read_text()) == REPORT
    assert cv2.imread(str(written[1])).size > 0
    table = as_table(REPORT)
    assert "file closed to received" in table
    assert "research use only, not a medical device" in table


def test_a_film_that_is_not_scored_is_no_benchmark(tmp_path):
    try:
        engines = load_engines(built_engines())
    except EngineError as error:
        pytest.skip(str(error))
    (tmp_path / "bad.jpg").write_bytes(b"no film")
    with pytest.raises(EdgeError, match=r"bad\.jpg was not scored \(not_an_image\)"):
        time_stages(FilmScorer(engines, PipelineSettings()), [tmp_path / "bad.jpg"], 1)


def test_bench_times_stages_and_delivery_end_to_end(tmp_path):
    try:
        engines = load_engines(built_engines())
    except EngineError as error:
        pytest.skip(str(error))
    if any(engines.get(Role.SCORE, limb) is None for limb in Limb):
        pytest.skip("the scorers are not built: sharpedge export")
    command = [sys.executable, "-m", "sharpedge.cli", "bench", "--rounds", "1", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads((tmp_path / "latency.json").read_text())
    assert report["stages"]["whole film"]["n"] == 4
    received = report["delivery"]["closed_to_received"]
    assert 0 < received["p50_ms"] <= received["p99_ms"]
    assert set(report["engines"]) == set(engines.versions)
