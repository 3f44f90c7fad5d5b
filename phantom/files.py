"""Films and masks as files: JPEG, PNG, or DICOM with the tags a CR unit writes.

Layer: phantom; besides numpy and OpenCV it imports pydicom. The same film gives the same bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID

from edge.anatomy import Limb

if TYPE_CHECKING:
    from pathlib import Path

    from phantom.film import PhantomFilm

ImageFormat = Literal["jpeg", "png", "dicom"]
SUFFIX: dict[ImageFormat, str] = {"jpeg": ".jpg", "png": ".png", "dicom": ".dcm"}
_UID_ROOT = "2.25."
_CR_STORAGE = "1.2.840.10008.5.1.4.1.1.1"
_EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"


@dataclass(frozen=True)
class DicomLook:
    """How a CR unit stores a film: bits, polarity, where the grey scale starts."""

    bits: int
    monochrome1: bool
    offset: int


def draw_dicom_look(rng: np.random.Generator) -> DicomLook:
    """Settings of one simulated unit."""
    bits = int(rng.choice([10, 12, 12]))
    return DicomLook(bits, bool(rng.random() < 0.5), int(rng.integers(0, 1 << (bits - 3))))


def write_png(path: Path, image: npt.NDArray[np.uint8]) -> None:
    """Write 8-bit grey losslessly."""
    _write(path, ".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 3])


def write_jpeg(path: Path, image: npt.NDArray[np.uint8], quality: int) -> None:
    """Write 8-bit grey at a JPEG quality of 1-100."""
    _write(path, ".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])


def _write(path: Path, suffix: str, image: npt.NDArray[np.uint8], options: list[int]) -> None:
    done, data = cv2.imencode(suffix, image, options)
    if not done:
        raise ValueError(f"{path.name}: {image.shape} pixels cannot be encoded as {suffix}")
    path.write_bytes(data.tobytes())


def _uid(*parts: str) -> str:
    digest = hashlib.sha256("/".join(parts).encode()).digest()
    return _UID_ROOT + str(int.from_bytes(digest[:15], "big"))


def write_dicom(path: Path, film: PhantomFilm, look: DicomLook, patient_id: str, seed: int) -> None:
    """Write a computed-radiography object: `PatientID` and the study's UID follow the patient."""
    instance = _uid("instance", str(seed), path.stem)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(_CR_STORAGE)
    meta.MediaStorageSOPInstanceUID = UID(instance)
    meta.TransferSyntaxUID = UID(_EXPLICIT_LITTLE)
    meta.ImplementationClassUID = UID(_uid("sharpedge", "phantom"))
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID = _CR_STORAGE
    data.SOPInstanceUID = instance
    data.StudyInstanceUID = _uid("study", str(seed), patient_id)
    data.SeriesInstanceUID = _uid("series", str(seed), path.stem)
    data.Modality = "CR"
    data.Manufacturer = "sharpedge phantom"
    data.StationName = "PHANTOM"
    data.PatientID = patient_id
    data.PatientName = f"SIMULATED^{patient_id}"
    data.PatientAge = "060Y"
    data.StudyDate = "20200101"
    data.StudyTime = "120000"
    data.StudyID = patient_id
    data.SeriesNumber = 1
    data.InstanceNumber = 1
    hand = film.limb is Limb.HAND
    data.BodyPartExamined = "HAND" if hand else "FOOT"
    data.ImageLaterality = film.laterality.value
    data.ViewPosition = "PA" if hand else "AP"
    data.ImageComments = "simulated film, research use only, not a medical device"
    data.ImagerPixelSpacing = [round(film.mm_per_px, 5)] * 2
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME1" if look.monochrome1 else "MONOCHROME2"
    data.Rows, data.Columns = film.grey.shape
    data.BitsAllocated = 16
    data.BitsStored = look.bits
    data.HighBit = look.bits - 1
    data.PixelRepresentation = 0
    top = (1 << look.bits) - 1
    span = top - look.offset
    stored = np.rint(np.clip(film.grey, 0, 255) * (span / 255)) + look.offset
    low = look.offset
    if look.monochrome1:
        stored, low = top - stored, 0
    # A window that starts at ``low`` and is ``span`` wide, in the standard's half-pixel terms.
    data.WindowCenter = low + span / 2 + 0.5
    data.WindowWidth = span + 1
    data.PixelData = stored.astype("<u2").tobytes()
    data.save_as(path, enforce_file_format=True)
