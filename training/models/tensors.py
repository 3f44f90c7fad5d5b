"""Where tensors live and how arrays become tensors and back.

Layer: training.models; uses torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor


def device() -> torch.device:
    """Device that networks are trained on: CUDA where it is present, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def to_device(array: np.ndarray) -> Tensor:
    """Copy an array to `device`."""
    return torch.from_numpy(array).to(device())


def half_precision() -> torch.autocast:
    """Mixed precision, bfloat16, on `device`."""
    return torch.autocast(device().type, torch.bfloat16)


def numbers(tensor: Tensor | None) -> np.ndarray:
    """Float32 values of a weight or buffer on the CPU. Raises ValueError for ``None``."""
    if tensor is None:
        raise ValueError("the layer has no such tensor: it was built without it")
    return np.asarray(tensor.detach().cpu().float().numpy())
