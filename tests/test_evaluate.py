"""``sharpedge evaluate``: figures against known truth."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edge.engine.loader import load_engines
from edge.model import LimbResult, Status, Versions
from edge.paths import built_engines
from edge.phantom.command import write_patients
from edge.pipeline.scorer import FilmOutcome, FilmScorer, LimbOutcome
from edge.pipeline.settings import PipelineSettings
from training.measure import NOT_SCORED, as_table, balanced, measure_phantoms


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("phantoms")
    write_patients(path, 1, 5, "jpeg", "flat")
    return path


class Oracle:
    """Answers with the truth, or with what a test makes of it."""

    def __init__(self, folder, change=lambda result: result):
        lines = (folder / "truth.jsonl").read_text("utf-8").splitlines()
        self.truth = {json.loads(line)["file"]: line for line in lines}
        self.change = change

    def score(self, _data, name):
        result = self.change(LimbResult.model_validate_json(self.truth[name]))
        return FilmOutcome((LimbOutcome(result),), {})


def test_balanced_accuracy_weighs_every_grade_alike():
    pairs = [(0, 0)] * 8 + [(3, 2), (3, 3)]
    assert balanced(pairs) == pytest.approx(0.75)
    assert balanced(pairs, 1) == pytest.approx(1.0)
    assert balanced([(0, NOT_SCORED), (1, NOT_SCORED)], 1) == 0


def test_the_truth_itself_is_all_right(folder):
    tally = measure_phantoms(Oracle(folder), folder, lambda _done: None)
    assert tally.counts["limb and side right"] == 4
    assert tally.counts["hand complete"] == tally.counts["foot complete"] == 2
    assert all(balanced(pairs) == 1 for pairs in tally.grades.values())


def test_a_moved_joint_a_wrong_grade_and_a_missing_score_cost(folder):
    def spoil(result):
        if result.limb != "hand":
            return result
        first, second, third, *rest = result.joints
        moved = first.model_copy(update={"centre": tuple(np.add(first.centre, 400.0))})
        wrong = second.model_copy(update={"erosion": (second.erosion + 2) % 6})
        missing = third.model_copy(update={"erosion": None, "erosion_reason": "absent"})
        return result.model_copy(update={"joints": (moved, wrong, missing, *rest)})

    tally = measure_phantoms(Oracle(folder, spoil), folder, lambda _done: None)
    assert tally.counts["hand complete"] == 0
    assert tally.counts["foot complete"] == 2
    assert sum(true != given for true, given in tally.grades["hand erosion"]) == 4
    assert balanced(tally.grades["foot erosion"]) == 1


def test_a_film_that_is_rejected_counts_as_wrong(folder):
    def reject(result):
        return LimbResult(
            file=result.file,
            limb_index=0,
            status=Status.REJECTED,
            reason="corrupt",
            versions=Versions(software="x"),
        )

    tally = measure_phantoms(Oracle(folder, reject), folder, lambda _done: None)
    assert tally.counts["limb and side right"] == 0
    assert balanced(tally.grades["hand narrowing"], 1) == 0


def test_the_shipped_engines_are_measured_and_called_phantom_figures(folder):
    scorer = FilmScorer(load_engines(built_engines()), PipelineSettings(), want_masks=True)
    tally = measure_phantoms(scorer, folder, lambda _done: None)
    assert tally.counts["limb and side right"] == 4
    assert min(tally.dice) > 0.9
    text = as_table(tally, "phantom figures")
    assert text.startswith("phantom figures")
    assert "hand erosion: n " in text
