"""The table of codes: complete, unique, within DICOM's lengths."""

from __future__ import annotations

import pytest

from edge.anatomy import Limb
from edge.errors import NullReason, Reason, SpaceReason
from edge.model import Status
from edge.outputs import dicom_codes as table
from edge.outputs.dicom_codes import Code, private_codes


def test_every_joint_reason_and_status_has_a_code():
    assert set(table.NULL_REASON_CODES) == set(NullReason)
    assert set(table.REASON_CODES) == set(Reason)
    assert set(table.SPACE_REASON_CODES) == set(SpaceReason)
    assert set(table.STATUSES) == set(Status)
    assert set(table.JOINTS) == {(limb, name) for limb in Limb for name in limb.joints}


def test_no_private_code_value_is_used_twice():
    values = [code.value for _, code, _ in private_codes()]
    assert len(values) == len(set(values)) > 90
    assert {code.scheme for _, code, _ in private_codes()} == {"99SHARPEDGE"}


def test_every_private_code_is_in_the_published_table():
    published = {code for _, code, _ in private_codes()}
    used = {
        value
        for value in vars(table).values()
        if isinstance(value, Code) and value.scheme == table.SCHEME
    }
    tables = (table.JOINTS, table.NULL_REASON_CODES, table.REASON_CODES, table.STATUSES,
              table.SHOWN_BY, table.SPACES, table.SPACE_PARTS,
              table.SPACE_REASON_CODES)  # fmt: skip
    used |= {code for codes in tables for code in codes.values()}
    used |= {code for task in table.TASKS.values() for code in vars(task).values()}
    assert used == published


@pytest.mark.parametrize(("value", "meaning"), [("A" * 17, "m"), ("", "m"), ("A", "m" * 65)])
def test_a_code_that_dicom_cannot_hold_is_refused(value, meaning):
    with pytest.raises(ValueError, match="characters"):
        Code(value, meaning)


def test_standard_codes_mean_what_ps3_16_says():
    from pydicom.sr._concepts_dict import concepts

    standard = [
        code
        for code in vars(table).values()
        if isinstance(code, Code) and code.scheme != "99SHARPEDGE"
    ]
    for code in [*standard, *table.LIMB_SITES.values(), *table.SIDES.values()]:
        if code.scheme == "UCUM":
            continue
        known = {
            meaning
            for names in concepts[code.scheme].values()
            for value, (meaning, _) in names.items()
            if value == code.value
        }
        assert code.meaning in known, code


def test_a_reason_outside_the_table_is_said_to_be_one():
    assert table.null_reason_code("new_reason") is table.OTHER_REASON
    assert table.null_reason_code(None) is table.NO_REASON
    assert table.reason_code("implant") is table.NULL_REASON_CODES[NullReason.IMPLANT]
