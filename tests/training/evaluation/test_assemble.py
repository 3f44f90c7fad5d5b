"""The report from truth and results: what it counts, what it calls itself, what it writes."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from labelled_limbs import MADE, answered, limb_of, measure, places_of, report_of

from edge.anatomy import Limb, View
from edge.errors import NullReason
from training.errors import TrainingError
from training.evaluation.assemble import identity_report
from training.evaluation.findings import as_json
from training.evaluation.measure import Measured
from training.evaluation.measure_identity import Landmarks, Trial
from training.evaluation.page import as_html
from training.evaluation.rows import paper_part
from training.evaluation.tables import tabulate
from training.evaluation.text import as_text
from training.evaluation.truth import (
    Kind,
    LabelledSet,
    Split,
    part_of,
    placed_truth,
)


class Balanced(HTMLParser):
    """Fails for a tag that is not closed in its place, and keeps all attributes and words."""

    VOID = ("meta", "br")

    def __init__(self, page):
        super().__init__()
        self.open, self.attributes, self.words = [], [], []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, _tag, attrs):
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)


def test_right_answers_give_a_page_of_full_marks(tmp_path, truths):
    labelled, tables = measure(tmp_path, truths)
    report = report_of(labelled, tables)
    assert {one.exact.value for one in report.scorers} == {1.0}
    assert [one.joints for one in report.scorers] == [36, 40, 24, 24]
    assert {group.complete.value for group in report.detection.groups} == {1.0}
    assert {one.ap75.value for one in report.detection.classes} == {1.0}
    assert report.totals[0].agreement.icc.value == pytest.approx(1)
    # Half of a patient's limbs is no total of the patient.
    assert [total.maximum for total in report.totals] == [36, 50, 24, 60]
    assert report.about.patients == 4


def test_the_page_stands_alone_and_closes_its_tags(tmp_path, truths):
    labelled, tables = measure(tmp_path, truths)
    page = as_html(report_of(labelled, tables))
    read = Balanced(page)
    links = [value for name, value in read.attributes if name in ("href", "src")]
    assert links
    assert all(link.startswith("#") for link in links)
    assert "url(" not in page
    assert "<script" not in page
    words = " ".join(read.words)
    assert "Research use only, not a medical device." in words
    assert "a <set>" in words
    assert "nan" not in words.split()


def test_the_json_says_what_the_page_says_and_has_no_numbers_that_are_none(tmp_path, truths):
    labelled, tables = measure(tmp_path, truths)
    told = json.loads(as_json(report_of(labelled, tables)))
    assert told["notice"] == "research use only, not a medical device"
    assert told["about"]["kind"] == "phantom"
    assert told["scorers"][0]["paper_exact"] == 0.8207
    assert told["scorers"][1]["by_grade"] == [10, 10, 10, 10, 0, 0]
    assert told["scorers"][0]["zero"]["exact"] == 0.25


@pytest.mark.parametrize(
    ("kind", "word"),
    [(Kind.PHANTOM, "nothing about patients"), (Kind.PAINTED, "No clinical accuracy")],
)
def test_simulated_and_painted_films_claim_nothing_clinical(tmp_path, truths, kind, word):
    labelled, tables = measure(tmp_path, truths, kind=kind)
    assert word in as_html(report_of(labelled, tables))


def test_joints_without_a_grade_are_counted_by_reason_and_cost(tmp_path, truths):
    def doubt(result):
        joints = [
            joint.model_copy(
                update={"erosion": None, "erosion_reason": str(NullReason.DOUBTFUL)}
            )
            if joint.name == "IP1"
            else joint
            for joint in result.joints
        ]  # fmt: skip
        return result.model_copy(update={"joints": tuple(joints)})

    labelled, tables = measure(tmp_path, truths, doubt)
    report = report_of(labelled, tables)
    hands = report.scorers[1]
    assert hands.missing == {"doubtful": 4}
    assert hands.coverage.value == pytest.approx(0.9)
    assert hands.exact.value == 1
    assert hands.exact_all.value == pytest.approx(0.9)
    assert [row[-1] for row in hands.confusion] == [1, 1, 1, 1, 0, 0]
    # A sum of nine joints is compared with the same nine.
    erosion = next(total for total in report.totals if total.label == "Erosion, one hand")
    assert max(erosion.pairs) == (27, 27)


def test_a_film_too_small_to_score_is_no_error_of_the_scorer(tmp_path, truths):
    def small(result):
        joints = [
            joint.model_copy(
                update={
                    kind: value
                    for kind in ("erosion", "narrowing")
                    for kind, value in ((kind, None), (f"{kind}_reason", "low_resolution"))
                }
            )
            for joint in result.joints
        ]
        return result.model_copy(update={"joints": tuple(joints)})

    labelled, tables = measure(tmp_path, truths, small)
    hands = report_of(labelled, tables).scorers[1]
    assert hands.coverage.value == 0
    assert hands.exact_all.value is None
    assert hands.missing == {"low_resolution": 40}


def test_stricter_doubt_leaves_out_the_grades_that_the_scorer_doubts(tmp_path, truths):
    """Half of the erosion grades are two too low, and the scorer said so."""
    sure, torn = np.array([0.02, 0.96, 0.02, 0, 0, 0]), np.array([0.3, 0.1, 0.1, 0.5, 0, 0])
    limbs = [limb_of(tmp_path, truth) for truth in truths if truth.limb is Limb.HAND]
    measured = []
    for limb in limbs:
        heard, joints = {}, []
        for i, joint in enumerate(limb.truth.joints):
            heard[joint.name, "erosion"] = torn if i % 2 else sure
            joints.append(joint.model_copy(update={"erosion": 1 if i % 2 == 0 else 3}))
        truth = limb.truth.model_copy(update={"joints": tuple(joints)})
        result = answered(truth, erosion=1, erosion_expected=1.0)
        measured.append(Measured(replace(limb, truth=truth), (result,), 0, probabilities=heard))
    labelled = LabelledSet("set", Kind.PHANTOM, tuple(one.labelled for one in measured))
    report = report_of(labelled, tabulate(measured))
    by_limit = {one.limit: one for one in report.stricter if "Erosion" in one.task}
    everything, strict = by_limit[1.0], by_limit[0.05]
    assert (everything.coverage.value, everything.within_one.value) == (1.0, 0.5)
    assert (strict.coverage.value, strict.within_one.value) == (0.5, 1.0)
    assert by_limit[0.35].scored == strict.scored == everything.scored // 2
    assert "grade_doubt" in as_html(report)


def test_wrong_names_and_lost_joints_show(tmp_path, truths):
    def swap(result):
        first, second, *rest = result.joints
        swapped = (
            first.model_copy(update={"name": second.name}),
            second.model_copy(update={"name": first.name}),
        )
        return result.model_copy(update={"joints": (*swapped, *rest[:-1])})

    labelled, tables = measure(tmp_path, truths, swap)
    whole = report_of(labelled, tables).detection.groups[0]
    assert (whole.limb, whole.group) == ("hand", "all")
    assert whole.found.value == pytest.approx(0.9)
    assert whole.named.value == pytest.approx(0.7)
    assert whole.misnamed == 8
    assert whole.complete.value == 0


def test_groups_are_view_age_orientation_and_size(tmp_path, truths):
    labelled, tables = measure(tmp_path, truths)
    groups = {(g.limb, g.group, g.value): g for g in report_of(labelled, tables).detection.groups}
    for turn in ("up", "right", "down", "left"):
        assert groups["hand", "orientation", f"fingers {turn}"].films == 1
        one = groups["foot", "orientation", f"toes {turn}"]
        assert (one.joints, one.found.value) == (6, 1)
        assert one.found.low is None, "a single patient tells nothing of others"
    assert groups["foot", "view", "pa"].found.low is not None
    assert groups["hand", "view", "pa"].films == 4
    assert groups["hand", "age", "adult"].films == 4
    assert groups["hand", "size", "150 px and more"].films == 4


def test_the_papers_split_draws_a_tenth_of_the_joints_and_says_that_it_leaks(tmp_path, truths):
    labelled, tables = measure(tmp_path, truths)
    part = paper_part(tables)
    report = report_of(labelled, part, Split.PAPER)
    assert [one.joints for one in report.scorers] == [4, 4, 3, 3]
    assert not report.totals
    page, text = as_html(report), as_text(labelled, part, Split.PAPER)
    assert "LEAKS PATIENTS" in page
    assert "LEAKS PATIENTS" in text
    assert "LEAKS PATIENTS" not in as_html(report_of(labelled, tables))


def test_by_patient_real_films_are_those_kept_out_of_training(tmp_path, truths):
    labelled, _ = measure(tmp_path, truths, kind=Kind.REAL, kept_out=False)
    with pytest.raises(TrainingError, match="--split all"):
        part_of(labelled, Split.PATIENT)
    assert len(part_of(labelled, Split.ALL).limbs) == 8
    phantoms, _ = measure(tmp_path, truths)
    assert len(part_of(phantoms, Split.PATIENT).limbs) == 8


def test_presumed_healthy_joints_are_reported_apart_from_graded_ones(tmp_path):
    bare = [placed_truth(f"F{i}.jpg", Limb.HAND, places_of(Limb.HAND), View.PA) for i in range(3)]

    def grade(result):
        joints = [j.model_copy(update={"erosion": 0, "narrowing": 1}) for j in result.joints]
        return result.model_copy(update={"joints": tuple(joints)})

    labelled, tables = measure(tmp_path, bare, grade, kind=Kind.REAL, healthy=True, kept_out=True)
    report = report_of(labelled, tables)
    assert not report.scorers
    narrowing, erosion = report.healthy
    assert (erosion.joints, erosion.zero.value) == (30, 1)
    assert (narrowing.joints, narrowing.zero.value, narrowing.at_most_one.value) == (27, 0, 1)
    assert "no validation of the scores" in as_html(report)


def test_a_report_on_landmarks_holds_naming_alone():
    points = np.array(list(places_of(Limb.FOOT).values()))
    images = [Landmarks(f"X{i}", Limb.FOOT, Limb.FOOT.joints, points) for i in range(2)]
    report = identity_report("table.csv", images, Trial(), "9.9", MADE)
    assert [one.drop for one in report.identity] == [0, 1, 2, 3, 0]
    assert report.identity[0].right.value == 1
    assert "Names from places alone" in as_html(report)
    assert not report.scorers
