"""Adds the measured joint spaces to the joints of a limb.

Layer: pipeline; arrays only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.errors import NullReason, SpaceReason
from edge.model import JointSpace
from edge.pipeline.space.sites import locate
from edge.pipeline.space.widths import StoredFilm, measure_spaces
from edge.pipeline.template import apply, inverse, unit_px

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.model import JointScore, Radiograph, Transform
    from edge.pipeline.find import Sighting

_HIDDEN = {NullReason.IMPLANT, NullReason.OCCLUDED}


def with_spaces(
    joints: Sequence[JointScore], sighting: Sighting, to_canvas: Transform, film: Radiograph
) -> list[JointScore]:
    """Give every joint that has a place and a certain name its joint space.

    Parameters
    ----------
    joints : sequence of JointScore
        Joints of one limb, in template order.
    sighting : Sighting
        The limb on its canvas.
    to_canvas : [3, 3] float64
        Pixels of the upright film to pixels of the canvas.
    film : Radiograph
        The film that is measured.

    Notes
    -----
    Nothing else of a joint is changed. A joint under metal has the reason ``hidden``.
    """
    limb = sighting.limb
    placed = {joint.name: joint for joint in joints if joint.name and joint.box is not None}
    free = [name for name, joint in placed.items() if joint.erosion_reason not in _HIDDEN]
    to_film = inverse(to_canvas)
    points = apply(to_film, sighting.expected())
    places = dict(zip(limb.joints, points, strict=True))
    sites = locate(
        limb,
        free,
        places,
        to_film @ sighting.identity.shape.to_image,
        unit_px(limb, list(limb.joints), points),
    )
    spaces = dict.fromkeys(placed, JointSpace(reason=SpaceReason.HIDDEN)) | measure_spaces(
        film.pixels, sites, limb, StoredFilm(inverse(film.stored_to_upright), film.pixel_size)
    )
    return [
        joint.model_copy(update={"space": spaces[joint.name]}) if joint.name in placed else joint
        for joint in joints
    ]
