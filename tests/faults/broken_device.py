"""Engines whose device fails while it computes, as a GPU does: only the reference back end works.

The pipeline between them and the appliance is the real one: what fails is `Engine.run`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from edge.engine.loader import load_engines
from edge.errors import EngineError
from edge.scoring.film_scorer import FilmScorer
from edge.system.paths import built_engines
from edge.worker.factory import Made

CUDA = "CUDA error 700: an illegal memory access was encountered"


class Failing:
    """An engine that fails at its first run, or whenever the file in ``DEVICE`` says so."""

    def __init__(self, engine):
        self._engine = engine

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def run(self, inputs):
        flag = Path(os.environ["DEVICE"])
        word = flag.read_text() if flag.exists() else ""
        if word == "once":
            flag.unlink()
        if word:
            raise EngineError(CUDA, engine=self._engine.name, fix="restart the machine")
        return self._engine.run(inputs)


def build(config):
    """Give the shipped scorer over engines whose device is broken, unless it is the CPU's."""
    engines = load_engines(built_engines(), threads=1)
    if config.worker.backend != "onnxruntime":
        served = {where: Failing(engine) for where, engine in engines.engines.items()}
        engines = replace(engines, engines=served)
    return Made(FilmScorer(engines, config.pipeline), engines.engine_set_hash)
