"""Measured joint spaces beside the true ones, and beside those of the same film changed a little.

Layer: training.evaluation; `repeat_spaces` scores in this process, the rest is pure.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.anatomy import unit_joints
from edge.errors import FilmError
from edge.imaging.decode import decode_film
from edge.pipeline.space.shapes import UNIT_MM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge.anatomy import Limb
    from edge.model import GreyImage, JointScore, LimbResult
    from training.evaluation.measure import Measured, Scorer

MOST_MEGAPIXELS = 80.0


@dataclass(frozen=True)
class SpaceRow:
    """One joint of a labelled film.

    ``width_mm`` is the measured mean width, ``true_mm`` the true one; None without. Real films
    state no truth: their widths are in mm of a limb of usual size. ``reason`` says why there is no
    width; "not found" where the joint has no place or no certain name.
    """

    film: int
    limb: Limb
    joint: str
    narrowing: int | None
    erosion: int | None
    width_mm: float | None
    true_mm: float | None
    reason: str | None


@dataclass(frozen=True)
class RepeatRow:
    """Mean widths of one joint, in mm of a limb of usual size, by what was done to its film."""

    limb: Limb
    joint: str
    widths_mm: dict[str, float]


def space_rows(film: int, one: Measured) -> Iterator[SpaceRow]:
    """Rows of the labelled joints of one film."""
    result, truth = one.result, one.labelled.truth
    if truth.limb is None:
        return
    found = {} if result is None else {j.name: j for j in result.joints if j.name is not None}
    usual = None if result is None else usual_mm_per_px(result)
    for joint in truth.joints:
        if joint.name is None or joint.centre is None:
            continue
        given = found.get(joint.name)
        space = None if given is None else given.space
        scale, true_mm = _scale(joint, usual)
        width = None if space is None or space.mean_px is None else space.mean_px
        yield SpaceRow(
            film=film,
            limb=truth.limb,
            joint=joint.name,
            narrowing=joint.narrowing,
            erosion=joint.erosion,
            width_mm=None if width is None or scale is None else width * scale,
            true_mm=true_mm,
            reason=None if width is not None else ("not found" if space is None else space.reason),
        )


def _scale(joint: JointScore, usual: float | None) -> tuple[float | None, float | None]:
    """Size of a pixel and the true width in mm, as far as the truth states them."""
    true = joint.space
    if true is None or true.mean_mm is None or not true.mean_px:
        return usual, None
    return true.mean_mm / true.mean_px, true.mean_mm


def usual_mm_per_px(result: LimbResult) -> float | None:
    """Size of a film's pixels if the limb is of usual size; None where it has no unit."""
    if result.limb is None:
        return None
    places = {joint.name: joint.centre for joint in result.joints if joint.centre is not None}
    first, second = (places.get(name) for name in unit_joints(result.limb))
    if first is None or second is None:
        return None
    return UNIT_MM[result.limb] / float(np.hypot(first[0] - second[0], first[1] - second[1]))


@dataclass(frozen=True)
class Change:
    """Something that is done to a film; ``zoom`` is how much larger a width in pixels becomes."""

    name: str
    encode: Callable[[GreyImage], bytes]
    zoom: float = 1.0


def _moved(
    turn_deg: float, zoom: float, shift: tuple[float, float]
) -> Callable[[GreyImage], bytes]:
    def encode(film: GreyImage) -> bytes:
        height, width = film.shape
        size = (round(width * zoom), round(height * zoom))
        matrix = np.array(cv2.getRotationMatrix2D((width / 2, height / 2), turn_deg, zoom))
        middle = np.array([size[0] - width, size[1] - height]) / 2
        matrix[:, 2] = matrix[:, 2] + np.array(shift) + middle
        flags = cv2.INTER_CUBIC if zoom >= 1 else cv2.INTER_AREA
        moved = cv2.warpAffine(film, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return cv2.imencode(".png", moved)[1].tobytes()

    return encode


def _compressed(quality: int) -> Callable[[GreyImage], bytes]:
    def encode(film: GreyImage) -> bytes:
        return cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()

    return encode


CHANGES = (
    Change("as it is", _moved(0, 1, (0, 0))),
    Change("shifted by .3 and .6 px", _moved(0, 1, (0.3, 0.6))),
    Change("turned by 3 degrees", _moved(3, 1, (0, 0))),
    Change("turned by -5 degrees", _moved(-5, 1, (0, 0))),
    Change("rescaled to 90 %", _moved(0, 0.9, (0, 0)), 0.9),
    Change("compressed, JPEG 75", _compressed(75)),
)
"""What must change no width."""


def repeat_spaces(
    scorer: Scorer,
    films: Sequence[tuple[str, bytes]],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[RepeatRow, ...]:
    """Measure every film again after each of `CHANGES`.

    Parameters
    ----------
    scorer
        Scores the films, whole.
    films : sequence of (name, bytes)
        Films of one limb each.
    progress
        Called with films done and films in all.
    """
    rows: list[RepeatRow] = []
    for done, (name, data) in enumerate(films, 1):
        # What cannot be decoded was not measured the first time either.
        with suppress(FilmError):
            rows += _repeats(scorer, name, decode_film(data, name, MOST_MEGAPIXELS).pixels)
        if progress is not None:
            progress(done, len(films))
    return tuple(rows)


def _repeats(scorer: Scorer, name: str, pixels: GreyImage) -> Iterator[RepeatRow]:
    widths: dict[tuple[Limb, str], dict[str, float]] = {}
    scale: float | None = None
    for change in CHANGES:
        result = scorer.score(change.encode(pixels), name).limbs[0].result
        if scale is None:
            # One scale for all: what is repeated is the width in pixels.
            scale = usual_mm_per_px(result)
        if scale is None or result.limb is None:
            return
        for joint in result.joints:
            if joint.name is not None and joint.space is not None:
                px = joint.space.mean_px
                if px is not None:
                    mine = widths.setdefault((result.limb, joint.name), {})
                    mine[change.name] = px * scale / change.zoom
    for (limb, joint_name), measured in widths.items():
        yield RepeatRow(limb, joint_name, measured)
