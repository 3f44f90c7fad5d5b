"""Draws side markers and what looks like them: letters, words, brackets, tags, logos.

Layer: training.synthetic; reads font files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edge.model import Laterality
from training.errors import TrainingError

if TYPE_CHECKING:
    from edge.model import GreyImage

FONT_FOLDERS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))
SIDES = {"R": Laterality.RIGHT, "L": Laterality.LEFT}
SIZE_PX = 64
"""Height of a letter before it is laid on a film."""
_CANVAS_PX = 440
_ODD_FONTS = (
    "dingbat",
    "symbol",
    "d050000l",
    "z003",
    "emoji",
    "initials",
    "keyboard",
    "mono-oblique",
)
_LIKE_THEM = "KBPAEFJ71TYVCDHI6"
_OTHERS = "ABCDEFGHIJKMNOPQSTUVWXYZ0123456789"
_WORDS = ("HAND", "FOOT", "WRIST", "Hand", "Foot", "ANKLE", "PA", "AP", "Wrist B/V", "Ankle", "OBL")
_TEXTS = (
    "RT", "LT", "LEFT", "RIGHT", "PORTABLE", "LR", "RL", "LAT", "ERECT", "SUPINE", "CLINIC",
    "R2", "L1", "RRT", "WALTER", "MÜLLER", "Left", "Right", "DR", "LW", "3L", "LL", "RR",
)  # fmt: skip


class Face(NamedTuple):
    """A typeface: a font file, or one of OpenCV's stroke fonts with its thickness."""

    file: str
    stroke: int = -1


class DrawnMarker(NamedTuple):
    """An L or R that stands alone.

    ``turn_deg`` is clockwise from upright, after it was mirrored. ``box`` is x, y, width, height in
    pixels.
    """

    side: Laterality
    mirrored: bool
    turn_deg: float
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Group:
    """A letter with its companions, float32 [s, s]: how opaque, how bright, and the letter alone.

    ``side`` is None where it is no marker.
    """

    alpha: np.ndarray
    value: np.ndarray
    letter: np.ndarray
    side: Laterality | None


def find_faces(folders: tuple[Path, ...] = FONT_FOLDERS) -> list[Face]:
    """Typefaces of the folders that have letters, and OpenCV's own.

    Raises `TrainingError` where no font file is there.
    """
    files = sorted(
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix.lower() in (".ttf", ".otf")
        and not any(odd in path.name.lower() for odd in _ODD_FONTS)
    )
    faces = [Face(str(path)) for path in files if _has_letters(path)]
    if not faces:
        raise TrainingError(
            f"{', '.join(map(str, folders))}: no font is there",
            fix="install one, e.g. apt-get install fonts-liberation fonts-dejavu",
        )
    strokes = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX)
    return faces + [Face("", stroke) for stroke in strokes] * max(1, len(faces) // 20)


def _has_letters(path: Path) -> bool:
    font = ImageFont.truetype(str(path), 40)
    shapes = [bytes(font.getmask(text)) for text in ("R", "L", "\uffff")]
    return all(any(shape) for shape in shapes[:2]) and len(set(shapes)) == len(shapes)


def text_mask(face: Face, text: str, height_px: int, rng: np.random.Generator) -> np.ndarray:
    """Text as float32 0..1, cut to its ink, capitals about ``height_px`` high."""
    if face.stroke >= 0:
        thick = int(rng.integers(3, 15))
        canvas = np.zeros((200, 120 * len(text) + 120), np.uint8)
        cv2.putText(canvas, text, (40, 150), face.stroke, 4.2, 255, thick, cv2.LINE_AA)
    else:
        font = ImageFont.truetype(face.file, 120)
        wide = int(font.getlength(text)) + 120
        image = Image.new("L", (wide, 260))
        ImageDraw.Draw(image).text((50, 40), text, 255, font)
        canvas = np.asarray(image)
    x, y, w, h = cv2.boundingRect(canvas)
    if not w or not h:
        return np.zeros((height_px, height_px), np.float32)
    zoom = height_px / h
    size = (max(2, round(w * zoom * rng.uniform(0.85, 1.15))), height_px)
    cut = cv2.resize(canvas[y : y + h, x : x + w], size, interpolation=cv2.INTER_AREA)
    return cut.astype(np.float32) / 255


_KINDS = ("letter", "text", "shape", "logo")
_NO_MARKER = (0.45, 0.3, 0.17, 0.08)


def draw_group(faces: list[Face], rng: np.random.Generator, *, marker: bool) -> Group:
    """A group at random: with a letter L or R that stands alone, or without."""
    alpha = np.zeros((_CANVAS_PX, _CANVAS_PX), np.float32)
    letter = np.zeros_like(alpha)
    face = faces[int(rng.integers(len(faces)))]
    side: Laterality | None = None
    kind = (
        "letter" if marker else str(rng.choice(["letter", "text", "shape", "logo"], p=_NO_MARKER))
    )
    if kind == "letter":
        text = str(rng.choice(["R", "L"]))
        side = SIDES[text] if marker else None
        if not marker:
            text = str(rng.choice(list(_LIKE_THEM if rng.random() < 0.6 else _OTHERS)))
        _put(letter, _worn(text_mask(face, text, SIZE_PX, rng), rng), (0.0, 0.0))
    elif kind == "text":
        text = str(rng.choice(_TEXTS)) if rng.random() < 0.6 else _random_text(rng)
        _put(letter, text_mask(face, text, SIZE_PX, rng), (0.0, 0.0))
    elif kind == "shape":
        letter = _shape(rng)
    else:
        letter = _logo(rng)
    if kind in ("letter", "shape") and rng.random() < 0.7:
        _companion(alpha, face if rng.random() < 0.5 else faces[int(rng.integers(len(faces)))], rng)
    np.maximum(alpha, letter, out=alpha)
    style = rng.random()
    if style < 0.72:
        return Group(alpha, np.ones_like(alpha), letter, side)
    plate = _plate(alpha, rng)
    if style < 0.86:  # holes in a bright plate
        return Group(plate * (1 - alpha), np.ones_like(alpha), letter, side)
    return Group(plate, alpha, letter, side)  # bright on a black plate


def lay(
    film: GreyImage, group: Group, place: tuple[float, float], rng: np.random.Generator
) -> tuple[GreyImage, DrawnMarker | None]:
    """Lay a group on a film [h, w] uint8 at x, y in any turn; returns the marker, if it is one."""
    zoom = float(np.exp(rng.uniform(np.log(11), np.log(72)))) / SIZE_PX
    turn = float(rng.uniform(-180, 180) if rng.random() < 0.5 else
                 90 * rng.integers(4) + rng.normal(0, 8))  # fmt: skip
    mirrored = bool(rng.random() < 0.5)
    angle = np.deg2rad(turn)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    sheared = np.array([[1, rng.normal(0, 0.06)], [rng.normal(0, 0.06), 1]])
    linear = zoom * turned @ sheared @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    middle = np.array([_CANVAS_PX / 2, _CANVAS_PX / 2])
    matrix = np.column_stack([linear, np.asarray(place) - linear @ middle])
    size = (film.shape[1], film.shape[0])
    blur = float(max(0.0, rng.normal(0.5, 0.4)) + 0.35 / zoom)

    def warped(part: np.ndarray) -> np.ndarray:
        soft = cv2.GaussianBlur(part, (0, 0), blur) if blur > 0.5 else part
        return np.asarray(cv2.warpAffine(soft, matrix, size))

    alpha = warped(group.alpha) * rng.uniform(0.5, 1.0)
    bright = rng.uniform(150, 255)
    grey = film * (1 - alpha) + warped(group.value) * bright * alpha
    box = cv2.boundingRect((warped(group.letter) > 0.5).astype(np.uint8))
    inside = (
        box[2]
        and box[0] > 0
        and box[1] > 0
        and (box[0] + box[2] < size[0] and box[1] + box[3] < size[1])
    )
    drawn = None
    if group.side is not None and inside:
        x, y, w, h = (int(value) for value in box)
        drawn = DrawnMarker(group.side, mirrored, turn, (x, y, w, h))
    return np.asarray(np.clip(grey, 0, 255), np.uint8), drawn


def _put(canvas: np.ndarray, part: np.ndarray, place: tuple[float, float]) -> None:
    """Lay a part with its centre at a place in heights of a letter from the canvas's middle."""
    height, width = part.shape
    left = round(_CANVAS_PX / 2 + place[0] * SIZE_PX - width / 2)
    top = round(_CANVAS_PX / 2 + place[1] * SIZE_PX - height / 2)
    right, bottom = min(left + width, _CANVAS_PX), min(top + height, _CANVAS_PX)
    x, y = max(left, 0), max(top, 0)
    if right > x and bottom > y:
        there = canvas[y:bottom, x:right]
        np.maximum(there, part[y - top : bottom - top, x - left : right - left], out=there)


def _worn(letter: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A letter thicker, thinner, or cut by the bridges of a stencil."""
    chance = rng.random()
    if chance < 0.45:
        size = int(rng.integers(2, 7))
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        padded = cv2.copyMakeBorder(letter, 8, 8, 8, 8, cv2.BORDER_CONSTANT)
        return np.asarray((cv2.dilate if chance < 0.33 else cv2.erode)(padded, kernel), np.float32)
    if chance < 0.55:
        letter = letter.copy()
        gap = int(rng.integers(2, 5))
        at = int(letter.shape[0] * rng.uniform(0.3, 0.7))
        letter[at : at + gap, :] *= float(rng.uniform(0, 0.6))
    return letter


def _random_text(rng: np.random.Generator) -> str:
    letters = rng.choice(list("RLRL" + _OTHERS), int(rng.integers(2, 7)))
    return "".join(letters)


def _companion(canvas: np.ndarray, face: Face, rng: np.random.Generator) -> None:
    """Initials, words, digits, dots, bars, arrows or a ring beside a letter."""
    kind = int(rng.integers(7))
    aside = (rng.choice([-1, 1]) * rng.uniform(0.9, 1.5), rng.uniform(-0.5, 0.5))
    below = (rng.uniform(-0.4, 0.4), rng.choice([-1, 1]) * rng.uniform(0.85, 1.2))
    place = below if rng.random() < 0.6 else aside
    small = round(SIZE_PX * rng.uniform(0.2, 0.5))
    if kind <= 1:
        _put(canvas, text_mask(face, str(rng.choice(_WORDS)), small, rng), place)
    elif kind == 2:
        _put(canvas, text_mask(face, _random_text(rng)[:3], small, rng), place)
    elif kind == 3:
        _put(canvas, text_mask(face, str(rng.integers(10, 999)), small, rng), place)
    else:
        _mark(canvas, kind, place, rng)


def _mark(
    canvas: np.ndarray, kind: int, place: tuple[float, float], rng: np.random.Generator
) -> None:
    middle = _CANVAS_PX // 2
    x, y = (round(middle + value * SIZE_PX) for value in place)
    thick = int(rng.integers(3, 10))
    if kind == 4:
        cv2.circle(canvas, (x, y), int(rng.integers(4, 15)), 1.0, -1, cv2.LINE_AA)
    elif kind == 5:
        end = (x + int(rng.integers(-47, 47)), y + int(rng.integers(-47, 47)))
        cv2.arrowedLine(canvas, (x, y), end, 1.0, thick, cv2.LINE_AA, tipLength=0.4)
    elif rng.random() < 0.6:
        cv2.circle(canvas, (middle, middle), round(SIZE_PX * rng.uniform(0.8, 1.2)), 1.0, thick)
    else:
        half = round(SIZE_PX * rng.uniform(0.7, 1.1))
        corner, other = (middle - half, middle - half), (middle + half, middle + half)
        cv2.rectangle(canvas, corner, other, 1.0, thick)


def _shape(rng: np.random.Generator) -> np.ndarray:
    """Brackets with arms of nearly equal length, hooks, crosses, rings, strokes at random."""
    canvas = np.zeros((_CANVAS_PX, _CANVAS_PX), np.float32)
    middle, half = _CANVAS_PX // 2, SIZE_PX // 2
    thick = int(rng.integers(3, 15))
    kind = int(rng.integers(4))
    low, high = middle - half, middle + half
    if kind == 0:
        arm = round(SIZE_PX * rng.uniform(0.9, 1.1))
        cv2.line(canvas, (low, low), (low, low + SIZE_PX), 1.0, thick)
        cv2.line(canvas, (low, low + SIZE_PX), (low + arm, low + SIZE_PX), 1.0, thick)
    elif kind == 1:
        cv2.line(canvas, (middle, low), (middle, middle), 1.0, thick)
        start, stop = float(rng.uniform(-40, 40)), float(rng.uniform(90, 270))
        radius = int(rng.integers(10, half))
        cv2.ellipse(canvas, (middle - radius, middle), (radius, radius), 0, start, stop, 1.0, thick)
    elif kind == 2:
        sides = (int(rng.integers(10, half)), int(rng.integers(10, half)))
        cv2.ellipse(canvas, (middle, middle), sides, 0, 0, float(rng.uniform(200, 360)), 1.0, thick)
    else:
        points = rng.integers(low, high, (int(rng.integers(3, 7)), 2)).astype(np.int32)
        cv2.polylines(canvas, [points], bool(rng.random() < 0.4), 1.0, thick, cv2.LINE_AA)
    return canvas


def _logo(rng: np.random.Generator) -> np.ndarray:
    canvas = np.zeros((_CANVAS_PX, _CANVAS_PX), np.float32)
    middle, half = _CANVAS_PX // 2, SIZE_PX // 2
    cv2.rectangle(canvas, (middle - half, middle - half), (middle + half, middle + half), 1.0, -1)
    for _ in range(int(rng.integers(1, 4))):
        points = rng.integers(middle - half + 8, middle + half - 8, (int(rng.integers(3, 7)), 2))
        cv2.fillPoly(canvas, [points.astype(np.int32)], 0.0)
    return canvas


def _plate(alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A plate around all that is drawn."""
    x, y, w, h = cv2.boundingRect((alpha > 0.5).astype(np.uint8))
    room = [int(value) for value in rng.integers(4, 34, 4)]
    plate = np.zeros_like(alpha)
    cv2.rectangle(plate, (x - room[0], y - room[1]), (x + w + room[2], y + h + room[3]), 1.0, -1)
    return plate
