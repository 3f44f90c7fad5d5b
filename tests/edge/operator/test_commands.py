"""Ready-made commands for held films: what nobody stated is left to the person."""

from __future__ import annotations

import pytest
from stand_in import VERSIONS

from edge.anatomy import Limb
from edge.errors import REASONS, Reason
from edge.model import Laterality, LateralitySource, LimbResult, Status
from edge.operator.commands import commands_for


def body(source=LateralitySource.DICOM, limb=Limb.FOOT):
    return LimbResult(
        file="f", limb_index=0, status=Status.HELD, limb=limb, laterality=Laterality.RIGHT,
        laterality_source=source, versions=VERSIONS,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "found", "says"),
    [
        (Reason.SIDE_NOT_KNOWN, body(LateralitySource.GEOMETRY), {"left foot", "right foot"}),
        (Reason.SIDE_CONFLICT, body(), {"left foot", "right foot"}),
        (Reason.LIMB_CONFLICT, body(), {"right hand", "right foot"}),
        (Reason.SHAPE_IMPLAUSIBLE, body(), {"right foot"}),
        (Reason.GRADES_DOUBTFUL, body(LateralitySource.GEOMETRY), {"left foot", "right foot"}),
        (Reason.SIDE_NOT_KNOWN, None, {"left hand", "right hand", "left foot", "right foot"}),
        (Reason.IMMATURE, body(), set()),
        (Reason.TWO_LIMBS, body(), set()),
    ],
)
def test_the_side_that_only_joints_tell_is_never_proposed_alone(reason, found, says):
    assert set(commands_for(7, reason, found)) == says | {"no score"}


@pytest.mark.parametrize("reason", [it for it in Reason if REASONS[it].status is Status.HELD])
def test_each_command_names_the_job_and_states_what_it_says(reason):
    for says, command in commands_for(7, reason, body()).items():
        if says == "no score":
            assert command == "sharpedge dismiss 7"
        else:
            side, limb = says.split()
            assert command == f"sharpedge release 7 --side {side[0].upper()} --limb {limb}"
