"""What a structured report and a picture share: the stand-in for the film, the finished file.

Layer: outputs; pure functions.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite

from edge.outputs.dicom_source import EMPTY_IF_MISSING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.outputs.dicom_source import DicomSource
    from edge.outputs.report import LimbReport


@contextmanager
def unjudged() -> Iterator[None]:
    """While a document is made: the film's departures from the standard are copied, not judged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


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
    for keyword in EMPTY_IF_MISSING:
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
    # pydicom writes raw elements as they are only where nothing is to be encoded again.
    document.set_original_encoding(
        is_implicit_vr=False,
        is_little_endian=True,
        character_encoding=document._character_set,  # noqa: SLF001
    )
    file = BytesIO()
    dcmwrite(file, document, enforce_file_format=True)
    return file.getvalue()
