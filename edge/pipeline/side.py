"""Stage 9b: which side a limb is, from what is stated, from markers and from its geometry.

Layer: pipeline; pure functions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.anatomy import Limb, View
from edge.errors import Reason
from edge.model import Laterality, LateralitySource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.model import Points, Radiograph
    from edge.pipeline.marker.read import Marker
    from edge.pipeline.settings import PipelineSettings
    from edge.pipeline.template import ShapeFit


HALLUX_OR_THUMB_RIGHT = Laterality.LEFT
"""Side of an upright PA hand or AP foot whose first ray lies at the right of the image."""


@dataclass(frozen=True)
class Side:
    """Side of a limb, its source, and whether another source contradicts it."""

    laterality: Laterality | None
    source: LateralitySource | None
    problem: Reason | None = None
    flags: tuple[str, ...] = ()


L_TURN_DEG = 30.0
"""An L counts within this of upright, on the film or beside the limb: turned, a 7 looks like it."""


def decide_side(
    film: Radiograph, *, mirrored: bool, settings: PipelineSettings, markers: Sequence[Marker] = ()
) -> Side:
    """Side of a limb from metadata, markers and geometry; see the order of `LateralitySource`.

    What the operator stated is final. A side known from geometry alone is a problem unless the site
    accepts it; a stated side that geometry contradicts always is. ``markers`` are those that belong
    to the limb; they are read only where nothing states a side.
    """
    seen = Laterality.RIGHT if mirrored else HALLUX_OR_THUMB_RIGHT
    stated = film.stated
    if stated.view is View.AP and stated.limb is Limb.HAND:
        seen = Laterality.LEFT if seen is Laterality.RIGHT else Laterality.RIGHT
    if stated.laterality is None:
        if markers:
            return _side_of_markers(markers, seen)
        problem = None if settings.accept_side_from_geometry else Reason.SIDE_NOT_KNOWN
        return Side(seen, LateralitySource.GEOMETRY, problem)
    if stated.laterality is seen:
        return Side(stated.laterality, stated.laterality_source)
    if stated.laterality_source is LateralitySource.OPERATOR:
        return Side(
            stated.laterality, stated.laterality_source, None, ("operator_against_geometry",)
        )
    told = f"{stated.laterality_source} {stated.laterality}, {LateralitySource.GEOMETRY} {seen}"
    return Side(stated.laterality, stated.laterality_source, Reason.SIDE_CONFLICT, (told,))


def _side_of_markers(markers: Sequence[Marker], seen: Laterality) -> Side:
    """Accept the side where one letter, not mirrored, and geometry agree; else hold the limb.

    A mirrored letter beside a limb of the other side shows that the film was turned over. Every
    other contradiction is a conflict: a letter that lies face down, a palm-up hand, two letters.
    """
    letters = sorted({marker.words for marker in markers})
    if letters == [str(seen)]:
        return Side(seen, LateralitySource.MARKER)
    other = Laterality.LEFT if seen is Laterality.RIGHT else Laterality.RIGHT
    turned_over = letters == [f"{other} mirrored"]
    problem = Reason.MIRRORED_FILM if turned_over else Reason.SIDE_CONFLICT
    told = f"{LateralitySource.MARKER} {' and '.join(letters)}, {LateralitySource.GEOMETRY} {seen}"
    return Side(seen, LateralitySource.GEOMETRY, problem, (told,))


def markers_of(
    markers: Sequence[Marker], shapes: Sequence[ShapeFit], joints: Sequence[Points]
) -> list[tuple[Marker, ...]]:
    """Markers that belong to each limb of a film.

    Parameters
    ----------
    markers : sequence of Marker
        All that were read, in pixels of the film.
    shapes : sequence of ShapeFit
        Fit of each limb, in the same pixels.
    joints : sequence of Points
        Centres of each limb's named joints [n, 2].

    Returns
    -------
    list of tuple of Marker
        One a limb. What lies among a limb's joints is no marker; one that lies as near to two limbs
        belongs to neither.
    """
    free = [one for one in markers if not any(_among(one, points) for points in joints)]
    middles = [points.mean(axis=0) for points in joints]
    found: list[tuple[Marker, ...]] = []
    for index, shape in enumerate(shapes):
        others = middles[:index] + middles[index + 1 :]
        found.append(
            tuple(
                one
                for one in free
                if _counts(one, shape)
                and all(
                    math.dist(one.centre, middles[index]) < _NEARER * math.dist(one.centre, other)
                    for other in others
                )
            )
        )
    return found


TURNED_L_SURE = 0.97
"""An L that stands upright beside the limb but not on the film needs this probability. Of 42 digits
7, upright and turned by half, in 21 fonts, six reach .93 and one .95; of as many L 36 reach it."""
_NEARER = 0.6
"""A marker belongs to a limb where its distance is less than this share of that to any other."""


def _among(marker: Marker, points: Points) -> bool:
    hull = cv2.convexHull(points.astype(np.float32))
    return cv2.pointPolygonTest(hull, marker.centre, measureDist=False) >= 0


def _counts(marker: Marker, shape: ShapeFit) -> bool:
    """Whether a letter counts as it lies: an R in any turn, an L upright."""
    if marker.side is Laterality.RIGHT:
        return True
    if _near(marker.turn_deg, 0.0):
        return True
    # A mirrored fit turns the other way in the image.
    limb_deg = shape.rotation_deg * (-1 if shape.mirrored else 1)
    return _near(marker.turn_deg, limb_deg) and marker.probability >= TURNED_L_SURE


def _near(turn_deg: float, upright_deg: float) -> bool:
    return abs((turn_deg - upright_deg + 180) % 360 - 180) <= L_TURN_DEG
