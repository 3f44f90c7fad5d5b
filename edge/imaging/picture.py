"""The type that every format's reader gives, with their common limits, depths and grey scale.

Layer: imaging; pure functions over numbers and arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import FilmError, Reason
from edge.imaging.quiet import Messages, native_messages
from edge.imaging.stretch import LEAST_WINDOW_LEVELS, PresentValues, levels

if TYPE_CHECKING:
    from edge.model import GreyImage, Transform

LEAST_SIDE_PX = 64
DEPTHS_BITS = (8, 10, 12, 14, 16)
_SIXTEEN_BITS = 65535
_DAMAGE = ("Corrupt JPEG data", "Premature end", "libpng error", "TIFF_Error")


@dataclass(frozen=True, eq=False)
class Picture:
    """A film as stored: [height, width] uint8, bones bright, not yet turned.

    ``orientation`` is the TIFF tag 274's number, 1 to 8, where 1 is upright.
    """

    pixels: GreyImage
    orientation: int = 1
    flags: tuple[str, ...] = ()


def check_size(width: int, height: int, max_megapixels: float) -> None:
    """Refuse what a header claims before anything of that size is made.

    Raises `FilmError` with ``corrupt`` (no pixels), ``too_large`` or ``too_small``.
    """
    claim = f"{width} x {height} pixels"
    if width <= 0 or height <= 0:
        raise FilmError(Reason.CORRUPT, f"the header claims {claim}")
    if width * height > max_megapixels * 1e6:
        raise FilmError(Reason.TOO_LARGE, f"{claim}, limit {max_megapixels:g} megapixels")
    if min(width, height) < LEAST_SIDE_PX:
        raise FilmError(Reason.TOO_SMALL, claim)


def decode_with_opencv(data: bytes, flags: int, what: str) -> tuple[npt.NDArray[Any], Messages]:
    """Decode with OpenCV: [h, w] or [h, w, channels], and what its libraries reported meanwhile.

    Raises `FilmError` ``corrupt`` when no picture comes of it.
    """
    try:
        with native_messages() as messages:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise FilmError(Reason.CORRUPT, f"{what}: {error.err}") from error
    if image is None:
        line = messages.line_with(*_DAMAGE)
        raise FilmError(Reason.CORRUPT, f"{what}: {line or 'the decoder gives no picture'}")
    return image, messages


def holding_bits(largest: int) -> int:
    """Smallest of 8, 10, 12, 14 and 16 bits that holds a value of 0 to 65535."""
    return next(bits for bits in DEPTHS_BITS if largest < 1 << bits)


def white_of(
    image: npt.NDArray[np.uint16], stated_maximum: int | None
) -> tuple[int, tuple[str, ...]]:
    """Find the sample value that means white, and the flags of how it was found.

    The stated maximum counts where the samples suit it. Where none is stated, a sample lies above
    it, or it says no more than the type does, the smallest usual depth that holds the largest
    sample is taken: 12 bits in a 16-bit file are not black. Outliers are left out
    (``outliers_clipped``); a stated maximum that would leave too few grey levels is not used
    (``stated_range_ignored``).
    """
    counts = np.bincount(image.ravel(), minlength=_SIXTEEN_BITS + 1)
    present = PresentValues.of(np.arange(_SIXTEEN_BITS + 1, dtype=np.float64), counts)
    body = present.body()
    fitting = (1 << holding_bits(int(body.high))) - 1
    flags = ("outliers_clipped",) if present.high > fitting else ()
    if not stated_maximum or body.high > stated_maximum or stated_maximum >= _SIXTEEN_BITS:
        return fitting, flags
    shown = levels(body.values / stated_maximum)
    if shown < min(LEAST_WINDOW_LEVELS, levels(body.values / fitting)):
        return fitting, (*flags, "stated_range_ignored")
    return stated_maximum, ("outliers_clipped",) if present.high > stated_maximum else ()


def to_eight_bits(
    image: npt.NDArray[np.uint16], stated_maximum: int | None
) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """Scale 16-bit samples so that `white_of` them becomes 255."""
    white, flags = white_of(image, stated_maximum)
    samples = np.arange(_SIXTEEN_BITS + 1, dtype=np.uint32).clip(0, white)
    table = (samples * 255 + white // 2) // white
    return np.take(table.astype(np.uint8), image), flags


def grey_of(
    image: npt.NDArray[Any], stated_maximum: int | None = None
) -> tuple[GreyImage, tuple[str, ...]]:
    """Turn OpenCV's decoded samples into 8-bit grey.

    Parameters
    ----------
    image
        [h, w] grey, [h, w, 3] blue-green-red or [h, w, 4] with alpha; uint8 or uint16.
    stated_maximum
        Sample value that means white in a 16-bit image, where the file says so.

    Returns
    -------
    pixels, flags
        [h, w] uint8, and how the depth was found; see `white_of`.

    Raises
    ------
    FilmError
        ``unsupported_pixels`` for any other shape or type.
    """
    if image.dtype not in (np.uint8, np.uint16) or not (
        image.ndim == 2 or (image.ndim == 3 and image.shape[2] in {3, 4})
    ):
        raise FilmError(Reason.UNSUPPORTED_PIXELS, f"{image.dtype} samples of shape {image.shape}")
    alpha = None
    if image.ndim == 3 and image.shape[2] == 4:
        alpha, image = image[:, :, 3], image[:, :, :3]
        alpha = (alpha >> 8).astype(np.uint8) if alpha.dtype == np.uint16 else alpha
    flags: tuple[str, ...] = ()
    eight = image
    if image.dtype == np.uint16:
        eight, flags = to_eight_bits(image, stated_maximum)
    grey = luminance(eight) if eight.ndim == 3 else eight
    # An alpha plane that is zero everywhere was never meant: writers leave it so in 32-bit files.
    if alpha is not None and alpha.any() and alpha.min() < 255:
        grey = cv2.multiply(grey, np.ascontiguousarray(alpha), scale=1 / 255)
    return np.ascontiguousarray(grey, dtype=np.uint8), flags


def luminance(image: npt.NDArray[np.uint8]) -> GreyImage:
    """Grey of a blue-green-red image by ITU-R BT.601 luminance: [h, w, 3] to [h, w]."""
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_BGR2GRAY), np.uint8)


def turn(pixels: GreyImage, orientation: int) -> tuple[GreyImage, Transform]:
    """Turn a film as its orientation says.

    Returns
    -------
    pixels, transform
        The turned image, and the [3, 3] matrix from pixels as stored to pixels as turned.
    """
    height, width = pixels.shape
    right, bottom = width - 1, height - 1
    turned: npt.NDArray[np.uint8]
    turned = pixels.T if orientation in {5, 6, 7, 8} else pixels
    # Rows of x and y in the turned image, by tag 274's number.
    rows = {
        1: ((1, 0, 0), (0, 1, 0)),
        2: ((-1, 0, right), (0, 1, 0)),
        3: ((-1, 0, right), (0, -1, bottom)),
        4: ((1, 0, 0), (0, -1, bottom)),
        5: ((0, 1, 0), (1, 0, 0)),
        6: ((0, -1, bottom), (1, 0, 0)),
        7: ((0, -1, bottom), (-1, 0, right)),
        8: ((0, 1, 0), (-1, 0, right)),
    }[orientation]
    if orientation in {2, 3, 6, 7}:
        turned = turned[:, ::-1]
    if orientation in {3, 4, 7, 8}:
        turned = turned[::-1]
    transform = np.array([*rows, (0, 0, 1)], dtype=np.float64)
    return np.ascontiguousarray(turned), transform
