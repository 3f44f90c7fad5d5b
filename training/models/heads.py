"""Ordinal heads on a trunk's features: layers, targets, loss, temperature, decoding.

Layer: training.models; pure torch.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.anatomy import Limb
from training.models.tensors import numbers
from training.models.trunk import Trunk
from training.synthetic.crops import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TASKS = {"hand_erosion": 6, "hand_narrowing": 5, "foot_erosion": 11, "foot_narrowing": 5}
"""Ordinal outputs of each task."""
WEIGHTS = {"hand_erosion": 2.0, "hand_narrowing": 2.0, "foot_erosion": 2.5, "foot_narrowing": 2.0}
"""Weight of each task in the trunk's loss: the tasks that learn slowest weigh most."""
GATE_WIDTHS = (128, 64)
"""Units of a head's two hidden layers (512 and 256) that belong to the gate."""
ALWAYS = 8.0
"""Logit of the first output, "grade 0 or more", where a gate decides."""


class DenseLayers(nn.Module):
    """Dense layers of the given widths, each with batch normalisation; the last gives logits."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.dense = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        self.bn = nn.ModuleList(nn.BatchNorm1d(b, eps=1e-3) for b in sizes[1:])

    def forward(self, features: Tensor) -> Tensor:
        """Map [n, 512] to logits."""
        x = features
        for i, (dense, norm) in enumerate(zip(self.dense, self.bn, strict=True)):
            x = norm(dense(x))
            if i < len(self.dense) - 1:
                x = functional.relu(x)
        return x


class Head(DenseLayers):
    """Dense 512, 256, K: logits of K ordinal outputs."""

    def __init__(self, outputs: int) -> None:
        super().__init__((512, 512, 256, outputs))

    @classmethod
    def of_linear(cls, linear: nn.Linear) -> Head:
        """The head, as published, that answers as a linear one does.

        The trunk's features are never negative, so the first layer passes them on; the second holds
        each output and its opposite, of which one is 0, and the third puts them together.
        """
        outputs = linear.out_features
        head = cls(outputs).eval()
        with torch.no_grad():
            for parameter in head.parameters():
                parameter.zero_()
            for norm in head.bn:
                # Divided by sqrt(variance + eps) this is 1.
                norm.running_var.fill_(1 - norm.eps)
                norm.weight.fill_(1.0)
            head.dense[0].weight.copy_(torch.eye(512))
            for row, sign in ((0, 1.0), (outputs, -1.0)):
                part = slice(row, row + outputs)
                head.dense[1].weight[part] = sign * linear.weight
                head.dense[1].bias[part] = sign * linear.bias
                head.dense[2].weight[:, part] = sign * torch.eye(outputs)
        return head

    def cool(self, temperature: float) -> None:
        """Divide the logits by ``temperature``, folded into the last layer."""
        with torch.no_grad():
            self.bn[-1].weight /= temperature
            self.bn[-1].bias /= temperature

    def arrays(self, task: str) -> dict[str, np.ndarray]:
        """Weights as `export.importers.vgg` names them."""
        found = {}
        for i, (dense, norm) in enumerate(zip(self.dense, self.bn, strict=True)):
            found[f"{task}.dense{i}.weight"] = numbers(dense.weight)
            found[f"{task}.dense{i}.bias"] = numbers(dense.bias)
            found[f"{task}.bn{i}.gamma"] = numbers(norm.weight)
            found[f"{task}.bn{i}.beta"] = numbers(norm.bias)
            found[f"{task}.bn{i}.mean"] = numbers(norm.running_mean)
            found[f"{task}.bn{i}.var"] = numbers(norm.running_var)
        return found


def linear_of(arrays: Mapping[str, np.ndarray], task: str) -> nn.Linear | None:
    """The linear head that `Head.of_linear` put into named arrays, before it was cooled.

    ``None`` where the arrays hold no such head, or one that learnt in its three layers.
    """
    if f"{task}.dense0.weight" not in arrays:
        return None
    outputs = TASKS[task]
    first, second = (arrays[f"{task}.dense{i}.weight"] for i in (0, 1))
    if not np.array_equal(first, np.eye(len(first), dtype=first.dtype)):
        return None
    linear = nn.Linear(second.shape[1], outputs)
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(second[:outputs]))
        linear.bias.copy_(torch.from_numpy(arrays[f"{task}.dense1.bias"][:outputs]))
    return linear


def join_gate(gate: DenseLayers, rest: DenseLayers, outputs: int) -> Head:
    """One head that answers with the gate first: both networks side by side, no weight shared.

    Its outputs are: always, the gate, then the rest; the usual decoding gives grade 0 where the
    gate gives it and the rest's grade elsewhere.
    """
    head = Head(outputs)
    with torch.no_grad():
        for i, (dense, norm) in enumerate(zip(head.dense, head.bn, strict=True)):
            row = 1 if i == len(head.dense) - 1 else 0
            split = row + gate.dense[i].out_features
            # Both read every feature; behind that each reads its own units alone.
            ends, begins = (dense.in_features, 0) if i == 0 else (gate.dense[i].in_features,) * 2
            dense.weight.zero_()
            dense.bias.zero_()
            dense.weight[row:split, :ends] = gate.dense[i].weight
            dense.weight[split:, begins:] = rest.dense[i].weight
            dense.bias[row:split] = gate.dense[i].bias
            dense.bias[split:] = rest.dense[i].bias
            for name in ("weight", "bias", "running_mean", "running_var"):
                getattr(norm, name)[row:split] = getattr(gate.bn[i], name)
                getattr(norm, name)[split:] = getattr(rest.bn[i], name)
        head.bn[-1].bias[0] = ALWAYS
    return head.eval()


def ordinal_targets(grades: Tensor, outputs: int, first: int = 0) -> Tensor:
    """Outputs that each say "grade ``first`` + i or more", [n, K] float32 (paper, section 2.4)."""
    levels = torch.arange(first, first + outputs, device=grades.device)
    return (levels[None] <= grades[:, None]).float()


def ordinal_loss(logits: Tensor, grades: Tensor) -> Tensor:
    """Mean binary cross-entropy over known grades; zero when none is known."""
    known = grades != UNKNOWN
    if not bool(known.any()):
        return logits.sum() * 0
    targets = ordinal_targets(grades[known], logits.shape[1])
    return functional.binary_cross_entropy_with_logits(logits[known], targets)


def fitting_temperature(parts: Sequence[tuple[Tensor, Tensor]]) -> float:
    """What logits must be divided by to make known grades most probable, .5 to 4.

    Temperature scaling (Guo et al., 2017) on crops that were not learnt from: calibrated
    probabilities; no decision at .5 changes. Each of ``parts``, logits [n, K] and grades [n],
    counts alike.
    """

    def loss(temperature: float) -> float:
        return sum(ordinal_loss(logits / temperature, grades).item() for logits, grades in parts)

    return float(min(np.geomspace(0.5, 4.0, 85).tolist(), key=loss))


class TrunkTrainer(nn.Module):
    """The trunk with four linear heads, which only its training uses."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.heads = nn.ModuleDict({task: nn.Linear(512, k) for task, k in TASKS.items()})

    def loss(self, image: Tensor, limb: Tensor, erosion: Tensor, narrowing: Tensor) -> Tensor:
        """Weighted sum of the four tasks' ordinal losses."""
        return self.heads_loss(self.trunk(image).float(), limb, erosion, narrowing)

    def heads_loss(
        self, features: Tensor, limb: Tensor, erosion: Tensor, narrowing: Tensor
    ) -> Tensor:
        """The same sum from features [n, 512] of the trunk."""
        total = features.new_zeros(())
        for i, name in enumerate(Limb):
            for kind, grades in (("erosion", erosion), ("narrowing", narrowing)):
                mine = torch.where(limb == i, grades, torch.full_like(grades, UNKNOWN))
                task = f"{name}_{kind}"
                total = total + WEIGHTS[task] * ordinal_loss(self.heads[task](features), mine)
        return total
