"""Fixtures of the tests of `edge`: an appliance and its broker, engines, a simulated patient."""

from __future__ import annotations

import pytest
from fixtures import broker, make_appliance, make_box, make_broker, subscriber

from edge.engine.loader import load_engines
from edge.pipeline.settings import PipelineSettings
from edge.scoring.film_scorer import FilmScorer
from edge.system.paths import built_engines, engines_home
from export.exporter import export_recipes
from phantom.command import patient_film, patient_grades

__all__ = ["broker", "make_appliance", "make_box", "make_broker", "subscriber"]


@pytest.fixture(scope="session")
def engines():
    outcomes = export_recipes(sorted(engines_home().glob("*.toml")), built_engines())
    assert [str(outcome.error) for outcome in outcomes if outcome.error] == []
    return load_engines(built_engines(), threads=1)


@pytest.fixture(scope="session")
def scorer(engines):
    return FilmScorer(engines, PipelineSettings(), want_masks=True)


@pytest.fixture(scope="session")
def undoubting(engines):
    """A scorer that leaves no grade out for doubt, where a test asks for every grade."""
    return FilmScorer(engines, PipelineSettings(grade_doubt=1.0), want_masks=True)


@pytest.fixture(scope="session")
def patient():
    """Four films of one simulated patient, by LH RH LF RF."""
    grades = patient_grades(31, 1, "flat")
    films = [patient_film(grades, 31, 1, index, "eval", mirrored=False) for index in range(4)]
    return {one.stem.rsplit("-", 1)[1]: one for one in films}
