from __future__ import annotations

import pytest

from benchmarks.films import BenchFilm, encoded, patient_films
from benchmarks.pipeline import PICTURE, WHOLE, compare_grades, measure_pipeline
from edge.anatomy import Limb
from edge.engine.loader import load_engines
from edge.engine.passport import Role
from edge.errors import EdgeError, EngineError
from edge.pipeline.settings import PipelineSettings
from edge.scoring.film_scorer import FilmScorer
from edge.system.paths import built_engines


@pytest.fixture(scope="module")
def scorer():
    try:
        engines = load_engines(built_engines())
    except EngineError as error:
        pytest.skip(str(error))
    if engines.get(Role.SCORE, Limb.HAND) is None:
        pytest.skip("the scorers are not built: sharpedge export")
    return FilmScorer(engines, PipelineSettings())


@pytest.fixture(scope="module")
def kinds():
    drawn = patient_films()[:2]
    return [encoded(drawn, (1100, 1500), form) for form in ("JPEG", "PNG")]


def test_stages_of_every_kind_add_up_to_the_film(scorer, kinds):
    calls = []
    found = measure_pipeline(scorer, kinds, 2, lambda *done: calls.append(done))
    assert calls[-1] == (8, 8)
    for form in ("JPEG", "PNG"):
        series = {one.name: one for one in found if one.labels["format"] == form}
        whole, picture = series.pop(WHOLE), series.pop(PICTURE)
        assert all(spent > 0 for spent in picture.values)
        assert len(whole.values) == len(whole.at_s) == 4
        assert whole.labels["cycle"] == "2"
        assert {"decode", "find", "mask", "score"} <= series.keys()
        for place, spent in enumerate(whole.values):
            parts = sum(one.values[place] for one in series.values())
            assert 0.8 * spent < parts <= spent


def test_grades_are_compared_with_the_reference_and_with_the_truth(scorer, kinds):
    by_reference, by_truth = compare_grades(scorer, scorer, kinds[:1])
    assert (by_reference.films, by_truth.films) == ("JPEG, 1100x1500 px",) * 2
    assert by_reference.equal == by_reference.grades > 30
    assert by_reference.fates_differ == by_truth.fates_differ == 0
    assert by_truth.equal > 0.7 * by_truth.grades


def test_a_wrong_grade_is_counted(scorer, kinds):
    class Off:
        """Every erosion is one grade higher."""

        def score(self, data, name):
            outcome = scorer.score(data, name)
            limb = outcome.limbs[0]
            joints = tuple(
                joint.model_copy(update={"erosion": min(joint.erosion + 1, 5)})
                for joint in limb.result.joints
            )
            result = limb.result.model_copy(update={"joints": joints})
            return type(outcome)((type(limb)(result),), {})

    by_reference, _ = compare_grades(Off(), scorer, kinds[:1])
    assert by_reference.equal < by_reference.grades
    assert by_reference.largest_jump == 1


def test_a_film_that_is_not_scored_is_no_benchmark(scorer):
    bad = BenchFilm("bad.jpg", b"no film", "1x1", "JPEG", ())
    with pytest.raises(EdgeError, match=r"bad\.jpg .* was not scored \(not_an_image\)"):
        measure_pipeline(scorer, [(bad,)], 1)
