"""Files of labels are read, and what is wrong with them is named."""

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from labelled_limbs import places_of, truth_of

from edge.anatomy import Limb, View
from training.errors import TrainingError
from training.evaluation.measure_identity import read_landmarks
from training.evaluation.truth import (
    patient_of,
    read_joint_table,
    read_truth,
)


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
