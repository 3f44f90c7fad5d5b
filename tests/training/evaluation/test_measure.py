"""``sharpedge evaluate``: figures against known truth."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from edge.engine.loader import load_engines
from edge.model import LimbResult, Status, Versions
from edge.pipeline.settings import PipelineSettings
from edge.scoring.film_scorer import FilmOutcome, LimbOutcome
from edge.system.paths import built_engines
from phantom.command import write_patients
from sharpedge.cli import app
from training.evaluation.measure import NOT_SCORED, ProbabilityScorer, measure_set
from training.evaluation.rows import Rows
from training.evaluation.scorer_findings import scorers
from training.evaluation.tables import tabulate
from training.evaluation.text import truth_text
from training.evaluation.truth import read_truth


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


def tables_of(scorer, folder):
    return tabulate(measure_set(scorer, read_truth(folder), lambda _done, _total: None))


def by_task(tables):
    return {scorer.task: scorer for scorer in scorers(Rows.of(tables))}


def test_the_truth_itself_is_all_right(folder):
    tables = tables_of(Oracle(folder), folder)
    assert all(film.side_right and film.fate_right for film in tables.films)
    assert all(film.complete for film in tables.films)
    assert all(found.exact_all.value == 1 for found in by_task(tables).values())


def test_a_moved_joint_a_wrong_grade_and_a_missing_score_cost(folder):
    def spoil(result):
        if result.limb != "hand":
            return result
        first, second, third, *rest = result.joints
        moved = first.model_copy(update={"centre": tuple(np.add(first.centre, 400.0))})
        wrong = second.model_copy(update={"erosion": (second.erosion + 2) % 6})
        missing = third.model_copy(update={"erosion": None, "erosion_reason": "absent"})
        return result.model_copy(update={"joints": (moved, wrong, missing, *rest)})

    tables = tables_of(Oracle(folder, spoil), folder)
    assert [film.complete for film in tables.films] == [False, False, True, True]
    hands, feet = (by_task(tables)[f"Erosion ({limb})"] for limb in ("hands", "feet"))
    assert sum(row.given != row.true for row in tables.grades) == 4
    assert hands.missing == {"absent": 2}
    assert hands.scored == hands.joints - 2
    assert hands.exact_all.value < hands.exact.value < 1
    assert feet.exact_all.value == 1


def test_a_film_that_is_rejected_counts_as_wrong(folder):
    def reject(result):
        return LimbResult(
            file=result.file,
            limb_index=0,
            status=Status.REJECTED,
            reason="corrupt",
            versions=Versions(software="x"),
        )

    tables = tables_of(Oracle(folder, reject), folder)
    assert not any(film.limb_right or film.side_right or film.fate_right for film in tables.films)
    narrowing = by_task(tables)["Narrowing (hands)"]
    assert narrowing.within_one_all.value == 0
    assert narrowing.exact.value is None
    assert narrowing.missing == {"not found": narrowing.joints}


def test_the_shipped_engines_are_measured_and_called_phantom_figures(folder):
    scorer = ProbabilityScorer(load_engines(built_engines()), PipelineSettings(), want_masks=True)
    tables = tables_of(scorer, folder)
    assert all(film.side_right for film in tables.films)
    assert min(film.dice for film in tables.films) > 0.9
    scored = [row for row in tables.grades if row.given != NOT_SCORED]
    assert all(row.probabilities.sum() == pytest.approx(1) for row in scored)
    text = truth_text(tables, "phantom figures")
    assert text.startswith("phantom figures")
    assert "hand erosion: n " in text


def test_the_command_writes_one_page_and_its_figures(folder, tmp_path):
    page, figures = tmp_path / "new" / "report.html", tmp_path / "report.json"
    options = ["--html", str(page), "--json", str(figures)]
    run = CliRunner().invoke(app, ["evaluate", "phantoms", str(folder), *options])
    assert run.exit_code == 0, run.output
    assert "phantom figures (simulated films)" in run.output
    assert "Research use only, not a medical device." in run.output
    told = json.loads(figures.read_text("utf-8"))
    assert told["about"]["kind"] == "phantom"
    assert told["about"]["patients"] == 1
    assert told["outlines"][0]["least"] > 0.9
    assert told["scorers"][0]["damage_calibration"]["count"]
    assert told["scorers"][0]["exact"]["low"] is None
    assert "nothing about patients" in page.read_text("utf-8")


def test_a_simulated_set_in_the_challenges_layout_is_measured_by_patient(tmp_path):
    write_patients(tmp_path, 3, 6, "jpeg", "flat", layout="ra2")
    figures = tmp_path / "report.json"
    run = CliRunner().invoke(app, ["evaluate", "report", str(tmp_path), "--json", str(figures)])
    assert run.exit_code == 0, run.output
    told = json.loads(figures.read_text("utf-8"))
    assert told["about"]["kind"] == "phantom"
    assert told["about"]["patients"] == 1
    assert "by patient" in told["about"]["split_statement"]
    assert [one["task"] for one in told["scorers"]] == [
        "Narrowing (hands)",
        "Erosion (hands)",
        "Narrowing (feet)",
        "Erosion (feet)",
    ]
    hand = told["detection"]["groups"][0]
    assert (hand["limb"], hand["joints"], hand["found"]["value"]) == ("hand", 20, 1)
    assert "their places give away" in " ".join(told["about"]["notes"])
    assert told["identity"] == []


def test_ready_made_crops_are_graded_and_called_so(folder, tmp_path):
    truth = LimbResult.model_validate_json((folder / "truth.jsonl").read_text().splitlines()[0])
    film = cv2.imread(str(folder / truth.file), cv2.IMREAD_GRAYSCALE)
    hand = tmp_path / "test" / "one_L"
    hand.mkdir(parents=True)
    grades = {}
    for joint in truth.joints:
        if joint.name.startswith("MCP") and joint.erosion is not None:
            stem = f"MCP-{'TIMRS'[int(joint.name[3]) - 1]}"
            x, y, w, h = (round(value) for value in joint.box)
            cv2.imwrite(str(hand / f"{stem}.bmp"), film[y : y + h, x : x + w])
            grades[f"BE_{stem}"] = joint.erosion
    (hand.parent / "_annotation_be_scores.json").write_text(json.dumps({"one_L.bmp": grades}))
    (hand.parent / "_annotation_jsn_scores.json").write_text("{}")
    figures = tmp_path / "report.json"
    command = ["evaluate", "report", str(tmp_path), "--split", "all", "--json", str(figures)]
    run = CliRunner().invoke(app, command)
    assert run.exit_code == 0, run.output
    assert "ready-made crops" in run.output
    told = json.loads(figures.read_text("utf-8"))
    assert [one["joints"] for one in told["scorers"]] == [len(grades)]
    assert told["fates"] == []


def test_what_cannot_be_measured_is_said_in_one_line(tmp_path):
    for command in ("phantoms", "painted", "report", "films"):
        run = CliRunner().invoke(app, ["evaluate", command, str(tmp_path)])
        assert run.exit_code == 2
        assert "fix:" in run.stderr
        assert run.stderr.count("\n") == 1
