"""The strip below a labelled picture: legend, outcome, film and versions in words.

Layer: pipeline; arrays only.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from edge.pipeline.picture.colours import (
    FAINT_INK,
    INK,
    PAPER,
    WARNING_INK,
    LegendEntry,
    legend,
)
from edge.pipeline.picture.lettering import bgr, fill_swatch, text_width, wrapped, write
from edge.pipeline.picture.words import Emphasis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.anatomy import Limb
    from edge.pipeline.picture.lettering import Picture
    from edge.pipeline.picture.words import Line

_STYLES = {
    Emphasis.HEAD: (1.25, INK),
    Emphasis.TEXT: (1.0, INK),
    Emphasis.WARNING: (1.0, WARNING_INK),
    Emphasis.SMALL: (0.85, FAINT_INK),
}
_LEADING = 1.42
_GAP = 0.9
"""Between two entries of the legend, in text heights."""


def draw_strip(lines: Sequence[Line], limb: Limb | None, width: int, text_px: int) -> Picture:
    """Draw a strip [h, width, 3] as high as its lines need, with a legend where ``limb`` is given.

    ``text_px`` is the size of plain text.
    """
    pad = round(0.7 * text_px)
    rows: list[tuple[str, Emphasis]] = []
    for line in lines:
        share, _ = _STYLES[line.emphasis]
        size = round(share * text_px)
        rows += [(part, line.emphasis) for part in wrapped(line.text, size, width - 2 * pad)]
    height = pad + sum(_step(emphasis, text_px) for _, emphasis in rows) + pad // 2
    strip = np.full((height, width, 3), bgr(PAPER), np.uint8)
    top = pad
    for text, emphasis in rows:
        share, colour = _STYLES[emphasis]
        write(strip, text, (pad, top), round(share * text_px), colour)
        top += _step(emphasis, text_px)
    if limb is None:
        return strip
    return np.vstack([_legend_strip(limb, width, text_px), strip])


@lru_cache(maxsize=8)
def _legend_strip(limb: Limb, width: int, text_px: int) -> Picture:
    """The legend's part of a strip; the same on every picture of a limb."""
    pad = round(0.7 * text_px)
    rows = _legend_rows(legend(limb), width - 2 * pad, text_px)
    step = round(_LEADING * text_px)
    strip = np.full((pad + len(rows) * step, width, 3), bgr(PAPER), np.uint8)
    for number, row in enumerate(rows):
        left, top = pad, pad + number * step
        for entry in row:
            fill_swatch(strip, (left, top + round(0.1 * text_px)), text_px, entry.colour)
            write(strip, entry.words, (left + round(1.4 * text_px), top), _small(text_px), INK)
            left += _entry_width(entry, text_px)
    return strip


def _step(emphasis: Emphasis, text_px: int) -> int:
    return round(_STYLES[emphasis][0] * text_px * _LEADING)


def _small(text_px: int) -> int:
    return round(0.9 * text_px)


def _entry_width(entry: LegendEntry, text_px: int) -> int:
    return round((1.4 + _GAP) * text_px) + text_width(entry.words, _small(text_px))


def _legend_rows(
    entries: Sequence[LegendEntry], width: int, text_px: int
) -> list[list[LegendEntry]]:
    rows: list[list[LegendEntry]] = [[]]
    for entry in entries:
        so_far = sum(_entry_width(it, text_px) for it in rows[-1])
        if rows[-1] and so_far + _entry_width(entry, text_px) - _GAP * text_px > width:
            rows.append([])
        rows[-1].append(entry)
    return rows
