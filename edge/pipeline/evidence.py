"""Whether a film gives enough evidence for the grades of one limb; if not, why it is held.

Room: pipeline; pure functions over pictures, sightings and graded joints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.errors import Reason

if TYPE_CHECKING:
    from edge.model import GreyImage
    from edge.pipeline.look import Sighting

LEAST_LIMB_LEVELS = 32
"""Fewer distinct grey levels among the joints, and the film was squeezed before it came here. Of 85
real films, none of those large enough to be graded has fewer than 62."""


def few_grey_levels(film: GreyImage, sighting: Sighting) -> Reason | None:
    """Hold a limb whose joints show too few grey levels on a film [h, w] uint8."""
    points = sighting.points()
    left, top = np.maximum(points.min(axis=0), 0).astype(int)
    right, bottom = points.max(axis=0).astype(int) + 1
    shown = np.count_nonzero(np.bincount(film[top:bottom, left:right].ravel(), minlength=256))
    return Reason.FEW_GREY_LEVELS if shown < LEAST_LIMB_LEVELS else None


def nothing_found(film: GreyImage) -> Reason:
    """Why no limb was found on a film [h, w] uint8: too few grey levels, or no limb."""
    shown = np.count_nonzero(np.bincount(film.ravel(), minlength=256))
    # A film of one grey shows nothing, and more levels of it would show nothing either.
    return Reason.FEW_GREY_LEVELS if 1 < shown < LEAST_LIMB_LEVELS else Reason.NOT_HAND_OR_FOOT
