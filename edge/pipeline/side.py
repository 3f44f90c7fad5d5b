"""Stage 9b: which side a limb is, from what is stated and from its geometry.

Layer: pipeline; pure functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.anatomy import Limb, View
from edge.errors import Reason
from edge.model import Laterality, LateralitySource

if TYPE_CHECKING:
    from edge.model import Radiograph
    from edge.pipeline.settings import PipelineSettings


HALLUX_OR_THUMB_RIGHT = Laterality.LEFT
"""Side of an upright PA hand or AP foot whose first ray lies at the right of the image."""


@dataclass(frozen=True)
class Side:
    """Side of a limb, its source, and whether another source contradicts it."""

    laterality: Laterality | None
    source: LateralitySource | None
    problem: Reason | None = None
    flags: tuple[str, ...] = ()


def decide_side(film: Radiograph, *, mirrored: bool, settings: PipelineSettings) -> Side:
    """Side of a limb from metadata and geometry; see the order of trust in `StatedIdentity`.

    What the operator stated is final. A side known from geometry alone is a problem unless the site
    accepts it; a stated side that geometry contradicts always is.
    """
    seen = Laterality.RIGHT if mirrored else HALLUX_OR_THUMB_RIGHT
    stated = film.stated
    if stated.view is View.AP and stated.limb is Limb.HAND:
        seen = Laterality.LEFT if seen is Laterality.RIGHT else Laterality.RIGHT
    if stated.laterality is None:
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
