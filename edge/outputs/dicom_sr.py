"""DICOM SR of one limb: TID 1500, Comprehensive 3D or Comprehensive.

Layer: outputs; pure functions. highdicom is imported when a document is made, not before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.model import DISCLAIMER, SrClass
from edge.outputs import dicom_codes as table
from edge.outputs.dicom_document import finished, placeholder, unjudged
from edge.outputs.report import joint_label, plain, success_code, sums_of, tasks_of, uid_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

    from edge.model import JointScore, JointSpace
    from edge.outputs.dicom_codes import Code
    from edge.outputs.dicom_source import DicomSource
    from edge.outputs.report import LimbReport, Predecessor

SOP_CLASSES = {
    SrClass.COMPREHENSIVE_3D: "1.2.840.10008.5.1.4.1.1.88.34",
    SrClass.COMPREHENSIVE: "1.2.840.10008.5.1.4.1.1.88.33",
}
SERIES_NUMBER: Final = 9901
_DECIMALS = 6
_PIXEL_CENTRE = 0.5
"""A result counts from the centre of the first pixel, DICOM from its corner."""


def sr_of(
    report: LimbReport, source: DicomSource, sr_class: SrClass = SrClass.COMPREHENSIVE_3D
) -> bytes:
    """Make the structured report of a limb, as the bytes of a DICOM file.

    Parameters
    ----------
    report
        The limb's result.
    source
        The film that it was made of.
    sr_class
        Kind of report. Older archives take `SrClass.COMPREHENSIVE` only; the content is the same.

    Returns
    -------
    bytes
        The same for the same report and film. Explicit VR Little Endian.
    """
    with unjudged():
        return finished(_document(report, source, sr_class), report, source)


def _document(report: LimbReport, source: DicomSource, sr_class: SrClass) -> Any:
    import highdicom  # noqa: PLC0415 - only who makes documents pays for it

    version = report.result.versions.software
    classes = {
        SrClass.COMPREHENSIVE_3D: highdicom.sr.Comprehensive3DSR,
        SrClass.COMPREHENSIVE: highdicom.sr.ComprehensiveSR,
    }
    film = placeholder(source)
    replaced = report.supersedes
    document = classes[sr_class](
        evidence=[film],
        content=_Content(report, source, film).tree()[0],
        series_instance_uid=uid_of(report.result_id, "sr-series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid_of(report.result_id, "sr"),
        instance_number=1,
        manufacturer="sharpedge",
        manufacturer_model_name="sharpedge",
        software_versions=version,
        device_serial_number=report.device[:64],
        series_description=f"sharpedge: {DISCLAIMER}",
        content_qualification="RESEARCH",
        coding_schemes=[_scheme()],
        is_complete=True,
        is_final=False,
        previous_versions=None if replaced is None else [_predecessor(replaced, source)],
    )
    document.ContentQualification = "RESEARCH"
    return document


def _scheme() -> Any:
    from highdicom.coding_schemes import CodingSchemeIdentificationItem  # noqa: PLC0415 - as above

    scheme = CodingSchemeIdentificationItem(
        designator=table.SCHEME,
        name=table.SCHEME_NAME,
        version=table.SCHEME_VERSION,
        responsible_organization="sharpedge",
    )
    scheme.CodingSchemeUID = table.SCHEME_UID
    return scheme


def _predecessor(replaced: Predecessor, source: DicomSource) -> Dataset:
    from pydicom.dataset import Dataset  # noqa: PLC0415 - as above

    earlier = Dataset()
    earlier.SOPClassUID = SOP_CLASSES[replaced.sr_class]
    earlier.SOPInstanceUID = uid_of(replaced.result_id, "sr")
    earlier.StudyInstanceUID = source.study
    earlier.SeriesInstanceUID = uid_of(replaced.result_id, "sr-series")
    return earlier


@dataclass(frozen=True, eq=False)
class _Content:
    """The content tree of one report."""

    report: LimbReport
    source: DicomSource
    film: Dataset

    def tree(self) -> Any:
        """Root of TID 1500: who observed, which image, a group a joint, the limb, the notice."""
        from highdicom import sr  # noqa: PLC0415 - as above

        result = self.report.result
        observer = sr.ObserverContext(
            observer_type=_coded(table.Code("121007", "Device", "DCM")),
            observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
                uid=uid_of(self.report.result_id, "observer"),
                name=plain(self.report.device),
                manufacturer_name="sharpedge",
                model_name=f"sharpedge {result.versions.software}",
            ),
        )
        groups = [self._limb(), *(self._joint(j, n) for n, j in enumerate(result.joints, 1))]
        tree = sr.MeasurementReport(
            observation_context=sr.ObservationContext(observer_device_context=observer),
            procedure_reported=_coded(table.IMAGING_PROCEDURE),
            imaging_measurements=groups,
            referenced_images=[self.film],
        )
        for text in self._comments():
            item = sr.TextContentItem(
                name=_coded(table.COMMENT), value=plain(text), relationship_type="CONTAINS"
            )
            tree[0].ContentSequence.append(item)
        return tree

    def _comments(self) -> Iterator[str]:
        result = self.report.result
        yield f"{DISCLAIMER.capitalize()}."
        if result.advice:
            yield f"What to do: {result.advice}"
        if result.flags:
            yield f"Flags: {', '.join(result.flags)}"

    def _limb(self) -> Any:
        from highdicom import sr  # noqa: PLC0415 - as above

        result = self.report.result
        site = None if result.limb is None else table.LIMB_SITES[result.limb]
        measurements = [*self._sums(), *self._scale()]
        return sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=self._tracking("limb"),
            finding_type=_coded(table.LIMB_SCORE),
            finding_sites=None if site is None else [self._site(site)],
            algorithm_id=self._algorithm(),
            measurements=measurements or None,
            qualitative_evaluations=[_evaluation(*pair) for pair in self._limb_words()],
            source_images=[
                sr.SourceImageForMeasurementGroup(self.source.sop_class, self.source.sop_instance)
            ],
        )

    def _limb_words(self) -> Iterator[tuple[Code, Code]]:
        result, source = self.report.result, self.source
        yield table.FINDINGS_SUMMARY, success_code(result)
        yield table.LIMB_STATUS, table.STATUSES[result.status]
        if result.reason is not None:
            yield table.LIMB_REASON, table.reason_code(result.reason)
        yield table.INTENDED_USE, table.FOR_RESEARCH
        state = table.NOT_CALIBRATED if source.calibration is None else source.calibration.state
        yield table.PIXEL_SIZE_STATE, state
        if source.shown is not None:
            yield table.GREY_BY, table.SHOWN_BY[source.shown.by]

    def _sums(self) -> Iterator[Any]:
        for code, value in sums_of(self.report.result):
            yield _number(code, value)

    def _scale(self) -> Iterator[Any]:
        calibration, shown = self.source.calibration, self.source.shown
        if calibration is not None:
            row_mm, column_mm = calibration.spacing_mm
            yield _number(table.VERTICAL_SPACING, row_mm, table.MILLIMETRE)
            yield _number(table.HORIZONTAL_SPACING, column_mm, table.MILLIMETRE)
        if shown is not None:
            yield _number(table.GREY_LOW, shown.low)
            yield _number(table.GREY_HIGH, shown.high)

    def _joint(self, joint: JointScore, number: int) -> Any:
        from highdicom import sr  # noqa: PLC0415 - as above

        limb = self.report.result.limb
        measurements, evaluations = [], []
        for task in tasks_of(joint):
            if task.grade is not None:
                measurements.append(_number(task.codes.grade, task.grade))
            else:
                why = table.null_reason_code(task.missing)
                evaluations.append(_evaluation(task.codes.why_missing, why))
            if task.expected is not None:
                measurements.append(_number(task.codes.expected, task.expected))
        if joint.space is not None:
            measurements += _widths(joint.space)
            evaluations += _space_words(joint.space)
        name = None if limb is None else table.JOINTS.get((limb, joint.name or ""))
        candidate = None if limb is None else table.JOINTS.get((limb, joint.name_candidate or ""))
        if name is None and candidate is not None:
            evaluations.append(_evaluation(table.NAME_CANDIDATE, candidate))
        site = table.JOINT if limb is None else table.joint_site(limb)
        common = {
            "tracking_identifier": self._tracking(joint_label(joint, number)),
            "finding_type": _coded(table.JOINT_SCORE),
            "finding_sites": [self._site(site, name)],
            "algorithm_id": self._algorithm(),
            "measurements": measurements or None,
            "qualitative_evaluations": evaluations or None,
        }
        region = self._region(joint)
        if region is not None:
            return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
                referenced_region=region, **common
            )
        image = sr.SourceImageForMeasurementGroup(self.source.sop_class, self.source.sop_instance)
        return sr.MeasurementsAndQualitativeEvaluations(source_images=[image], **common)

    def _region(self, joint: JointScore) -> Any:
        """Box of a joint as a closed line, else its centre as a point; None without either."""
        from highdicom import sr  # noqa: PLC0415 - as above

        if joint.box is not None:
            x, y, width, height = joint.box
            kind = "POLYLINE"
            corners = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]
            points = [(x + across * width, y + down * height) for across, down in corners]
        elif joint.centre is not None:
            kind, points = "POINT", [joint.centre]
        else:
            return None
        limits = (self.source.columns, self.source.rows)
        inside = np.clip(np.asarray(points, np.float64) + _PIXEL_CENTRE, 0, limits)
        image = sr.SourceImageForRegion(self.source.sop_class, self.source.sop_instance)
        return sr.ImageRegion(kind, inside, image)

    def _site(self, site: Code, modifier: Code | None = None) -> Any:
        from highdicom import sr  # noqa: PLC0415 - as above

        side = self.report.result.laterality
        return sr.FindingSite(
            _coded(site),
            laterality=None if side is None else _coded(table.SIDES[side]),
            topographical_modifier=None if modifier is None else _coded(modifier),
        )

    def _tracking(self, part: str) -> Any:
        from highdicom import sr  # noqa: PLC0415 - as above

        return sr.TrackingIdentifier(
            uid=uid_of(self.report.result_id, f"track/{part}"),
            identifier=f"{self.report.result_id}/{plain(part)}",
        )

    def _algorithm(self) -> Any:
        from highdicom import sr  # noqa: PLC0415 - as above

        versions = self.report.result.versions
        engines = [f"engine {role} {digest}" for role, digest in sorted(versions.engines.items())]
        return sr.AlgorithmIdentification(
            name="sharpedge",
            version=versions.software,
            parameters=engines or None,
            family=_coded(table.ARTIFICIAL_INTELLIGENCE),
        )


def _widths(space: JointSpace) -> Iterator[Any]:
    """Widths of a joint space: in mm where the film states the size of a pixel, else in pixels."""
    unit, scale = ("mm", table.MILLIMETRE) if space.mean_mm is not None else ("px", table.PIXELS)
    for stem, code in table.SPACES.items():
        width: float | None = getattr(space, f"{stem}_{unit}")
        if width is not None:
            yield _number(code, width, scale)


def _space_words(space: JointSpace) -> Iterator[Any]:
    if space.reason is not None:
        yield _evaluation(table.SPACE_MISSING, table.space_reason_code(space.reason))
    if space.part is not None:
        yield _evaluation(table.SPACE_PART, table.SPACE_PARTS[space.part])


def _coded(code: Code) -> Any:
    from highdicom.sr import CodedConcept  # noqa: PLC0415 - as above

    return CodedConcept(code.value, code.scheme, code.meaning)


def _number(code: Code, value: float, unit: Code = table.NO_UNITS) -> Any:
    from highdicom.sr import Measurement  # noqa: PLC0415 - as above

    rounded = value if isinstance(value, int) else round(value, _DECIMALS)
    return Measurement(name=_coded(code), value=rounded, unit=_coded(unit))


def _evaluation(name: Code, value: Code) -> Any:
    from highdicom.sr import QualitativeEvaluation  # noqa: PLC0415 - as above

    return QualitativeEvaluation(name=_coded(name), value=_coded(value))
