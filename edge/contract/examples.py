"""One example of each payload of the contract.

Layer: contract; values only.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from edge.anatomy import Limb, View
from edge.contract.ids import DeviceName, ResultKey
from edge.contract.payloads import (
    Alert,
    AnswerMessage,
    ClosedSource,
    Command,
    CommandMessage,
    DeliveryMode,
    HealthMessage,
    Latency,
    Ledger,
    OperatorCommand,
    OperatorMessage,
    Presence,
    ReceiptMessage,
    RejectMessage,
    ResultMessage,
    StateMessage,
    StudyLimb,
    StudyMessage,
    StudyStatus,
)
from edge.errors import REASONS, Reason
from edge.model import (
    Identifiers,
    JointScore,
    Laterality,
    LateralitySource,
    Status,
    Subtotals,
    Versions,
)
from edge.totals import add, limb_subtotals

if TYPE_CHECKING:
    from edge.model import Record

_AT_S = 1767225600.0
_DASHBOARD = "dashboard-1"
_DEVICE = DeviceName("clinic", "xray1", "box1")


def example_result() -> ResultMessage:
    """Build a result as it would be sent, with one joint in place of ten."""
    joint = JointScore(
        name="MCP2",
        confidence=0.97,
        box=(812.0, 1034.5, 150.0, 150.0),
        centre=(887.0, 1109.5),
        erosion=2,
        erosion_expected=1.84,
        narrowing=1,
        narrowing_expected=1.12,
    )
    device = DeviceName("clinic", "xray1", "box1")
    film_sha256 = "5f" * 32
    return ResultMessage(
        file="film.jpg",
        limb_index=0,
        status=Status.SCORED,
        limb=Limb.HAND,
        laterality=Laterality.LEFT,
        laterality_source=LateralitySource.DICOM,
        view=View.PA,
        transform=[[0.9, 0.0, -80.0], [0.0, 0.9, -120.0], [0.0, 0.0, 1.0]],
        joints=(joint,),
        subtotals=limb_subtotals(Limb.HAND, [joint]),
        n_scored=1,
        n_expected=10,
        versions=Versions(software="0.1.0", engines={"hand-detect": "0123456789abcdef"}),
        id=ResultKey(device, film_sha256, 0, "e5" * 32).result_id(),
        sequence=41,
        site=device.site,
        room=device.room,
        device=device.device,
        job=57,
        film_sha256=film_sha256,
        study=uuid.UUID(int=0x1D).hex,
        historical=False,
        sending=1,
        ledger=Ledger(
            closed=1767225600.0,
            closed_source=ClosedSource.CLOSE_EVENT,
            picked_up=1767225600.004,
            decoded=1767225600.05,
            inferred=1767225600.6,
            queued=1767225600.61,
            sent=1767225600.62,
            stage_ms={"decode": 46.0, "find": 110.0, "mask": 140.0, "score": 240.0},
            clock_synchronised=True,
        ),
    )


def examples() -> dict[str, Record]:
    """One payload for each topic that has JSON, by the topic's first word."""
    result = example_result()
    return {
        "state": StateMessage(
            state=Presence.DEGRADED, session=12, site="clinic", room="xray1", device="box1",
            since=_AT_S, protocol="5", delivery=DeliveryMode.RECEIPT, versions=result.versions,
            alerts=(Alert(code="disk_low", detail="less than min_free_mib is free"),),
            journal_row=913, journal_head="0a" * 32,
        ),
        "result": result,
        "reject": _reject(result),
        "study": _study(result),
        "health": HealthMessage(
            session=12, at=_AT_S, uptime_s=86400.0, folder_waiting=0, folder_native=True,
            outbox_depth=0, outbox_oldest_s=0.0, jobs={"receipted": 40, "held": 1},
            disk_free_mib=51200, temperature_c=48.5, worker_restarts=0, broker_reconnects=1,
            latency=Latency(count=40, p50_ms=190.0, p99_ms=280.0), journal_row=913,
            journal_head="0a" * 32,
        ),
        "receipt": ReceiptMessage(id=result.id, receiver=_DASHBOARD),
        "command": CommandMessage(command=Command.PICTURE, id=result.id),
        "operator": OperatorMessage(
            command=OperatorCommand.RELEASE, id=result.id, operator="Anna", limb=Limb.HAND,
            side=Laterality.LEFT,
        ),
        "answer": AnswerMessage(command=Command.PICTURE, done=True),
    }  # fmt: skip


def joined_examples() -> dict[str, Record]:
    """The payloads as they are where a site has switched identifiers on, by the topic's word."""
    result = example_result()
    found = Identifiers(accession_number="A-4711")
    return {
        "result": result.model_copy(update={"identifiers": found}),
        "study": _study(result).model_copy(update={"identifiers": found}),
    }


def _study(result: ResultMessage) -> StudyMessage:
    """The patient's set after the left hand."""
    left, right = result.subtotals, limb_subtotals(Limb.HAND, [])
    assert left is not None  # noqa: S101 - it is scored
    foot = limb_subtotals(Limb.FOOT, [])
    hands, feet = _sum(left, right), _sum(foot, foot)
    return StudyMessage(
        study=result.study, status=StudyStatus.FILLING,
        limbs={"LH": StudyLimb(id=result.id, subtotals=left, n_scored=1, n_expected=10)},
        missing=("RH", "LF", "RF"), hands=hands, feet=feet,
        partial_svh=add(add(hands.erosion, hands.narrowing), add(feet.erosion, feet.narrowing)),
        changed=_AT_S,
    )  # fmt: skip


def _sum(one: Subtotals, other: Subtotals) -> Subtotals:
    return Subtotals(
        erosion=add(one.erosion, other.erosion), narrowing=add(one.narrowing, other.narrowing)
    )


def _reject(result: ResultMessage) -> RejectMessage:
    """The same film, held because nothing says left or right."""
    reason = Reason.SIDE_NOT_KNOWN
    fields = dict(result) | {
        "status": Status.HELD, "reason": reason, "advice": REASONS[reason].advice,
        "laterality": None, "laterality_source": None, "joints": (), "subtotals": None,
        "n_scored": 0, "sequence": result.sequence - 1,
    }  # fmt: skip
    return RejectMessage.model_validate(fields)
