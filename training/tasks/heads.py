"""Heads on features of a frozen trunk: balanced, resumable, with a gate before the grade if asked.

Room: training. Writes one run's folder a head.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.errors import TrainingError
from training.models.scorer import (
    DenseLayers,
    Head,
    fitting_temperature,
    ordinal_targets,
    undersample_zero,
)
from training.run import loop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from training.run.recipes_own import HeadsRecipe

GATE_WIDTHS = (128, 64)
"""So many of a head's 512 and 256 units are the gate's, the others the grades'."""
ALWAYS = 8.0
"""Logit of the first output, "grade 0 or more", where a gate decides."""

LEAST_TO_CALIBRATE = 50


def train_own_head(
    run_dir: Path, features: Tensor, grades: np.ndarray, outputs: int, recipe: HeadsRecipe
) -> Head:
    """Train one head on features [n, views, 512] and known grades [n] of the training fold.

    Resumes from ``run_dir``. Raises `TrainingError` for too few joints, or grades that are all one.
    """
    kept = _balanced(grades, recipe)
    if len(np.unique(grades)) < 2 or len(kept) < 4:
        counts = dict(zip(*(part.tolist() for part in np.unique(grades, return_counts=True)),
                          strict=True))  # fmt: skip
        raise TrainingError(
            f"{run_dir.name}: joints by grade {counts} are too few to learn from",
            fix="bring films with damage, and four joints or more",
        )
    if not recipe.gate:
        head = Head(outputs)
        _descend(
            run_dir, head, features, grades, kept, recipe, partial(ordinal_targets, outputs=outputs)
        )
        return head.eval()
    gate = DenseLayers((512, *GATE_WIDTHS, 1))
    _descend(
        run_dir / "gate",
        gate,
        features,
        grades,
        kept,
        recipe,
        partial(ordinal_targets, outputs=1, first=1),
    )
    rest = DenseLayers((512, 512 - GATE_WIDTHS[0], 256 - GATE_WIDTHS[1], outputs - 2))
    damaged = np.flatnonzero(grades > 0)
    _descend(
        run_dir / "rest",
        rest,
        features,
        grades,
        damaged,
        recipe,
        partial(ordinal_targets, outputs=outputs - 2, first=2),
    )
    return join_gate(gate.eval(), rest.eval(), outputs)


def join_gate(gate: DenseLayers, rest: DenseLayers, outputs: int) -> Head:
    """One head that answers with the gate first: side by side in one network, nothing in common.

    Its outputs are: always, the gate, then the rest; the usual decoding gives grade 0 where the
    gate says so and the rest's grade elsewhere.
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


def _balanced(grades: np.ndarray, recipe: HeadsRecipe) -> np.ndarray:
    """Rows of the training fold that are learnt from."""
    if recipe.balance != "undersample":
        return np.arange(len(grades))
    rng = np.random.default_rng(recipe.seed)
    # The gate tells two kinds apart, so they are made equal; the grades' own rule is the paper's.
    return undersample_zero(np.minimum(grades, 1) if recipe.gate else grades, rng)


def _descend(
    run_dir: Path,
    head: nn.Module,
    features: Tensor,
    grades: np.ndarray,
    kept: np.ndarray,
    recipe: HeadsRecipe,
    targets: Callable[[Tensor], Tensor],
) -> None:
    """Train one network until its last epoch, resuming from ``run_dir``."""
    if len(kept) < 2:
        raise TrainingError(
            f"{run_dir}: {len(kept)} joints are too few to learn from",
            fix="bring more films with damage",
        )
    torch.manual_seed(recipe.seed)
    for part in head.modules():
        if isinstance(part, nn.Linear | nn.BatchNorm1d):
            part.reset_parameters()
    head.to(loop.device())
    optimiser = torch.optim.AdamW(
        head.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    batch = min(recipe.batch, len(kept))
    a_epoch = len(kept) // batch
    plan = loop.Plan(recipe.epochs * a_epoch * batch, batch, recipe.checkpoint_every_s)
    weights = _weights(grades[kept], recipe)

    def make(seen: int) -> tuple[np.ndarray, np.ndarray]:
        epoch, number = divmod(seen // batch, a_epoch)
        order = np.random.default_rng((recipe.seed, epoch)).permutation(len(kept))
        rng = loop.batch_rng(recipe.seed, seen)
        rows = order[number * batch : (number + 1) * batch]
        return rows, rng.integers(0, features.shape[1], len(rows))

    def step(rows_views: tuple[np.ndarray, np.ndarray], seen: int) -> float:
        rows, views = rows_views
        x = features[torch.from_numpy(kept[rows]), torch.from_numpy(views)].to(loop.device())
        wanted = targets(torch.from_numpy(grades[kept[rows]])).to(loop.device())
        fall = (1 + math.cos(math.pi * seen / plan.samples)) / 2 if recipe.rate_falls else 1.0
        head.train()
        loss = functional.binary_cross_entropy_with_logits(head(x), wanted, reduction="none")
        weighed = (loss.mean(1) * torch.from_numpy(weights[rows]).to(loop.device())).mean()
        return loop.descend(weighed, head, optimiser, recipe.learning_rate * fall, math.inf)

    loop.run(run_dir, {"model": head, "optimiser": optimiser}, plan, make, step, lambda _final: {})
    head.cpu()


def _weights(grades: np.ndarray, recipe: HeadsRecipe) -> np.ndarray:
    """Weight of each joint in the loss, 1 on average."""
    if recipe.balance != "weights":
        return np.ones(len(grades), np.float32)
    values, counts = np.unique(grades, return_counts=True)
    share = len(grades) / (len(values) * counts)
    return share[np.searchsorted(values, grades)].astype(np.float32)


def calibrate(head: Head, features: Tensor, grades: np.ndarray) -> dict[str, float]:
    """Cool a head on joints that it did not learn from, and say by how much.

    No decision at .5 changes. With fewer than `LEAST_TO_CALIBRATE` joints it stays as it is.
    """
    if len(grades) < LEAST_TO_CALIBRATE:
        return {}
    with torch.no_grad():
        logits = head(features)
    temperature = fitting_temperature([(logits, torch.from_numpy(grades))])
    head.cool(temperature)
    return {"temperature": round(temperature, 4)}
