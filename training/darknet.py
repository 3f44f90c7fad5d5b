"""A Darknet configuration as a torch module, trained and read back into the importer's arrays.

Room: training. The configuration is parsed by `export.darknet`, so that training and export see
one network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.darknet.cfg import parse_cfg, read_sections
from training.errors import TrainingError
from training.loop import numbers

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

Section = tuple[str, dict[str, str]]
"""Name and options of one block of a configuration."""


def read_cfg(path: Path) -> list[Section]:
    """Blocks of a Darknet configuration, checked by the importer. Raises `ExportError`."""
    text = path.read_text("utf-8")
    parse_cfg(text)
    return [
        (section.name, {key: value for key, (value, _) in section.values.items()})
        for section in read_sections(text)
    ]


def _check_trainable(sections: list[Section]) -> None:
    """Raise `TrainingError` for a layer or option that export knows and this module does not."""
    # Option to what Darknet takes where it is not set, and the values that are trained here.
    only: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {
        "convolutional": {
            "activation": ("logistic", ("leaky", "linear")),
            "groups": ("1", ("1",)),
            "dilation": ("1", ("1",)),
        },
        "shortcut": {"activation": ("linear", ("linear",))},
        "route": {"groups": ("1", ("1",))},
        "upsample": {},
        "yolo": {"scale_x_y": ("1", ("1", "1.0")), "new_coords": ("0", ("0",))},
    }
    for i, (kind, options) in enumerate(sections):
        odd = "".join(
            f" {key}={options.get(key, default)}"
            for key, (default, allowed) in only.get(kind, {}).items()
            if options.get(key, default) not in allowed
        )
        if kind not in only or odd:
            raise TrainingError(
                f"layer {i} [{kind}]{odd} cannot be trained here",
                mend="train the paper's topology, or bring finished weights to sharpedge export",
            )


class DarknetModule(nn.Module):
    """Convolutional, shortcut, route, upsample and yolo layers of one parsed configuration.

    Raises `TrainingError` for a layer or option that only export knows.
    """

    def __init__(self, sections: list[Section]) -> None:
        super().__init__()
        _check_trainable(sections[1:])
        self.sections = sections[1:]
        self.input_channels = int(sections[0][1].get("channels", "3"))
        self.layers = nn.ModuleList()
        channels: list[int] = []
        previous = self.input_channels
        for kind, options in self.sections:
            layer: nn.Module = nn.Identity()
            if kind == "convolutional":
                filters, size = int(options["filters"]), int(options["size"])
                normalised = options.get("batch_normalize", "0") == "1"
                conv = nn.Conv2d(
                    previous, filters, size, int(options["stride"]),
                    size // 2 if options.get("pad", "0") == "1" else int(options.get("padding", 0)),
                    bias=not normalised,
                )  # fmt: skip
                norm = (
                    nn.BatchNorm2d(filters, eps=1e-6, momentum=0.03)
                    if normalised
                    else nn.Identity()
                )
                leaky = options.get("activation") == "leaky"
                layer = nn.Sequential(conv, norm, nn.LeakyReLU(0.1) if leaky else nn.Identity())
                previous = filters
            elif kind == "route":
                previous = sum(channels[i] for i in _absolute(options["layers"], len(channels)))
            elif kind == "upsample":
                layer = nn.Upsample(scale_factor=int(options["stride"]), mode="nearest")
            self.layers.append(layer)
            channels.append(previous)

    def anchors(self) -> list[Tensor]:
        """Anchors of each yolo layer in input pixels, [k, 2]."""
        found = []
        for kind, options in self.sections:
            if kind == "yolo":
                numbers = [float(part) for part in options["anchors"].split(",")]
                every = torch.tensor(numbers).reshape(-1, 2)
                found.append(every[[int(part) for part in options["mask"].split(",")]])
        return found

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map [n, c, h, w] to the raw map of each yolo layer, [n, k * (5 + classes), gh, gw]."""
        outputs: list[Tensor] = []
        heads = []
        x = image
        for (kind, options), layer in zip(self.sections, self.layers, strict=True):
            if kind == "shortcut":
                for i in _absolute(options["from"], len(outputs)):
                    x = x + outputs[i]
            elif kind == "route":
                parts = [outputs[i] for i in _absolute(options["layers"], len(outputs))]
                x = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
            elif kind == "yolo":
                heads.append(x)
            else:
                x = layer(x)
            outputs.append(x)
        return heads

    def arrays(self) -> dict[str, np.ndarray]:
        """Weights as the importer names them: ``conv{i}.weight``, ``.bias``, ``.bn.*``."""
        found: dict[str, np.ndarray] = {}
        convolutions = [layer for layer in self.layers if isinstance(layer, nn.Sequential)]
        for i, layer in enumerate(convolutions):
            conv, norm = layer[0], layer[1]
            found[f"conv{i}.weight"] = numbers(conv.weight)
            if isinstance(norm, nn.BatchNorm2d):
                found[f"conv{i}.bn.gamma"] = numbers(norm.weight)
                found[f"conv{i}.bn.beta"] = numbers(norm.bias)
                found[f"conv{i}.bn.mean"] = numbers(norm.running_mean)
                found[f"conv{i}.bn.var"] = numbers(norm.running_var)
            else:
                found[f"conv{i}.bias"] = numbers(conv.bias)
        return found


def _absolute(text: str, here: int) -> list[int]:
    """Layer numbers of a comma-separated list; negative ones count back from layer ``here``."""
    indices = [int(part) for part in text.split(",")]
    return [i if i >= 0 else here + i for i in indices]


def decode(heads: list[Tensor], anchors: list[Tensor], size_px: int) -> Tensor:
    """Decode raw maps to [n, N, 5 + classes]: x, y, w, h in input pixels, logits for the rest."""
    parts = []
    for head, anchor in zip(heads, anchors, strict=True):
        n, _, gh, gw = head.shape
        k = len(anchor)
        raw = head.float().reshape(n, k, -1, gh, gw).permute(0, 1, 3, 4, 2)
        stride = size_px / gh
        ys, xs = torch.meshgrid(torch.arange(gh), torch.arange(gw), indexing="ij")
        grid = torch.stack([xs, ys], -1).to(raw)
        xy = (raw[..., :2].sigmoid() + grid) * stride
        wh = raw[..., 2:4].clamp(max=6).exp() * anchor.to(raw)[None, :, None, None]
        parts.append(torch.cat([xy, wh, raw[..., 4:]], -1).reshape(n, -1, raw.shape[-1]))
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
