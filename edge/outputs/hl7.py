r"""HL7 v2.5.1 of one limb: the message ORU^R01, as an interface engine takes it from a folder.

Layer: outputs; pure functions over a result.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final, NamedTuple

from edge.model import DISCLAIMER, Identifier, Status
from edge.outputs import dicom_codes as table
from edge.outputs.fhir import Pseudonyms
from edge.outputs.report import joint_label, success_code, sums_of, tasks_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime

    from edge.model import JointScore
    from edge.outputs.dicom_codes import Code
    from edge.outputs.dicom_source import DicomSource
    from edge.outputs.report import LimbReport

VERSION: Final = "2.5.1"
LIMB: Final = "limb"
"""Sub-id (OBX-4) of what is said of the limb; of a joint it is the joint's label."""
_APPLICATION = "SHARPEDGE"
_CONTROL_ID_LENGTH = 20
_DECIMALS = 6
_ESCAPES = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"}
_FINDING_SITE = table.Code("363698007", "Finding Site", "SCT")
_STUDY = table.Code("110180", "Study Instance UID", "DCM")
_REPORT_STATUS = {
    Status.SCORED: "P",
    Status.NOT_GRADED: "P",
    Status.HELD: "I",
    Status.REJECTED: "X",
}
"""Table 0123: preliminary; none yet, the procedure is not complete; none, cancelled."""
_PRELIMINARY, _NONE = "P", "X"
"""Table 0085, of one observation."""


class _Observation(NamedTuple):
    """An OBX segment; ``value`` is encoded."""

    kind: str
    code: Code
    part: str
    value: str
    status: str = _PRELIMINARY


def oru_of(
    report: LimbReport,
    origin: DicomSource | Pseudonyms,
    identifiers: Collection[Identifier] = tuple(Identifier),
) -> bytes:
    """Make the message of a limb.

    Parameters
    ----------
    report
        The limb's result.
    origin
        The film's own data set, of which Patient ID, Accession Number and Study Instance UID are
        stated; or pseudonyms, and then nothing else. Names and birth dates are never in it.
    identifiers
        Which of the film's identifiers are stated.

    Returns
    -------
    bytes
        UTF-8, segments ended by carriage returns, without the frame of MLLP. The same for the same
        report.
    """
    wanted = frozenset(identifiers)
    segments = [
        _header(report),
        *_patient(origin, wanted),
        _order(report, origin, wanted),
        *(_comment(number, text) for number, text in enumerate(_comments(report), 1)),
    ]
    for number, one in enumerate(_observations(report, origin, wanted), 1):
        fields = [str(number), one.kind, _coded(one.code), escaped(one.part), one.value]
        segments.append("|".join(["OBX", *fields, "", "", "", "", "", one.status]))
    return "".join(f"{segment}\r" for segment in segments).encode()


def escaped(text: str) -> str:
    """Text without the characters that separate; what is no text at all becomes a blank."""
    plain = "".join(one if one.isprintable() else " " for one in text)
    return "".join(_ESCAPES.get(one, one) for one in plain)


def _header(report: LimbReport) -> str:
    control = uuid.UUID(report.result_id).hex[:_CONTROL_ID_LENGTH]
    sender = f"^{escaped(report.device)}^L"
    at = _time(report.moment)
    fields = [_APPLICATION, sender, "", "", at, "", "ORU^R01^ORU_R01", control, "P", VERSION]
    return "|".join(["MSH", "^~\\&", *fields, "", "", "", "", "", "UNICODE UTF-8"])


def _patient(origin: DicomSource | Pseudonyms, wanted: frozenset[Identifier]) -> Iterator[str]:
    """The patient's identifier alone; no segment where there is none."""
    if isinstance(origin, Pseudonyms):
        if origin.patient:
            yield f"PID|1||{origin.patient}^^^{_APPLICATION}^ANON||^^^^^^S"
    elif origin.patient_id and Identifier.PATIENT_ID in wanted:
        yield f"PID|1||{escaped(origin.patient_id)}^^^^PI||^^^^^^U"


def _order(
    report: LimbReport, origin: DicomSource | Pseudonyms, wanted: frozenset[Identifier]
) -> str:
    at, accession = _time(report.moment), ""
    if not isinstance(origin, Pseudonyms) and Identifier.ACCESSION_NUMBER in wanted:
        accession = escaped(origin.accession)
    fields = {
        1: "1", 3: f"{report.result_id}^{_APPLICATION}", 4: _coded(table.LIMB_SCORE), 7: at,
        18: accession, 22: at, 25: _REPORT_STATUS[report.result.status],
    }  # fmt: skip
    return "|".join(["OBR", *(fields.get(number, "") for number in range(1, 26))])


def _comments(report: LimbReport) -> Iterator[str]:
    yield f"{DISCLAIMER.capitalize()}."
    if report.supersedes is not None:
        yield f"Replaces the result {report.supersedes.result_id}."
    if report.result.advice:
        yield f"What to do: {report.result.advice}."


def _comment(number: int, text: str) -> str:
    return f"NTE|{number}|L|{escaped(text)}"


def _observations(
    report: LimbReport, origin: DicomSource | Pseudonyms, wanted: frozenset[Identifier]
) -> Iterator[_Observation]:
    result = report.result
    if isinstance(origin, Pseudonyms):
        yield _Observation("ST", _STUDY, LIMB, escaped(origin.study))
    elif Identifier.STUDY_INSTANCE_UID in wanted:
        yield _Observation("ST", _STUDY, LIMB, origin.study)
    yield _word(table.LIMB_STATUS, table.STATUSES[result.status])
    yield _word(table.FINDINGS_SUMMARY, success_code(result))
    yield _word(table.INTENDED_USE, table.FOR_RESEARCH)
    if result.reason is not None:
        yield _word(table.LIMB_REASON, table.reason_code(result.reason))
    if result.limb is not None:
        side = [] if result.laterality is None else [table.SIDES[result.laterality]]
        sites = "~".join(map(_coded, [table.LIMB_SITES[result.limb], *side]))
        yield _Observation("CWE", _FINDING_SITE, LIMB, sites)
    yield from _sums(report)
    for number, joint in enumerate(result.joints, 1):
        yield from _joint(joint, joint_label(joint, number))


def _word(code: Code, value: Code) -> _Observation:
    return _Observation("CWE", code, LIMB, _coded(value))


def _sums(report: LimbReport) -> Iterator[_Observation]:
    for code, value in sums_of(report.result):
        yield _Observation("NM", code, LIMB, str(value))


def _joint(joint: JointScore, label: str) -> Iterator[_Observation]:
    for task in tasks_of(joint):
        if task.grade is not None:
            yield _Observation("NM", task.codes.grade, label, str(task.grade))
        else:
            why = _coded(table.null_reason_code(task.missing))
            yield _Observation("CWE", task.codes.why_missing, label, why, _NONE)
        if task.expected is not None:
            yield _Observation("NM", task.codes.expected, label, _number(task.expected))


def _number(value: float) -> str:
    """A number without an exponent, which HL7 does not have."""
    text = f"{value:.{_DECIMALS}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _coded(code: Code) -> str:
    return "^".join(map(escaped, (code.value, code.meaning, code.scheme)))


def _time(moment: datetime) -> str:
    return f"{moment:%Y%m%d%H%M%S}.{moment.microsecond // 1000:03d}{moment:%z}"
