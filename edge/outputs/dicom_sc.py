"""DICOM Secondary Capture of a limb's labelled picture.

Layer: outputs; pure functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from edge.model import DISCLAIMER
from edge.outputs import dicom_codes as table
from edge.outputs.dicom_document import finished, placeholder, unjudged
from edge.outputs.report import uid_of

if TYPE_CHECKING:
    from edge.outputs.dicom_codes import Code
    from edge.outputs.dicom_source import DicomSource
    from edge.outputs.report import LimbReport

SOP_CLASS: Final = "1.2.840.10008.5.1.4.1.1.7"
SERIES_NUMBER: Final = 9902


def sc_of(report: LimbReport, source: DicomSource, picture: bytes) -> bytes:
    """Make the Secondary Capture of a labelled picture, as the bytes of a DICOM file.

    Parameters
    ----------
    report
        The limb's result.
    source
        The film that it was made of.
    picture
        The labelled picture (JPEG), with the notice drawn into it. It shows the film unmasked: the
        object states burned-in annotation unless the film states that it has none.

    Returns
    -------
    bytes
        The same for the same input. Explicit VR Little Endian, RGB of 8 bits.

    Raises
    ------
    ValueError
        Where the picture is no JPEG.
    """
    pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError("the labelled picture cannot be decoded")
    with unjudged():
        document = placeholder(source)
        document.file_meta = FileMetaDataset()
        document.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        _describe(document, report, source)
        _refer(document, source)
        _put_pixels(document, np.ascontiguousarray(pixels[:, :, ::-1], np.uint8), len(picture))
        return finished(document, report, source)


def _describe(document: Dataset, report: LimbReport, source: DicomSource) -> None:
    result = report.result
    document.SOPClassUID = SOP_CLASS
    document.SOPInstanceUID = uid_of(report.result_id, "sc")
    document.SeriesInstanceUID = uid_of(report.result_id, "sc-series")
    document.SeriesNumber = SERIES_NUMBER
    document.InstanceNumber = 1
    document.SeriesDescription = f"sharpedge: {DISCLAIMER}"
    document.ImageComments = f"{DISCLAIMER.capitalize()}."
    document.Modality = "OT"
    document.ConversionType = "WSD"
    document.Manufacturer = document.ManufacturerModelName = "sharpedge"
    document.DeviceSerialNumber = report.device[:64]
    document.SoftwareVersions = result.versions.software
    document.Laterality = None if result.laterality is None else str(result.laterality)
    if result.limb is not None:
        document.BodyPartExamined = result.limb.upper()
    document.PatientOrientation = None
    document.BurnedInAnnotation = "YES" if source.burned_in else "NO"


def _refer(document: Dataset, source: DicomSource) -> None:
    film = Dataset()
    film.ReferencedSOPClassUID = source.sop_class
    film.ReferencedSOPInstanceUID = source.sop_instance
    series = Dataset()
    series.SeriesInstanceUID = source.series
    series.ReferencedInstanceSequence = [film]
    document.ReferencedSeriesSequence = [series]
    origin = Dataset()
    origin.ReferencedSOPClassUID = source.sop_class
    origin.ReferencedSOPInstanceUID = source.sop_instance
    origin.PurposeOfReferenceCodeSequence = [_item(table.SOURCE_IMAGE)]
    document.SourceImageSequence = [origin]
    document.DerivationDescription = "Film with joints, grades and sums drawn onto it"


def _item(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme
    item.CodeMeaning = code.meaning
    return item


def _put_pixels(document: Dataset, rgb: Any, compressed_bytes: int) -> None:
    document.ImageType = ["DERIVED", "SECONDARY"]
    document.Rows, document.Columns = rgb.shape[:2]
    document.SamplesPerPixel = 3
    document.PhotometricInterpretation = "RGB"
    document.PlanarConfiguration = 0
    document.BitsAllocated = document.BitsStored = 8
    document.HighBit = 7
    document.PixelRepresentation = 0
    document.LossyImageCompression = "01"
    document.LossyImageCompressionRatio = f"{rgb.nbytes / compressed_bytes:.2f}"
    document.LossyImageCompressionMethod = "ISO_10918_1"
    raw = rgb.tobytes()
    document.add_new("PixelData", "OB", raw + b"\0" * (len(raw) % 2))
