"""Reads the size of a film's pixels from its tags, and how far it holds for the patient.

Layer: imaging; pure functions over a data set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from edge.imaging.tags import number, numbers, text
from edge.model import PixelSize, PixelSource

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_LEAST_MAGNIFICATION, _MOST_MAGNIFICATION = 1.0, 3.0
_LARGEST_PIXEL_MM = 10.0
_TYPES = ("GEOMETRY", "FIDUCIAL")


def pixel_size_of(tags: Dataset) -> PixelSize | None:
    """Size of a pixel, and whether it holds at the patient or at the detector; None without one.

    Parameters
    ----------
    tags
        The film's data set.

    Notes
    -----
    Pixel Spacing counts as calibrated only where it differs from Imager Pixel Spacing or is stated
    alone (PS3.3, 10.7.1.3). At the detector the spacing is divided by Estimated Radiographic
    Magnification Factor, or by the distances source-detector and source-patient.
    """
    calibrated, imager = _spacing(tags, "PixelSpacing"), _spacing(tags, "ImagerPixelSpacing")
    if calibrated is not None and calibrated != imager:
        stated = text(tags, "PixelSpacingCalibrationType").upper()
        return PixelSize(
            row_mm=calibrated[0],
            column_mm=calibrated[1],
            source=PixelSource.CALIBRATED,
            calibration_type=cast("Literal['GEOMETRY', 'FIDUCIAL']", stated)
            if stated in _TYPES
            else None,
        )
    if imager is None:
        return None
    magnification = number(tags, "EstimatedRadiographicMagnificationFactor")
    if magnification is None:
        detector = number(tags, "DistanceSourceToDetector")
        patient = number(tags, "DistanceSourceToPatient")
        magnification = detector / patient if detector and patient else None
    row_mm, column_mm = imager
    if magnification is None or not _LEAST_MAGNIFICATION <= magnification <= _MOST_MAGNIFICATION:
        return PixelSize(row_mm=row_mm, column_mm=column_mm, source=PixelSource.DETECTOR)
    return PixelSize(
        row_mm=row_mm / magnification,
        column_mm=column_mm / magnification,
        source=PixelSource.MAGNIFICATION_CORRECTED,
    )


def _spacing(tags: Dataset, keyword: str) -> tuple[float, float] | None:
    given = numbers(tags, keyword)
    if len(given) != 2 or not all(0 < one < _LARGEST_PIXEL_MM for one in given):
        return None
    return given[0], given[1]
