"""The multi-scale U-Net (Ding et al. 2019): torch counterpart of `export.importers.unet`.

Layer: training.models; pure torch.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.models.tensors import numbers

KERNELS = (1, 3, 5, 7)


class MultiScaleBlock(nn.Module):
    """Parallel convolutions 1, 3, 5, 7, joined, then fused by a 1 x 1 convolution."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        for k in KERNELS:
            setattr(self, f"conv{k}", nn.Conv2d(channels_in, channels, k, padding=k // 2))
        self.norm = nn.BatchNorm2d(4 * channels)
        self.fuse = nn.Conv2d(4 * channels, channels, 1)
        self.fuse_norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, c, h, w] to [n, channels, h, w]."""
        branches = [getattr(self, f"conv{k}")(x) for k in KERNELS]
        joined = functional.relu(self.norm(torch.cat(branches, 1)))
        return functional.relu(self.fuse_norm(self.fuse(joined)))


class MultiScaleUNet(nn.Module):
    """Two downs, two ups; [n, 1, h, w] in 0..1 to logits of the same size."""

    def __init__(self, base: int = 6) -> None:
        super().__init__()
        self.enc0 = MultiScaleBlock(1, base)
        self.enc1 = MultiScaleBlock(base, 2 * base)
        self.mid = MultiScaleBlock(2 * base, 4 * base)
        self.dec1 = MultiScaleBlock(6 * base, 2 * base)
        self.dec0 = MultiScaleBlock(3 * base, base)
        self.head = nn.Conv2d(base, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of the limb."""
        e0 = self.enc0(image)
        e1 = self.enc1(functional.max_pool2d(e0, 2))
        m = self.mid(functional.max_pool2d(e1, 2))
        d1 = self.dec1(torch.cat([functional.interpolate(m, scale_factor=2.0), e1], 1))
        d0 = self.dec0(torch.cat([functional.interpolate(d1, scale_factor=2.0), e0], 1))
        return torch.as_tensor(self.head(d0))

    def arrays(self) -> dict[str, np.ndarray]:
        """Weights as `export.importers.unet` names them, batch normalisation folded in."""
        found: dict[str, np.ndarray] = {}
        for name in ("enc0", "enc1", "mid", "dec1", "dec0"):
            block = getattr(self, name)
            convs = [getattr(block, f"conv{k}") for k in KERNELS]
            width = convs[0].out_channels
            for i, (k, conv) in enumerate(zip(KERNELS, convs, strict=True)):
                part = slice(i * width, (i + 1) * width)
                weight, bias = _fold(conv, block.norm, part)
                found[f"{name}.conv{k}.weight"], found[f"{name}.conv{k}.bias"] = weight, bias
            weight, bias = _fold(block.fuse, block.fuse_norm, slice(None))
            found[f"{name}.fuse.weight"], found[f"{name}.fuse.bias"] = weight, bias
        found["head.weight"] = numbers(self.head.weight)
        found["head.bias"] = numbers(self.head.bias)
        return found


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d, part: slice) -> tuple[np.ndarray, np.ndarray]:
    scale = numbers(norm.weight)[part] / np.sqrt(numbers(norm.running_var)[part] + norm.eps)
    shift = (numbers(conv.bias) - numbers(norm.running_mean)[part]) * scale
    weight = numbers(conv.weight) * scale[:, None, None, None]
    return weight.astype(np.float32), (shift + numbers(norm.bias)[part]).astype(np.float32)


def mask_loss(logits: Tensor, outline: Tensor, *, soft_dice: bool) -> Tensor:
    """Binary cross-entropy of [n, 1, h, w], with the soft Dice loss where asked."""
    loss = functional.binary_cross_entropy_with_logits(logits, outline)
    if not soft_dice:
        return loss
    overlap = (logits.sigmoid() * outline).sum((1, 2, 3))
    soft = 1 - 2 * overlap / (logits.sigmoid().sum((1, 2, 3)) + outline.sum((1, 2, 3)))
    return loss + soft.mean()
