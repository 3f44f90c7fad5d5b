"""Other people's data sets: every layout gives the same truth, and nothing wrong passes."""

import json
import zlib
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from edge.model import JointClass, Laterality, Limb
from phantom.command import write_patients
from phantom.ra2_columns import HEADER, SCORE_COLUMNS
from sharpedge.cli import app
from training.datasets.check import check_dataset
from training.datasets.files import number, read_table
from training.datasets.reading import read_dataset
from training.datasets.truth import Code
from training.datasets.voc import parse_xml
from training.errors import TrainingError

QUICK = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def codes(folder, layout=None):
    return {fault.code for fault in checked(folder, layout).faults if fault.stops}


def checked(folder, layout=None):
    return check_dataset(read_dataset(folder, layout), lambda _done, _all: None)


def blank(path, size=(400, 500), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = (seed, zlib.crc32(path.name.encode()))
    pixels = np.random.default_rng(seed).integers(0, 255, size[::-1], np.uint8)
    cv2.imwrite(str(path), pixels)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """The same patients in both layouts."""
    home = tmp_path_factory.mktemp("cohort")
    for layout in ("ra2", "jsonl"):
        write_patients(home / layout, 2, 11, grades="flat", layout=layout)
    return home


@pytest.fixture
def table(tmp_path):
    """A folder with four small films and a table that a test may spoil."""

    def make(patients=("UAB001",), **cells):
        for seed, patient in enumerate(patients):
            for limb in ("LH", "RH", "LF", "RF"):
                blank(tmp_path / f"{patient}-{limb}.jpg", seed=seed)
        rows = []
        for patient in patients:
            row = {"Patient_ID": patient} | {column.name: "0" for column in SCORE_COLUMNS}
            row |= {name: "" for name in HEADER if name not in row} | cells
            rows.append([row[name] for name in HEADER])
        write(rows)
        return tmp_path

    def write(rows, separator=",", end="\n", encoding="utf-8", header=HEADER):
        lines = [separator.join(row) for row in (header, *rows)]
        (tmp_path / "scores.csv").write_bytes((end.join(lines) + end).encode(encoding))

    make.write = write
    return make


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


def test_an_option_corrects_the_early_release(table):
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


def test_the_same_film_under_two_names_stops_and_excluding_it_mends(table):
    folder = table(patients=("A1", "A2"))
    (folder / "A2-LH.jpg").write_bytes((folder / "A1-LH.jpg").read_bytes())
    assert codes(folder) == {Code.DUPLICATE_FILM}
    (folder / "dataset.toml").write_text('exclude = ["A2-LH"]\n')
    assert codes(folder) == set()


@pytest.mark.parametrize("layout", ["ra2", "jsonl", "voc"])
def test_a_film_that_nothing_speaks_of_is_named_and_does_not_stop(table, layout):
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


def test_a_mirrored_film_is_told_by_its_joints(cohort, tmp_path):
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


VOC = (
    "<annotation><filename>x.jpg</filename><size><width>400</width><height>500</height></size>"
    "<object><name>{label}</name><bndbox><xmin>{x}</xmin><ymin>10</ymin><xmax>60</xmax>"
    "<ymax>50</ymax></bndbox></object><object><name>MCP</name><bndbox><xmin>100</xmin>"
    "<ymin>100</ymin><xmax>140</xmax><ymax>150</ymax></bndbox></object></annotation>"
)


def test_boxes_of_three_programs_are_the_same_boxes(tmp_path):
    for kind in ("voc", "yolo", "coco"):
        blank(tmp_path / kind / "A1-LH.jpg")
    (tmp_path / "voc" / "A1-LH.xml").write_text(VOC.format(label="PIP", x=20))
    (tmp_path / "yolo" / "A1-LH.txt").write_bytes(
        b"\xef\xbb\xbf0 0.1 0.06 0.1 0.08\r\n1 0.3 0.25 0.1 0.1\r\n"
    )
    coco = {
        "images": [{"id": 1, "file_name": "A1-LH.jpg", "width": 400, "height": 500}],
        "categories": [{"id": 7, "name": "PIP"}, {"id": 9, "name": "MCP"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "bbox": [20, 10, 40, 40]},
            {"id": 2, "image_id": 1, "category_id": 9, "bbox": [100, 100, 40, 50]},
        ],
    }
    (tmp_path / "coco" / "A1-LH.json").write_text(json.dumps(coco))
    found = {}
    for kind in ("voc", "yolo", "coco"):
        dataset = read_dataset(tmp_path / kind)
        assert dataset.layouts == (kind,)
        assert not dataset.faults
        found[kind] = [
            (joint.joint_class, tuple(round(v, 6) for v in joint.box))
            for film in dataset.films
            for joint in film.joints
        ]
    wanted = [(JointClass.PIP, (20, 10, 40, 40)), (JointClass.MCP, (100, 100, 40, 50))]
    assert found["voc"] == found["yolo"] == found["coco"] == wanted


@pytest.mark.parametrize(
    ("label", "x", "code"),
    [
        ("PIP", "nan", Code.IMPOSSIBLE_BOX),
        ("PIP", "-30", Code.IMPOSSIBLE_BOX),
        ("PIP", "60", Code.IMPOSSIBLE_BOX),
        ("PIP", "9e99", Code.IMPOSSIBLE_BOX),
        ("wrist", "20", Code.UNKNOWN_CLASS),
        ("MTP", "20", Code.UNKNOWN_CLASS),
    ],
)
def test_an_impossible_box_stops_and_is_left_out(tmp_path, label, x, code):
    blank(tmp_path / "A1-LH.jpg")
    (tmp_path / "A1-LH.xml").write_text(VOC.format(label=label, x=x))
    assert codes(tmp_path) == {code}
    assert len(read_dataset(tmp_path).films[0].joints) == 1


def test_boxes_drawn_on_the_turned_film_land_on_the_film_as_stored(tmp_path):
    blank(tmp_path / "A1-LH.jpg", (500, 400))
    plain = (tmp_path / "A1-LH.jpg").read_bytes()
    # Orientation 6: what is stored lies on its side; displayed it is 400 wide and 500 high.
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    head = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    (tmp_path / "A1-LH.jpg").write_bytes(plain[:2] + head + plain[2:])
    (tmp_path / "A1-LH.xml").write_text(VOC.format(label="PIP", x=20))
    box = read_dataset(tmp_path).films[0].joints[0].box
    # Displayed x, y is stored y, 399 - x turned back by a quarter.
    assert np.allclose(box, (10, 400 - 1 - 60, 40, 40), atol=1.01)


def test_an_xml_bomb_is_refused_before_it_grows(tmp_path):
    blank(tmp_path / "A1-LH.jpg")
    blank(tmp_path / "A1-RH.jpg")
    bomb = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "' + "x" * 1000 + '">'
    bomb += "".join(f'<!ENTITY a{i} "{"&a;" * 90}">' for i in range(9)) + "]><annotation>&a8;"
    (tmp_path / "A1-LH.xml").write_text(bomb)
    (tmp_path / "A1-RH.xml").write_text(VOC.format(label="PIP", x=20))
    assert codes(tmp_path) == {Code.NOT_UNDERSTOOD}
    with pytest.raises(ValueError, match="document type"):
        parse_xml(bomb.encode("utf-16"))
    with pytest.raises(ValueError, match="deep"):
        parse_xml(b"<a>" * 100_000)


def test_a_line_that_leads_out_of_the_folder_is_refused(tmp_path):
    blank(tmp_path / "outside.jpg")
    blank(tmp_path / "set" / "A1-LH.jpg")
    for file in ("../outside.jpg", str(tmp_path / "outside.jpg")):
        line = {"file": file, "limb": "hand", "joints": []}
        (tmp_path / "set" / "truth.jsonl").write_text(json.dumps(line))
        dataset = read_dataset(tmp_path / "set")
        assert not dataset.films
        stopping = {fault.code for fault in dataset.faults if fault.stops}
        assert stopping == {Code.OUTSIDE_FOLDER}


def test_a_narrowing_of_the_thumbs_joint_stops(tmp_path):
    blank(tmp_path / "A1-LH.jpg")
    line = {"file": "A1-LH.jpg", "limb": "hand", "joints": [{"name": "IP1", "narrowing": 2}]}
    (tmp_path / "truth.jsonl").write_text(json.dumps(line))
    assert Code.NO_SUCH_SCORE in codes(tmp_path)


def test_crops_of_hands_are_read_with_their_grades_and_without_the_wrist(tmp_path):
    hand = tmp_path / "train" / "c1_007_L"
    for stem in ("MCP-I", "PIP-R", "IP", "CMC-T"):
        blank(hand / f"{stem}.bmp", (64, 64))
    (tmp_path / "train" / "_annotation_be_scores.json").write_text(
        json.dumps({"c1_007_L.bmp": {"BE_MCP-I": 2, "BE_IP": 1, "BE_CMC-T": 3}})
    )
    (tmp_path / "train" / "_annotation_jsn_scores.json").write_text(
        json.dumps({"c1_007_L.bmp": {"JSN_MCP-I": 4, "JSN_PIP-R": 0}})
    )
    dataset = read_dataset(tmp_path)
    assert dataset.layouts == ("ram-h1200",)
    (film,) = dataset.films
    assert (film.patient, film.laterality) == ("c1_007", Laterality.LEFT)
    assert {(j.name, j.erosion, j.narrowing) for j in film.joints} == {
        ("MCP2", 2, 4), ("PIP4", None, 0), ("IP1", 1, None),
    }  # fmt: skip


def test_two_layouts_need_a_word_and_nothing_known_is_refused(tmp_path, cohort):
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


def test_the_command_says_it_to_people_and_to_programs(cohort, table):
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


@QUICK
@given(st.one_of(st.text(max_size=300), st.binary(max_size=300).map(lambda b: b.decode("latin-1"))))
def test_no_text_in_any_file_ends_the_reader(tmp_path, text):
    header = ",".join(HEADER)
    bodies = {
        "ra2": ("scores.csv", f"{header}\n{text}"),
        "jsonl": ("truth.jsonl", text),
        "voc": ("A1-LH.xml", f"<annotation>{text}</annotation>"),
        "yolo": ("A1-LH.txt", f"0 .5 .5 .1 .1\n{text}"),
        "coco": ("c.json", f'{{"images": [], "annotations": [], "categories": [{text}]}}'),
    }
    for layout, (name, body) in bodies.items():
        folder = tmp_path / layout
        if not folder.exists():
            blank(folder / "A1-LH.jpg", (64, 64))
        (folder / name).write_bytes(body.encode("utf-8", "replace"))
        dataset = read_dataset(folder, layout)
        for film in dataset.films:
            assert all(joint.box is None or min(joint.box[2:]) > 0 for joint in film.joints)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["file", "limb", "joints", "name", "erosion", "narrowing", "centre", "box", "images",
             "annotations", "categories", "bbox", "id", "image_id", "category_id", "file_name"]
        ),
        inner,
        max_size=6,
    ),
    max_leaves=20,
)  # fmt: skip


@QUICK
@given(JSON, st.sampled_from(["A1-LH.jpg", "..", "", "\0"]))
def test_no_json_value_ends_the_readers(tmp_path, tree, file):
    if not (tmp_path / "A1-LH.jpg").exists():
        blank(tmp_path / "A1-LH.jpg", (64, 64))
    joint = {"name": "MCP2", "erosion": tree, "narrowing": tree, "centre": tree, "box": tree}
    lines = [tree, {"file": file, "limb": "hand", "joints": [joint]}, {"file": file, "limb": tree},
             {"file": "A1-LH.jpg", "limb": "hand", "joints": tree}]  # fmt: skip
    (tmp_path / "truth.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    coco = {"images": tree, "annotations": [tree], "categories": tree}
    full = {"images": [{"id": 1, "file_name": "A1-LH.jpg"}],
            "annotations": [{"image_id": 1, "category_id": 1, "bbox": tree}],
            "categories": [{"id": 1, "name": "PIP"}]}  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(coco))
    (tmp_path / "b.json").write_text(json.dumps(full))
    for layout in ("jsonl", "coco"):
        for film in read_dataset(tmp_path, layout).films:
            for joint_ in film.joints:
                assert joint_.erosion is None or 0 <= joint_.erosion <= 5
                assert joint_.box is None or all(np.isfinite(joint_.box))


@QUICK
@given(st.one_of(st.text(max_size=30), st.floats(), st.integers(), st.booleans()))
def test_a_number_is_finite_or_none(given_value):
    value = number(given_value)
    assert value is None or np.isfinite(value)


@QUICK
@given(st.text(max_size=200))
def test_a_table_is_rows_or_a_value_error(text):
    try:
        _, rows = read_table(text)
    except ValueError:
        return
    assert all(isinstance(line, int) for line, _ in rows)


def test_what_is_left_out_by_its_truth_is_not_counted(cohort):
    dataset = read_dataset(cohort / "jsonl")
    held = replace(dataset.films[0], left_out="side_conflict")
    changed = replace(dataset, films=(held, *dataset.films[1:]))
    counts = check_dataset(changed, lambda _done, _all: None).counts
    whole = checked(cohort / "jsonl").counts
    assert sum(map(_all_of, counts.values())) < sum(map(_all_of, whole.values()))


def _all_of(classes):
    return sum(sum(count.values()) for count in classes.values())
