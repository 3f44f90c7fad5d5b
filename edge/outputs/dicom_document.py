"""What a structured report and a picture share: the stand-in for the film, the finished file.

Layer: outputs; pure functions.
"""

from __future__ import annotations

import warnings
from io import BytesIO
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite

if TYPE_CHECKING:
    from edge.outputs.dicom_source import DicomSource
    from edge.outputs.report import LimbReport


def placeholder(source: DicomSource) -> Dataset:
    """Data set that stands for a film while a document is made.

    It holds the film's UIDs and size and nothing of the patient: `finished` puts that in.
    """
    film = Dataset()
    film.SOPClassUID = source.sop_class
    film.SOPInstanceUID = source.sop_instance
    film.StudyInstanceUID = source.study
    film.SeriesInstanceUID = source.series
    # Another modality makes highdicom describe the detector, by tags that films may lack.
    film.Modality = "OT"
    film.Rows = source.rows
    film.Columns = source.columns
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate",
                    "StudyTime", "AccessionNumber", "StudyID", "ReferringPhysicianName"):  # fmt: skip
        setattr(film, keyword, None)
    return film


def finished(document: Dataset, report: LimbReport, source: DicomSource) -> bytes:
    """Put patient, study and times into a document; returns its file.

    Parameters
    ----------
    document
        With its file header. What it holds of patient and study is replaced.
    report
        Of which the moment is taken.
    source
        The film, whose elements of patient and study are copied byte for byte.
    """
    at = source.local(report.moment)
    day, time = at.strftime("%Y%m%d"), at.strftime("%H%M%S.%f")
    document.InstanceCreationDate = document.ContentDate = document.SeriesDate = day
    document.InstanceCreationTime = document.ContentTime = document.SeriesTime = time
    for equipment in document.get("ContributingEquipmentSequence", ()):
        equipment.ContributionDateTime = f"{day}{time}"
    source.copy_into(document)
    # pydicom writes raw elements as they are only where nothing is to be encoded anew.
    document.set_original_encoding(
        is_implicit_vr=False,
        is_little_endian=True,
        character_encoding=document._character_set,  # noqa: SLF001
    )
    file = BytesIO()
    with warnings.catch_warnings():
        # The film's own departures from the standard are copied, not judged.
        warnings.simplefilter("ignore")
        dcmwrite(file, document, enforce_file_format=True)
    return file.getvalue()
