"""Documents that say that they are a test, under a patient that does not exist.

Layer: sharpedge; pure functions.
"""

from __future__ import annotations

import uuid
from io import BytesIO
from typing import TYPE_CHECKING, Final, NamedTuple

import cv2
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from edge import __version__
from edge.contract.ids import RESULT_NAMESPACE
from edge.delivery.pacs.settings import DocumentKind
from edge.errors import Reason, rejected
from edge.model import DISCLAIMER, Versions
from edge.outputs.dicom_sc import sc_of
from edge.outputs.dicom_source import read_source
from edge.outputs.dicom_sr import sr_of
from edge.outputs.report import LimbReport, uid_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from edge.delivery.pacs.settings import PacsSettings

PATIENT_ID: Final = "SHARPEDGE-TEST"
PATIENT_NAME: Final = "TEST^SHARPEDGE"
DESCRIPTION: Final = "Test of sharpedge: no patient"
_CR = "1.2.840.10008.5.1.4.1.1.1"
_SIDE_PX = 64


class SampleDocument(NamedTuple):
    """One document: its kind, the instance UID and the bytes of its file."""

    kind: DocumentKind
    sop_instance: str
    data: bytes


def documents_of(it: PacsSettings, result_id: str, moment: datetime) -> Iterator[SampleDocument]:
    """Yield one document of each kind that the site sends.

    Parameters
    ----------
    result_id
        A UUID; each test takes another one, so that no PACS has its objects already.
    moment
        When it is, with its time zone.
    """
    source = read_source(_film())
    versions = Versions(software=__version__)
    result = rejected(Reason.NOT_HAND_OR_FOOT, "test", versions, detail="a test, not a patient")
    result = result.model_copy(update={"flags": (*result.flags, DESCRIPTION)})
    report = LimbReport(result, result_id, moment, device="sharpedge pacs test")
    for kind in it.documents:
        if kind is DocumentKind.SR:
            yield SampleDocument(kind, uid_of(result_id, "sr"), sr_of(report, source, it.sr_class))
        else:
            yield SampleDocument(kind, uid_of(result_id, "sc"), sc_of(report, source, _picture()))


def _uid(what: str) -> UID:
    return UID(f"2.25.{uuid.uuid5(RESULT_NAMESPACE, f'pacs test {what}').int}")


def _film() -> bytes:
    """A film of nobody; it is never sent, the documents refer to it."""
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID = UID(_CR)
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID = _uid("film")
    film.StudyInstanceUID, film.SeriesInstanceUID = _uid("study"), _uid("series")
    film.PatientName, film.PatientID, film.PatientSex = PATIENT_NAME, PATIENT_ID, "O"
    film.PatientBirthDate = film.AccessionNumber = ""
    film.StudyDate, film.StudyTime = "20000101", "000000"
    film.StudyID, film.StudyDescription, film.Modality = "TEST", DESCRIPTION, "CR"
    film.Rows = film.Columns = _SIDE_PX
    film.SamplesPerPixel, film.PhotometricInterpretation = 1, "MONOCHROME2"
    film.BitsAllocated = film.BitsStored = 8
    film.HighBit, film.PixelRepresentation = 7, 0
    film.PixelData = bytes(_SIDE_PX * _SIDE_PX)
    written = BytesIO()
    film.save_as(written, enforce_file_format=True)
    return written.getvalue()


def _picture() -> bytes:
    canvas = np.zeros((256, 720, 3), np.uint8)
    lines = ("TEST of sharpedge", "No patient, no result", f"{DISCLAIMER.capitalize()}.")
    for number, line in enumerate(lines, 1):
        at = (20, 70 * number)
        cv2.putText(canvas, line, at, cv2.FONT_HERSHEY_SIMPLEX, 0.9, (255, 255, 255), 2)
    return cv2.imencode(".jpg", canvas)[1].tobytes()
