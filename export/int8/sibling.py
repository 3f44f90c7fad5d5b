"""Makes the 8-bit graph of an engine, with as many layers in FP32 as its outputs need.

Layer: export; runs graphs on the CPU; touches no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edge.engine.passport import RoundedGraph
from export.errors import LayerError
from export.fp16.sibling import largest_differences
from export.int8.convert import to_int8
from export.int8.plan import plan_int8
from export.onnx_graph.extremes import extremes_of
from export.onnx_graph.session import open_session, run_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

    from edge.engine.passport import Role
    from export.onnx_graph.builder import Array

FLOAT_STAGES = (0, 1, 2, 3)
"""Stages that are tried in FP32, the fewest first; see `export.int8.plan.plan_int8`."""
LARGEST_DIFFERENCE = 0.1
"""Stages are added until no probability differs by more over the calibration."""


class Rounded(NamedTuple):
    """An 8-bit graph, serialised, and its record in the passport."""

    data: bytes
    record: RoundedGraph


def make_rounded(
    model: onnx.ModelProto, role: Role, images: Sequence[Array], *, input_name: str = "image"
) -> Rounded:
    """Make the 8-bit graph of a checked FP32 graph.

    Parameters
    ----------
    images
        Arrays [n, C, H, W] float32, as the pipeline gives them: limits of activations are taken
        from them, and the outputs of both graphs over them are compared.

    Raises
    ------
    LayerError
        For a graph that has no layer to compute in 8 bits, or no image.
    """
    if not images:
        raise LayerError(
            "the simulated films gave this engine no input to calibrate on",
            where="model",
            fix="export the limb's detector too",
        )
    wanted = run_all(model.SerializeToString(), images)
    tensors = set(plan_int8(model).tensors.values())
    limits = extremes_of(model, images, input_name=input_name, tensors=tensors)
    best: Rounded | None = None
    for stages in FLOAT_STAGES:
        try:
            plan = plan_int8(model, stages)
        except LayerError:
            break
        data = to_int8(model, plan, limits).SerializeToString(deterministic=True)
        worst: dict[str, float] = {}
        for found, exact in zip(run_all(data, images), wanted, strict=True):
            for name, gap in largest_differences(role, found, exact).items():
                worst[name] = max(worst.get(name, 0.0), gap)
        record = RoundedGraph(
            convolutions=len(plan.convolutions),
            float_stages=stages,
            images=sum(len(image) for image in images),
            difference=worst,
        )
        rounded = Rounded(data, record)
        if best is None or max(worst.values()) < max(best.record.difference.values()):
            best = rounded
        if max(worst.values()) <= LARGEST_DIFFERENCE:
            break
    assert best is not None  # noqa: S101 - the first plan was made above
    return best


def run_all(data: bytes, images: Sequence[Array]) -> list[dict[str, Array]]:
    """Outputs by name of a serialised graph for each image. Raises `LayerError`."""
    session = open_session(data)
    return [run_session(session, image) for image in images]
