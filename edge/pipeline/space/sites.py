"""Where the joints of a limb lie on its film, and where their distal bones point.

Layer: pipeline; arrays only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from edge.anatomy import Limb
from edge.pipeline.space.shapes import SHAPES, UNIT_MM, JointShape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.model import GreyImage, Points, Transform

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Sites:
    """Joints of one limb, in pixels of a film.

    ``centres`` and ``distal`` are [J, 2] float64, the latter unit vectors along the distal bone.
    ``thumbwards`` [J] is +1 where thumb or hallux lies on the side that `across` points to, else
    -1. ``mm_per_px`` is the size of a pixel on a limb of usual size: it sets how far is searched
    and smoothed, never the unit of a result.
    """

    names: tuple[str, ...]
    shapes: tuple[JointShape, ...]
    centres: Floats
    distal: Floats
    thumbwards: Floats
    mm_per_px: float

    def take(self, which: npt.NDArray[np.intp]) -> Sites:
        """Some of the joints."""
        return Sites(
            tuple(self.names[i] for i in which),
            tuple(self.shapes[i] for i in which),
            self.centres[which],
            self.distal[which],
            self.thumbwards[which],
            self.mm_per_px,
        )

    @property
    def across(self) -> Floats:
        """Unit vectors across the joints, [J, 2]."""
        return np.stack([-self.distal[:, 1], self.distal[:, 0]], axis=1)

    @property
    def half_mm(self) -> Floats:
        """Half the width of each head, [J]."""
        return np.array([shape.width_mm / 2 for shape in self.shapes])

    @property
    def usual_mm(self) -> Floats:
        """Width of a healthy joint space, [J]."""
        return np.array([shape.usual_mm for shape in self.shapes])

    def points(self, along_mm: Floats, across_mm: Floats) -> Floats:
        """Film pixels [..., 2] of places in the frames of the joints, [J, ...] each."""
        shape = (-1, *(1,) * (along_mm.ndim - 1))
        distal, across = self.distal / self.mm_per_px, self.across / self.mm_per_px
        x, y = (
            self.centres[:, i].reshape(shape)
            + along_mm * distal[:, i].reshape(shape)
            + across_mm * across[:, i].reshape(shape)
            for i in (0, 1)
        )
        return np.stack([x, y], axis=-1)

    def sample(
        self, film: GreyImage, along_mm: Floats, across_mm: Floats, interpolation: int
    ) -> Singles:
        """Grey values at places in the frames of the joints, [J, T, U]."""
        at = self.points(along_mm, across_mm).astype(np.float32)
        size = along_mm.shape
        flat = at.reshape(size[0] * size[1], size[2], 2)
        grey = cv2.remap(
            film, flat[..., 0], flat[..., 1], interpolation, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(grey, np.float32).reshape(size)


def locate(
    limb: Limb,
    names: Sequence[str],
    places: Mapping[str, Points],
    template_to_film: Transform,
    unit_px: float,
) -> Sites:
    """Find the frame of each joint.

    Parameters
    ----------
    limb : Limb
        Whose joints they are.
    names : sequence of str
        The joints wanted.
    places : mapping of str to [2] float64
        Centres of all joints of the limb in pixels of the film, found or expected.
    template_to_film : [3, 3] float64
        The limb's shape template to pixels of the film.
    unit_px : float
        Distance of the limb's unit joints in pixels of the film.
    """
    shapes = tuple(SHAPES[limb][name] for name in names)
    if not names:
        nothing = np.zeros((0, 2))
        return Sites((), (), nothing, nothing, np.zeros(0), UNIT_MM[limb] / unit_px)
    linear = template_to_film[:2, :2]
    distal = np.stack(
        [
            _distal(limb, name, shape, places, linear)
            for name, shape in zip(names, shapes, strict=True)
        ]
    )
    thumb = linear @ np.array([1.0, 0.0])
    across = np.stack([-distal[:, 1], distal[:, 0]], axis=1)
    return Sites(
        names=tuple(names),
        shapes=shapes,
        centres=np.stack([places[name] for name in names]),
        distal=distal,
        thumbwards=np.where(across @ thumb >= 0, 1.0, -1.0),
        mm_per_px=UNIT_MM[limb] / unit_px,
    )


def _distal(
    limb: Limb, name: str, shape: JointShape, places: Mapping[str, Points], linear: Floats
) -> Floats:
    """Along the finger where it has two joints, else as the template's toes point."""
    knuckle = ("MCP" if limb is Limb.HAND else "MTP") + name[-1]
    tip = "IP1" if name[-1] == "1" else f"PIP{name[-1]}"
    if knuckle in places and tip in places:
        way = places[tip] - places[knuckle]
    else:
        heading = math.radians(shape.heading_deg)
        way = linear @ np.array([math.sin(heading), -math.cos(heading)])
    return np.asarray(way / max(float(np.hypot(*way)), 1e-9))
