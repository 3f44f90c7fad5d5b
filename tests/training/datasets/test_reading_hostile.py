"""No text, number or JSON value in a data set ends its reader."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from read_sets import QUICK, blank

from phantom.ra2_columns import HEADER
from training.datasets.files import number, read_table
from training.datasets.reading import read_dataset
from training.datasets.truth import Code


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
