"""Other people's data sets: every layout gives the same truth, and nothing wrong passes."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from read_sets import VOC, blank, checked, codes
from typer.testing import CliRunner

from edge.anatomy import Limb
from edge.model import Laterality
from phantom.command import write_patients
from phantom.ra2_columns import HEADER, SCORE_COLUMNS
from sharpedge.cli import app
from training.datasets.check import check_dataset
from training.datasets.reading import read_dataset
from training.datasets.truth import Code
from training.errors import TrainingError


def grades_of(dataset):
    return {
        (film.patient, film.limb, film.laterality, joint.name, joint.erosion, joint.narrowing)
        for film in dataset.films
        for joint in film.joints
        if joint.name is not None
    }


def test_the_table_and_the_lines_say_the_same_of_the_same_patients(cohort):
    first, second = (read_dataset(cohort / layout) for layout in ("ra2", "jsonl"))
    known = {(*row[:4], *row[4:]) for row in grades_of(second)}
    assert {row for row in grades_of(first) if row[4:] != (None, None)} <= known
    assert not [fault for fault in first.faults + second.faults if fault.stops]
    assert len(first.films) == len(second.films) == 8
    assert all(film.mask is not None for film in first.films + second.films)


def test_drawn_boxes_stand_where_the_lines_have_their_joints(cohort):
    boxes, lines = (read_dataset(cohort / layout) for layout in ("ra2", "jsonl"))
    for drawn, told in zip(boxes.films, lines.films, strict=True):
        places = np.array([joint.place for joint in drawn.joints if joint.place is not None])
        truth = np.array([joint.box for joint in told.joints if joint.box is not None])
        assert len(places) == len(truth)
        centres = truth[:, :2] + truth[:, 2:] / 2
        apart = np.hypot(*(places[:, None] - centres[None]).transpose(2, 0, 1)).min(axis=0)
        # A box that the film's edge cuts has another centre.
        assert np.median(apart) < 1.5


def test_a_good_set_is_fit_and_its_counts_add_up(cohort):
    found = checked(cohort / "ra2")
    assert found.trainable
    joints = sum(
        joint.erosion is not None for film in found.dataset.usable for joint in film.joints
    )
    counted = sum(
        sum(count.values())
        for (_, kind), classes in found.counts.items()
        if kind == "erosion"
        for count in classes.values()
    )
    assert counted == joints > 40


@pytest.mark.parametrize(
    ("separator", "end", "encoding"),
    [(",", "\n", "utf-8-sig"), (";", "\r\n", "utf-8"), ("\t", "\r\n", "utf-16")],
)
def test_a_table_reads_the_same_whatever_program_wrote_it(table, separator, end, encoding):
    folder = table()
    grade = "1,0" if separator != "," else "1.0"
    row = ["UAB001", "", "", "", *(grade for _ in SCORE_COLUMNS)]
    table.write([row], separator, end, encoding)
    found = read_dataset(folder, "ra2")
    assert {joint.erosion for film in found.films for joint in film.joints} == {1}
    assert not found.faults


@pytest.mark.parametrize("grade", ["-1", "6", "2.5", "inf", "1e3", "two", "\uff11"])
def test_an_impossible_score_stops_and_is_no_grade(table, grade):
    folder = table(LH_mcp_E__2=grade)
    assert codes(folder) >= {Code.IMPOSSIBLE_SCORE}
    hand = next(film for film in read_dataset(folder).films if film.name == "UAB001-LH.jpg")
    assert next(joint for joint in hand.joints if joint.name == "MCP2").erosion is None


@pytest.mark.parametrize("nothing", ["", "NA", "nan", " ", "."])
def test_an_empty_cell_is_no_grade_and_no_fault(table, nothing):
    folder = table(LH_mcp_E__2=nothing)
    assert Code.IMPOSSIBLE_SCORE not in codes(folder)


def test_the_wrist_is_checked_though_it_is_not_scored(table):
    assert Code.IMPOSSIBLE_SCORE in codes(table(RH_wrist_J__cmc3="5"))


def test_sums_that_do_not_add_up_stop(table):
    folder = table(Overall_Tol="1", Overall_erosion="0", Overall_narrowing="0")
    assert Code.TOTAL_DIFFERS in codes(folder)


def test_the_early_release_is_corrected_by_its_option(table):
    folder = table(LF_mtp_J__ip="4", RF_mtp_J__ip="1")

    def hallux():
        return {
            film.name: joint.narrowing
            for film in read_dataset(folder).films
            for joint in film.joints
            if film.limb is Limb.FOOT and joint.name == "IP1"
        }

    assert hallux() == {"UAB001-LF.jpg": 4, "UAB001-RF.jpg": 1}
    (folder / "dataset.toml").write_text("swap_hallux_narrowing = true\n")
    assert hallux() == {"UAB001-LF.jpg": 1, "UAB001-RF.jpg": 4}


def test_a_film_under_the_wrong_side_gets_the_other_sides_grades(table):
    folder = table(RH_mcp_E__2="3")
    (folder / "dataset.toml").write_text('other_side = ["UAB001-LH"]\n')
    film = next(film for film in read_dataset(folder).films if film.name == "UAB001-LH.jpg")
    assert film.laterality is Laterality.RIGHT
    assert next(joint for joint in film.joints if joint.name == "MCP2").erosion == 3


def test_missing_films_are_named_by_patient_and_do_not_stop(table):
    folder = table()
    (folder / "UAB001-LF.jpg").unlink()
    faults = [f for f in checked(folder).faults if f.code is Code.FILM_MISSING]
    assert [(fault.where, fault.patient, fault.stops) for fault in faults] == [
        ("UAB001-LF", "UAB001", False)
    ]


def test_the_same_film_under_two_names_stops_and_excluding_it_corrects_it(table):
    folder = table(patients=("A1", "A2"))
    (folder / "A2-LH.jpg").write_bytes((folder / "A1-LH.jpg").read_bytes())
    assert codes(folder) == {Code.DUPLICATE_FILM}
    (folder / "dataset.toml").write_text('exclude = ["A2-LH"]\n')
    assert codes(folder) == set()


@pytest.mark.parametrize("layout", ["ra2", "jsonl", "voc"])
def test_a_film_without_truth_is_named_and_does_not_stop(table, layout):
    folder = table()
    if layout == "jsonl":
        line = {"file": "UAB001-LH.jpg", "limb": "hand", "joints": [{"name": "MCP2", "erosion": 1}]}
        (folder / "truth.jsonl").write_text(json.dumps(line))
    elif layout == "voc":
        (folder / "UAB001-LH.xml").write_text(VOC.format(label="PIP", x=20))
    blank(folder / "scan7.jpg")
    found = checked(folder, layout)
    strangers = {f.where for f in found.faults if f.code is Code.FILM_WITHOUT_TRUTH}
    bare = {f"UAB001-{limb}.jpg" for limb in ("RH", "LF", "RF")}
    assert strangers == {"scan7.jpg"} | (set() if layout == "ra2" else bare)
    assert found.trainable


def test_films_may_be_links(table, tmp_path_factory):
    folder = table()
    elsewhere = tmp_path_factory.mktemp("archive") / "x.jpg"
    (folder / "UAB001-LH.jpg").rename(elsewhere)
    (folder / "UAB001-LH.jpg").symlink_to(elsewhere)
    found = checked(folder)
    assert found.trainable
    assert len(found.dataset.films) == 4


def test_two_films_of_one_limb_and_two_rows_of_one_patient_stop(table):
    folder = table()
    blank(folder / "UAB001-LH.png", seed=5)
    row = ["UAB001", *("0" for _ in HEADER[1:])]
    table.write([row, row])
    assert codes(folder) == {Code.TWO_FILMS, Code.TWO_ROWS}


def test_a_damaged_film_stops(table):
    folder = table()
    (folder / "UAB001-RH.jpg").write_bytes(b"\xff\xd8\xff\xe0 no film")
    assert codes(folder) == {Code.FILM_DAMAGED}


def test_a_mirrored_film_is_recognised_by_its_joints(cohort, tmp_path):
    film = next(f for f in read_dataset(cohort / "jsonl").films if f.limb is Limb.HAND)
    pixels = cv2.imread(str(film.path), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(tmp_path / film.name), pixels[:, ::-1])
    joints = [
        {"name": joint.name, "centre": [pixels.shape[1] - joint.place[0], joint.place[1]]}
        for joint in film.joints
        if joint.place is not None
    ]
    line = {"file": film.name, "limb": "hand", "laterality": film.laterality, "joints": joints}
    (tmp_path / "truth.jsonl").write_text(json.dumps(line))
    assert codes(tmp_path) == {Code.SIDE_AGAINST_GEOMETRY}
    (tmp_path / "truth.jsonl").write_text(
        json.dumps(line | {"laterality": "R" if film.laterality == "L" else "L"})
    )
    # Now the name contradicts, which counts for more than what the line says.
    assert Code.SIDE_AGAINST_GEOMETRY not in codes(tmp_path)


def test_tags_against_name_stop(tmp_path):
    write_patients(tmp_path / "a", 1, 4, image_format="dicom")
    truth = (tmp_path / "a" / "truth.jsonl").read_text()
    (tmp_path / "a" / "P0001-LH.dcm").rename(tmp_path / "a" / "P0009-RH.dcm")
    (tmp_path / "a" / "truth.jsonl").write_text(truth.replace("P0001-LH", "P0009-RH"))
    assert Code.SIDE_CONFLICT in codes(tmp_path / "a")


def test_a_narrowing_of_the_thumbs_joint_stops(tmp_path):
    blank(tmp_path / "A1-LH.jpg")
    line = {"file": "A1-LH.jpg", "limb": "hand", "joints": [{"name": "IP1", "narrowing": 2}]}
    (tmp_path / "truth.jsonl").write_text(json.dumps(line))
    assert Code.NO_SUCH_SCORE in codes(tmp_path)


def test_two_layouts_need_a_choice_and_nothing_known_is_refused(tmp_path, cohort):
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingError, match="nothing that is known"):
        read_dataset(tmp_path / "empty")
    both = tmp_path / "both"
    write_patients(both, 1, 3)
    write_patients(both, 1, 3, layout="ra2")
    with pytest.raises(TrainingError, match="--layout"):
        read_dataset(both)
    assert "ra2" in read_dataset(both, "ra2").layouts
    with pytest.raises(TrainingError, match="no file of the layout"):
        read_dataset(cohort / "ra2", "coco")
    assert cohort


def test_an_unknown_option_is_named(table):
    folder = table()
    (folder / "dataset.toml").write_text("swop_hallux = true\n")
    with pytest.raises(TrainingError, match="swop_hallux"):
        read_dataset(folder)


def test_the_command_prints_text_and_json(cohort, table):
    run = CliRunner().invoke
    good = run(app, ["train", "data", "check", str(cohort / "ra2")])
    assert good.exit_code == 0
    assert "fit to be trained on" in good.output
    assert "research use only" in good.output.lower()
    bad = run(app, ["train", "data", "check", "--json", str(table(LH_mcp_E__2="9"))])
    assert bad.exit_code == 1
    found = json.loads(bad.output)
    assert not found["trainable"]
    first = next(fault for fault in found["faults"] if fault["stops"])
    assert (first["code"], first["patient"]) == ("impossible_score", "UAB001")
    assert run(app, ["train", "data", "check", str(cohort / "none")]).exit_code == 2


def test_what_is_left_out_by_its_truth_is_not_counted(cohort):
    dataset = read_dataset(cohort / "jsonl")
    held = replace(dataset.films[0], left_out="side_conflict")
    changed = replace(dataset, films=(held, *dataset.films[1:]))
    counts = check_dataset(changed, lambda _done, _all: None).counts
    whole = checked(cohort / "jsonl").counts
    assert sum(map(_all_of, counts.values())) < sum(map(_all_of, whole.values()))


def _all_of(classes):
    return sum(sum(count.values()) for count in classes.values())
