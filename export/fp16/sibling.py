"""Makes, tests and describes the FP16-typed sibling of an exported graph.

Layer: export; pure functions over models and arrays.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.engine.passport import HalfGraph, InputSpec, KeptNode, Role
from export.calibration import calibration_inputs
from export.errors import ContractError
from export.fp16.convert import to_half, to_rounded
from export.fp16.plan import activation_ranges, plan_half
from export.onnx_graph.session import open_session, run_session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx

    from edge.anatomy import Limb
    from export.onnx_graph.builder import Array

    Probe = tuple[Array, Mapping[str, Array]]


@dataclass(frozen=True)
class Sibling:
    """An FP16-typed graph, serialised, and its record in the passport."""

    data: bytes
    record: HalfGraph


def make_sibling(
    model: onnx.ModelProto,
    *,
    name: str,
    role: Role,
    limb: Limb,
    spec: InputSpec,
    probes: Sequence[Probe] | None = None,
) -> Sibling:
    """Make the sibling of a checked FP32 graph.

    ``probes`` are the calibration's inputs with what ``model`` gives for them; they are run here
    unless given. Raises `LayerError` for a graph that cannot be converted, `ContractError` where
    simulated FP16 rounding gives values that are not finite.
    """
    if probes is None:
        single = open_session(model.SerializeToString())
        images = calibration_inputs(role, limb, spec)
        probes = [(image, run_session(single, image)) for image in images]
    images = [image for image, _ in probes]
    plan = plan_half(model, activation_ranges(model, images, input_name=spec.name))
    data = to_half(model, plan).SerializeToString(deterministic=True)
    rounded = to_rounded(model, plan).SerializeToString()
    record = HalfGraph(
        file=half_file(name),
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        half_nodes=len(plan.half),
        kept_fp32=tuple(KeptNode(node=kept.node, why=kept.why) for kept in plan.kept),
        largest_activation=max(plan.largest.values(), default=0.0),
        agreement=_agreement(rounded, probes, role, name),
    )
    return Sibling(data, record)


def half_file(name: str) -> str:
    """File name of the FP16-typed graph of engine ``name``."""
    return f"{name}.fp16.onnx"


def largest_differences(
    role: Role, found: Mapping[str, Array], wanted: Mapping[str, Array]
) -> dict[str, float]:
    """Largest difference of each output; of boxes, places in px (``_px``) and the rest apart."""
    differences: dict[str, float] = {}
    for name, array in wanted.items():
        gap = np.abs(found[name] - array)
        if role is Role.DETECT:
            differences[f"{name}_px"] = float(gap[..., :4].max())
            gap = gap[..., 4:]
        differences[name] = float(gap.max())
    return differences


def _agreement(rounded: bytes, probes: Sequence[Probe], role: Role, name: str) -> dict[str, float]:
    session = open_session(rounded)
    worst: dict[str, float] = {}
    for image, wanted in probes:
        found = run_session(session, image)
        for output, array in found.items():
            if not np.isfinite(array).all():
                raise ContractError(
                    f"output {output} is not finite in FP16",
                    where=name,
                    fix="report this as a fault of the exporter, with recipe and weights",
                )
        for key, value in largest_differences(role, found, wanted).items():
            worst[key] = max(worst.get(key, 0.0), value)
    return worst
