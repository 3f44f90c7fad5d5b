"""Writes text and draws plates, brackets and leader lines into a picture.

Layer: pipeline; arrays only. Text is set by Pillow in the font that comes with it; a string is set
once and kept, because most labels say the same on every film.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from edge.pipeline.picture.colours import INK, PAPER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.pipeline.picture.colours import Colour

Picture = npt.NDArray[np.uint8]
"""[h, w, 3] uint8, blue, green, red; with a fourth channel where it is transparent."""

PLATE_OPACITY = 0.82
"""Of a label's ground: over a white film it stays dark enough for a contrast above 7 to 1."""
_FINE_BITS = 4
"""Curves are drawn to a sixteenth of a pixel."""
_PAD_SHARE = 0.32
_BAR_SHARE = 0.24
_LINE_SHARE = 1.22
_KEPT_LETTERS = 72
"""Longer lines are set each time: they hold pseudonyms, which differ."""


@dataclass(frozen=True)
class Plate:
    """Lines of text on a dark ground, with a bar of colour at its left.

    ``text_px`` is the size of the text. `size` is width and height in px.
    """

    lines: tuple[str, ...]
    text_px: int
    colour: Colour

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        pad, bar = self._pad, self._bar
        width = max(text_width(line, self.text_px) for line in self.lines)
        return width + 2 * pad + bar, round(len(self.lines) * self._step + 1.2 * pad)

    @property
    def _pad(self) -> int:
        return max(2, round(self.text_px * _PAD_SHARE))

    @property
    def _bar(self) -> int:
        return max(2, round(self.text_px * _BAR_SHARE))

    @property
    def _step(self) -> float:
        return self.text_px * _LINE_SHARE

    def draw(self, picture: Picture, left: int, top: int) -> None:
        """Draw it with its upper left corner at (left, top), which must be inside with its size."""
        width, height = self.size
        ground = picture[top : top + height, left : left + width]
        colour = bgr(PAPER)
        ground[..., :3] = np.round(
            ground[..., :3] * (1 - PLATE_OPACITY) + np.multiply(colour, PLATE_OPACITY)
        ).astype(np.uint8)
        if picture.shape[2] == 4:
            seen = ground[..., 3].astype(np.float64) / 255
            ground[..., 3] = np.round(255 * (PLATE_OPACITY + (1 - PLATE_OPACITY) * seen))
        _fill(picture, (left, top, self._bar, height), self.colour)
        for number, line in enumerate(self.lines):
            at = (left + self._bar + self._pad, top + round(0.6 * self._pad + number * self._step))
            write(picture, line, at, self.text_px, INK)


def bgr(colour: Colour) -> tuple[int, int, int]:
    """The order in which OpenCV keeps colours."""
    red, green, blue = colour
    return blue, green, red


def text_width(text: str, text_px: int) -> int:
    """Width of a line of text in px."""
    return _width_and_kept(text, text_px) if len(text) <= _KEPT_LETTERS else _width(text, text_px)


def write(picture: Picture, text: str, at: tuple[int, int], text_px: int, colour: Colour) -> None:
    """Write one line with its upper left corner at (x, y); what lies outside is cut off."""
    ink = _set(text, text_px)
    x, y = at
    part = picture[max(0, y) : y + ink.shape[0], max(0, x) : x + ink.shape[1]]
    ink = ink[: part.shape[0], : part.shape[1]]
    # In whole numbers: most of a strip's time goes here.
    share = ink.astype(np.int32)[..., None]
    ground = part[..., :3].astype(np.int32)
    part[..., :3] = ground + ((np.array(bgr(colour), np.int32) - ground) * share + 127) // 255
    if picture.shape[2] == 4:
        part[..., 3] = np.maximum(part[..., 3], ink)


def wrapped(text: str, text_px: int, width: int) -> list[str]:
    """Text broken at spaces into lines that are no wider than ``width`` px; long words are cut."""
    if text_width(text, text_px) <= width:
        return [text]
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if text_width(longer, text_px) <= width:
            lines[-1] = longer
            continue
        rest = word
        lines += [""] if lines[-1] else []
        while text_width(rest, text_px) > width and len(rest) > 1:
            fits = next(n for n in range(len(rest) - 1, 0, -1)
                        if n == 1 or text_width(rest[:n], text_px) <= width)  # fmt: skip
            lines[-1:] = [rest[:fits], ""]
            rest = rest[fits:]
        lines[-1] = rest
    return lines


def draw_brackets(
    picture: Picture, box: tuple[float, float, float, float], colour: Colour, line_px: int
) -> None:
    """Mark the corners of a box (left, top, right, bottom) by thin brackets with a dark rim."""
    left, top, right, bottom = (round(value) for value in box)
    arm_x, arm_y = round((right - left) * 0.22), round((bottom - top) * 0.22)
    arms = [
        np.array([(x + dx, y), (x, y), (x, y + dy)], np.int32)
        for x, dx in ((left, arm_x), (right, -arm_x))
        for y, dy in ((top, arm_y), (bottom, -arm_y))
    ]
    _polylines(picture, arms, colour, line_px)


def draw_line(
    picture: Picture, ends: tuple[tuple[float, float], tuple[float, float]], colour: Colour,
    line_px: int,
) -> None:  # fmt: skip
    """Draw a leader line with a dark rim."""
    _polylines(picture, [np.round(np.array(ends)).astype(np.int32)], colour, line_px)


def draw_curve(picture: Picture, points: npt.NDArray[np.float64], colour: Colour) -> None:
    """Draw a line of one pixel through points [n, 2], without a rim: it hides nothing beside it."""
    shade = (*bgr(colour), 255)[: picture.shape[2]]
    fine = np.rint(points * 2**_FINE_BITS).astype(np.int32)
    cv2.polylines(picture, [fine], False, shade, 1, cv2.LINE_AA, _FINE_BITS)


def _polylines(
    picture: Picture, lines: Sequence[npt.NDArray[np.int32]], colour: Colour, line_px: int
) -> None:
    for paint, thickness in ((PAPER, line_px + 2), (colour, line_px)):
        shade = (*bgr(paint), 255)[: picture.shape[2]]
        cv2.polylines(picture, lines, False, shade, thickness, cv2.LINE_AA)


def fill_swatch(picture: Picture, at: tuple[int, int], side_px: int, colour: Colour) -> None:
    """Fill a square of the legend with its upper left corner at (x, y)."""
    _fill(picture, (*at, side_px, side_px), colour)


def _fill(picture: Picture, place: tuple[int, int, int, int], colour: Colour) -> None:
    left, top, width, height = place
    picture[top : top + height, left : left + width] = (*bgr(colour), 255)[: picture.shape[2]]


def _width(text: str, text_px: int) -> int:
    return max(1, round(_font(text_px).getlength(text)) + 1)


_width_and_kept = lru_cache(maxsize=512)(_width)


def _set(text: str, text_px: int) -> npt.NDArray[np.uint8]:
    """Ink [h, w] of a line of text, 0 to 255."""
    return _set_and_kept(text, text_px) if len(text) <= _KEPT_LETTERS else _set_anew(text, text_px)


def _set_anew(text: str, text_px: int) -> npt.NDArray[np.uint8]:
    font = _font(text_px)
    page = Image.new("L", (text_width(text, text_px), round(text_px * _LINE_SHARE) + 1))
    ImageDraw.Draw(page).text((0, 0), text, font=font, fill=255)
    ink: npt.NDArray[np.uint8] = np.asarray(page, np.uint8)
    ink.flags.writeable = False
    return ink


_set_and_kept = lru_cache(maxsize=256)(_set_anew)


@lru_cache(maxsize=16)
def _font(text_px: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(text_px)
    assert isinstance(font, ImageFont.FreeTypeFont)  # noqa: S101 - of every wheel of Pillow
    return font
