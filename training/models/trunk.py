"""VGG16's thirteen convolutions: with batch normalisation to train, folded to publish.

Layer: training.models; pure torch. The trained trunk has 14,714,688 weights once batch
normalisation is folded into the convolutions, as published; no ImageNet weights are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.models.tensors import numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
POOL_AFTER = (1, 3, 6, 9, 12)
FEATURES = 512
"""Length of a trunk's feature vector."""
_CHUNK = 64
"""Crops in one pass of `Trunk.start_from`."""


@dataclass(frozen=True)
class InputRule:
    """Normalisation that a trunk expects, a channel: (pixel * scale - mean) / std."""

    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]


PLAIN = InputRule(1 / 255, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
"""Trunks trained here, and the paper's division by 255."""
KERAS_IMAGENET = InputRule(1.0, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0))
TORCH_IMAGENET = InputRule(1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Trunk(nn.Module):
    """VGG16's thirteen convolutions with batch normalisation, then global average pooling."""

    def __init__(self) -> None:
        super().__init__()
        previous = 3
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        for width in WIDTHS:
            self.convs.append(nn.Conv2d(previous, width, 3, padding=1))
            self.norms.append(nn.BatchNorm2d(width))
            previous = width

        self.frozen = 0

    def freeze(self, count: int) -> None:
        """Freeze the first ``count`` convolutions, their normalisation included.

        Edges and texture are the same in either limb, and these layers, the largest in pixels, take
        a third of the work of a step.
        """
        self.frozen = count
        for part in (*self.convs[:count], *self.norms[:count]):
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> Trunk:
        """As torch's; frozen layers never take a batch's statistics."""
        super().train(mode)
        for norm in self.norms[: self.frozen]:
            norm.eval()
        return self

    def forward(self, image: Tensor) -> Tensor:
        """Map [n, 3, s, s] in 0..1 to [n, 512]."""
        x = image
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = functional.relu(norm(conv(x)), inplace=True)
            if i in POOL_AFTER:
                x = functional.max_pool2d(x, 2)
        return x.mean((2, 3))

    def start_from(self, arrays: Mapping[str, np.ndarray], image: Tensor) -> None:
        """Load a folded trunk's weights, with batch normalisation that leaves its output the same.

        The running means and variances are those of ``image`` [n, 3, s, s] in 0..1.
        """
        x = image
        with torch.no_grad():
            for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
                conv.weight.copy_(torch.from_numpy(arrays[f"trunk.conv{i}.weight"]))
                conv.bias.copy_(torch.from_numpy(arrays[f"trunk.conv{i}.bias"]))
                y = torch.cat([conv(part) for part in x.split(_CHUNK)])
                mean, variance = y.mean((0, 2, 3)), y.var((0, 2, 3))
                norm.running_mean.copy_(mean)
                norm.running_var.copy_(variance)
                norm.weight.copy_(torch.sqrt(variance + norm.eps))
                norm.bias.copy_(mean)
                x = functional.relu(y)
                if i in POOL_AFTER:
                    x = functional.max_pool2d(x, 2)

    def arrays(self) -> dict[str, np.ndarray]:
        """Weights as `export.importers.vgg` names them, batch normalisation folded in."""
        found = {}
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            weight = conv.weight * scale[:, None, None, None]
            bias = (conv.bias - norm.running_mean) * scale + norm.bias
            found[f"trunk.conv{i}.weight"] = numbers(weight)
            found[f"trunk.conv{i}.bias"] = numbers(bias)
        return found


class FoldedTrunk(nn.Module):
    """The trunk as it is published: plain convolutions filled from named arrays.

    ``stages`` names the convolutions whose pooled maps are averaged: the last one gives features.
    """

    def __init__(
        self, arrays: dict[str, np.ndarray], stages: tuple[int, ...] = POOL_AFTER[-1:]
    ) -> None:
        super().__init__()
        self._stages = stages
        previous = 3
        self.convs = nn.ModuleList()
        for i, width in enumerate(WIDTHS):
            conv = nn.Conv2d(previous, width, 3, padding=1)
            conv.weight.data = torch.from_numpy(arrays[f"trunk.conv{i}.weight"].copy())
            conv.bias.data = torch.from_numpy(arrays[f"trunk.conv{i}.bias"].copy())
            self.convs.append(conv)
            previous = width

    def forward(self, image: Tensor) -> Tensor:
        """Map [n, 3, s, s] in 0..1 to [n, 512] a stage, one after the other."""
        x, means = image, []
        for i, conv in enumerate(self.convs):
            x = functional.relu(conv(x), inplace=True)
            if i in POOL_AFTER:
                x = functional.max_pool2d(x, 2)
            if i in self._stages:
                means.append(x.mean((2, 3)))
        return torch.cat(means, 1)


def trunk_features(
    trunk: nn.Module, pixels: np.ndarray, rule: InputRule = PLAIN, batch: int = 64
) -> Tensor:
    """Features [n, 512] (a stage) float32, on the CPU, of crops [n, s, s] uint8.

    The trunk is put into evaluation mode; pixels are normalised by ``rule``, in the order of
    operations of an engine's input.
    """
    trunk.eval()
    where = next(trunk.parameters()).device
    mean, std = (
        torch.tensor(values, dtype=torch.float32, device=where)[:, None, None]
        for values in (rule.mean, rule.std)
    )
    parts = []
    with torch.no_grad():
        for start in range(0, len(pixels), batch):
            x = torch.from_numpy(pixels[start : start + batch]).to(where).float()[:, None]
            x = (x * rule.scale - mean) / std
            parts.append(trunk(x.contiguous(memory_format=torch.channels_last)).float().cpu())
    return torch.cat(parts)
