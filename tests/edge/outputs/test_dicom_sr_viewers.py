"""Structured reports read as OHIF reads them, by @cornerstonejs/adapters in Node."""

from __future__ import annotations

import os

import pytest
from many_documents import many, sources
from npm_tools import FOLDER, NoNpmToolsError, NpmTools

from edge.outputs import dicom_codes as table
from edge.outputs.dicom_sr import SOP_CLASSES, sr_of
from edge.outputs.report import joint_label, tasks_of

FULL = os.environ.get("SHARPEDGE_DOCUMENTS") == "full"
PACKAGES = ("@cornerstonejs/adapters@5.14.0", "dcmjs@0.52.0", "@babel/runtime@7.28.4")
_SINGLE = 1e-3
"""Pixels: DICOM's spatial coordinates are single floats."""


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """What the viewer's library finds in each of the reports."""
    if not FULL:
        pytest.skip("downloads the library: make documents-test")
    try:
        tools = NpmTools(FOLDER.with_name("npm-viewer"), PACKAGES)
    except NoNpmToolsError as error:
        pytest.skip(str(error))
    folder, films = tmp_path_factory.mktemp("reports"), sources()
    made = list(many())
    for one in made:
        data = sr_of(one.report, films[one.name], one.sr_class)
        (folder / f"{one.stem}.dcm").write_bytes(data)
    paths = [folder / f"{one.stem}.dcm" for one in made]
    return list(zip(made, tools.run("structured_report.mjs", *paths), strict=True))


def expected(joint, limb):
    """Values of a joint's group, by code."""
    values = {"121071": "JOINT_SCORE"}
    for task in tasks_of(joint):
        letters = {"erosion": "ERO", "narrowing": "NAR"}[task.task]
        if task.grade is not None:
            values[f"{letters}_GRADE"] = task.grade
        else:
            values[f"{letters}_MISSING"] = table.null_reason_code(task.missing).value
        if task.expected is not None:
            values[f"{letters}_EXPECTED"] = pytest.approx(task.expected, abs=1e-6)
    if joint.name is None and joint.name_candidate is not None:
        values["NAME_CANDIDATE"] = table.JOINTS[limb, joint.name_candidate].value
    return values


def sites_of(joint, result):
    limb, side = result.limb, result.laterality
    return [
        table.joint_site(limb).value,
        *([] if side is None else [table.SIDES[side].value]),
        *([] if joint.name is None else [table.JOINTS[limb, joint.name].value]),
    ]


def test_every_report_is_found_as_tid_1500_with_a_group_for_the_limb_and_each_joint(read, figures):
    faults = []
    for one, found in read:
        result = one.report.result
        labels = ["limb", *(joint_label(j, n) for n, j in enumerate(result.joints, 1))]
        wanted = [f"{one.report.result_id}/{label}" for label in labels]
        named = [group["tracking"] for group in found["groups"]]
        if named != wanted or found["sop_class"] != SOP_CLASSES[one.sr_class]:
            faults.append(one.stem)
    figures["@cornerstonejs/adapters (OHIF)"] = (
        len(read), len(faults), "TID 1500, groups, sites, grades and boxes of every SR",
    )  # fmt: skip
    assert not faults


def test_sites_and_grades_of_joints_come_out_right(read):
    for one, found in read:
        result = one.report.result
        for joint, group in zip(result.joints, found["groups"][1:], strict=True):
            assert group["values"] == expected(joint, result.limb), one.stem
            assert group["sites"] == [sites_of(joint, result)], one.stem
            assert group["finding"] == ["JOINT_SCORE"]


def test_sums_of_limbs_come_out_right(read):
    for one, found in read:
        subtotals = one.report.result.subtotals
        values = found["groups"][0]["values"]
        for letters, task in (("ERO", "erosion"), ("NAR", "narrowing")):
            score = None if subtotals is None else getattr(subtotals, task).score
            assert values.get(f"{letters}_SUM") == score, one.stem


def test_boxes_lie_on_the_film_where_the_result_says(read):
    for one, found in read:
        for joint, group in zip(one.report.result.joints, found["groups"][1:], strict=True):
            if joint.box is None:
                continue
            x, y, width, height = joint.box
            # The library counts from the centre of the first pixel, as results do.
            corners = [(x, y), (x + width, y + height)]
            assert group["image"] == "film:1"
            for corner, point in zip(
                corners, (group["points"][0], group["points"][2]), strict=True
            ):
                assert point == pytest.approx(corner, abs=_SINGLE), one.stem
