"""FHIR R4 of one limb: a JSON bundle of DiagnosticReport, Observations and ImagingStudy.

Layer: outputs; pure functions over a result.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.contract.ids import output_id
from edge.errors import NullReason
from edge.model import DISCLAIMER, Identifier, Status
from edge.outputs import dicom_codes as table
from edge.outputs.report import joint_label, success_code, tasks_of
from edge.pipeline.picture.words import head_of, reason_words, unscored_words

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from edge.model import JointScore, LimbResult, Subtotal
    from edge.outputs.dicom_codes import Code
    from edge.outputs.dicom_source import DicomSource
    from edge.outputs.report import LimbReport, TaskResult

Resource = dict[str, Any]

_DECIMALS = 6
_EXTENSION: Final = "urn:sharpedge:fhir:"
REGION_URL: Final = f"{_EXTENSION}image-region"
SUPERSEDES_URL: Final = f"{_EXTENSION}supersedes"
LATERALITY_URL: Final = f"{_EXTENSION}laterality"
PSEUDONYM_SYSTEM: Final = "urn:sharpedge:pseudonym"
_SYSTEMS = {
    table.SCHEME: f"urn:oid:{table.SCHEME_UID}",
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "UCUM": "http://unitsofmeasure.org",
}
_ABSENT_SYSTEM = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_REPORT_STATUS = {
    Status.SCORED: "preliminary",
    Status.NOT_GRADED: "preliminary",
    Status.HELD: "registered",
    Status.REJECTED: "cancelled",
}


@dataclass(frozen=True)
class Pseudonyms:
    """What a bundle says of study and patient where the film is no DICOM object."""

    study: str
    patient: str | None = None


def bundle_of(
    report: LimbReport,
    origin: DicomSource | Pseudonyms,
    identifiers: Collection[Identifier] = tuple(Identifier),
) -> Resource:
    """Make the bundle of a limb, ready for `json.dumps`.

    Parameters
    ----------
    report
        The limb's result.
    origin
        The film's own data set, of which Patient ID, Accession Number and UIDs are stated; or
        pseudonyms, and then nothing else.
    identifiers
        Which of the film's identifiers are stated. Without the Study Instance UID none of the
        film's UIDs is.

    Returns
    -------
    dict
        A FHIR R4 Bundle of type ``collection``. Names and birth dates are never in it.
    """
    resources = _Bundle(report, origin, frozenset(identifiers))
    return {
        "resourceType": "Bundle",
        "id": report.result_id,
        "meta": {"tag": [{**_coding(table.FOR_RESEARCH), "display": DISCLAIMER}]},
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{report.result_id}"},
        "type": "collection",
        "timestamp": report.moment.isoformat(timespec="milliseconds"),
        "entry": [{"fullUrl": f"urn:uuid:{one['id']}", "resource": one} for one in resources.all()],
    }


@dataclass(frozen=True, eq=False)
class _Bundle:
    report: LimbReport
    origin: DicomSource | Pseudonyms
    identifiers: frozenset[Identifier]

    @property
    def result(self) -> LimbResult:
        return self.report.result

    def all(self) -> Iterator[Resource]:
        """Every resource; the report first."""
        joints = [
            self._joint(joint, number, task)
            for number, joint in enumerate(self.result.joints, 1)
            for task in tasks_of(joint)
        ]
        yield self._diagnostic_report()
        yield self._panel([one["id"] for one in joints])
        yield from joints
        yield self._imaging_study()
        yield self._device()
        patient = self._patient()
        if patient is not None:
            yield patient

    def _id(self, role: str) -> str:
        return output_id(self.report.result_id, f"fhir/{role}")

    def _reference(self, role: str) -> Resource:
        return {"reference": f"urn:uuid:{self._id(role)}"}

    def _subject(self) -> Resource:
        known = self._patient() is not None
        return self._reference("patient") if known else {"display": "not known"}

    def _diagnostic_report(self) -> Resource:
        resource: Resource = {
            "resourceType": "DiagnosticReport",
            "id": self._id("report"),
            "identifier": [
                {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{self.report.result_id}"}
            ],
            "status": _REPORT_STATUS[self.result.status],
            "category": [
                {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/v2-0074",
                            "code": "RAD",
                            "display": "Radiology",
                        }
                    ]
                }
            ],
            "code": _concept(table.LIMB_SCORE),
            "subject": self._subject(),
            "issued": self.report.moment.isoformat(timespec="milliseconds"),
            "result": [self._reference("panel")],
            "imagingStudy": [self._reference("study")],
            "conclusion": self._conclusion(),
            "conclusionCode": [_concept(success_code(self.result))],
        }
        replaced = self.report.supersedes
        if replaced is not None:
            value = {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{replaced.result_id}"}
            resource["extension"] = [{"url": SUPERSEDES_URL, "valueIdentifier": value}]
        return resource

    def _conclusion(self) -> str:
        result = self.result
        lines = [f"{head_of(result)}: {table.STATUSES[result.status].meaning}."]
        if result.reason is not None:
            lines.append(f"{reason_words(result.reason)} ({result.reason}).")
        if result.advice:
            lines.append(f"What to do: {result.advice}.")
        lines += [f"Not scored: {words}." for words in unscored_words(result)]
        return "\n".join([*lines, f"{DISCLAIMER.capitalize()}."])

    def _observation(self, role: str, code: Code) -> Resource:
        return {
            "resourceType": "Observation",
            "id": self._id(role),
            "status": "preliminary",
            "code": _concept(code),
            "subject": self._subject(),
            "issued": self.report.moment.isoformat(timespec="milliseconds"),
            "device": self._reference("device"),
            "derivedFrom": [self._reference("study")],
        }

    def _panel(self, members: list[str]) -> Resource:
        result = self.result
        panel = self._observation("panel", table.LIMB_SCORE)
        panel["valueCodeableConcept"] = _concept(table.STATUSES[result.status])
        if result.limb is not None:
            panel["bodySite"] = self._body_site([table.LIMB_SITES[result.limb]])
        if members:
            panel["hasMember"] = [{"reference": f"urn:uuid:{one}"} for one in members]
        components = list(self._sums())
        if result.reason is not None:
            why = _concept(table.reason_code(result.reason), result.reason)
            components.append({"code": _concept(table.LIMB_REASON), "valueCodeableConcept": why})
        if components:
            panel["component"] = components
        panel["note"] = [{"text": f"{DISCLAIMER.capitalize()}."}]
        return panel

    def _sums(self) -> Iterator[Resource]:
        subtotals = self.result.subtotals
        if subtotals is None:
            return
        for task, codes in table.TASKS.items():
            subtotal: Subtotal = getattr(subtotals, task)
            total: Resource = {"code": _concept(codes.total)}
            if subtotal.score is None:
                total["dataAbsentReason"] = _absent(None)
            else:
                total["valueInteger"] = subtotal.score
            yield total
            counts = (
                (codes.joints_scored, subtotal.n_scored),
                (codes.joints_expected, subtotal.n_expected),
                (codes.maximum, subtotal.maximum),
                (codes.attainable, subtotal.attainable),
            )
            for code, value in counts:
                yield {"code": _concept(code), "valueInteger": value}

    def _joint(self, joint: JointScore, number: int, task: TaskResult) -> Resource:
        limb = self.result.limb
        label = joint_label(joint, number)
        observation = self._observation(f"{label}/{task.task}", task.codes.grade)
        sites = [table.JOINT if limb is None else table.joint_site(limb)]
        if limb is not None and joint.name is not None:
            sites += [code for code in [table.JOINTS.get((limb, joint.name))] if code is not None]
        observation["bodySite"] = self._body_site(sites, label)
        if task.grade is not None:
            observation["valueInteger"] = task.grade
        else:
            observation["dataAbsentReason"] = _absent(task.missing)
        if task.expected is not None:
            quantity = {"value": _decimal(task.expected), "code": "1", **_UNITS}
            observation["component"] = [
                {"code": _concept(task.codes.expected), "valueQuantity": quantity}
            ]
        region = _region(joint)
        if region is not None:
            observation["extension"] = [region]
        return observation

    def _body_site(self, sites: list[Code], label: str | None = None) -> Resource:
        site: Resource = {"coding": [_coding(code) for code in sites]}
        if label is not None:
            site["text"] = label
        side = self.result.laterality
        if side is not None:
            concept = _concept(table.SIDES[side])
            site["extension"] = [{"url": LATERALITY_URL, "valueCodeableConcept": concept}]
        return site

    def _imaging_study(self) -> Resource:
        study: Resource = {
            "resourceType": "ImagingStudy",
            "id": self._id("study"),
            "status": "available",
            "subject": self._subject(),
        }
        origin = self.origin
        if isinstance(origin, Pseudonyms):
            study["identifier"] = [{"system": PSEUDONYM_SYSTEM, "value": origin.study}]
            return study
        stated: list[Resource] = []
        if Identifier.STUDY_INSTANCE_UID in self.identifiers:
            stated.append({"system": "urn:dicom:uid", "value": f"urn:oid:{origin.study}"})
            study |= _series_of(origin)
        if origin.accession and Identifier.ACCESSION_NUMBER in self.identifiers:
            stated.append({"type": _ACCESSION_TYPE, "value": origin.accession})
        return study | ({"identifier": stated} if stated else {})

    def _device(self) -> Resource:
        versions = self.result.versions
        made_by = [{"type": {"text": "software"}, "value": versions.software}]
        for role, digest in sorted(versions.engines.items()):
            made_by.append({"type": {"text": f"engine {role}"}, "value": digest})
        return {
            "resourceType": "Device",
            "id": self._id("device"),
            "deviceName": [{"name": "sharpedge", "type": "manufacturer-name"}],
            "identifier": [{"value": self.report.device}],
            "type": _concept(table.ARTIFICIAL_INTELLIGENCE),
            "version": made_by,
            "note": [{"text": f"{DISCLAIMER.capitalize()}."}],
        }

    def _patient(self) -> Resource | None:
        """The patient's identifier alone; None where there is none."""
        if isinstance(self.origin, Pseudonyms):
            system, value = PSEUDONYM_SYSTEM, self.origin.patient
        else:
            stated = Identifier.PATIENT_ID in self.identifiers
            system, value = None, self.origin.patient_id if stated else None
        if not value:
            return None
        identifier = {"value": value} if system is None else {"system": system, "value": value}
        return {
            "resourceType": "Patient",
            "id": self._id("patient"),
            "identifier": [identifier],
        }


_UNITS = {"system": "http://unitsofmeasure.org"}
_ACCESSION_TYPE = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]
}


def _series_of(origin: DicomSource) -> Resource:
    instance = {
        "uid": origin.sop_instance,
        "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{origin.sop_class}"},
    }
    series = {
        "uid": origin.series,
        "modality": {"system": _SYSTEMS["DCM"], "code": origin.modality},
        "numberOfInstances": 1,
        "instance": [instance],
    }
    return {"numberOfSeries": 1, "numberOfInstances": 1, "series": [series]}


def pseudonym_of_bytes(sha256: str) -> str:
    """Pseudonym of a film's study where no key is at hand: it tells only who has the same film."""
    return uuid.uuid5(uuid.NAMESPACE_OID, sha256).hex


def _coding(code: Code) -> Resource:
    return {"system": _SYSTEMS[code.scheme], "code": code.value, "display": code.meaning}


def _concept(code: Code, text: str | None = None) -> Resource:
    concept: Resource = {"coding": [_coding(code)]}
    if text is not None:
        concept["text"] = text
    return concept


def _absent(reason: str | None) -> Resource:
    general = "not-applicable" if reason == NullReason.NOT_IN_SVH else "not-performed"
    absent = _concept(table.null_reason_code(reason), reason)
    absent["coding"].append({"system": _ABSENT_SYSTEM, "code": general})
    return absent


def _decimal(value: float) -> float:
    return round(value, _DECIMALS)


def _region(joint: JointScore) -> Resource | None:
    """Box and centre in pixels of the film as stored; the centre of its first pixel is (0, 0)."""
    parts: list[Resource] = []
    if joint.box is not None:
        parts += _decimals(("x", "y", "width", "height"), joint.box)
    if joint.centre is not None:
        parts += _decimals(("centreX", "centreY"), joint.centre)
    return {"url": REGION_URL, "extension": parts} if parts else None


def _decimals(names: tuple[str, ...], values: tuple[float, ...]) -> list[Resource]:
    return [
        {"url": name, "valueDecimal": _decimal(value)}
        for name, value in zip(names, values, strict=True)
    ]
