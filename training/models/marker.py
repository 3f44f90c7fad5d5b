"""The network that reads side markers: torch counterpart of `edge.pipeline.marker.network`.

Layer: training.models; pure torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.pipeline.marker.candidates import CROP_PX
from edge.pipeline.marker.network import CLASSES, CONVOLUTIONS
from training.models.tensors import numbers

if TYPE_CHECKING:
    import numpy as np

_CHANNELS = (2, 12, 24, 48)
_HIDDEN = 64


class MarkerModule(nn.Module):
    """[n, 2, s, s] in 0..1 to logits [n, 5] and the turn's cosine and sine [n, 2]."""

    def __init__(self) -> None:
        super().__init__()
        for i, name in enumerate(CONVOLUTIONS):
            setattr(self, name, nn.Conv2d(_CHANNELS[i], _CHANNELS[i + 1], 3, padding=1))
            setattr(self, f"{name}_norm", nn.BatchNorm2d(_CHANNELS[i + 1]))
        side = CROP_PX >> len(CONVOLUTIONS)
        self.hidden = nn.Linear(_CHANNELS[-1] * side * side, _HIDDEN)
        self.letter = nn.Linear(_HIDDEN, len(CLASSES))
        self.turn = nn.Linear(_HIDDEN, 2)
        self.drop = nn.Dropout(0.2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of `CLASSES`, and cosine and sine of the turn."""
        for name in CONVOLUTIONS:
            x = getattr(self, f"{name}_norm")(getattr(self, name)(x))
            x = functional.max_pool2d(functional.relu(x), 2)
        hidden = self.drop(functional.relu(self.hidden(x.flatten(1))))
        return self.letter(hidden), self.turn(hidden)

    def arrays(self) -> dict[str, np.ndarray]:
        """Weights by name, each normalisation folded into its convolution."""
        found: dict[str, np.ndarray] = {}
        with torch.no_grad():
            for name in CONVOLUTIONS:
                layer, norm = getattr(self, name), getattr(self, f"{name}_norm")
                factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
                found[f"{name}.weight"] = numbers(layer.weight * factor[:, None, None, None])
                found[f"{name}.bias"] = numbers(
                    (layer.bias - norm.running_mean) * factor + norm.bias
                )
            for name in ("hidden", "letter", "turn"):
                layer = getattr(self, name)
                found[f"{name}.weight"] = numbers(layer.weight)
                found[f"{name}.bias"] = numbers(layer.bias)
        return found
