"""The multi-scale U-Net (Ding et al. 2019): torch twin of `export.importers.unet`, and training.

Room: training. Learns from simulated films with their true outline and from real labelled films
with an outline made by the classical algorithm and refined by brightness.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.pipeline.contrast import equalise
from training.errors import TrainingError
from training.run import loop
from training.run.loop import numbers
from training.synthetic.augment import random_exposure

if TYPE_CHECKING:
    from pathlib import Path

    from edge.model import GreyImage
    from training.synthetic.outlines import MaskExample

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


@dataclass(frozen=True)
class MaskRecipe:
    """How a mask network is trained; the defaults are the demo's.

    ``epochs`` replaces ``samples``: an epoch has as many samples as there are examples, and after
    each the loss on a tenth of the examples, kept apart, is measured; training stops when it has
    not fallen for ``patience_epochs``, and the best epoch's weights are kept.
    """

    samples: int = 7_600
    batch: int = 8
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    rate_falls: bool = True
    soft_dice: bool = True
    size: tuple[int, int] = (256, 208)
    real_share: float = 0.35
    seed: int = 1
    checkpoint_every_s: float = 120.0
    epochs: int | None = None
    patience_epochs: int = 10


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
        image = loop.to_device(np.asarray(small)).float()[None, None] / 255
        with torch.no_grad():
            probability = model(image).sigmoid()[0, 0].cpu().numpy()
        full = cv2.resize(probability, example.canvas.shape[::-1])
        scores.append(dice(full >= 0.5, example.outline > 127))
    return float(np.mean(scores))


class EarlyStop:
    """The best weights so far, and whether the loss has stopped falling; survives a checkpoint."""

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._best = float("inf")
        self._since = 0
        self._weights: dict[str, Any] = {}

    @property
    def stopped(self) -> bool:
        """Whether ``patience`` looks in a row were no better than the best one."""
        return self._since >= self._patience

    def look(self, loss: float, model: nn.Module) -> None:
        """Take note of one epoch's loss."""
        self._since += 1
        if loss < self._best:
            self._best, self._since = loss, 0
            self._weights = copy.deepcopy(model.state_dict())

    def restore(self, model: nn.Module) -> None:
        """Give a model the best weights."""
        model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"best": self._best, "since": self._since, "weights": self._weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what a checkpoint kept."""
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


def mask_loss(logits: Tensor, outline: Tensor, *, soft_dice: bool) -> Tensor:
    """Binary cross-entropy of [n, 1, h, w], with the soft Dice loss where asked."""
    loss = functional.binary_cross_entropy_with_logits(logits, outline)
    if not soft_dice:
        return loss
    overlap = (logits.sigmoid() * outline).sum((1, 2, 3))
    soft = 1 - 2 * overlap / (logits.sigmoid().sum((1, 2, 3)) + outline.sum((1, 2, 3)))
    return loss + soft.mean()


def plan_of(recipe: MaskRecipe, examples: int) -> loop.Plan:
    """Length of a run with so many examples; with epochs, a checkpoint after each."""
    if recipe.epochs is None:
        return loop.Plan(recipe.samples, recipe.batch, recipe.checkpoint_every_s)
    epoch = max(1, examples // recipe.batch) * recipe.batch
    return loop.Plan(recipe.epochs * epoch, recipe.batch, recipe.checkpoint_every_s, epoch)


def train(
    run_dir: Path,
    phantoms: list[MaskExample],
    real: list[MaskExample],
    recipe: MaskRecipe,
    held_out: tuple[list[MaskExample], list[MaskExample]],
    judged: list[MaskExample] | None = None,
) -> dict[str, Any]:
    """Train as long as the recipe says, resuming from ``run_dir``; returns the last figures.

    ``held_out`` are phantoms and real films that are only measured. Early stopping listens to
    ``judged``, or, without it, to every tenth example, which is then not learnt from. Raises
    `TrainingError` without an example.
    """
    torch.manual_seed(recipe.seed)
    pools = MaskPools(phantoms, real)
    if recipe.epochs is not None and judged is None:
        pools, judged = pools.without_tenth()
    if not len(pools) or (recipe.epochs is not None and not judged):
        raise TrainingError(
            f"{run_dir.name}: too few outlines to learn from",
            fix="draw more simulated films (hand_phantoms and foot_phantoms of the recipe), or "
            "keep more outlines of your own films",
        )
    model = MultiScaleUNet().to(loop.device())
    optimiser = torch.optim.AdamW(
        model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    plan = plan_of(recipe, len(pools))
    parts: dict[str, Any] = {"model": model, "optimiser": optimiser}
    early = EarlyStop(recipe.patience_epochs)
    if recipe.epochs is not None:
        parts["early"] = early

    def step(batch: tuple[Tensor, Tensor], seen: int) -> float:
        x, y = (part.to(loop.device()) for part in batch)
        rate = recipe.learning_rate
        if recipe.rate_falls:
            rate *= min(1.0, (seen + 1) / 400) * (1 - seen / plan.samples) ** 0.9
        model.train()
        with loop.half_precision():
            logits = model(x.to(memory_format=torch.channels_last))
        loss = mask_loss(logits.float(), y, soft_dice=recipe.soft_dice)
        return loop.descend(loss, model, optimiser, rate, float("inf"))

    def measure(final: bool) -> dict[str, Any]:
        figures: dict[str, Any] = {}
        if recipe.epochs is not None:
            figures["validation_loss"] = judge(model, judged or [], recipe)
            early.look(figures["validation_loss"], model)
            if final or early.stopped:
                early.restore(model)
        for name, examples in zip(("dice_phantom", "dice_real_outline"), held_out, strict=True):
            if examples:
                figures[name] = measure_dice(model, examples, recipe.size)
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


def judge(model: MultiScaleUNet, examples: list[MaskExample], recipe: MaskRecipe) -> float:
    """Mean loss on examples that are not learnt from, as they are: no turns, no exposure."""
    model.eval()
    losses = []
    for example in examples:
        small = cv2.resize(
            equalise(example.canvas, 2.0, 8), recipe.size[::-1], interpolation=cv2.INTER_AREA
        )
        outline = cv2.resize(example.outline, recipe.size[::-1], interpolation=cv2.INTER_AREA)
        x, y = (
            loop.to_device(np.asarray(part)).float()[None, None] / 255 for part in (small, outline)
        )
        with torch.no_grad():
            losses.append(mask_loss(model(x), y, soft_dice=recipe.soft_dice).item())
    return float(np.mean(losses))
