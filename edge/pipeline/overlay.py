"""Stage 13: draws the labelled picture.

Layer: pipeline; arrays only. `draw_overlay` makes the picture that leaves the appliance, which
shows the limb alone; `draw_film` the one that stays, with the whole film; `draw_transparent` the
labels alone over the film as stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from edge.model import DISCLAIMER, PictureForm
from edge.pipeline.frame import warp
from edge.pipeline.marker.flag import shown_markers
from edge.pipeline.picture.colours import INK, NOT_GRADED, PAPER, colour_of
from edge.pipeline.picture.lettering import (
    Picture,
    Plate,
    bgr,
    draw_brackets,
    draw_curve,
    draw_line,
)
from edge.pipeline.picture.placement import Subject, leader, place_labels
from edge.pipeline.picture.strip import draw_strip
from edge.pipeline.picture.view import Shown, film_view, framed_view, masked_view
from edge.pipeline.picture.words import (
    Caption,
    Line,
    head_of,
    label_lines,
    short_lines,
    strip_lines,
)
from edge.pipeline.template import apply, inverse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.model import JointScore, LimbResult, Radiograph
    from edge.pipeline.limb import LimbAnalysis

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class PictureSize:
    """How large a picture is.

    ``film_px`` is the height of the limb's part, or of a film its longer side; ``text_px`` the
    size of text; ``labelled`` whether joints have labels.
    """

    film_px: int
    text_px: int
    labelled: bool = True


THUMBNAIL = PictureSize(320, 12, labelled=False)
MESSAGE = PictureSize(1200, 18)
SCREEN = PictureSize(1500, 20)
_LEAST_WIDTH_PX = 760
"""Narrower pictures are widened, so that the strip has room."""
_SHRUNK = 8
"""Labels look for dark places on a copy so many times smaller."""


def draw_overlay(
    analysis: LimbAnalysis,
    film: Radiograph,
    caption: Caption | None = None,
    form: PictureForm = PictureForm.MASKED,
    size: PictureSize = MESSAGE,
) -> Shown:
    """Draw a limb's result without what may name the patient; gives where the film lies in it."""
    result = analysis.result
    if form is PictureForm.FRAMED:
        shown = framed_view(film, result, analysis.plain, analysis.mask, size.film_px)
    else:
        shown = masked_view(result, analysis.canvas, analysis.plain, analysis.mask, size.film_px)
    shown = _widened(shown)
    words = caption or Caption(file=result.file)
    picture = _labelled(shown, result, words, size, space_lines=analysis.space_lines)
    return Shown(picture, shown.to_picture)


def draw_film(
    film: Radiograph,
    result: LimbResult,
    canvas_size: tuple[int, int],
    caption: Caption | None = None,
    size: PictureSize = SCREEN,
    *,
    space_lines: bool = False,
) -> Picture:
    """Draw a limb's result on its film, unmasked: [h, w, 3] uint8, BGR.

    It needs no engines: what is drawn stands in the result. ``canvas_size`` is the (width, height)
    of the canvas that ``result.transform`` leads to; with ``space_lines`` the edges of the measured
    joint spaces are drawn. Raises `ValueError` for a result without
    ``transform``: of a film that was rejected nothing is known.
    """
    if result.transform is None:
        raise ValueError(f"a result without a place on its film ({result.reason})")
    shown = film_view(film, result, canvas_size, size.film_px)
    words = caption or Caption(file=result.file)
    return _labelled(shown, result, words, size, space_lines=space_lines)


def draw_spaces(picture: Picture, to_picture: npt.NDArray[np.float64], result: LimbResult) -> None:
    """Draw both edges of each measured joint space as thin lines."""
    for joint in result.joints:
        if joint.space is None:
            continue
        for edge in (joint.space.proximal_edge, joint.space.distal_edge):
            if len(edge) > 1:
                points = apply(to_picture, np.array(edge))
                draw_curve(picture, points, colour_of(joint, result.limb))


def draw_transparent(result: LimbResult, film: Radiograph, *, space_lines: bool = False) -> Picture:
    """Draw labels alone over the film as stored: [h, w, 4] uint8, BGRA, transparent elsewhere."""
    stored_size = width, height = film.stored_size
    small = (max(1, width // _SHRUNK), max(1, height // _SHRUNK))
    shrink = np.diag([small[0] / width, small[1] / height, 1.0])
    grey = warp(film.pixels, shrink @ inverse(film.stored_to_upright), small)
    picture = np.zeros((height, width, 4), np.uint8)
    text_px = max(11, round(max(stored_size) / 75))
    notice = Plate((head_of(result), f"{DISCLAIMER.capitalize()}."), text_px, NOT_GRADED)
    notice_size = notice.size
    taken: list[Box] = []
    if notice_size[0] <= width and notice_size[1] <= height:
        top = height - notice_size[1]
        notice.draw(picture, 0, top)
        taken = [(0.0, float(top), float(notice_size[0]), float(height))]
    if space_lines:
        draw_spaces(picture, np.eye(3), result)
    taken += _draw_markers(picture, np.eye(3), result, text_px)
    _draw_joints(picture, np.eye(3), result, text_px, grey, taken)
    return picture


def side_by_side(left: Picture, right: Picture) -> Picture:
    """Two labelled pictures beside each other, with a dark gap; [h, w, 3] uint8.

    Left limb at the left: thumbs and great toes meet in the middle, as when one looks at the backs
    of one's own hands and feet.
    """
    height = max(len(left), len(right))
    gap = np.full((height, max(8, height // 100), 3), bgr(PAPER), np.uint8)
    return np.hstack([_as_high(left, height), gap, _as_high(right, height)])


def _as_high(picture: Picture, height: int) -> Picture:
    more = np.full((height - len(picture), picture.shape[1], 3), bgr(PAPER), np.uint8)
    return np.vstack([picture, more])


def _labelled(
    shown: Shown, result: LimbResult, caption: Caption, size: PictureSize, *, space_lines: bool
) -> Picture:
    """Draw joints and strip; ``shown`` is wide enough, or is widened first."""
    if not size.labelled:
        return _small(shown, result, size)
    shown = _widened(shown)
    picture = shown.picture
    height, width = picture.shape[:2]
    small = (max(1, width // _SHRUNK), max(1, height // _SHRUNK))
    grey = cv2.resize(picture[::2, ::2, 0], small, interpolation=cv2.INTER_AREA)
    if space_lines:
        draw_spaces(picture, shown.to_picture, result)
    marked = _draw_markers(picture, shown.to_picture, result, size.text_px)
    unplaced = _draw_joints(
        picture, shown.to_picture, result, size.text_px, np.asarray(grey, np.uint8), marked
    )
    lines = strip_lines(result, caption)
    if unplaced:
        lines.insert(2, Line(f"Without a label: {'; '.join(unplaced)}"))
    return np.vstack([picture, draw_strip(lines, result.limb, picture.shape[1], size.text_px)])


def _small(shown: Shown, result: LimbResult, size: PictureSize) -> Picture:
    """A picture without labels: boxes and two lines."""
    picture = shown.picture
    for joint in result.joints:
        placed = _box_of(joint, shown.to_picture)
        if placed is not None:
            draw_brackets(picture, placed[0], colour_of(joint, result.limb), 1)
    strip = draw_strip(short_lines(result), None, picture.shape[1], size.text_px)
    return np.vstack([picture, strip])


def _widened(shown: Shown) -> Shown:
    """The picture, made wide enough for the strip."""
    more = _LEAST_WIDTH_PX - shown.picture.shape[1]
    if more <= 0:
        return shown
    before = more // 2
    picture = cv2.copyMakeBorder(
        shown.picture, 0, 0, before, more - before, cv2.BORDER_CONSTANT, value=bgr(PAPER)
    )
    shift = np.eye(3)
    shift[0, 2] = before
    return Shown(np.asarray(picture, np.uint8), shift @ shown.to_picture)


def _draw_joints(
    picture: Picture,
    to_picture: npt.NDArray[np.float64],
    result: LimbResult,
    text_px: int,
    grey: npt.NDArray[np.uint8] | None,
    taken: Sequence[Box],
) -> list[str]:
    """Draw brackets, leader lines and plates; returns the words that found no place."""
    height, width = picture.shape[:2]
    line_px = max(1, round(text_px / 9))
    plates: list[Plate] = []
    subjects: list[Subject] = []
    unplaced: list[str] = []
    for joint in result.joints:
        placed = _box_of(joint, to_picture)
        if placed is None:
            continue
        box, centre = placed
        plate = Plate(label_lines(joint), text_px, colour_of(joint, result.limb))
        if not (0 <= centre[0] < width and 0 <= centre[1] < height):
            unplaced.append(" ".join(plate.lines))
            continue
        plates.append(plate)
        subjects.append(Subject(box, centre, plate.size))
    corners = place_labels(subjects, (width, height), grey, taken)
    for plate, subject, corner in zip(plates, subjects, corners, strict=True):
        if corner is not None:
            label = (*corner, corner[0] + subject.size[0], corner[1] + subject.size[1])
            ends = leader(label, subject.box)
            if ends is not None:
                draw_line(picture, ends, plate.colour, line_px)
    for plate, subject in zip(plates, subjects, strict=True):
        draw_brackets(picture, subject.box, plate.colour, line_px)
    for plate, corner in zip(plates, corners, strict=True):
        if corner is None:
            unplaced.append(" ".join(plate.lines))
        else:
            plate.draw(picture, int(corner[0]), int(corner[1]))
    return unplaced


def _draw_markers(
    picture: Picture, to_picture: npt.NDArray[np.float64], result: LimbResult, text_px: int
) -> list[Box]:
    """Draw each marker that was read, where it lies in the picture; returns the room it takes."""
    height, width = picture.shape[:2]
    taken: list[Box] = []
    for marker in shown_markers(result.flags):
        corners = apply(to_picture, np.array(marker.box, np.float64).reshape(2, 2))
        (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
        plate = Plate((f"marker {marker.words}",), text_px, INK)
        x = round(min(max((left + right - plate.size[0]) / 2, 0), width - plate.size[0]))
        room = 0.25 * (right - left)
        y = round(bottom + room if bottom + room + plate.size[1] <= height else
                  top - room - plate.size[1])  # fmt: skip
        inside = left >= 0 and top >= 0 and right < width and bottom < height
        if not inside or x < 0 or y < 0:
            continue
        around = (left - room, top - room, right + room, bottom + room)
        draw_brackets(picture, around, INK, max(1, round(text_px / 9)))
        plate.draw(picture, x, y)
        taken += [around, (x, y, x + plate.size[0], y + plate.size[1])]
    return taken


def _box_of(
    joint: JointScore, to_picture: npt.NDArray[np.float64]
) -> tuple[Box, tuple[float, float]] | None:
    """A joint's box (left, top, right, bottom) and centre in a picture; None without a place."""
    if joint.box is None or joint.centre is None:
        return None
    zoom = float(np.sqrt(abs(np.linalg.det(to_picture[:2, :2]))))
    x, y = apply(to_picture, np.array([joint.centre]))[0].tolist()
    half = joint.box[2] * zoom / 2
    return (x - half, y - half, x + half, y + half), (x, y)
