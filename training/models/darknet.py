"""A Darknet configuration as a torch module, trained and read back into the importer's arrays.

Layer: training.models; uses torch. The configuration is parsed by `export.importers.darknet`, so
that training and export see one network.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from export.importers.darknet.cfg import (
    Convolution,
    Dropout,
    MaxPool,
    Route,
    Shortcut,
    Upsample,
    Yolo,
    parse_cfg,
)
from export.importers.darknet.sections import read_sections
from training.models.tensors import numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from export.importers.darknet.cfg import Layer

Section = tuple[str, dict[str, str]]
"""Name and options of one block of a configuration."""
_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "mish": nn.Mish,
    "swish": nn.SiLU,
    "logistic": nn.Sigmoid,
}
_NEVER_CERTAIN = 1e-6
"""A probability that a network gives is kept so far from 0 and 1 before it becomes a logit."""


def read_cfg(path: Path) -> list[Section]:
    """Blocks of a Darknet configuration, checked by the importer. Raises `ExportError`."""
    text = path.read_text("utf-8-sig", errors="replace")
    parse_cfg(text)
    return sections_of(text)


def sections_of(text: str) -> list[Section]:
    """Blocks of a configuration's text."""
    return [
        (section.name, {key: value for key, (value, _) in section.values.items()})
        for section in read_sections(text)
    ]


def text_of(sections: list[Section]) -> str:
    """A configuration's text from its blocks."""
    return "\n".join(
        "\n".join([f"[{name}]", *(f"{key}={value}" for key, value in options.items()), ""])
        for name, options in sections
    )


class DarknetModule(nn.Module):
    """Every layer that the importer knows, as one network that can be trained.

    Raises `ExportError` for a configuration that the importer refuses.
    """

    def __init__(self, sections: list[Section]) -> None:
        super().__init__()
        self.network = parse_cfg(text_of(sections))
        self.input_channels = self.network.input[0]
        self.layers = nn.ModuleList(_module(layer) for layer in self.network.layers)

    def anchors(self) -> list[Tensor]:
        """Anchors of each yolo layer in input pixels, [k, 2]."""
        return [torch.tensor(head.anchors, dtype=torch.float32) for head in self.network.heads]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map [n, c, h, w] to the raw map of each yolo layer, [n, k * (5 + classes), gh, gw]."""
        outputs: list[Tensor] = []
        heads = []
        x = image
        for layer, module in zip(self.network.layers, self.layers, strict=True):
            if isinstance(layer, Shortcut):
                for source in layer.sources:
                    x = _add(x, outputs[source])
                x = module(x)
            elif isinstance(layer, Route):
                parts = [
                    outputs[source].chunk(layer.groups, 1)[layer.group_id]
                    for source in layer.sources
                ]
                x = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
            elif isinstance(layer, MaxPool):
                top, left, bottom, right = layer.pads
                x = module(functional.pad(x, (left, right, top, bottom), value=-math.inf))
            elif isinstance(layer, Yolo):
                heads.append(x)
            else:
                x = module(x)
            outputs.append(x)
        return heads

    def arrays(self) -> dict[str, np.ndarray]:
        """Weights as the importer names them: ``conv{i}.weight``, ``.bias``, ``.bn.*``."""
        found: dict[str, np.ndarray] = {}
        for name, tensor in self._named_tensors():
            found[name] = numbers(tensor)
        return found

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> int:
        """Take over every array of a name and shape that this network has; returns how many."""
        taken = 0
        with torch.no_grad():
            for name, tensor in self._named_tensors():
                if name in arrays and tuple(arrays[name].shape) == tuple(tensor.shape):
                    tensor.copy_(torch.from_numpy(np.array(arrays[name])))
                    taken += 1
        return taken

    def _named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        convolutions = [layer for layer in self.layers if isinstance(layer, nn.Sequential)]
        for i, layer in enumerate(convolutions):
            conv, norm = layer[0], layer[1]
            yield f"conv{i}.weight", conv.weight
            if isinstance(norm, nn.BatchNorm2d):
                yield f"conv{i}.bn.gamma", norm.weight
                yield f"conv{i}.bn.beta", norm.bias
                yield f"conv{i}.bn.mean", norm.running_mean
                yield f"conv{i}.bn.var", norm.running_var
            else:
                yield f"conv{i}.bias", conv.bias


def _module(layer: Layer) -> nn.Module:
    if isinstance(layer, Convolution):
        filters = layer.shape[0]
        conv = nn.Conv2d(
            layer.inputs[0], filters, layer.size, layer.stride, layer.pad * layer.dilation,
            layer.dilation, layer.groups, bias=not layer.batch_normalize,
        )  # fmt: skip
        normalised = layer.batch_normalize
        norm = nn.BatchNorm2d(filters, eps=1e-6, momentum=0.03) if normalised else nn.Identity()
        return nn.Sequential(conv, norm, _activation(layer.activation))
    if isinstance(layer, Shortcut):
        return _activation(layer.activation)
    if isinstance(layer, MaxPool):
        return nn.MaxPool2d(layer.size, layer.stride)
    if isinstance(layer, Upsample):
        return nn.Upsample(scale_factor=layer.stride, mode="nearest")
    if isinstance(layer, Dropout):
        return nn.Dropout(min(max(layer.section.number("probability", 0.5), 0.0), 0.95))
    return nn.Identity()


def _activation(name: str) -> nn.Module:
    return nn.LeakyReLU(0.1) if name == "leaky" else _ACTIVATIONS[name]()


def _add(x: Tensor, other: Tensor) -> Tensor:
    """Sum of the channels that both have; Darknet leaves the others of ``x`` alone."""
    depth, extra = x.shape[1], x.shape[1] - other.shape[1]
    if extra > 0:
        other = functional.pad(other, (0, 0, 0, 0, 0, extra))
    return x + other[:, :depth]


def decode(
    heads: list[Tensor], anchors: list[Tensor], size_px: int, rules: Sequence[Yolo] = ()
) -> Tensor:
    """Decode raw maps to [n, N, 5 + classes]: x, y, w, h in input pixels, logits for the rest.

    ``rules`` are the yolo layers where they ask for more than YOLOv3 (``scale_x_y``,
    ``new_coords``: a network that already gives probabilities).
    """
    parts = []
    for i, (head, anchor) in enumerate(zip(heads, anchors, strict=True)):
        n, _, gh, gw = head.shape
        k = len(anchor)
        raw = head.float().reshape(n, k, -1, gh, gw).permute(0, 1, 3, 4, 2)
        stride = size_px / gh
        scale, given = (rules[i].scale_x_y, rules[i].new_coords) if rules else (1.0, False)
        ys, xs = torch.meshgrid(torch.arange(gh), torch.arange(gw), indexing="ij")
        grid = torch.stack([xs, ys], -1).to(raw)
        inside = raw[..., :2] if given else raw[..., :2].sigmoid()
        xy = (inside * scale - (scale - 1) / 2 + grid) * stride
        sides = (2 * raw[..., 2:4]).square() if given else raw[..., 2:4].clamp(max=6).exp()
        wh = sides * anchor.to(raw)[None, :, None, None]
        rest = raw[..., 4:]
        if given:
            rest = torch.logit(rest.clamp(_NEVER_CERTAIN, 1 - _NEVER_CERTAIN))
        parts.append(torch.cat([xy, wh, rest], -1).reshape(n, -1, raw.shape[-1]))
    return torch.cat(parts, 1)


def detection_loss(
    decoded: Tensor, raw_anchor: Tensor, cell: Tensor, targets: list[Tensor]
) -> Tensor:
    """YOLOv3's loss with several anchors a joint.

    ``decoded`` is `decode`'s [n, N, 5 + c]; ``raw_anchor`` [N, 2] and ``cell`` [N, 3] (x0, y0,
    stride) describe each prediction; ``targets`` hold [k, 4] (class, x, y, side) per image. A joint
    is given to the cell that holds its centre, at every anchor whose area ratio is over .5 and at
    the best one. Cells whose box overlaps a joint by more than .6 are left alone.
    """
    objectness = decoded.new_zeros(decoded.shape[:2])
    weight = decoded.new_ones(decoded.shape[:2])
    box_loss = decoded.new_zeros(())
    class_loss = decoded.new_zeros(())
    for i, boxes in enumerate(targets):
        if len(boxes) == 0:
            continue
        centre, side = boxes[:, 1:3], boxes[:, 3]
        with torch.no_grad():
            weight[i][_iou(decoded[i, :, :4], boxes).amax(1) > 0.6] = 0.0
        area = raw_anchor.prod(1)[:, None]
        ratio = torch.minimum(area, side**2) / torch.maximum(area, side**2)
        low = cell[:, None, :2]
        holds = ((centre >= low) & (centre < low + cell[:, None, 2:])).all(2)
        fit = torch.where(holds, ratio, torch.zeros_like(ratio))
        chosen = (fit > 0.5) | ((fit == fit.amax(0, keepdim=True)) & holds)
        rows, joints = chosen.nonzero(as_tuple=True)
        objectness[i, rows] = 1.0
        weight[i, rows] = 1.0
        target = torch.cat([centre, side[:, None], side[:, None]], 1)[joints]
        box_loss = box_loss + _distance_loss(decoded[i, rows, :4], target)
        kind = functional.one_hot(boxes[joints, 0].long(), decoded.shape[2] - 5).float()
        class_loss = class_loss + functional.binary_cross_entropy_with_logits(
            decoded[i, rows, 5:], kind, reduction="sum"
        )
    found = functional.binary_cross_entropy_with_logits(
        decoded[..., 4], objectness, weight, reduction="sum"
    )
    return (2.0 * box_loss + class_loss + found) / len(targets)


def _iou(boxes: Tensor, joints: Tensor) -> Tensor:
    """Overlap of [N, 4] boxes with [k, 4] square joints, [N, k]."""
    low_a, high_a = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
    half = joints[:, 3:] / 2
    low_b, high_b = joints[:, 1:3] - half, joints[:, 1:3] + half
    inter = (torch.minimum(high_a[:, None], high_b) - torch.maximum(low_a[:, None], low_b)).clamp(0)
    overlap = inter.prod(2)
    union = boxes[:, 2:].prod(1)[:, None] + joints[:, 3] ** 2 - overlap
    return overlap / union


def _distance_loss(boxes: Tensor, target: Tensor) -> Tensor:
    """Sum of 1 - DIoU and of the centre's relative error, boxes as x, y, w, h."""
    low_a, high_a = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
    low_b, high_b = target[:, :2] - target[:, 2:] / 2, target[:, :2] + target[:, 2:] / 2
    overlap = (torch.minimum(high_a, high_b) - torch.maximum(low_a, low_b)).clamp(0).prod(1)
    iou = overlap / (boxes[:, 2:].prod(1) + target[:, 2:].prod(1) - overlap)
    outer = (torch.maximum(high_a, high_b) - torch.minimum(low_a, low_b)).square().sum(1)
    apart = (boxes[:, :2] - target[:, :2]).square().sum(1)
    off = functional.smooth_l1_loss(
        boxes[:, :2] / target[:, 2:], target[:, :2] / target[:, 2:], beta=0.1, reduction="sum"
    )
    return (1 - iou + apart / outer).sum() + off
