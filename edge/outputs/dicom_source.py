"""The DICOM object that a film is: what documents about it copy, refer to and state of it.

Layer: outputs; reads the bytes of a film by `edge.imaging`.
"""

from __future__ import annotations

import re
import warnings
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import UID

from edge.errors import EdgeError, FilmError
from edge.imaging.calibration import pixel_size_of
from edge.imaging.dicom import decode_dicom
from edge.imaging.dicom_file import open_dicom
from edge.imaging.sniff import Kind, sniff
from edge.imaging.tags import integer, text
from edge.outputs.dicom_codes import PIXEL_SIZES

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from edge.imaging.voi import Shown
    from edge.outputs.dicom_codes import Code

MOST_MEGAPIXELS = 80.0
"""Largest film that is read, in millions of pixels."""
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)+")
_LONGEST_UID = 64
_OFFSET = re.compile(r"([+-])(\d{2})([0-5]\d)")
EMPTY_IF_MISSING = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "AccessionNumber", "ReferringPhysicianName", "StudyID",
)  # fmt: skip
"""Attributes that every document holds, without a value where the film has none."""
_COPIED = (
    *EMPTY_IF_MISSING,
    "SpecificCharacterSet", "TimezoneOffsetFromUTC", "StudyInstanceUID",
    "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "TypeOfPatientID",
    "PatientBirthTime", "OtherPatientIDsSequence", "OtherPatientNames", "EthnicGroup",
    "PatientComments", "ReferencedPatientSequence", "PatientIdentityRemoved",
    "DeidentificationMethod", "DeidentificationMethodCodeSequence", "ResponsiblePerson",
    "ResponsiblePersonRole", "ResponsibleOrganization", "QualityControlSubject",
    "StudyDescription", "IssuerOfAccessionNumberSequence", "PhysiciansOfRecord",
    "PhysiciansOfRecordIdentificationSequence", "NameOfPhysiciansReadingStudy",
    "ReferringPhysicianIdentificationSequence", "ReferencedStudySequence",
    "ProcedureCodeSequence", "RequestingService", "AdmittingDiagnosesDescription",
    "AdmittingDiagnosesCodeSequence", "PatientAge", "PatientSize", "PatientWeight", "Occupation",
    "AdditionalPatientHistory", "AdmissionID", "IssuerOfAdmissionIDSequence", "ServiceEpisodeID",
    "ServiceEpisodeDescription", "ClinicalTrialSponsorName", "ClinicalTrialProtocolID",
    "ClinicalTrialProtocolName", "ClinicalTrialSiteID", "ClinicalTrialSiteName",
    "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID", "ClinicalTrialTimePointID",
    "ClinicalTrialTimePointDescription",
)  # fmt: skip
"""Attributes of the modules Patient, Clinical Trial, General Study and Patient Study."""


class NoSourceError(EdgeError):
    """A film that no DICOM document can be made for; the message says why."""


@dataclass(frozen=True)
class Calibration:
    """Size of a pixel in mm, rows then columns, and how far it holds for the patient."""

    spacing_mm: tuple[float, float]
    state: Code


@dataclass(frozen=True, eq=False)
class DicomSource:
    """A film's own data set, as far as documents need it.

    ``copied`` are the elements of patient and study as they lie in the file. ``shown`` is None
    where the film could not be decoded or is in colour. ``burned_in`` is False only where the
    film's tags say that no text identifies the patient.
    """

    sop_class: str
    sop_instance: str
    study: str
    series: str
    modality: str
    rows: int
    columns: int
    patient_id: str
    accession: str
    study_date: str
    utc_offset: timezone | None
    burned_in: bool
    calibration: Calibration | None
    shown: Shown | None
    copied: tuple[Any, ...] = field(repr=False)

    def local(self, moment: datetime) -> datetime:
        """Give a moment in the time zone that the film's times are in, if it states one."""
        return moment if self.utc_offset is None else moment.astimezone(self.utc_offset)

    def copy_into(self, document: Dataset) -> None:
        """Put the film's patient and study into a document, in place of what stands there."""
        for keyword in _COPIED:
            if keyword in document:
                del document[keyword]
        for keyword in EMPTY_IF_MISSING:
            setattr(document, keyword, None)
        for element in self.copied:
            # A sequence belongs to one data set: it gets its parent by being put there.
            document[element.tag] = deepcopy(element)


def read_source(data: bytes, max_megapixels: float = MOST_MEGAPIXELS) -> DicomSource:
    """Read the data set of a film.

    Parameters
    ----------
    data
        The film's file.
    max_megapixels
        Largest film that is decoded to find which grey values the model saw.

    Raises
    ------
    NoSourceError
        Where the file is no DICOM object, or states no valid UIDs of study, series and object, or
        a class that the standard does not have.
    """
    if sniff(data) is not Kind.DICOM:
        raise NoSourceError("the film is no DICOM object")
    with warnings.catch_warnings():
        # The film's departures from the standard are copied, not judged.
        warnings.simplefilter("ignore")
        try:
            # What is read is no longer as it lies in the file: the copy is read apart.
            untouched = open_dicom(data, max_megapixels).tags
            tags = open_dicom(data, max_megapixels).tags
        except FilmError as error:
            raise NoSourceError(f"its DICOM tags cannot be read: {error}") from error
        uids = {
            keyword: text(tags, keyword)
            for keyword in (
                "SOPClassUID",
                "SOPInstanceUID",
                "StudyInstanceUID",
                "SeriesInstanceUID",
            )
        }
        for keyword, uid in uids.items():
            if len(uid) > _LONGEST_UID or _UID.fullmatch(uid) is None:
                raise NoSourceError(f"its {keyword} is missing or no UID")
        # What may be referred to of an object follows from its class.
        if "Image Storage" not in UID(uids["SOPClassUID"]).name:
            raise NoSourceError("its SOPClassUID is no image class of the standard")
        return DicomSource(
            sop_class=uids["SOPClassUID"],
            sop_instance=uids["SOPInstanceUID"],
            study=uids["StudyInstanceUID"],
            series=uids["SeriesInstanceUID"],
            modality=text(tags, "Modality").upper() or "OT",
            rows=integer(tags, "Rows") or 0,
            columns=integer(tags, "Columns") or 0,
            patient_id=text(tags, "PatientID"),
            accession=text(tags, "AccessionNumber"),
            study_date=text(tags, "StudyDate"),
            utc_offset=_utc_offset(text(tags, "TimezoneOffsetFromUTC")),
            burned_in=text(tags, "BurnedInAnnotation").upper() != "NO",
            calibration=calibration_of(tags),
            shown=_shown(data, max_megapixels),
            copied=tuple(_elements(untouched)),
        )


def calibration_of(tags: Dataset) -> Calibration | None:
    """Size of a pixel, and whether it holds at the patient or at the detector; None without one.

    Parameters
    ----------
    tags
        The film's data set.
    """
    found = pixel_size_of(tags)
    if found is None:
        return None
    return Calibration((found.row_mm, found.column_mm), PIXEL_SIZES[found.source])


def _shown(data: bytes, max_megapixels: float) -> Shown | None:
    try:
        return decode_dicom(data, max_megapixels).shown
    except FilmError:
        return None


def _utc_offset(stated: str) -> timezone | None:
    found = _OFFSET.fullmatch(stated)
    if found is None or int(found[2]) > 14:
        return None
    offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(-offset if found[1] == "-" else offset)


def _elements(tags: Dataset) -> list[Any]:
    """Elements of patient and study; a text as its bytes, a sequence as pydicom reads it."""
    found = []
    for keyword in _COPIED:
        tag = Tag(tag_for_keyword(keyword) or 0)
        if tag not in tags:
            continue
        element: Any = tags.get_item(tag)
        vr = dictionary_VR(tag)
        if vr == "SQ":
            try:
                element = tags[tag]
                len(element.value)
            except Exception:  # noqa: BLE001, S112 - pydicom raises whatever the bytes provoke
                continue
        elif isinstance(element, RawDataElement):
            raw = element.value or b""
            # A data set holds values of even length only.
            raw += (b"\0" if vr == "UI" else b" ") * (len(raw) % 2)
            element = element._replace(
                VR=vr, length=len(raw), value=raw, is_implicit_VR=False, is_little_endian=True
            )
        found.append(element)
    return found
