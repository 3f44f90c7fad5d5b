"""The lightweight multi-scale U-Net (Ding et al. 2019): named arrays to an ONNX graph.

Layer: export; takes arrays, gives an ONNX model; touches no file.

Graph: ``image`` [1, 1, H, W] float32 grey in 0..1 -> ``mask`` [1, 1, H, W] float32 probability
of limb. H and W are static multiples of 4.

The network has two downs and two ups, five blocks in all::

    e0  = enc0(image)                               H     x W
    e1  = enc1(maxpool2(e0))                        H / 2 x W / 2
    m   = mid(maxpool2(e1))                         H / 4 x W / 4
    d1  = dec1(concat(nearest2(m),  e1))            H / 2 x W / 2     upsampled first, then the skip
    d0  = dec0(concat(nearest2(d1), e0))            H     x W
    out = sigmoid(head(d0))

``maxpool2`` is 2 x 2 with stride 2, ``nearest2`` repeats every pixel 2 x 2 (torch
``Upsample(scale_factor=2, mode="nearest")``), ``concat`` joins channels.

A block is four parallel convolutions over the same input (kernels 1, 3, 5, 7; stride 1; zero
padding k // 2; bias), joined in that order, ReLU, then a 1 x 1 convolution with bias and ReLU::

    x = relu(concat(conv1(x), conv3(x), conv5(x), conv7(x)))
    x = relu(fuse(x))

Batch normalisation in training stands right after each convolution (before the ReLU) and is folded
into weight and bias before the arrays are saved. ``head`` is 1 x 1 with bias, without
normalisation.

Arrays, float32, names as in torch's ``state_dict``; b is each of ``enc0 enc1 mid dec1 dec0``,
k each of 1, 3, 5, 7:

=====================  ====================  ======================================
name                   shape                 meaning
=====================  ====================  ======================================
``{b}.conv{k}.weight`` [c_b, in_b, k, k]     branch, c_b channels each
``{b}.conv{k}.bias``   [c_b]
``{b}.fuse.weight``    [w_b, 4 c_b, 1, 1]    joins the branches to w_b channels
``{b}.fuse.bias``      [w_b]
``head.weight``        [1, w_dec0, 1, 1]
``head.bias``          [1]
=====================  ====================  ======================================

in_b follows: enc0 1, enc1 w_enc0, mid w_enc1, dec1 w_mid + w_enc1, dec0 w_dec1 + w_enc0. Widths are
read off the arrays, so training is free to choose them. The default is base 8:
c = w = 8 (enc0, dec0), 16 (enc1, dec1), 32 (mid).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from export.errors import WeightsError
from export.onnx_graph.builder import Array, GraphBuilder, check_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx

BLOCKS = ("enc0", "enc1", "mid", "dec1", "dec0")
KERNELS = (1, 3, 5, 7)


def unet_shapes(widths: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, ...]]:
    """Array name to shape; ``widths`` gives (c, w) of each of `BLOCKS`."""
    out = {block: widths[block][1] for block in BLOCKS}
    inputs = {
        "enc0": 1,
        "enc1": out["enc0"],
        "mid": out["enc1"],
        "dec1": out["mid"] + out["enc1"],
        "dec0": out["dec1"] + out["enc0"],
    }
    shapes: dict[str, tuple[int, ...]] = {}
    for block in BLOCKS:
        branch, width = widths[block]
        for k in KERNELS:
            shapes[f"{block}.conv{k}.weight"] = (branch, inputs[block], k, k)
            shapes[f"{block}.conv{k}.bias"] = (branch,)
        shapes[f"{block}.fuse.weight"] = (width, 4 * branch, 1, 1)
        shapes[f"{block}.fuse.bias"] = (width,)
    shapes["head.weight"] = (1, out["dec0"], 1, 1)
    shapes["head.bias"] = (1,)
    return shapes


def unet_to_onnx(arrays: Mapping[str, Array], *, size: tuple[int, int]) -> onnx.ModelProto:
    """Graph ``image`` [1, 1, H, W] -> ``mask`` [1, 1, H, W] for ``size`` (H, W) in px.

    Raises `WeightsError` for arrays that are missing, unknown or do not fit each other, and for
    a size that is no multiple of 4.
    """
    if size[0] % 4 or size[1] % 4 or min(size) < 4:
        raise WeightsError(
            f"{size[1]} x {size[0]} px cannot be halved twice",
            where="input size",
            fix="set height and width to multiples of 4 in the recipe",
        )
    check_arrays(arrays)
    graph = GraphBuilder("unet")
    image = graph.input("image", (1, 1, *size))
    e0 = _block(graph, image, "enc0", arrays)
    e1 = _block(graph, _halved(graph, e0, "pool0"), "enc1", arrays)
    x = _block(graph, _halved(graph, e1, "pool1"), "mid", arrays)
    for block, skip in (("dec1", e1), ("dec0", e0)):
        up = graph.upsample(x, f"{block}.up", (2, 2))
        x = graph.node("Concat", (up, skip), f"{block}.join", axis=1)
        x = _block(graph, x, block, arrays)
    x = graph.conv(x, "head", arrays["head.weight"], arrays["head.bias"])
    graph.output(graph.node("Sigmoid", (x,), "head.sigmoid"), "mask", (1, 1, *size))
    return graph.build()


def check_arrays(arrays: Mapping[str, Array]) -> None:
    """Raise `WeightsError` for arrays that are missing, unknown, misshapen or not finite."""
    try:
        widths = {
            block: (
                arrays[f"{block}.conv1.weight"].shape[0],
                arrays[f"{block}.fuse.weight"].shape[0],
            )
            for block in BLOCKS
        }
    except KeyError as error:
        raise WeightsError(
            "the array is missing", where=str(error.args[0]), fix="save the whole state of the net"
        ) from error
    check_shapes(arrays, unet_shapes(widths))


def _block(graph: GraphBuilder, x: str, name: str, arrays: Mapping[str, Array]) -> str:
    # Kernels set into the middle of the larger one of their pair give the same sums; two wide
    # convolutions take a fifth less time on a CPU than four narrow ones.
    pairs = []
    for pair in zip(KERNELS[::2], KERNELS[1::2], strict=True):
        pad = pair[-1] // 2
        weights = [_widened(arrays[f"{name}.conv{k}.weight"], pair[-1]) for k in pair]
        biases = [arrays[f"{name}.conv{k}.bias"] for k in pair]
        pairs.append(
            graph.conv(
                x,
                f"{name}.conv{pair[0]}{pair[1]}",
                np.concatenate(weights),
                np.concatenate(biases),
                pads=(pad, pad, pad, pad),
            )
        )
    x = graph.node("Concat", pairs, f"{name}.branches", axis=1)
    x = graph.node("Relu", (x,), f"{name}.branches.relu")
    x = graph.conv(x, f"{name}.fuse", arrays[f"{name}.fuse.weight"], arrays[f"{name}.fuse.bias"])
    return graph.node("Relu", (x,), f"{name}.fuse.relu")


def _widened(weight: Array, side: int) -> Array:
    edge = (side - weight.shape[-1]) // 2
    return np.pad(weight, ((0, 0), (0, 0), (edge, edge), (edge, edge)))


def _halved(graph: GraphBuilder, x: str, name: str) -> str:
    return graph.node("MaxPool", (x,), name, kernel_shape=[2, 2], strides=[2, 2])
