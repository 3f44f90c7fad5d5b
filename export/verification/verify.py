"""Checks an imported graph by running it: against its arrays, its meaning and a reference.

Layer: export; runs graphs in ONNX Runtime; reads the reference that a recipe names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.engine.inputs import scale_grey
from edge.engine.passport import Role
from export.calibration import calibration_inputs
from export.errors import ContractError
from export.fp16.sibling import largest_differences
from export.onnx_graph.session import open_session, run_session
from export.verification.probe import check_meaning
from export.verification.reference_pair import check_pair

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge.engine.passport import InputSpec
    from export.fp16.sibling import Probe
    from export.importers.built import Built
    from export.onnx_graph.builder import Array
    from export.recipe import Recipe

_SEED = 20240501
_CROPS = 2


@dataclass(frozen=True)
class Checked:
    """Largest differences by output, and the calibration's inputs with what the graph gives."""

    agreement: dict[str, float]
    probes: tuple[Probe, ...]


def run_checks(recipe: Recipe, built: Built, spec: InputSpec, folder: Path) -> Checked:
    """Run a graph that fits its contract, before its outputs are brought to the engine's own form.

    Raises `ContractError` where outputs differ from the arrays or the reference, are not finite, or
    do not mean what the recipe states; `WeightsError` where the reference cannot be used.
    """
    session = open_session(built.model.SerializeToString())
    agreement = _of_arrays(recipe, built, spec, session)
    images = calibration_inputs(recipe.role, recipe.limb, spec)
    probes = tuple((image, run_session(session, image)) for image in images)
    check_meaning(built.model, recipe, [outputs for _, outputs in probes])
    if recipe.reference is not None:
        pair = folder / recipe.reference.file
        agreement |= check_pair(built.heads or built.model, recipe, spec, pair)
    return Checked(agreement, probes)


def _of_arrays(recipe: Recipe, built: Built, spec: InputSpec, session: object) -> dict[str, float]:
    """Run the graph on a fixed random image; compare with the arrays where there is a way to."""
    count = _CROPS if recipe.role is Role.SCORE else 1
    random = np.random.default_rng(_SEED)
    grey = random.integers(0, 256, (count, spec.height, spec.width), dtype=np.uint8)
    image = scale_grey(grey, spec.scale, spec.mean, spec.std)
    found = run_session(session, image)
    for name, array in found.items():
        if not np.isfinite(array).all():
            raise ContractError(
                f"output {name} is not finite on a random image",
                where=recipe.name,
                fix="check scale, mean and std in the recipe, and the trained weights",
            )
    return {} if built.reference is None else _differences(recipe, found, built.reference(image))


def _differences(
    recipe: Recipe, found: Mapping[str, Array], wanted: Mapping[str, Array]
) -> dict[str, float]:
    differences = largest_differences(recipe.role, found, wanted)
    for name, value in differences.items():
        limit = recipe.tolerance.box_px if name.endswith("_px") else recipe.tolerance.probability
        # Written so that a difference that is not a number fails.
        if not value <= limit:
            raise ContractError(
                f"{name} differs by {value:.3g} from the arrays, allowed is {limit:.3g}",
                where=recipe.name,
                fix="report this as a fault of the exporter, with recipe and weights",
            )
    return differences
