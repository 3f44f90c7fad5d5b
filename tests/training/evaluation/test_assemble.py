"""The report from truth and results: what it counts, what it calls itself, what it writes."""

import contextlib
import json
from dataclasses import replace
from datetime import datetime, timezone
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.anatomy import Limb, View, shape_template
from edge.errors import NullReason
from edge.model import Laterality, LimbResult, Status, Versions
from edge.pipeline.template import apply
from training.errors import TrainingError
from training.evaluation import film_findings, scorer_findings, statistics
from training.evaluation.assemble import assemble, identity_report, upright_landmarks
from training.evaluation.findings import as_json
from training.evaluation.measure import Measured, match
from training.evaluation.measure_identity import Landmarks, Trial, read_landmarks
from training.evaluation.page import as_html
from training.evaluation.rows import Rows, paper_part
from training.evaluation.sums import totals
from training.evaluation.tables import REACH, tabulate, turn_deg
from training.evaluation.text import as_text
from training.evaluation.truth import (
    Kind,
    LabelledSet,
    Split,
    TruthLimb,
    part_of,
    patient_of,
    placed_truth,
    read_joint_table,
    read_truth,
)

MADE = datetime(2026, 1, 2, tzinfo=timezone.utc)
VERSIONS = Versions(software="9.9", engines={"hand-score": "0123456789abcdef"})


def places_of(limb, turn=0.0, scale=200.0):
    """Places of a limb turned clockwise by degrees."""
    angle = np.radians(turn)
    matrix = np.array(
        [
            [np.cos(angle), -np.sin(angle), 900 / scale],
            [np.sin(angle), np.cos(angle), 900 / scale],
            [0, 0, 1],
        ]
    )
    shape = shape_template(limb)
    points = scale * apply(matrix, shape.mean)
    return dict(zip(shape.joints, map(tuple, points.tolist()), strict=True))


def truth_of(file, limb=Limb.HAND, erosion=2, narrowing=1, **places):
    """A labelled limb with one grade in every joint."""
    bare = placed_truth(file, limb, places_of(limb, **places), View.PA)
    joints = tuple(
        joint.model_copy(
            update={
                "erosion": erosion,
                "narrowing": None if (limb, joint.name) == (Limb.HAND, "IP1") else narrowing,
            }
        )
        for joint in bare.joints
    )
    return bare.model_copy(update={"joints": joints, "laterality": Laterality.LEFT})


def limb_of(tmp_path, truth, **known):
    return TruthLimb(
        path=tmp_path / truth.file, patient=patient_of(truth.file), truth=truth, **known
    )


def answered(truth, **changes):
    """A result that says what the truth says, but for ``changes`` to every joint."""
    joints = tuple(
        joint.model_copy(
            update={
                "confidence": 0.9,
                "erosion_expected": None if joint.erosion is None else float(joint.erosion),
                "narrowing_expected": None if joint.narrowing is None else float(joint.narrowing),
                **changes,
            }
        )
        for joint in truth.joints
    )
    return truth.model_copy(update={"joints": joints})


def measure(tmp_path, truths, change=lambda result: result, kind=Kind.PHANTOM, **known):
    limbs = tuple(limb_of(tmp_path, truth, **known) for truth in truths)
    labelled = LabelledSet("a <set>", kind, limbs, fresh=kind is not Kind.REAL)
    measured = [Measured(limb, (change(answered(limb.truth)),), 0) for limb in limbs]
    return labelled, tabulate(measured)


def report_of(labelled, tables, split=Split.PATIENT):
    return assemble(labelled, tables, VERSIONS, split, MADE)


@pytest.fixture
def truths():
    """Four patients of two limbs each, every grade of a hand among them."""
    return [
        truth_of(f"P{i}-{side}{limb.value[0].upper()}.jpg", limb, i, min(i, 4), turn=90.0 * i)
        for i in range(4)
        for limb, side in ((Limb.HAND, "L"), (Limb.FOOT, "L"))
    ]


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


@pytest.mark.parametrize("limb", list(Limb))
@pytest.mark.parametrize("turn", [-170, -60, 0, 30, 135])
@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_the_turn_of_a_limb_is_read_off_its_joints(limb, turn, flip):
    upright = np.array(list(places_of(limb).values())) * (flip, 1.0)
    angle = np.radians(turn)
    points = upright @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    apart = turn_deg(limb, list(limb.joints), points) - turn
    assert (apart + 180) % 360 - 180 == pytest.approx(0, abs=1)


def test_landmarks_of_a_set_are_turned_upright(tmp_path, truths):
    labelled, _ = measure(tmp_path, truths)
    for image in upright_landmarks(labelled):
        assert turn_deg(image.limb, list(image.names), image.points) == pytest.approx(0, abs=1)


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


def test_of_two_hands_on_a_film_each_is_compared_with_the_nearer_result(tmp_path):
    here, there = truth_of("two.jpg"), truth_of("two.jpg")
    moved = tuple(
        joint.model_copy(update={"centre": (joint.centre[0] + 3000, joint.centre[1])})
        for joint in there.joints
    )
    there = there.model_copy(update={"joints": moved})
    assert match(here, (there, here)) == 1
    assert match(there, (there, here)) == 0
    assert match(here, (truth_of("two.jpg", Limb.FOOT),)) is None
    _, tables = measure(tmp_path, [here, there])
    assert len(tables.films) == 2


def test_a_report_on_landmarks_holds_naming_alone():
    points = np.array(list(places_of(Limb.FOOT).values()))
    images = [Landmarks(f"X{i}", Limb.FOOT, Limb.FOOT.joints, points) for i in range(2)]
    report = identity_report("table.csv", images, Trial(), "9.9", MADE)
    assert [one.drop for one in report.identity] == [0, 1, 2, 3, 0]
    assert report.identity[0].right.value == 1
    assert "Names from places alone" in as_html(report)
    assert not report.scorers


@pytest.mark.parametrize(
    ("file", "patient"),
    [
        ("P0001-LH.jpg", "P0001"),
        ("UAB001-RF.dcm", "UAB001"),
        ("IMG0000049-hand3.jpg", "IMG0000049"),
        ("IMG0000049.jpg", "IMG0000049"),
        ("x", "x"),
    ],
)
def test_a_patient_is_read_off_the_films_name(file, patient):
    assert patient_of(file) == patient


def test_what_is_wrong_with_a_truth_file_is_reported_with_its_line(tmp_path):
    with pytest.raises(TrainingError, match=r"truth\.jsonl"):
        read_truth(tmp_path)
    path = tmp_path / "truth.jsonl"
    path.write_text('{"file": 3}\n')
    with pytest.raises(TrainingError, match="line 1"):
        read_truth(tmp_path)
    path.write_text(truth_of("gone.jpg").model_dump_json() + "\n")
    with pytest.raises(TrainingError, match="not there"):
        read_truth(tmp_path)
    (tmp_path / "gone.jpg").touch()
    for wrong in (truth_of("gone.jpg", erosion=6), truth_of("gone.jpg", narrowing=5)):
        path.write_text(wrong.model_dump_json() + "\n")
        with pytest.raises(TrainingError, match="give 0 to"):
            read_truth(tmp_path)
    path.write_text(truth_of("gone.jpg").model_copy(update={"limb": None}).model_dump_json())
    with pytest.raises(TrainingError, match="no limb"):
        read_truth(tmp_path)
    path.write_text("\n")
    with pytest.raises(TrainingError, match="no film"):
        read_truth(tmp_path)


HEADS = ("film,limb,joint,x_px,y_px", "image,limb,width,height,joint,x,y")
CELLS = st.sampled_from(
    ["a.jpg", "hand", "foot", "MCP1", "PIP3", "1e400", "nan", "7", "", '"', "\0"]
)


@given(st.sampled_from(HEADS), st.lists(st.lists(CELLS, max_size=8), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_table_ends_a_command_with_another_error(tmp_path, head, rows):
    (tmp_path / "a.jpg").touch()
    table = tmp_path / "table.csv"
    table.write_text("\n".join([head, *(",".join(row) for row in rows)]), encoding="utf-8")
    for read in (lambda: read_joint_table(tmp_path, table), lambda: read_landmarks(table)):
        with contextlib.suppress(TrainingError):
            read()


def test_a_table_of_joints_is_read_in_both_forms(tmp_path):
    films = tmp_path / "films"
    films.mkdir()
    (films / "a.jpg").touch()
    table = tmp_path / "joints.csv"
    rows = [f"a.jpg,hand,900,900,{n},{x},{y}" for n, (x, y) in places_of(Limb.HAND).items()]
    table.write_text("image,limb,width,height,joint,x,y\n" + "\n".join(rows) + "\n")
    landmarks = read_joint_table(films, table).limbs[0]
    rows = [
        f"a.jpg,hand,0,oblique,1,cast,{n},{x},{y}" for n, (x, y) in places_of(Limb.HAND).items()
    ]
    table.write_text(
        "film,limb,limb_no,view,immature,issues,joint,x_px,y_px\n" + "\n".join(rows) + "\n"
    )
    labels = read_joint_table(films, table).limbs[0]
    assert landmarks.truth.joints == labels.truth.joints
    assert (labels.truth.view, labels.immature, labels.clean) == (View.OBLIQUE, True, False)
    for text in ("film,limb\na.jpg,head\n", "film,limb,joint,x_px,y_px\na.jpg,hand,MCP1,one,2\n"):
        table.write_text(text)
        with pytest.raises(TrainingError, match="give the columns"):
            read_joint_table(films, table)
    with pytest.raises(TrainingError, match="cannot be read"):
        read_joint_table(films, tmp_path / "none.csv")


def test_a_joint_counts_as_found_up_to_the_stated_reach(tmp_path):
    truth = truth_of("P1-LH.jpg")
    places = {joint.name: joint.centre for joint in truth.joints}
    unit = np.hypot(*np.subtract(places["MCP3"], places["PIP3"]))
    for off, found in ((0.95, 1.0), (1.05, 0.0)):
        far = off * REACH[Limb.HAND] * unit

        def move(result, far=far):
            joints = [
                joint.model_copy(update={"centre": (joint.centre[0], joint.centre[1] + far)})
                for joint in result.joints
            ]
            return result.model_copy(update={"joints": tuple(joints)})

        labelled, tables = measure(tmp_path, [truth], move)
        assert report_of(labelled, tables).detection.groups[0].found.value == found


def test_a_hundred_films_are_summed_up_in_seconds(tmp_path):
    rng = np.random.default_rng(0)
    truths = [
        truth_of(f"P{i}-{side}{limb.value[0].upper()}.jpg", limb, int(rng.integers(6)), 1)
        for i in range(25)
        for limb in Limb
        for side in Laterality
    ]
    labelled, tables = measure(tmp_path, truths)
    rows = Rows.of(tables)
    assert len(scorer_findings.scorers(rows)) == 4
    assert [total.maximum for total in totals(rows)] == [36, 50, 24, 60, 72, 100, 48, 120, 340]
    assert film_findings.detection(rows).groups[0].joints == 500
    assert rows.weights.shape == (statistics.DRAWS + 1, 25)
    assert labelled.kind is Kind.PHANTOM


def test_boxes_of_which_only_the_class_is_known_count_for_precision_alone(tmp_path):
    whole = truth_of("P1-LH.jpg")
    bare = whole.model_copy(update={"joints": ()})
    boxes = limb_of(tmp_path, whole).boxes
    limb = limb_of(tmp_path, bare, class_boxes=boxes)
    tables = tabulate([Measured(limb, (answered(whole),), 0)])
    found = film_findings.detection(Rows.of(tables))
    assert [(one.label, one.truths, one.ap50.value) for one in found.classes] == [
        ("hand MCP", 5, 1.0),
        ("hand PIP", 5, 1.0),
    ]
    assert found.groups[0].joints == 0
    assert found.groups[0].found.value is None


def test_a_rejected_film_has_no_joints_and_no_limb(tmp_path, truths):
    def reject(result):
        return LimbResult(
            file=result.file, limb_index=0, status=Status.REJECTED, reason="corrupt",
            versions=VERSIONS,
        )  # fmt: skip

    limbs = [limb_of(tmp_path, truth) for truth in truths]
    tables = tabulate([Measured(limb, (reject(limb.truth),), None) for limb in limbs])
    fate = film_findings.fates(Rows.of(tables))[0]
    assert fate.limb_right.value == fate.fate_right.value == 0
    assert [(one.status, one.reason, one.films) for one in fate.outcomes] == [
        ("rejected", "corrupt", 4)
    ]
    assert not any(row.found for row in tables.joints)
