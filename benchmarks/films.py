"""Simulated films in the sizes and formats that scanners give, in memory.

Layer: benchmarks; draws with `phantom`; DICOM files pass through a temporary folder.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from edge.errors import EdgeError
from phantom.command import LIMBS, patient_film, patient_grades
from phantom.files import DicomLook, write_dicom

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.model import JointScore
    from phantom.command import PatientFilm

Format = Literal["JPEG", "PNG", "DICOM JPEG 2000"]
FORMATS: tuple[Format, ...] = ("JPEG", "PNG", "DICOM JPEG 2000")
SIZES = ((1100, 1500), (2000, 2500), (3000, 4000))
"""Width and height in px."""
SEED = 7
QUALITY = 90
_LOOK = DicomLook(12, monochrome1=False, offset=0)
_SUFFIX: dict[Format, str] = {"JPEG": ".jpg", "PNG": ".png", "DICOM JPEG 2000": ".dcm"}


@dataclass(frozen=True)
class BenchFilm:
    """One film as a file in memory, with the truth of its joints in its pixels."""

    name: str
    data: bytes
    size: str
    format: Format
    joints: tuple[JointScore, ...]


def patient_films(seed: int = SEED) -> list[PatientFilm]:
    """Draw one simulated patient's four films: LH RH LF RF."""
    patient = patient_grades(seed, 1, "real")
    return [patient_film(patient, seed, 1, index, "eval") for index in range(len(LIMBS))]


def encoded(
    drawn: Sequence[PatientFilm], size: tuple[int, int], form: Format
) -> tuple[BenchFilm, ...]:
    """Resize films to ``size`` (width, height in px) and encode them.

    The limb keeps its proportions; what is missing is filled with the film's upper edge. Raises
    `EdgeError` where no encoder of the format is installed.
    """
    return tuple(_encoded(one, size, form) for one in drawn)


def size_name(size: tuple[int, int]) -> str:
    """Width and height as tables have them."""
    return f"{size[0]}x{size[1]}"


def _encoded(one: PatientFilm, size: tuple[int, int], form: Format) -> BenchFilm:
    film = one.film
    height, width = film.grey.shape
    zoom = min(size[0] / width, size[1] / height)
    kind = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    inner = (round(width * zoom), round(height * zoom))
    scaled = cv2.resize(film.grey, inner, interpolation=kind)
    below, right = size[1] - inner[1], size[0] - inner[0]
    edge = float(scaled[:5].mean())
    bordered = cv2.copyMakeBorder(scaled, 0, below, 0, right, cv2.BORDER_CONSTANT, value=edge)
    grey = np.clip(np.asarray(bordered, np.float32), 0, 255)
    name = one.stem + _SUFFIX[form]
    if form == "DICOM JPEG 2000":
        larger = replace(one.film, grey=grey, mm_per_px=film.mm_per_px / zoom)
        with tempfile.TemporaryDirectory(prefix="sharpedge-bench-") as folder:
            path = Path(folder) / name
            write_dicom(path, larger, _LOOK, one.patient_id, SEED)
            data = _as_jpeg_2000(path)
    else:
        options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if form == "JPEG" else []
        done, stream = cv2.imencode(_SUFFIX[form], np.rint(grey).astype(np.uint8), options)
        if not done:
            raise EdgeError(f"this OpenCV cannot encode {form} (fix: pip install -U opencv-python)")
        data = stream.tobytes()
    joints = tuple(_zoomed(joint, zoom) for joint in film.joints)
    return BenchFilm(name, data, size_name(size), form, joints)


def _zoomed(joint: JointScore, zoom: float) -> JointScore:
    if joint.box is None or joint.centre is None:
        return joint
    x, y, w, h = (side * zoom for side in joint.box)
    centre = (joint.centre[0] * zoom, joint.centre[1] * zoom)
    return joint.model_copy(update={"box": (x, y, w, h), "centre": centre})


def _as_jpeg_2000(path: Path) -> bytes:
    """The same DICOM file in lossless JPEG 2000, by GDCM."""
    try:
        import gdcm  # noqa: PLC0415 - reported where it is missing
    except ImportError as error:
        raise EdgeError(
            "DICOM JPEG 2000: no encoder is installed (fix: pip install python-gdcm)"
        ) from error
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    if not reader.Read():
        raise EdgeError(f"DICOM JPEG 2000: GDCM cannot read the simulated film {path.name}")
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEG2000Lossless))
    change.SetInput(reader.GetImage())
    if not change.Change():
        raise EdgeError(
            "DICOM JPEG 2000: this GDCM has no encoder (fix: pip install -U python-gdcm)"
        )
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    if not writer.Write():
        raise EdgeError(f"DICOM JPEG 2000: GDCM cannot write {path.name}")
    return path.read_bytes()
