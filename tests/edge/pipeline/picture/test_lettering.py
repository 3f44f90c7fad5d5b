"""Text is legible over any film."""

from __future__ import annotations

import numpy as np
import pytest

from edge.pipeline.picture.colours import INK, PAPER, STEPS
from edge.pipeline.picture.lettering import (
    PLATE_OPACITY,
    Plate,
    draw_brackets,
    text_width,
    wrapped,
    write,
)


def luminance(colour):
    part = np.array(colour) / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("film", [0, 128, 255])
def test_a_label_has_a_contrast_above_seven_over_any_film(film):
    """WCAG 2.2, level AAA, for the ground as it comes out over that film."""
    picture = np.full((80, 160, 3), film, np.uint8)
    plate = Plate(("MCP2", "E 2  N 1"), 18, STEPS[0])
    plate.draw(picture, 10, 10)
    ground = picture[12, 10 + plate.size[0] - 3]
    contrast = (luminance(INK) + 0.05) / (luminance(ground[::-1]) + 0.05)
    assert contrast > 7
    assert picture.max(axis=2)[10:70, 10:100].max() >= min(INK)


def test_a_plate_stays_in_its_size():
    picture = np.zeros((100, 200, 3), np.uint8)
    plate = Plate(("PIP3", "grade doubtful"), 16, STEPS[5])
    plate.draw(picture, 20, 30)
    width, height = plate.size
    outside = picture.copy()
    outside[30 : 30 + height, 20 : 20 + width] = 0
    assert not outside.any()
    assert tuple(picture[40, 21][::-1]) == STEPS[5]


def test_on_a_transparent_picture_only_what_is_drawn_is_seen():
    picture = np.zeros((100, 200, 4), np.uint8)
    plate = Plate(("PIP3",), 16, STEPS[5])
    plate.draw(picture, 20, 30)
    assert picture[35, 20 + plate.size[0] - 3, 3] == round(255 * PLATE_OPACITY)
    assert picture[:25, :, 3].max() == 0
    draw_brackets(picture, (100, 20, 160, 80), STEPS[1], 2)
    assert picture[20, 104, 3] == 255
    assert picture[50, 130, 3] == 0


def test_text_at_the_edge_is_cut_off():
    picture = np.zeros((10, 20, 3), np.uint8)
    write(picture, "MCP2", (15, 5), 18, INK)
    write(picture, "MCP2", (25, 15), 18, INK)
    assert picture[:, :15].max() == 0


def test_lines_are_wrapped_and_nothing_is_lost():
    text = "patient " + "0123456789abcdef" * 4 + " and some more words that follow"
    lines = wrapped(text, 16, 200)
    assert all(text_width(line, 16) <= 200 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert wrapped("short", 16, 200) == ["short"]


def test_the_paper_is_darker_than_any_colour():
    assert all(luminance(colour) > 4 * luminance(PAPER) for colour in STEPS)
