"""What the worker is made from, and what it says when an engine is missing."""

from __future__ import annotations

import shutil

import pytest

from edge.config import Config
from edge.system.paths import built_engines
from edge.worker.factory import film_scorer


@pytest.mark.usefixtures("engines")
@pytest.mark.parametrize("missing", ["hand-score", "foot-mask"])
def test_an_engine_that_is_missing_is_told_with_its_fix(tmp_path, missing):
    folder = tmp_path / "engines"
    shutil.copytree(built_engines(), folder)
    for path in folder.glob(f"{missing}.*"):
        path.unlink()
    settings = {"folders": {"watch": tmp_path}, "worker": {"engines": folder, "threads": 1}}
    made = film_scorer(Config.model_validate(settings))
    assert made.degraded == (f"{missing}: is not installed (fix: sharpedge export)",)
