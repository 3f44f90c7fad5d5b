"""Images over which activation ranges are measured and FP16 graphs are tested.

Layer: export; draws with the simulated scanner; touches no file. Beside simulated films or joints
of the limb there are noise, black and white, as a damaged film can give.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from edge.engine.inputs import scale_grey
from edge.engine.passport import InputSpec, Role
from edge.model import Laterality
from phantom import render_crop, render_film, sample_limb

if TYPE_CHECKING:
    from edge.anatomy import Limb
    from edge.engine.protocol import Tensor

Greys = npt.NDArray[np.uint8]

_SEED = 20240502
_FILM_SIDE_PX = 512
FILMS = 4
"""How many simulated films come first in what a mask or a detector is tried on."""
_CROP_PX = 128


def calibration_inputs(role: Role, limb: Limb, spec: InputSpec) -> list[Tensor]:
    """Arrays [n, C, H, W] float32 for an engine's input; n is 1 except for scorers."""
    random = np.random.default_rng(_SEED)
    size = (spec.width, spec.height)
    drawn = _crops(limb) if role is Role.SCORE else _films(limb)
    greys = [cv2.resize(grey, size, interpolation=cv2.INTER_AREA) for grey in drawn]
    greys += [
        random.integers(0, 256, (spec.height, spec.width), dtype=np.uint8),
        np.zeros((spec.height, spec.width), np.uint8),
        np.full((spec.height, spec.width), 255, np.uint8),
    ]
    batch = scale_grey(np.stack(greys).astype(np.uint8), spec.scale, spec.mean, spec.std)
    return [batch] if role is Role.SCORE else list(batch[:, None])


@cache
def _films(limb: Limb) -> tuple[Greys, ...]:
    random = np.random.default_rng(_SEED)
    films = []
    for number in range(FILMS):
        side = tuple(Laterality)[number % 2]
        model = sample_limb(random, limb, side, grades="flat", style="eval")
        films.append(render_film(model, random, "eval", long_side_px=_FILM_SIDE_PX).pixels)
    return tuple(films)


@cache
def _crops(limb: Limb) -> tuple[Greys, ...]:
    random = np.random.default_rng(_SEED)
    return tuple(render_crop(random, limb, joint, _CROP_PX, "eval")[0] for joint in limb.joints)
