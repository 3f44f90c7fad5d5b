"""Stage 11: runs a limb's scorer over its joint crops.

Layer: pipeline; arrays and an `Engine` with the outputs ``erosion`` and ``narrowing``, and
where it has one, ``exclusion``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from edge.engine.inputs import input_size, to_inputs
from edge.engine.outputs import run_engine
from edge.engine.passport import Role
from edge.pipeline.crop import crop_joints
from edge.pipeline.ordinal import GradeEstimate, decode_ordinal
from edge.pipeline.plausibility import Exclusion, FamiliarCrops

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.engine.protocol import Engine
    from edge.model import GreyImage


@dataclass(frozen=True)
class JointGrades:
    """Both estimates of one joint; ``familiar``: its crop looks like those of the training.

    ``exclusion`` is None where the scorer has no such output.
    """

    erosion: GradeEstimate
    narrowing: GradeEstimate
    familiar: bool = True
    exclusion: Exclusion | None = None


def site_threshold(engine: Engine, kind: str) -> float:
    """Probability from which an output counts: the site's where its passport states one, else .5.

    See `edge.engine.site`.
    """
    stored = cast("Mapping[str, Any]", engine.passport.get("site_calibration") or {})
    return float(stored[kind]["threshold"]) if kind in stored else 0.5


def score_joints(
    engine: Engine,
    canvas: GreyImage,
    centres: Sequence[tuple[float, float]],
    sides_px: Sequence[float],
) -> list[JointGrades]:
    """Crop and grade joints of one limb in one batch.

    ``canvas`` is the equalised canvas [h, w] uint8, ``sides_px`` the crop's side of each joint.
    """
    crops = crop_joints(canvas, centres, sides_px, input_size(engine)[0])
    outputs = run_engine(engine, Role.SCORE, to_inputs(engine, crops))
    known = FamiliarCrops.of(cast("Mapping[str, Any]", engine.passport.get("training", {})))
    familiar = [True] * len(crops) if known is None else known.knows(crops).tolist()
    excluded: list[Exclusion | None] = [None] * len(crops)
    if "exclusion" in outputs:
        excluded = [Exclusion(*row) for row in outputs["exclusion"].tolist()]
    return [
        JointGrades(
            decode_ordinal(erosion, site_threshold(engine, "erosion")),
            decode_ordinal(narrowing, site_threshold(engine, "narrowing")),
            knows,
            exclusion,
        )
        for erosion, narrowing, knows, exclusion in zip(
            outputs["erosion"], outputs["narrowing"], familiar, excluded, strict=True
        )
    ]
