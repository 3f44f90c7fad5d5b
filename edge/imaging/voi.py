"""Maps stored values of a DICOM film to grey: modality, window or table, polarity, padding.

Layer: imaging; pure functions over tags and arrays. Everything is one table over all values that
the stored bits can hold, so a film of any size costs one look-up a pixel. A window or table that
does not suit the values present is not used: the film is stretched by its own values then.
pydicom's own look-ups raise for what devices write: empty tags, tables whose length or bits do not
agree with their data, entries of 8 bits in words, windows narrower than 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import numpy.typing as npt

from edge.enums import StrEnum
from edge.errors import FilmError, Reason
from edge.imaging.picture import holding_bits
from edge.imaging.stretch import (
    LEAST_WINDOW_LEVELS,
    MOST_CLIPPED,
    Counts,
    PresentValues,
    Values,
    levels,
)
from edge.imaging.tags import element, integer, items, number, numbers, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import Dataset

    from edge.model import GreyImage

_FULL_TABLE: Final = 65536
_FULL_RANGE_EDGE = 0.05
"""A window that reaches this near to both ends of the stored range was not chosen for the film."""
_FULL_RANGE_FILLED = 0.9
"""Such a window is still used where the values fill this share of it."""
_DEPTH_ROUNDING = 0.005
"""A width whose binary logarithm is this near to a whole number is meant as a depth in bits."""
_BYTE_FILLED = 0.33
"""A film of at most 8 bits without a window is stretched only where it fills less than this."""


class ShownBy(StrEnum):
    """What decided which values of a film became black and white."""

    WINDOW = "window"
    VOI_LUT = "voi_lut"
    FULL_RANGE = "full_range"
    STRETCHED = "stretched"


@dataclass(frozen=True)
class Shown:
    """Which values became grey, in output units of the modality transformation.

    Values up to ``low`` are at one end of the grey scale, values from ``high`` at the other.
    """

    by: ShownBy
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class GreyScale:
    """Grey for every stored value.

    ``table`` is uint8, indexed by the stored value minus ``lowest``; ``padding`` is the first
    and last stored value that mean "no image here".
    """

    table: npt.NDArray[np.uint8]
    lowest: int
    padding: tuple[int, int] | None
    flags: tuple[str, ...]
    shown: Shown


@dataclass(frozen=True, eq=False)
class _Table:
    """A look-up table of the standard: entries, the first input, full scale of the output."""

    first: int
    entries: npt.NDArray[np.uint16]
    full_scale: int

    def of(self, values: Values) -> Values:
        """Entry of each value; inputs outside the table take its first or last entry."""
        places = np.clip(np.rint(values) - self.first, 0, len(self.entries) - 1).astype(np.int64)
        return np.asarray(self.entries[places], np.float64)


def grey_scale(
    tags: Dataset, bits: int, stored: npt.NDArray[np.int32], *, signed: bool, inverted: bool
) -> GreyScale:
    """Build the table from stored values to 8-bit grey, bones bright.

    Parameters
    ----------
    tags
        The film's data set.
    bits
        Bits stored, at most 16.
    stored
        Stored values of the film, of any shape.
    signed
        Whether stored values are two's complement.
    inverted
        Whether the lowest value is white (MONOCHROME1).

    Returns
    -------
    GreyScale
        With the flags ``window_ignored`` and ``voi_lut_ignored`` (given, but not used),
        ``stretched_by_values``, ``outliers_clipped`` and ``presentation_lut_contradicts``.
    """
    lowest = -(1 << (bits - 1)) if signed else 0
    every = np.arange(lowest, lowest + (1 << bits), dtype=np.int64)
    counts = np.bincount((stored - lowest).ravel(), minlength=len(every))
    padding = _padding(tags, signed=signed)
    if padding is not None:
        image = (every < padding[0]) | (every > padding[1])
        if counts[image].any():
            counts = np.where(image, counts, 0)
        else:
            padding = None
    values = _modality(tags, every, signed=signed)
    shares, flags, by = _voi(tags, values, counts, bits, signed=signed, inverted=inverted)
    shown = _shown(by, values, shares)
    if inverted:
        shares = 1 - shares
    shape = text(tags, "PresentationLUTShape").upper()
    if (inverted and shape == "IDENTITY") or (not inverted and shape == "INVERSE"):
        flags = (*flags, "presentation_lut_contradicts")
    table = np.floor(np.clip(shares, 0, 1) * 255 + 0.5).astype(np.uint8)
    return GreyScale(table, lowest, padding, flags, shown)


def shade(stored: npt.NDArray[np.int32], scale: GreyScale) -> GreyImage:
    """Look every stored value up; padding that touches the film's edge becomes black.

    Padding values also occur inside films, as saturated bone: those keep their own grey.
    """
    grey = np.take(scale.table, stored - scale.lowest)
    if scale.padding is not None:
        low, high = scale.padding
        padded = ((stored >= low) & (stored <= high)).astype(np.uint8)
        if padded.any():
            _, labels = cv2.connectedComponents(padded, connectivity=4)
            rim = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
            outside = np.zeros(int(labels.max()) + 1, dtype=bool)
            outside[rim] = True
            outside[0] = False
            grey[outside[labels]] = 0
    return np.ascontiguousarray(grey)


def palette_grey(tags: Dataset, bits: int) -> npt.NDArray[np.uint8]:
    """Luminance of every index of a PALETTE COLOR film: [2 ** bits] uint8.

    Raises `FilmError` ``corrupt`` when a palette is missing.
    """
    index = np.arange(1 << bits, dtype=np.float64)
    total = np.zeros(len(index))
    for name, weight in (("Red", 0.299), ("Green", 0.587), ("Blue", 0.114)):
        key = f"{name}PaletteColorLookupTable"
        table = _table(tags, f"{key}Descriptor", f"{key}Data", signed=False)
        if table is None:
            raise FilmError(Reason.CORRUPT, f"PALETTE COLOR without its {name.lower()} table")
        total += weight * table.of(index) / table.full_scale
    return np.floor(np.clip(total, 0, 1) * 255 + 0.5).astype(np.uint8)


def _padding(tags: Dataset, *, signed: bool) -> tuple[int, int] | None:
    value = integer(tags, "PixelPaddingValue")
    if value is None:
        return None
    limit = integer(tags, "PixelPaddingRangeLimit")
    ends = [_as_stored(v, signed=signed) for v in (value, value if limit is None else limit)]
    return min(ends), max(ends)


def _as_stored(value: int, *, signed: bool) -> int:
    """Read a 16-bit tag value with the sign of the pixels, whatever its VR said."""
    value &= 0xFFFF
    return value - 0x10000 if signed and value >= 0x8000 else value


def _modality(tags: Dataset, stored: npt.NDArray[np.int64], *, signed: bool) -> Values:
    for item in items(tags, "ModalityLUTSequence"):
        table = _table(item, "LUTDescriptor", "LUTData", signed=signed)
        if table is not None:
            return table.of(stored.astype(np.float64))
    slope, intercept = number(tags, "RescaleSlope"), number(tags, "RescaleIntercept")
    return np.asarray(stored * (slope or 1.0) + (intercept or 0.0), np.float64)


def _voi(
    tags: Dataset,
    values: Values,
    counts: Counts,
    bits: int,
    *,
    signed: bool,
    inverted: bool,
) -> tuple[Values, tuple[str, ...], ShownBy]:
    """Share of white, 0 to 1, for every value, the flags of how it came about, what decided it."""
    found = PresentValues.of(values, counts)
    present = found.body()
    signed_output = signed or bool(values.min() < 0)
    flags: tuple[str, ...] = ()
    table = next(
        (
            read
            for item in items(tags, "VOILUTSequence")
            if (read := _table(item, "LUTDescriptor", "LUTData", signed=signed_output)) is not None
        ),
        None,
    )
    if table is not None:
        if _suits(lambda v: table.of(v) / table.full_scale, present, inverted=inverted):
            return table.of(values) / table.full_scale, (), ShownBy.VOI_LUT
        flags = ("voi_lut_ignored",)
    steps = np.abs(np.diff(values))
    step = float(steps[steps > 0].min()) if (steps > 0).any() else 1.0
    function = text(tags, "VOILUTFunction").upper().replace(" ", "_").replace("-", "_")
    windows = zip(numbers(tags, "WindowCenter"), numbers(tags, "WindowWidth"), strict=False)
    for number_of_window, (centre, width) in enumerate(windows):
        if number_of_window == 0:
            flags = (*flags, "window_ignored")
        # A window no wider than one step of the values shows two greys at most: no film is so.
        if width <= step or _is_nominal(centre, width, values, present):
            continue
        if _suits(partial(_window, centre=centre, width=width, function=function), present,
                  inverted=inverted):  # fmt: skip
            shown = () if number_of_window == 0 else ("window_ignored",)
            flags = (*flags[:-1], *shown)
            return _window(values, centre, width, function), flags, ShownBy.WINDOW
    whole = float(values.max() - values.min()) or 1.0
    if not flags and bits <= 8 and found.high - found.low >= _BYTE_FILLED * whole:
        return (values - values.min()) / whole, (), ShownBy.FULL_RANGE
    if present.clipped:
        flags = (*flags, "outliers_clipped")
    if present.high - present.low < _FULL_RANGE_FILLED * whole:
        flags = (*flags, "stretched_by_values")
    return present.stretched(values), flags, ShownBy.STRETCHED


def _shown(by: ShownBy, values: Values, shares: Values) -> Shown:
    low, high = values[shares <= 0], values[shares >= 1]
    return Shown(
        by,
        float(low.max() if low.size else values.min()),
        float(high.min() if high.size else values.max()),
    )


def _is_nominal(centre: float, width: float, values: Values, present: PresentValues) -> bool:
    """Whether a window covers a nominal range, of which the film fills far less.

    Nominal are all values that the stored bits can hold, and those of any other depth from 0 up.
    """
    lowest, highest = float(values.min()), float(values.max())
    low, high = centre - width / 2, centre + width / 2
    edge = _FULL_RANGE_EDGE * width
    # Of signed values, the half that is not negative is a full range too.
    from_start = any(low <= start + edge for start in {lowest, max(lowest, 0.0)})
    depth = math.log2(width)
    of_a_depth = abs(low) <= edge and depth > 7.9 and abs(depth - round(depth)) < _DEPTH_ROUNDING
    nominal = (from_start and high >= highest - edge) or of_a_depth
    return nominal and present.high - present.low < _FULL_RANGE_FILLED * width


def _suits(curve: Callable[[Values], Values], present: PresentValues, *, inverted: bool) -> bool:
    """Whether a window or table leaves enough grey levels and does not clip most of the limb."""
    shares = curve(present.values)
    stretched = present.stretched(present.values)
    if levels(shares) < min(LEAST_WINDOW_LEVELS, levels(stretched)):
        return False
    limb = present.limb(inverted=inverted) & (stretched > 0) & (stretched < 1)
    clipped = limb & ((shares <= 0) | (shares >= 1))
    pixels = int(present.counts[limb].sum())
    return int(present.counts[clipped].sum()) <= MOST_CLIPPED * pixels


def _window(values: Values, centre: float, width: float, function: str) -> Values:
    if function.startswith("SIGMOID"):
        with np.errstate(over="ignore"):
            return np.asarray(1 / (1 + np.exp(-4 * (values - centre) / width)))
    if function.endswith("EXACT") or width <= 1:
        return np.clip((values - centre) / width + 0.5, 0, 1)
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)


def _table(item: Dataset, descriptor: str, data: str, *, signed: bool) -> _Table | None:
    """Read a table, its data's word before its descriptor's; None when it holds nothing."""
    given = numbers(item, descriptor)
    entries = _entries(item, data, int(given[0]) if given else 0)
    if entries is None:
        return None
    first = _as_stored(int(given[1]), signed=signed) if len(given) > 1 else 0
    stated_bits = int(given[2]) if len(given) > 2 else 0
    largest = int(entries.max())
    bits = holding_bits(largest)
    # One or two bits too many may be meant; more would blacken the film.
    if stated_bits <= 16 and bits <= stated_bits < bits + 2:
        bits = stated_bits
    return _Table(first, entries, (1 << bits) - 1)


def _entries(item: Dataset, keyword: str, stated: int) -> npt.NDArray[np.uint16] | None:
    found = element(item, keyword)
    if found is None or found.value is None:
        return None
    stated = stated % _FULL_TABLE or _FULL_TABLE
    if isinstance(found.value, (bytes, bytearray)):
        raw = bytes(found.value)
        # 8-bit entries are packed two to a word; then there are as many bytes as entries.
        if len(raw) - stated in {0, 1}:
            entries = np.frombuffer(raw[:stated], np.uint8).astype(np.uint16)
        else:
            order = "<u2" if item.original_encoding[1] is not False else ">u2"
            entries = np.frombuffer(raw[: len(raw) // 2 * 2], order).astype(np.uint16)
    else:
        entries = np.array([int(v) & 0xFFFF for v in numbers(item, keyword)], np.uint16)
        if stated > 2 and len(entries) == (stated + 1) // 2:
            entries = entries.view(np.uint8)[:stated].astype(np.uint16)
    return entries[:stated] if len(entries) > 0 else None
