"""The whole pipeline over real engines, each role spoilt in turn: no grade is ever given."""

from __future__ import annotations

import json

import numpy as np
import pytest
from spoilt import set_all, set_one

from edge.anatomy import Limb
from edge.engine.loader import EngineSet, load_engines
from edge.engine.passport import Role
from edge.errors import EngineError, OutputError
from edge.model import Status
from edge.pipeline.settings import PipelineSettings
from edge.scoring.fallback import FallbackScorer
from edge.scoring.film_scorer import FilmScorer
from edge.scoring.reference_film import FILM_NAME, golden_film
from edge.scoring.score_files import as_json, score_files
from edge.system.paths import built_engines
from edge.worker.second_opinion import Rechecker

EVERY = {
    "all NaN": set_all(np.nan),
    "one NaN": set_one(np.nan),
    "all inf": set_all(np.inf),
    "all 2": set_all(2.0),
    "all 0": set_all(0.0),
    "all 1": set_all(1.0),
}


class Spoilt:
    """A real engine whose outputs are changed before anybody sees them."""

    sha256 = "b" * 64

    def __init__(self, engine, change):
        self._engine, self._change = engine, change

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def run(self, inputs):
        outputs = {name: np.array(it) for name, it in self._engine.run(inputs).items()}
        for values in outputs.values():
            self._change(values)
        return outputs


@pytest.fixture(scope="module")
def engines():
    try:
        found = load_engines(built_engines(), threads=1)
    except EngineError as error:
        pytest.skip(f"no engines: {error}")
    if any(found.get(role, Limb.HAND) is None for role in Role):
        pytest.skip("not every engine is exported: sharpedge export")
    return found


def spoilt(engines, role, change):
    key = (role, Limb.HAND)
    changed = {**engines.engines, key: Spoilt(engines.engines[key], change)}
    return FilmScorer(EngineSet(changed), PipelineSettings())


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("change", EVERY)
def test_no_spoilt_engine_ever_gives_a_grade(engines, role, change):
    with pytest.raises(OutputError):
        spoilt(engines, role, EVERY[change]).score(golden_film(), FILM_NAME)


def test_score_goes_on_with_the_next_engine_and_says_so(engines, tmp_path):
    film = tmp_path / FILM_NAME
    film.write_bytes(golden_film())
    lines = []

    def make(refused):
        if "b" * 64 in refused:
            return FilmScorer(engines, PipelineSettings())
        return spoilt(engines, Role.SCORE, EVERY["all NaN"])

    (scored,) = score_files(FallbackScorer(make, lines.append), [film], None)
    (result,) = scored.results
    assert result.status is Status.SCORED
    assert "not finite" in lines[0]
    assert "NaN" not in as_json(result)


def test_score_ends_where_no_engine_is_left(engines):
    def make(refused):
        if refused:
            raise EngineError("nothing is left", engine="hand-score", fix="sharpedge export")
        return spoilt(engines, Role.SCORE, EVERY["one NaN"])

    with pytest.raises(OutputError, match="not finite"):
        FallbackScorer(make, [].append).score(golden_film(), FILM_NAME)


@pytest.mark.parametrize("change", ["all NaN", "all 0"])
def test_a_shadow_with_unusable_outputs_is_given_up_and_never_agrees(engines, change):
    results = [it.result for it in FilmScorer(engines, PipelineSettings()).score(
        golden_film(), FILM_NAME).limbs]  # fmt: skip
    rechecker = Rechecker(spoilt(engines, Role.SCORE, EVERY[change]), 1)
    rechecker.offer(golden_film(), FILM_NAME, None, results)
    assert rechecker.look() is None
    assert "hand-score" in rechecker.fault


def test_json_never_holds_a_number_that_is_none(engines):
    film = FilmScorer(engines, PipelineSettings()).score(golden_film(), FILM_NAME)
    text = as_json(film.limbs[0].result)
    json.loads(text, parse_constant=pytest.fail)
