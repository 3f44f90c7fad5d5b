"""Side markers as test films show them: letters, turned, mirrored, with words below."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edge.pipeline.marker.read import read_markers


def stamp(text, height_px, turn_deg=0.0, below=""):
    """Text with capitals about ``height_px`` high, clockwise turned: [h, w] float32, 0 to 1."""
    font = ImageFont.load_default(round(height_px * 1.4))
    size = 6 * height_px
    page = Image.new("L", (size, size))
    draw = ImageDraw.Draw(page)
    draw.text((size / 2, size / 2), text, 255, font, anchor="mm", stroke_width=height_px // 18)
    if below:
        small = ImageFont.load_default(round(height_px * 0.5))
        draw.text((size / 2, size / 2 + height_px), below, 255, small, anchor="mm")
    turned = page.rotate(-turn_deg, Image.Resampling.BICUBIC)
    return np.asarray(turned, np.float32) / 255


def with_text(film, text, centre, height_px=40, *, level=235, mirrored=False, **kwargs):
    """A copy of a film [h, w] uint8 with text laid over it at x, y."""
    ink = stamp(text, height_px, **kwargs)
    if mirrored:
        ink = ink[:, ::-1]
    half = ink.shape[0] // 2
    x, y = (round(value) for value in centre)
    wide = cv2.copyMakeBorder(film, half, half, half, half, cv2.BORDER_REPLICATE)
    part = wide[y : y + ink.shape[0], x : x + ink.shape[1]]
    part[:] = np.rint(part * (1 - ink) + level * ink)
    return np.ascontiguousarray(wide[half:-half, half:-half])


def plain_film(size=(560, 480), level=40):
    """A film [h, w] uint8 that shows nothing but a little noise."""
    return _plain_film(size, level).copy()


@lru_cache(maxsize=4)
def _plain_film(size, level):
    rng = np.random.default_rng(5)
    return np.asarray(np.clip(rng.normal(level, 3, size), 0, 255), np.uint8)


def without_letters(film):
    """Pixels [h, w] uint8 of a simulated film with all that is not the limb painted over."""
    mask = film.mask.astype(np.uint8)
    reach = max(film.pixels.shape) // 100
    limb = cv2.dilate(mask, np.ones((2 * reach + 1,) * 2, np.uint8)) > 0
    air = np.uint8(np.median(film.pixels[~limb]))
    return np.where(limb, film.pixels, air)


def without_markers(path, copy):
    """A copy of a film file on which every marker that is read is painted over; its path."""
    pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    for marker in read_markers(pixels):
        x, y, width, height = (round(value) for value in marker.box)
        around = pixels[y - height // 2 : y + 2 * height, x - width // 2 : x + 2 * width]
        around[:] = np.median(around)
    assert read_markers(pixels) == ()
    assert cv2.imwrite(str(copy), pixels)
    return copy


def marked(pixels, text, **kwargs):
    """A film [h, w] uint8 with a letter in the darkest of its four corners."""
    height, width = pixels.shape
    letter = round(0.03 * max(height, width))

    def brightness(corner):
        x, y = round(corner[0] * width), round(corner[1] * height)
        near = pixels[max(0, y - 2 * letter) : y + 2 * letter, max(0, x - 2 * letter) :]
        return int(near[:, : 4 * letter].max())

    x, y = min([(x, y) for x in (0.08, 0.92) for y in (0.08, 0.92)], key=brightness)
    return with_text(pixels, text, (x * width, y * height), letter, **kwargs)
