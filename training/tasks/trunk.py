"""Train the trunk on all four tasks, or on one limb's two, resumable.

Layer: training.tasks; writes checkpoints and logs into its run folder. Uses
`training.models.trunk` and `training.models.heads`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from edge.anatomy import Limb
from training.evaluation.accuracy import balanced_accuracy, decode_grades
from training.models.heads import TASKS, TrunkTrainer, linear_of
from training.models.tensors import device, half_precision, to_device
from training.models.trunk import trunk_features
from training.run import loop
from training.synthetic.crops import UNKNOWN, Crops, CropSet, augment, join_crops

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np

    from training.tasks.recipes import TrunkRecipe

_START_CROPS, _START_STEPS = 1_024, 300
"""Crops and steps that fit the temporary heads to a finished trunk."""
_MEASURED, _LOOKED_AT = 1_500, 200
"""Crops of a kind that are measured at the end, and at each checkpoint before it."""


def trunk_batch(crops: CropSet, recipe: TrunkRecipe, seen: int) -> tuple[Tensor, ...]:
    """Batch after ``seen`` samples: pixels [n, s, s] uint8, limb, erosion, narrowing [n]."""
    rng = loop.batch_rng(recipe.seed, seen)
    painted = round(recipe.batch * recipe.painted_share) if crops.painted else 0
    parts = [_draw(crops.simulated, recipe.batch - painted, rng)]
    if crops.painted:
        parts.append(_draw(crops.painted, painted, rng))
    drawn = join_crops(parts)
    return (
        torch.from_numpy(augment(drawn.pixels, rng)),
        torch.from_numpy(drawn.limb),
        torch.from_numpy(drawn.erosion),
        torch.from_numpy(drawn.narrowing),
    )


def _draw(crops: Crops, count: int, rng: np.random.Generator) -> Crops:
    return crops.at(rng.integers(0, len(crops), count))


def train_trunk(
    run_dir: Path,
    crops: CropSet,
    held_out: CropSet,
    recipe: TrunkRecipe,
    start_from: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Train the trunk until ``recipe.samples``, resuming from ``run_dir``.

    What is measured and published is the running average of the last steps' weights.

    ``start_from`` is a finished trunk (`FoldedTrunk`'s arrays) whose weights a new run starts from,
    with the arrays of its linear heads where they are known; else heads are fitted to it.
    """
    torch.manual_seed(recipe.seed)
    model = TrunkTrainer().to(device(), memory_format=torch.channels_last)
    average = TrunkTrainer().to(device(), memory_format=torch.channels_last)
    if start_from is not None and not (run_dir / "checkpoint.pt").exists():
        pixels, *known = trunk_batch(crops, replace(recipe, batch=_START_CROPS), 0)
        _start_from(model, start_from, pixels, *known)
    model.trunk.freeze(recipe.frozen)
    average.load_state_dict(model.state_dict())
    learning = [part for part in model.parameters() if part.requires_grad]
    optimiser = torch.optim.AdamW(learning, recipe.learning_rate, weight_decay=0.02)

    def step(batch: tuple[Tensor, ...], seen: int) -> float:
        pixels, limb, erosion, narrowing = (part.to(device()) for part in batch)
        fall = 0.01 + 0.99 * (1 + math.cos(math.pi * seen / recipe.samples)) / 2
        rate = recipe.learning_rate * min(1.0, (seen + 1) / 3000) * fall
        model.train()
        x = (pixels.float() / 255)[:, None]
        if recipe.small[0] <= seen < recipe.small[1]:
            x = functional.interpolate(x, size=(recipe.small_px, recipe.small_px), mode="area")
        x = x.expand(-1, 3, -1, -1)
        with half_precision():
            loss = model.loss(
                x.contiguous(memory_format=torch.channels_last), limb, erosion, narrowing
            )
        value = loop.descend(loss, model, optimiser, rate, 5.0)
        averaged = min(seen + recipe.batch, recipe.averaged_share * recipe.samples)
        loop.follow(average, model, averaged / recipe.batch)
        return value

    return loop.run(
        run_dir,
        {"model": model, "average": average, "optimiser": optimiser},
        loop.Plan(recipe.samples, recipe.batch, recipe.checkpoint_every_s),
        lambda seen: trunk_batch(crops, recipe, seen),
        step,
        lambda final: measure_trunk(average, held_out, _MEASURED if final else _LOOKED_AT),
    )


def _start_from(
    model: TrunkTrainer,
    arrays: Mapping[str, np.ndarray],
    pixels: Tensor,
    limb: Tensor,
    erosion: Tensor,
    narrowing: Tensor,
) -> None:
    """Load a finished trunk with its linear heads, or fit heads to it.

    Untrained heads would spoil the trunk's weights before they have learnt.
    """
    x = (pixels.float() / 255)[:, None].expand(-1, 3, -1, -1).to(device())
    model.trunk.start_from(arrays, x.contiguous(memory_format=torch.channels_last))
    known = {task: linear for task in TASKS if (linear := linear_of(arrays, task)) is not None}
    for task, linear in known.items():
        model.heads[task].load_state_dict(linear.state_dict())
    if not known:
        _fit_heads(model, pixels, limb, erosion, narrowing)
    model.train()


def _fit_heads(
    model: TrunkTrainer, pixels: Tensor, limb: Tensor, erosion: Tensor, narrowing: Tensor
) -> None:
    features = trunk_features(model.trunk, pixels.numpy()).to(device())
    known = [part.to(device()) for part in (limb, erosion, narrowing)]
    optimiser = torch.optim.AdamW(model.heads.parameters(), 3e-3, weight_decay=1e-3)
    for _ in range(_START_STEPS):
        loop.descend(model.heads_loss(features, *known), model.heads, optimiser, 3e-3, 5.0)


def measure_trunk(model: TrunkTrainer, crops: CropSet, most: int) -> dict[str, float]:
    """Balanced accuracy of the temporary heads on crops that were not trained on.

    Painted crops of held-out films are measured on their own, as ``painted_TASK``.
    """
    model.eval()
    found = _accuracies(model, crops.simulated.first(most))
    if crops.painted:
        painted = _accuracies(model, crops.painted.first(most))
        found |= {f"painted_{task}": value for task, value in painted.items()}
    return found


def _accuracies(model: TrunkTrainer, crops: Crops) -> dict[str, float]:
    features = trunk_features(model.trunk, crops.pixels).to(device())
    found = {}
    for i, limb in enumerate(Limb):
        for kind, grades in (("erosion", crops.erosion), ("narrowing", crops.narrowing)):
            task = f"{limb}_{kind}"
            rows = (crops.limb == i) & (grades != UNKNOWN)
            if not rows.any():
                continue
            with torch.no_grad():
                logits = model.heads[task](features[to_device(rows)])
            guess = decode_grades(logits.sigmoid().cpu().numpy())
            found[task] = round(balanced_accuracy(grades[rows], guess), 4)
    return found
