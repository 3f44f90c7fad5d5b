"""Train one limb's mask network on outlines, resumable.

Layer: training.tasks; writes checkpoints and logs into its run folder. Uses `training.models.unet`.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from edge.pipeline.contrast import equalise
from training.errors import TrainingError
from training.models.tensors import device, half_precision, to_device
from training.models.unet import MultiScaleUNet, mask_loss
from training.run import loop
from training.synthetic.augment import random_exposure

if TYPE_CHECKING:
    from pathlib import Path

    from edge.model import GreyImage
    from training.synthetic.outlines import MaskExample
    from training.tasks.recipes import MaskRecipe


def mask_sample(
    example: MaskExample, size: tuple[int, int], rng: np.random.Generator
) -> tuple[GreyImage, GreyImage]:
    """One training sample: a canvas of (height, width) ``size`` with contrast, and its outline."""
    height, width = example.canvas.shape
    angle, zoom = rng.uniform(-15, 15), float(np.exp(rng.uniform(-0.2, 0.2)))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, zoom)
    shift = rng.uniform(-0.06, 0.06, 2) * (width, height)
    matrix = matrix + np.array([[0, 0, shift[0]], [0, 0, shift[1]]])
    if rng.random() < 0.5:
        matrix = matrix @ np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1.0]])
    canvas = cv2.warpAffine(example.canvas, matrix, (width, height))
    outline = cv2.warpAffine(example.outline, matrix, (width, height))
    exposed = equalise(_film_gamma(np.asarray(canvas, np.uint8), rng), 2.0, 8)
    small = cv2.resize(exposed, size[::-1], interpolation=cv2.INTER_AREA)
    if rng.random() < 0.3:
        small = random_exposure(np.asarray(small, np.uint8), rng)
    return np.asarray(small, np.uint8), np.asarray(
        cv2.resize(outline, size[::-1], interpolation=cv2.INTER_AREA), np.uint8
    )


def _film_gamma(image: GreyImage, rng: np.random.Generator) -> GreyImage:
    table = 255 * (np.arange(256) / 255) ** np.exp(rng.uniform(-0.5, 0.5))
    return np.asarray(cv2.LUT(image, table.astype(np.uint8)), np.uint8)


def dice(first: np.ndarray, second: np.ndarray) -> float:
    """Overlap of two boolean masks, 0 to 1."""
    total = float(first.sum() + second.sum())
    return 2 * float((first & second).sum()) / total if total else 1.0


def measure_dice(
    model: MultiScaleUNet, examples: list[MaskExample], size: tuple[int, int]
) -> float:
    """Mean Dice over examples (at least one), at the canvas's own resolution."""
    model.eval()
    scores = []
    for example in examples:
        small = cv2.resize(
            equalise(example.canvas, 2.0, 8), size[::-1], interpolation=cv2.INTER_AREA
        )
        image = to_device(np.asarray(small)).float()[None, None] / 255
        with torch.no_grad():
            probability = model(image).sigmoid()[0, 0].cpu().numpy()
        full = cv2.resize(probability, example.canvas.shape[::-1])
        scores.append(dice(full >= 0.5, example.outline > 127))
    return float(np.mean(scores))


class EarlyStop:
    """The best weights so far and whether the loss has stopped falling; part of a checkpoint."""

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._best = float("inf")
        self._since = 0
        self._weights: dict[str, Any] = {}

    @property
    def stopped(self) -> bool:
        """Whether the loss of the last ``patience`` epochs was no better than the best one."""
        return self._since >= self._patience

    def record(self, loss: float, model: nn.Module) -> None:
        """Record one epoch's loss; keeps the weights where it is the best one."""
        self._since += 1
        if loss < self._best:
            self._best, self._since = loss, 0
            self._weights = copy.deepcopy(model.state_dict())

    def restore(self, model: nn.Module) -> None:
        """Load the best weights into a model."""
        model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """State that a checkpoint keeps."""
        return {"best": self._best, "since": self._since, "weights": self._weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state that a checkpoint kept."""
        self._best, self._since, self._weights = state["best"], state["since"], state["weights"]


@dataclass(frozen=True)
class MaskPools:
    """Examples to learn from: simulated ones, and real ones; at least one in all."""

    phantoms: list[MaskExample]
    real: list[MaskExample]

    def __len__(self) -> int:
        return len(self.phantoms) + len(self.real)

    def without_tenth(self) -> tuple[MaskPools, list[MaskExample]]:
        """The pools without every tenth example, and these."""
        kept = [[e for i, e in enumerate(pool) if i % 10] for pool in (self.phantoms, self.real)]
        return MaskPools(*kept), self.phantoms[::10] + self.real[::10]

    def batch(self, recipe: MaskRecipe, seen: int) -> tuple[Tensor, Tensor]:
        """Images and outlines [n, 1, h, w] float32 in 0..1 of the batch after ``seen`` samples."""
        rng = loop.batch_rng(recipe.seed, seen)
        pairs = []
        for _ in range(recipe.batch):
            real = bool(self.real) and (not self.phantoms or rng.random() < recipe.real_share)
            pool = self.real if real else self.phantoms
            pairs.append(mask_sample(pool[int(rng.integers(len(pool)))], recipe.size, rng))
        x, y = (
            torch.from_numpy(np.stack(part))[:, None].float() / 255
            for part in zip(*pairs, strict=True)
        )
        return x, y


def plan_of(recipe: MaskRecipe, examples: int) -> loop.Plan:
    """Length of a run on a number of examples; with epochs, a checkpoint after each."""
    if recipe.epochs is None:
        return loop.Plan(recipe.samples, recipe.batch, recipe.checkpoint_every_s)
    epoch = max(1, examples // recipe.batch) * recipe.batch
    return loop.Plan(recipe.epochs * epoch, recipe.batch, recipe.checkpoint_every_s, epoch)


@dataclass(frozen=True)
class MaskExamples:
    """Outlines to learn from and outlines to measure.

    ``stop_by`` are the examples whose loss ends a training with epochs; ``None`` takes every tenth
    example, which is then not learnt from.
    """

    phantoms: list[MaskExample]
    real: list[MaskExample]
    held_out_phantoms: list[MaskExample]
    held_out_real: list[MaskExample]
    stop_by: list[MaskExample] | None = None


def train_mask(run_dir: Path, examples: MaskExamples, recipe: MaskRecipe) -> dict[str, Any]:
    """Train as long as the recipe says, resuming from ``run_dir``; returns the last figures.

    Raises `TrainingError` without an example.
    """
    torch.manual_seed(recipe.seed)
    pools, judged = MaskPools(examples.phantoms, examples.real), examples.stop_by
    if recipe.epochs is not None and judged is None:
        pools, judged = pools.without_tenth()
    if not len(pools) or (recipe.epochs is not None and not judged):
        raise TrainingError(
            f"{run_dir.name}: too few outlines to learn from",
            fix="draw more simulated films (hand_phantoms and foot_phantoms of the recipe), or "
            "keep more outlines of your own films",
        )
    model = MultiScaleUNet().to(device())
    optimiser = torch.optim.AdamW(
        model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    plan = plan_of(recipe, len(pools))
    parts: dict[str, Any] = {"model": model, "optimiser": optimiser}
    early = EarlyStop(recipe.patience_epochs)
    if recipe.epochs is not None:
        parts["early"] = early

    def step(batch: tuple[Tensor, Tensor], seen: int) -> float:
        x, y = (part.to(device()) for part in batch)
        rate = recipe.learning_rate
        if recipe.rate_falls:
            rate *= min(1.0, (seen + 1) / 400) * (1 - seen / plan.samples) ** 0.9
        model.train()
        with half_precision():
            logits = model(x.to(memory_format=torch.channels_last))
        loss = mask_loss(logits.float(), y, soft_dice=recipe.soft_dice)
        return loop.descend(loss, model, optimiser, rate, float("inf"))

    def measure(final: bool) -> dict[str, Any]:
        figures: dict[str, Any] = {}
        if recipe.epochs is not None:
            figures["validation_loss"] = validation_loss(model, judged or [], recipe)
            early.record(figures["validation_loss"], model)
            if final or early.stopped:
                early.restore(model)
        for name, held_out in (
            ("dice_phantom", examples.held_out_phantoms),
            ("dice_real_outline", examples.held_out_real),
        ):
            if held_out:
                figures[name] = measure_dice(model, held_out, recipe.size)
        return figures

    return loop.run(
        run_dir,
        parts,
        plan,
        lambda seen: pools.batch(recipe, seen),
        step,
        measure,
        lambda: early.stopped,
    )


def validation_loss(
    model: MultiScaleUNet, examples: list[MaskExample], recipe: MaskRecipe
) -> float:
    """Mean loss on examples that are not learnt from, without augmentation."""
    model.eval()
    losses = []
    for example in examples:
        small = cv2.resize(
            equalise(example.canvas, 2.0, 8), recipe.size[::-1], interpolation=cv2.INTER_AREA
        )
        outline = cv2.resize(example.outline, recipe.size[::-1], interpolation=cv2.INTER_AREA)
        x, y = (to_device(np.asarray(part)).float()[None, None] / 255 for part in (small, outline))
        with torch.no_grad():
            losses.append(mask_loss(model(x), y, soft_dice=recipe.soft_dice).item())
    return float(np.mean(losses))
