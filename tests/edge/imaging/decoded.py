"""What a DICOM film decodes to, or why it is refused; real objects."""

from __future__ import annotations

import numpy as np
import pytest
from film_files import (
    DATA,
    ramp,
)

from edge.errors import FilmError
from edge.imaging.decode import decode_film


def decode(data, limit=50.0):
    return decode_film(data, "film", limit)


def refused(data, limit=50.0):
    with pytest.raises(FilmError) as caught:
        decode(data, limit)
    return caught.value


def reason_of(data, limit=50.0):
    return refused(data, limit).reason


def twelve_bits():
    """[70, 90] uint16 over the whole of 12 bits."""
    image = ramp().astype(np.uint16) * 16
    image[0, 0], image[0, 1] = 0, 4095
    return image


def share(values, low, high):
    return np.floor(np.clip((values.astype(float) - low) / (high - low), 0, 1) * 255 + 0.5)


def same(pixels, want, most=1):
    return np.abs(pixels.astype(int) - want).max() <= most


def stretched(values):
    """The values present from 0 to 255, as a film without a window comes."""
    return share(values, values.min(), values.max())


def real(name):
    path = DATA / "dicom" / name
    if not path.exists():
        pytest.skip(f"no {name} under {DATA}")
    return path.read_bytes()
