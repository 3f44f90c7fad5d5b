"""The power-on self-test passes the engines that it was recorded with, and nothing else."""

import json
import os

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edge.anatomy import Limb
from edge.config import Config
from edge.engine.backends.onnxruntime import OnnxRuntimeEngine
from edge.engine.key import device_key
from edge.engine.loader import EngineSet, load_engines
from edge.engine.passport import Role, VerifiedEngine, open_engine
from edge.errors import EngineError, OutputError
from edge.pipeline.settings import PipelineSettings
from edge.scoring.film_scorer import FilmScorer
from edge.scoring.self_test import RECORD_NAME, code_files, self_test, write_record
from edge.system.paths import built_engines
from edge.worker.factory import film_scorer


@pytest.fixture(scope="module")
def engines():
    try:
        found = load_engines(built_engines(), threads=1)
    except EngineError as error:
        pytest.skip(f"no engines: {error}")
    if any(found.get(role, limb) is None for role in Role for limb in Limb):
        pytest.skip("not every engine is exported: sharpedge export")
    return found


@pytest.fixture
def scorer(engines):
    return FilmScorer(engines, PipelineSettings())


@pytest.fixture
def folder(tmp_path, engines, scorer):
    assert write_record(tmp_path, scorer, engines)
    return tmp_path


def test_the_engines_that_it_was_recorded_with_pass(folder, scorer, engines):
    record = json.loads((folder / RECORD_NAME).read_text())
    assert len(record["joints"]) == 10
    assert self_test(folder, scorer, engines) == ""


def damaged(engines, tensor, factor):
    """The same set with one weight tensor of the hand's scorer scaled."""
    path = built_engines() / "hand-score.json"
    verified = open_engine(path, device_key())
    model = onnx.load_from_string(verified.data)
    item = next(item for item in model.graph.initializer if item.name == tensor)
    scaled = numpy_helper.to_array(item) * np.float32(factor)
    item.CopyFrom(numpy_helper.from_array(scaled, tensor))
    engine = OnnxRuntimeEngine(
        VerifiedEngine(verified.passport, model.SerializeToString(), path), threads=1
    )
    return EngineSet({**engines.engines, (Role.SCORE, Limb.HAND): engine})


def test_a_damaged_scorer_does_not_pass(folder, engines):
    broken = damaged(engines, "trunk.conv5.weight", 1.5)
    wrong = self_test(folder, FilmScorer(broken, PipelineSettings()), broken)
    # Other grades, or grades that the scorer itself doubts and leaves out.
    assert "instead of" in wrong or "were expected" in wrong
    assert "(fix: sharpedge export" in wrong


def test_a_scorer_that_gives_no_numbers_does_not_pass(folder, engines):
    broken = damaged(engines, "trunk.conv5.weight", np.nan)
    with pytest.raises(OutputError, match="not finite"):
        self_test(folder, FilmScorer(broken, PipelineSettings()), broken)


def test_a_changed_record_does_not_pass_and_a_missing_one_says_nothing(folder, scorer, engines):
    path = folder / RECORD_NAME
    path.write_text(path.read_text().replace('"erosion": 4', '"erosion": 3', 1) + " ")
    changed = json.loads(path.read_text())
    changed["joints"]["PIP2"]["erosion"] += 0.1
    path.write_text(json.dumps(changed))
    assert "was changed" in self_test(folder, scorer, engines)
    path.write_text("{")
    assert "cannot be read" in self_test(folder, scorer, engines)
    path.unlink()
    assert self_test(folder, scorer, engines) == ""


def test_a_record_of_other_graphs_is_not_looked_at(folder, scorer, engines):
    fewer = EngineSet({k: v for k, v in engines.engines.items() if k[0] is not Role.MASK})
    assert self_test(folder, scorer, fewer) == ""


def test_the_worker_is_told(tmp_path, folder):
    for path in built_engines().iterdir():
        if path.is_file() and path.name not in {RECORD_NAME, "active.json"}:
            os.link(path, folder / path.name)
    config = Config.model_validate(
        {"folders": {"watch": str(tmp_path)}, "worker": {"engines": str(folder), "threads": 1}}
    )
    assert film_scorer(config).unfit == ""
    (folder / RECORD_NAME).write_text("{")
    assert "self-test" in film_scorer(config).unfit


def test_a_record_is_of_the_code_of_every_stage():
    names = {f"{path.parent.name}/{path.name}" for path in code_files()}
    assert {"imaging/decode.py", "pipeline/limb.py", "scoring/film_scorer.py"} <= names


def test_an_old_record_is_reported_with_the_command_that_makes_a_new_one(
    folder, scorer, engines, monkeypatch, caplog
):
    write_record(folder, scorer, engines)
    assert self_test(folder, scorer, engines) == ""
    assert "not run" not in caplog.text
    monkeypatch.setattr("edge.scoring.self_test.code_hash", lambda: "of an earlier release")
    assert self_test(folder, scorer, engines) == ""
    assert "not run" in caplog.text
    caplog.clear()
    for path in built_engines().iterdir():
        if path.is_file() and path.name not in {RECORD_NAME, "active.json"}:
            os.link(path, folder / path.name)
    config = {"folders": {"watch": str(folder)}, "worker": {"engines": str(folder), "threads": 1}}
    assert film_scorer(Config.model_validate(config)).unfit == ""
    assert "not run, no record of this version; fix: sharpedge export" in caplog.text
