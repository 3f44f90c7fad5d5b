"""The commands ``bench``, each end to end with limits too low for publishing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from edge.anatomy import Limb
from edge.engine.loader import load_engines
from edge.engine.passport import Role
from edge.errors import EngineError
from edge.system.paths import built_engines

NOTICE = "Research use only, not a medical device."


def bench(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "sharpedge.cli", "bench", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip


def report_in(folder):
    return json.loads((folder / "bench.json").read_text())


def names(report, which):
    return {row["name"] for row in report["series"] if row["bench"] == which}


@pytest.fixture(scope="module")
def engines():
    try:
        found = load_engines(built_engines())
    except EngineError as error:
        pytest.skip(str(error))
    if any(found.get(Role.SCORE, limb) is None for limb in Limb):
        pytest.skip("the scorers are not built: sharpedge export")
    return found


def test_engines_alone(engines, tmp_path):
    assert engines
    limits = ("--seconds", 0, "--runs", 3, "--only", "hand-mask", "--only", "foot-detect")
    done = bench("engine", *limits, "--out", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("publishable: no\n")
    assert "too few runs" in done.stdout
    assert NOTICE in done.stdout
    report = report_in(tmp_path)
    assert names(report, "engine") >= {"hand-mask compute", "foot-detect total"}
    assert report["engines"][0]["gflop"] > 1


def test_an_engine_that_is_not_installed_is_one_line_and_1(engines):
    assert engines
    done = bench("engine", "--only", "nothing")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "no engine to measure (nothing)" in line
    assert "sharpedge engines list" in line


def test_pipeline_and_then_the_comparison_with_itself(engines, tmp_path):
    assert engines
    done = bench(
        "pipeline", "--rounds", 1, "--size", "1100x1500", "--format", "JPEG", "--out", tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")
    report = report_in(tmp_path)
    assert names(report, "pipeline") >= {"whole film", "find", "score"}
    assert {row["labels"]["size"] for row in report["series"]} == {"1100x1500"}
    assert [row["against"] for row in report["accuracy"]] == [
        "FP32 graphs in ONNX Runtime", "truth of the simulation",
    ]  # fmt: skip
    assert {row["name"] for row in report["engines"]} == set(engines.versions)
    path = tmp_path / "bench.json"
    compared = bench("compare", path, path)
    assert compared.returncode == 0
    assert f"0 of {len(report['series'])} series differ" in compared.stdout
    assert NOTICE in compared.stdout


def test_appliance_by_arrival_pattern(engines, tmp_path):
    assert engines
    done = bench("appliance", "--films", 4, "--burst", 4, "--out", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    report = report_in(tmp_path)
    whole = [row for row in report["series"] if row["name"] == "closed to received"]
    assert len({row["labels"]["pattern"] for row in whole}) == 3
    for row in whole:
        assert len(row["values"]) == 4
        assert 0 < row["figures"]["p50"] <= row["figures"]["p99"]


def test_another_schema_is_refused_in_one_line(tmp_path):
    (tmp_path / "old.json").write_text('{"stages": {}}')
    done = bench("compare", tmp_path / "old.json", tmp_path / "old.json")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "old.json: format None None, wanted sharpedge-bench 1 (fix: " in line


def test_options_of_the_whole_run_are_not_lost_before_a_command():
    done = bench("--rounds", 3, "pipeline")
    assert done.returncode == 2
    assert "give --rounds after the command pipeline" in done.stderr


def test_help_names_every_command():
    done = bench("--help")
    for name in ("engine", "pipeline", "appliance", "peers", "scaling", "compare"):
        assert f"\n  {name}" in done.stdout
