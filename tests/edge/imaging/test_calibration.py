"""Size of a film's pixels from its tags."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from edge.imaging.calibration import pixel_size_of
from edge.model import PixelSource


def tags(**values):
    data = Dataset()
    for keyword, value in values.items():
        setattr(data, keyword, value)
    return data


def test_pixel_spacing_is_calibrated_and_its_type_is_kept():
    found = pixel_size_of(
        tags(
            PixelSpacing=[0.14, 0.15],
            ImagerPixelSpacing=[0.16, 0.16],
            PixelSpacingCalibrationType="FIDUCIAL",
        )
    )
    assert (found.row_mm, found.column_mm) == (0.14, 0.15)
    assert (found.source, found.calibration_type) == (PixelSource.CALIBRATED, "FIDUCIAL")


def test_the_detectors_spacing_is_divided_by_the_magnification():
    found = pixel_size_of(
        tags(ImagerPixelSpacing=[0.2, 0.1], EstimatedRadiographicMagnificationFactor=1.25)
    )
    assert found.source is PixelSource.MAGNIFICATION_CORRECTED
    assert (found.row_mm, found.column_mm) == pytest.approx((0.16, 0.08))


def test_without_a_magnification_the_size_is_that_at_the_detector():
    assert pixel_size_of(tags(ImagerPixelSpacing=[0.2, 0.2])).source is PixelSource.DETECTOR
    both = tags(ImagerPixelSpacing=[0.2, 0.2], PixelSpacing=[0.2, 0.2])
    assert pixel_size_of(both).source is PixelSource.DETECTOR


@pytest.mark.parametrize("spacing", [None, [0, 0.1], [-1, 1], [20, 20], [0.1]])
def test_no_size_of_a_pixel_is_made_up(spacing):
    assert pixel_size_of(tags() if spacing is None else tags(PixelSpacing=spacing)) is None
