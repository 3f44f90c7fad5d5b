"""One row a limb says what the result says."""

from __future__ import annotations

from limb_results import a_result

from edge.anatomy import Limb
from edge.model import Status
from sharpedge.tables.limb_rows import GRADES, LIMB_COLUMNS, limb_cells


def row_of(result):
    return dict(zip(LIMB_COLUMNS, limb_cells(result), strict=True))


def test_grades_stand_under_their_joints():
    row = row_of(a_result(grades={"MCP2": {"erosion": 4}}))
    assert (row["erosion_MCP2"], row["narrowing_MCP2"], row["erosion_IP1"]) == (4, 2, 1)
    assert row["erosion_MTP1"] is None
    assert (row["erosion_sum"], row["erosion_scored"], row["erosion_maximum"]) == (13, 10, 50)
    assert (row["limb"], row["side"], row["side_source"]) == ("hand", "L", "dicom")
    assert row["notice"] == "research use only, not a medical device"


def test_a_null_grade_is_no_zero_and_its_reason_is_said():
    row = row_of(a_result(grades={"PIP3": {"erosion": None, "erosion_reason": "doubtful"}}))
    assert row["erosion_PIP3"] is None
    assert row["not_scored"].startswith("erosion of PIP3 (the scorer itself doubts")


def test_a_grade_under_an_uncertain_name_stands_in_no_joint_s_column():
    row = row_of(a_result(grades={"PIP3": {"name": None, "name_candidate": "PIP3", "erosion": 5}}))
    assert row["erosion_PIP3"] is None
    assert "PIP3? E 5 N 2 (name not certain)" in row["not_scored"]


def test_the_thumb_has_no_narrowing_and_the_great_toe_has():
    assert ("narrowing", "IP1") in GRADES
    assert row_of(a_result())["narrowing_IP1"] is None
    assert row_of(a_result(Limb.FOOT))["narrowing_IP1"] == 2


def test_a_limb_without_sums_has_empty_cells():
    row = row_of(a_result(status=Status.HELD, reason="side_conflict", subtotals=None))
    assert (row["status"], row["reason"]) == ("held", "side_conflict")
    assert row["erosion_sum"] is row["narrowing_maximum"] is None
