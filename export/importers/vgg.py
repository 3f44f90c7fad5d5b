"""The VGG16 ordinal scorer: named arrays to an ONNX graph, one engine a limb.

Layer: export; takes arrays, gives an ONNX model; touches no file.

Graph: ``image`` [n, 3, S, S] float32 (n free, 1..20; the three channels hold the same grey) ->
``erosion`` [n, K] and ``narrowing`` [n, 5], sigmoid. K is 6 for hands (grades 0-5) and 11 for feet
(0-10). The trunk runs once, the heads read its pooled features [n, 512]. Where the arrays are
given, a third output ``exclusion`` [n, 3], sigmoid, says what forbids a grade
(`edge.pipeline.plausibility.EXCLUSIONS`). It reads the means of the last two stages, [n, 1024]: the
features that serve grades have lost part of what tells a covered joint space from a narrowed one.

Arrays, float32, torch's layout:

==================================  ======================  =====================================
name                                shape                   meaning
==================================  ======================  =====================================
``trunk.conv{i}.weight``            [out, in, 3, 3]         i = 0..12, padding 1, ReLU after each
``trunk.conv{i}.bias``              [out]                   max pool 2 x 2 after i = 1 3 6 9 12
``{task}.dense{j}.weight``          [512, 512], [256, 512], j = 0, 1, 2
                                    [K, 256]
``{task}.dense{j}.bias``            [out]
``{limb}_exclusion.weight .bias``   [3, 1024], [3]          optional; both or none
``{task}.bn{j}.gamma .beta .mean    [out]                   after dense j; epsilon 1e-3
.var``
==================================  ======================  =====================================

``task`` is ``{limb}_erosion`` and ``{limb}_narrowing``. ReLU follows ``bn0`` and ``bn1``, the
sigmoid follows ``bn2``. Batch normalisation stays apart here, so that the published counts hold
(K = 5: 15,113,049 with the trunk's 14,714,688), and is folded into the graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.pipeline.plausibility import EXCLUSIONS
from export.onnx_graph.builder import Array, GraphBuilder, check_shapes, fold_batch_norm

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx

    from edge.anatomy import Limb

TRUNK_CHANNELS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
POOL_AFTER = (1, 3, 6, 9, 12)
EXCLUSION_STAGES = (9, 12)
"""Convolutions whose pooled maps' means, one after the other, the exclusions read."""
BN_EPSILON = 1e-3
NARROWING_OUTPUTS = 5


def tasks(limb: Limb) -> tuple[tuple[str, str, int], ...]:
    """(array prefix, output name, number of outputs) of a limb's two heads."""
    return (
        (f"{limb}_erosion", "erosion", limb.erosion_maximum + 1),
        (f"{limb}_narrowing", "narrowing", NARROWING_OUTPUTS),
    )


def trunk_shapes() -> dict[str, tuple[int, ...]]:
    """Array name to shape of the trunk."""
    shapes: dict[str, tuple[int, ...]] = {}
    depth = 3
    for i, channels in enumerate(TRUNK_CHANNELS):
        shapes[f"trunk.conv{i}.weight"] = (channels, depth, 3, 3)
        shapes[f"trunk.conv{i}.bias"] = (channels,)
        depth = channels
    return shapes


def head_shapes(task: str, outputs: int) -> dict[str, tuple[int, ...]]:
    """Array name to shape of one head with ``outputs`` sigmoids."""
    shapes: dict[str, tuple[int, ...]] = {}
    sides = (TRUNK_CHANNELS[-1], 512, 256, outputs)
    for j in range(3):
        shapes[f"{task}.dense{j}.weight"] = (sides[j + 1], sides[j])
        shapes[f"{task}.dense{j}.bias"] = (sides[j + 1],)
        for part in ("gamma", "beta", "mean", "var"):
            shapes[f"{task}.bn{j}.{part}"] = (sides[j + 1],)
    return shapes


def exclusion_shapes(limb: Limb) -> dict[str, tuple[int, ...]]:
    """Array name to shape of the linear layer that says what forbids a grade."""
    count = len(EXCLUSIONS)
    return {
        f"{limb}_exclusion.weight": (count, sum(TRUNK_CHANNELS[i] for i in EXCLUSION_STAGES)),
        f"{limb}_exclusion.bias": (count,),
    }


def scorer_shapes(limb: Limb) -> dict[str, tuple[int, ...]]:
    """Array name to shape of a limb's trunk and both heads."""
    shapes = trunk_shapes()
    for task, _, outputs in tasks(limb):
        shapes |= head_shapes(task, outputs)
    return shapes


def vgg_to_onnx(arrays: Mapping[str, Array], *, limb: Limb, side: int) -> onnx.ModelProto:
    """Graph of a limb's scorer for square crops of ``side`` px (at least 32).

    Arrays of the other limb are left aside, so that one file can hold all. Raises `WeightsError`
    for an array that is missing, misshapen or not finite.
    """
    shapes = scorer_shapes(limb)
    exclusion = f"{limb}_exclusion"
    prefixes = ("trunk.", f"{exclusion}.", *(f"{task}." for task, _, _ in tasks(limb)))
    mine = {name: array for name, array in arrays.items() if name.startswith(prefixes)}
    excludes = any(name.startswith(f"{exclusion}.") for name in mine)
    check_shapes(mine, shapes | (exclusion_shapes(limb) if excludes else {}))
    graph = GraphBuilder("vgg16")
    x = graph.input("image", ("n", 3, side, side))
    means = {}
    for i in range(len(TRUNK_CHANNELS)):
        name = f"trunk.conv{i}"
        x = graph.conv(x, name, mine[f"{name}.weight"], mine[f"{name}.bias"], pads=(1, 1, 1, 1))
        x = graph.node("Relu", (x,), f"{name}.relu")
        if i in POOL_AFTER:
            x = graph.node("MaxPool", (x,), f"{name}.pool", kernel_shape=[2, 2], strides=[2, 2])
        if i in (EXCLUSION_STAGES if excludes else EXCLUSION_STAGES[-1:]):
            mean = graph.node("GlobalAveragePool", (x,), f"{name}.mean")
            means[i] = graph.node("Flatten", (mean,), f"{name}.features", axis=1)
    features = means[EXCLUSION_STAGES[-1]]
    for task, output, count in tasks(limb):
        graph.output(_head(graph, features, task, mine), output, ("n", count))
    if excludes:
        weight, bias = (mine[f"{exclusion}.{part}"] for part in ("weight", "bias"))
        x = graph.node("Concat", tuple(means.values()), f"{exclusion}.features", axis=1)
        x = graph.gemm(x, exclusion, weight, bias)
        x = graph.node("Sigmoid", (x,), f"{exclusion}.out")
        graph.output(x, "exclusion", ("n", len(EXCLUSIONS)))
    return graph.build()


def _head(graph: GraphBuilder, x: str, task: str, arrays: Mapping[str, Array]) -> str:
    for j in range(3):
        name = f"{task}.dense{j}"
        gamma, beta, mean, variance = (
            arrays[f"{task}.bn{j}.{part}"] for part in ("gamma", "beta", "mean", "var")
        )
        weight, bias = fold_batch_norm(
            arrays[f"{name}.weight"], arrays[f"{name}.bias"],
            gamma=gamma, beta=beta, mean=mean, variance=variance, epsilon=BN_EPSILON,
        )  # fmt: skip
        x = graph.gemm(x, name, weight, bias)
        x = graph.node("Relu" if j < 2 else "Sigmoid", (x,), f"{name}.out")
    return x
