"""The VGG16 ordinal scorers: a trunk trained on all four tasks, then on one limb's two alone.

Room: training. No ImageNet weights are used: the trunk learns here with batch normalisation, which
is folded into its convolutions (14,714,688 weights, as published). Heads are measured, and learn
where the recipe has them learn, on cached 512-vectors of the frozen, already quantised trunk, so
that what is measured is what is shipped.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.model import Limb
from training.errors import TrainingError
from training.evaluation.measure import balanced_accuracy
from training.run import loop
from training.run.loop import numbers
from training.synthetic.crops import UNKNOWN, Crops, CropSet, augment, join_crops

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
POOL_AFTER = (1, 3, 6, 9, 12)
TASKS = {"hand_erosion": 6, "hand_narrowing": 5, "foot_erosion": 11, "foot_narrowing": 5}
_BEGIN_BATCH, _BEGIN_CROPS, _BEGIN_STEPS = 64, 1_024, 300
"""How many crops and steps a trunk that goes on from a finished one begins with."""
WEIGHTS = {"hand_erosion": 2.0, "hand_narrowing": 2.0, "foot_erosion": 1.0, "foot_narrowing": 2.0}
"""Of each task in the trunk's loss: those that learn slowest count most."""


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
        """Let the first ``count`` convolutions learn no more, their normalisation included.

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

    def begin_with(self, arrays: Mapping[str, np.ndarray], image: Tensor) -> None:
        """Take a folded trunk's weights and put normalisation back that changes no answer.

        ``image`` [n, 3, s, s] in 0..1 shows what the running means and variances are.
        """
        x = image
        with torch.no_grad():
            for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
                conv.weight.copy_(torch.from_numpy(arrays[f"trunk.conv{i}.weight"]))
                conv.bias.copy_(torch.from_numpy(arrays[f"trunk.conv{i}.bias"]))
                y = torch.cat([conv(part) for part in x.split(_BEGIN_BATCH)])
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
    """The trunk as it is shipped: plain convolutions filled from named arrays."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        super().__init__()
        previous = 3
        self.convs = nn.ModuleList()
        for i, width in enumerate(WIDTHS):
            conv = nn.Conv2d(previous, width, 3, padding=1)
            conv.weight.data = torch.from_numpy(arrays[f"trunk.conv{i}.weight"].copy())
            conv.bias.data = torch.from_numpy(arrays[f"trunk.conv{i}.bias"].copy())
            self.convs.append(conv)
            previous = width

    def forward(self, image: Tensor) -> Tensor:
        """Map [n, 3, s, s] in 0..1 to [n, 512]."""
        x = image
        for i, conv in enumerate(self.convs):
            x = functional.relu(conv(x), inplace=True)
            if i in POOL_AFTER:
                x = functional.max_pool2d(x, 2)
        return x.mean((2, 3))


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
        """Divide the logits by ``temperature``, for good: it is folded into the last layer."""
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

    Temperature scaling (Guo et al., 2017) on crops that were not learnt from: probabilities that
    mean what they say; no decision at .5 changes. Each of ``parts``, logits [n, K] and grades [n],
    counts alike.
    """

    def loss(temperature: float) -> float:
        return sum(ordinal_loss(logits / temperature, grades).item() for logits, grades in parts)

    return float(min(np.geomspace(0.5, 4.0, 85).tolist(), key=loss))


def decode_grades(probabilities: np.ndarray) -> np.ndarray:
    """Number of leading outputs >= .5, minus 1, at least 0: [n, K] to [n]."""
    leading = np.cumprod(probabilities >= 0.5, axis=1).sum(axis=1)
    return np.maximum(leading - 1, 0)


@dataclass(frozen=True)
class TrunkRecipe:
    """How the trunk is trained; the defaults are the demo's.

    Between the two sample counts of ``small`` crops are shrunk to ``small_px``: less than half the
    work a sample, and the network ends on whole ones. The first ``frozen`` convolutions stay as
    they are.
    """

    samples: int = 420_000
    batch: int = 64
    painted_share: float = 0.5
    small: tuple[int, int] = (70_000, 130_000)
    small_px: int = 64
    learning_rate: float = 2e-3
    frozen: int = 0
    seed: int = 1
    checkpoint_every_s: float = 180.0


class TrunkTrainer(nn.Module):
    """The trunk with four linear heads, thrown away after training."""

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


def trunk_batch(crops: CropSet, recipe: TrunkRecipe, seen: int) -> tuple[Tensor, ...]:
    """Batch after ``seen`` samples: pixels [n, s, s] uint8, limb, erosion, narrowing [n]."""
    rng = loop.batch_rng(recipe.seed, seen)
    painted = round(recipe.batch * recipe.painted_share) if crops.painted else 0
    parts = [_some(crops.simulated, recipe.batch - painted, rng)]
    if crops.painted:
        parts.append(_some(crops.painted, painted, rng))
    drawn = join_crops(parts)
    return (
        torch.from_numpy(augment(drawn.pixels, rng)),
        torch.from_numpy(drawn.limb),
        torch.from_numpy(drawn.erosion),
        torch.from_numpy(drawn.narrowing),
    )


def _some(crops: Crops, count: int, rng: np.random.Generator) -> Crops:
    return crops.at(rng.integers(0, len(crops), count))


def train_trunk(
    run_dir: Path,
    crops: CropSet,
    held_out: CropSet,
    recipe: TrunkRecipe,
    start_from: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Train the trunk until ``recipe.samples``, resuming from ``run_dir``.

    ``start_from`` is a finished trunk (`FoldedTrunk`'s arrays) that a new run goes on with.
    """
    torch.manual_seed(recipe.seed)
    model = TrunkTrainer().to(loop.device(), memory_format=torch.channels_last)
    if start_from is not None and not (run_dir / "checkpoint.pt").exists():
        pixels, *known = trunk_batch(crops, replace(recipe, batch=_BEGIN_CROPS), 0)
        _go_on_with(model, start_from, pixels, *known)
    model.trunk.freeze(recipe.frozen)
    learning = [part for part in model.parameters() if part.requires_grad]
    optimiser = torch.optim.AdamW(learning, recipe.learning_rate, weight_decay=0.02)

    def step(batch: tuple[Tensor, ...], seen: int) -> float:
        pixels, limb, erosion, narrowing = (part.to(loop.device()) for part in batch)
        fall = 0.01 + 0.99 * (1 + math.cos(math.pi * seen / recipe.samples)) / 2
        rate = recipe.learning_rate * min(1.0, (seen + 1) / 3000) * fall
        model.train()
        x = (pixels.float() / 255)[:, None]
        if recipe.small[0] <= seen < recipe.small[1]:
            x = functional.interpolate(x, size=(recipe.small_px, recipe.small_px), mode="area")
        x = x.expand(-1, 3, -1, -1)
        with loop.half_precision():
            loss = model.loss(
                x.contiguous(memory_format=torch.channels_last), limb, erosion, narrowing
            )
        return loop.descend(loss, model, optimiser, rate, 5.0)

    return loop.run(
        run_dir,
        {"model": model, "optimiser": optimiser},
        loop.Plan(recipe.samples, recipe.batch, recipe.checkpoint_every_s),
        lambda seen: trunk_batch(crops, recipe, seen),
        step,
        lambda _final: judge_trunk(model, held_out),
    )


def _go_on_with(
    model: TrunkTrainer,
    arrays: Mapping[str, np.ndarray],
    pixels: Tensor,
    limb: Tensor,
    erosion: Tensor,
    narrowing: Tensor,
) -> None:
    """Begin with a finished trunk, and with throw-away heads that fit it already.

    Heads that know nothing would spoil the trunk before they have learnt.
    """
    x = (pixels.float() / 255)[:, None].expand(-1, 3, -1, -1).to(loop.device())
    model.trunk.begin_with(arrays, x.contiguous(memory_format=torch.channels_last))
    features = cache_features(model.trunk, pixels.numpy()).to(loop.device())
    known = [part.to(loop.device()) for part in (limb, erosion, narrowing)]
    optimiser = torch.optim.AdamW(model.heads.parameters(), 3e-3, weight_decay=1e-3)
    for _ in range(_BEGIN_STEPS):
        loop.descend(model.heads_loss(features, *known), model.heads, optimiser, 3e-3, 5.0)
    model.train()


def judge_trunk(model: TrunkTrainer, crops: CropSet, most: int = 1500) -> dict[str, float]:
    """Balanced accuracy of the throw-away heads on crops that were not trained on.

    Painted crops of films kept apart are judged by themselves, as ``painted_TASK``.
    """
    model.eval()
    found = _judged(model, crops.simulated.first(most))
    if crops.painted:
        painted = _judged(model, crops.painted.first(most))
        found |= {f"painted_{task}": value for task, value in painted.items()}
    return found


def _judged(model: TrunkTrainer, crops: Crops) -> dict[str, float]:
    features = cache_features(model.trunk, crops.pixels).to(loop.device())
    found = {}
    for i, limb in enumerate(Limb):
        for kind, grades in (("erosion", crops.erosion), ("narrowing", crops.narrowing)):
            task = f"{limb}_{kind}"
            rows = (crops.limb == i) & (grades != UNKNOWN)
            if not rows.any():
                continue
            with torch.no_grad():
                logits = model.heads[task](features[loop.to_device(rows)])
            guess = decode_grades(logits.sigmoid().cpu().numpy())
            found[task] = round(balanced_accuracy(grades[rows], guess), 4)
    return found


def cache_features(trunk: nn.Module, pixels: np.ndarray, batch: int = 64) -> Tensor:
    """Run a trunk over crops [n, s, s] uint8: [n, 512] float32, on the CPU."""
    trunk.eval()
    where = next(trunk.parameters()).device
    parts = []
    with torch.no_grad():
        for start in range(0, len(pixels), batch):
            x = torch.from_numpy(pixels[start : start + batch]).to(where).float()[:, None] / 255
            x = x.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
            parts.append(trunk(x).float().cpu())
    return torch.cat(parts)


@dataclass(frozen=True)
class HeadRecipe:
    """How a head is trained; the defaults are the demo's, 250 epochs are the paper's.

    With ``test_share`` and ``validation_share`` these parts of the crops are kept apart by
    `split_rows` and measured; ``undersample_zero`` thins grade 0 in what is left. With
    ``of_the_trunk`` no head is trained: the trunk's own linear ones are kept, which learnt from
    crops shown in many ways.
    """

    of_the_trunk: bool = False
    epochs: int = 250
    batch: int = 512
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    rate_falls: bool = True
    undersample_zero: bool = False
    test_share: float = 0.0
    validation_share: float = 0.0
    seed: int = 1


def undersample_zero(grades: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows to keep, in order, so that grade 0 is no more frequent than the next largest grade.

    Only for the training fold: measured folds keep every row.
    """
    zeros = np.flatnonzero(grades == 0)
    others = np.flatnonzero(grades != 0)
    if not len(others):
        return zeros
    most = int(np.unique(grades[others], return_counts=True)[1].max())
    kept = rng.permutation(zeros)[:most]
    return np.sort(np.concatenate([kept, others]))


def train_head(features: Tensor, grades: Tensor, outputs: int, recipe: HeadRecipe) -> Head:
    """Train one head on cached features; grades must be known. Needs at least two crops."""
    if len(features) < 2:
        raise TrainingError(
            f"{len(features)} crops with a known grade are too few for a head",
            fix="draw more crops (crops_per_shard of the recipe)",
        )
    torch.manual_seed(recipe.seed)
    head = Head(outputs)
    optimiser = torch.optim.AdamW(
        head.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    batch = min(recipe.batch, len(features))
    steps = recipe.epochs * (len(features) // batch)
    head.train()
    done = 0
    for _ in range(recipe.epochs):
        order = torch.randperm(len(features))
        for start in range(0, len(order) - batch + 1, batch):
            rows = order[start : start + batch]
            fall = (1 + math.cos(math.pi * done / steps)) / 2 if recipe.rate_falls else 1.0
            loss = ordinal_loss(head(features[rows]), grades[rows])
            loop.descend(loss, head, optimiser, recipe.learning_rate * fall, float("inf"))
            done += 1
    return head.eval()
