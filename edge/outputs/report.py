"""What every document of a limb is made of: the result, its id and moment, what it replaces.

Layer: outputs; frozen types and pure functions.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.anatomy import has_narrowing
from edge.contract.ids import output_id
from edge.errors import NullReason
from edge.model import SrClass
from edge.outputs.dicom_codes import (
    ALL_WITH_FINDINGS,
    ALL_WITHOUT_FINDINGS,
    NONE_SUCCEEDED,
    SOME_WITH_FINDINGS,
    SOME_WITHOUT_FINDINGS,
    TASKS,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from edge.model import JointScore, LimbResult, Subtotal
    from edge.outputs.dicom_codes import Code, TaskCodes


@dataclass(frozen=True)
class Predecessor:
    """An earlier result that this one replaces, and the class that its report had."""

    result_id: str
    sr_class: SrClass = SrClass.COMPREHENSIVE_3D


@dataclass(frozen=True)
class LimbReport:
    """One limb's result as it goes into documents.

    Parameters
    ----------
    result
        The limb's result.
    result_id
        Its id (UUID as text). All UIDs of a document follow from it.
    moment
        When the result was made, with its time zone. It is written into documents, so that the
        same report gives the same bytes.
    supersedes
        The result that it replaces.
    device
        Name of the appliance, e.g. ``site/room/device``.
    """

    result: LimbResult
    result_id: str
    moment: datetime
    supersedes: Predecessor | None = None
    device: str = "sharpedge"

    def __post_init__(self) -> None:
        if self.moment.tzinfo is None:
            raise ValueError("the moment of a report has no time zone")


@dataclass(frozen=True)
class TaskResult:
    """Erosion or narrowing of one joint; exactly one of ``grade`` and ``missing`` says something.

    ``missing`` is the reason code where ``grade`` is None, itself None where none is known.
    """

    codes: TaskCodes
    task: str
    grade: int | None
    expected: float | None
    missing: str | None


def tasks_of(joint: JointScore) -> Iterator[TaskResult]:
    """Both tasks of a joint."""
    for task, codes in TASKS.items():
        yield TaskResult(
            codes,
            task,
            getattr(joint, task),
            getattr(joint, f"{task}_expected"),
            getattr(joint, f"{task}_reason"),
        )


def sums_of(result: LimbResult) -> Iterator[tuple[Code, int]]:
    """Each figure of a limb's sums with its code; those that are null are left out."""
    if result.subtotals is None:
        return
    for task, codes in TASKS.items():
        subtotal: Subtotal = getattr(result.subtotals, task)
        values = (
            (codes.total, subtotal.score),
            (codes.joints_scored, subtotal.n_scored),
            (codes.joints_expected, subtotal.n_expected),
            (codes.maximum, subtotal.maximum),
            (codes.attainable, subtotal.attainable),
        )
        for code, value in values:
            if value is not None:
                yield code, value


def uid_of(result_id: str, role: str) -> str:
    """UID of a part of a result's documents: the same for the same result on every machine.

    Parameters
    ----------
    result_id
        Id of the result.
    role
        What the UID names, e.g. ``sr`` or ``track/MCP2``.
    """
    return f"2.25.{uuid.UUID(output_id(result_id, role)).int}"


def success_code(result: LimbResult) -> Code:
    """Code of CID 6047 for a limb: whether every joint got its grades, and any is above 0.

    Grades that SvH does not have are not counted; a joint that was not found counts as one that
    did not succeed.
    """
    given = [task.grade for joint in result.joints for task in tasks_of(joint)]
    grades = [grade for grade in given if grade is not None]
    if not grades or result.limb is None:
        return NONE_SUCCEEDED
    limb = result.limb
    wanted = len(limb.joints) + sum(has_narrowing(limb, name) for name in limb.joints)
    missing = any(
        task.grade is None and task.missing != NullReason.NOT_IN_SVH
        for joint in result.joints
        for task in tasks_of(joint)
    )
    complete = not missing and len(grades) >= wanted
    if any(grades):
        return ALL_WITH_FINDINGS if complete else SOME_WITH_FINDINGS
    return ALL_WITHOUT_FINDINGS if complete else SOME_WITHOUT_FINDINGS


def plain(text: str) -> str:
    """Text in ASCII without DICOM's separators, which every character set of a film can hold."""
    ascii_text = text.encode("ascii", "replace").decode()
    return ascii_text.replace("\\", "/").replace("~", "-")


def joint_label(joint: JointScore, number: int) -> str:
    """Name of a joint within its limb; with its number where the name is not certain."""
    return joint.name or f"{joint.name_candidate or 'joint'}?{number}"
