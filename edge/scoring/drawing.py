"""Encodes the pictures of a limb: those that leave the appliance, and those that stay.

Layer: scoring; draws by `edge.pipeline.overlay`. `local_picture` needs a film and its result alone,
no engines: whoever shows films on the appliance itself draws by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.imaging.decode import decode_film
from edge.pipeline.overlay import (
    SCREEN,
    PictureSize,
    draw_film,
    draw_overlay,
    draw_transparent,
    side_by_side,
)
from edge.pipeline.settings import PipelineSettings

if TYPE_CHECKING:
    from edge.model import LimbResult, PictureForm, Radiograph
    from edge.pipeline.limb import LimbAnalysis
    from edge.pipeline.picture.lettering import Picture
    from edge.pipeline.picture.words import Caption

_QUALITY = 85


@dataclass(frozen=True)
class Drawing:
    """Draws the pictures of one limb each time that it is asked; None where encoding fails."""

    film: Radiograph
    analysis: LimbAnalysis

    def sent(self, caption: Caption, form: PictureForm) -> bytes | None:
        """Draw the labelled picture (JPEG) that may leave the appliance.

        A comment ``sharpedge placed a b c d e f`` says where the film lies in it: pixel (x, y) of
        the film as stored is at (a x + b y + c, d x + e y + f).
        """
        shown = draw_overlay(self.analysis, self.film, caption, form)
        jpeg = as_jpeg(shown.picture)
        if jpeg is None:
            return None
        numbers = " ".join(f"{it:.6g}" for it in shown.to_picture[:2].ravel())
        text = f"sharpedge placed {numbers}".encode()
        return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]

    def local(self, caption: Caption, size: PictureSize = SCREEN) -> bytes | None:
        """Draw the labelled picture (JPEG) with the whole film, unmasked."""
        height, width = self.analysis.canvas.shape
        result = self.analysis.result
        lines = self.analysis.space_lines
        return as_jpeg(
            draw_film(self.film, result, (width, height), caption, size, space_lines=lines)
        )

    def transparent(self) -> bytes | None:
        """Draw the labels alone (PNG with a transparent ground) at the film's own size."""
        picture = draw_transparent(
            self.analysis.result, self.film, space_lines=self.analysis.space_lines
        )
        ok, png = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 3])
        return png.tobytes() if ok else None


def local_picture(
    data: bytes,
    file_name: str,
    result: LimbResult,
    caption: Caption,
    size: PictureSize = SCREEN,
    settings: PipelineSettings | None = None,
) -> bytes | None:
    """Draw a result on its film, unmasked, for a screen on the appliance itself (JPEG).

    ``data`` are the bytes of the film, ``settings`` those it was scored with. Raises
    `edge.errors.FilmError` for what is no film, `ValueError` for the result of one that was
    rejected.
    """
    used = settings or PipelineSettings()
    film = decode_film(data, file_name, used.max_megapixels)
    canvas_size = (used.canvas_width_px, used.canvas_height_px)
    lines = used.joint_space_line
    return as_jpeg(draw_film(film, result, canvas_size, caption, size, space_lines=lines))


def beside(left_jpeg: bytes, right_jpeg: bytes) -> bytes | None:
    """Put two labelled pictures (JPEG) of a study beside each other; None where one is damaged."""
    pictures = [
        cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        for jpeg in (left_jpeg, right_jpeg)
    ]
    left, right = pictures
    if left is None or right is None:
        return None
    return as_jpeg(side_by_side(np.asarray(left, np.uint8), np.asarray(right, np.uint8)))


def as_jpeg(picture: Picture) -> bytes | None:
    """Encode a picture [h, w, 3]; None where that fails."""
    ok, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return jpeg.tobytes() if ok else None
