"""Train, calibrate and measure one ordinal head on features of a frozen trunk, resumable.

Layer: training.tasks; writes checkpoints and logs into the head's run folder. Uses
`training.models.heads`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.errors import TrainingError
from training.evaluation.accuracy import balanced_accuracy, decode_grades
from training.models.heads import (
    GATE_WIDTHS,
    DenseLayers,
    Head,
    fitting_temperature,
    join_gate,
    ordinal_loss,
    ordinal_targets,
)
from training.models.tensors import device
from training.models.trunk import FEATURES
from training.run import loop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from training.tasks.recipes import HeadSchedule

CHECKPOINT_EVERY_S = 120.0


@dataclass(frozen=True)
class HeadTraining:
    """How one head is trained beside its schedule.

    ``balance`` is what is done about the many joints of grade 0: ``undersample``, ``weights`` or
    ``none``; ``gate`` trains 0 against the rest first, and the grade among the rest after it.
    """

    schedule: HeadSchedule
    balance: str = "none"
    gate: bool = False
    checkpoint_every_s: float = CHECKPOINT_EVERY_S


@dataclass(frozen=True)
class Calibration:
    """Temperature that a head's logits were divided by, and its mean loss before and after."""

    temperature: float
    loss_before: float
    loss_after: float


def train_head(
    run_dir: Path, features: Tensor, grades: np.ndarray, outputs: int, training: HeadTraining
) -> Head:
    """Train one head on features [n, views, 512] and known grades [n] of the training fold.

    Resumes from ``run_dir``. Raises `TrainingError` for fewer than four joints, and for grades that
    are all the same.
    """
    kept = _balanced(grades, training)
    if len(np.unique(grades)) < 2 or len(kept) < 4:
        counts = dict(zip(*(part.tolist() for part in np.unique(grades, return_counts=True)),
                          strict=True))  # fmt: skip
        raise TrainingError(
            f"{run_dir.name}: joints by grade {counts} are too few to learn from",
            fix="bring films with damage, and four joints or more",
        )
    fold = _Fold(features, grades, training)
    if not training.gate:
        head = Head(outputs)
        fold.descend(run_dir, head, kept, partial(ordinal_targets, outputs=outputs))
        return head.eval()
    gate = DenseLayers((FEATURES, *GATE_WIDTHS, 1))
    fold.descend(run_dir / "gate", gate, kept, partial(ordinal_targets, outputs=1, first=1))
    rest = DenseLayers((FEATURES, 512 - GATE_WIDTHS[0], 256 - GATE_WIDTHS[1], outputs - 2))
    damaged = np.flatnonzero(grades > 0)
    targets = partial(ordinal_targets, outputs=outputs - 2, first=2)
    fold.descend(run_dir / "rest", rest, damaged, targets)
    return join_gate(gate.eval(), rest.eval(), outputs)


def _balanced(grades: np.ndarray, training: HeadTraining) -> np.ndarray:
    """Rows of the training fold that are learnt from."""
    if training.balance != "undersample":
        return np.arange(len(grades))
    rng = np.random.default_rng(training.schedule.seed)
    # A gate has two classes, which are made equal; the rule for grades is the paper's.
    return undersample_zero(np.minimum(grades, 1) if training.gate else grades, rng)


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


@dataclass(frozen=True, eq=False)
class _Fold:
    """The training fold of one head: features [n, views, 512], known grades [n]."""

    features: Tensor
    grades: np.ndarray
    training: HeadTraining

    def descend(
        self, run_dir: Path, head: nn.Module, kept: np.ndarray, targets: Callable[[Tensor], Tensor]
    ) -> None:
        """Train one network on the rows ``kept`` to the last epoch, resuming from ``run_dir``."""
        if len(kept) < 2:
            raise TrainingError(
                f"{run_dir}: {len(kept)} joints are too few to learn from",
                fix="bring more films with damage",
            )
        schedule = self.training.schedule
        torch.manual_seed(schedule.seed)
        for part in head.modules():
            if isinstance(part, nn.Linear | nn.BatchNorm1d):
                part.reset_parameters()
        head.to(device())
        optimiser = torch.optim.AdamW(
            head.parameters(), schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        batch = min(schedule.batch, len(kept))
        per_epoch = len(kept) // batch
        plan = loop.Plan(
            schedule.epochs * per_epoch * batch, batch, self.training.checkpoint_every_s
        )
        weights = self._weights(kept)

        def make(seen: int) -> tuple[np.ndarray, np.ndarray]:
            epoch, number = divmod(seen // batch, per_epoch)
            order = np.random.default_rng((schedule.seed, epoch)).permutation(len(kept))
            rng = loop.batch_rng(schedule.seed, seen)
            rows = order[number * batch : (number + 1) * batch]
            return rows, rng.integers(0, self.features.shape[1], len(rows))

        def step(rows_views: tuple[np.ndarray, np.ndarray], seen: int) -> float:
            rows, views = rows_views
            x = self.features[torch.from_numpy(kept[rows]), torch.from_numpy(views)].to(device())
            wanted = targets(torch.from_numpy(self.grades[kept[rows]])).to(device())
            cosine = (1 + math.cos(math.pi * seen / plan.samples)) / 2
            rate = schedule.learning_rate * (cosine if schedule.rate_falls else 1.0)
            head.train()
            loss = functional.binary_cross_entropy_with_logits(head(x), wanted, reduction="none")
            weighted = (loss.mean(1) * torch.from_numpy(weights[rows]).to(device())).mean()
            return loop.descend(weighted, head, optimiser, rate, math.inf)

        loop.run(
            run_dir, {"model": head, "optimiser": optimiser}, plan, make, step, lambda _final: {}
        )
        head.cpu()

    def _weights(self, kept: np.ndarray) -> np.ndarray:
        """Weight of each kept joint in the loss, 1 on average."""
        grades = self.grades[kept]
        if self.training.balance != "weights":
            return np.ones(len(grades), np.float32)
        values, counts = np.unique(grades, return_counts=True)
        share = len(grades) / (len(values) * counts)
        return share[np.searchsorted(values, grades)].astype(np.float32)


def calibrate(
    head: Head, parts: Sequence[tuple[Tensor, np.ndarray]], least: int = 1
) -> Calibration | None:
    """Divide a head's logits by the temperature that fits joints it did not learn from.

    ``parts`` are features [n, 512] with known grades [n]; each part counts alike. No decision at .5
    changes. ``None``, and the head as it was, with fewer than ``least`` joints.
    """
    if sum(len(grades) for _, grades in parts) < least:
        return None
    with torch.no_grad():
        known = [(head(f), torch.from_numpy(grades)) for f, grades in parts if len(grades)]
    temperature = fitting_temperature(known)
    head.cool(temperature)
    before, after = (
        sum(ordinal_loss(logits / t, grades).item() for logits, grades in known) / len(known)
        for t in (1.0, temperature)
    )
    return Calibration(temperature, before, after)


def head_figures(head: Head, features: Tensor, grades: np.ndarray, of: str = "") -> dict[str, Any]:
    """Balanced accuracies on joints that were not learnt from, and the number of each grade.

    ``of`` (``phantom_``, ``painted_``) is put before a figure's name where its joints are no
    patient's.
    """
    found: dict[str, Any] = {"n": len(grades)}
    if not len(grades):
        return found
    with torch.no_grad():
        guess = decode_grades(head(features).sigmoid().numpy())
    values, counts = np.unique(grades, return_counts=True)
    return found | {
        f"{of}balanced_exact": round(balanced_accuracy(grades, guess), 4),
        f"{of}balanced_within_one": round(balanced_accuracy(grades, guess, 1), 4),
        "all_zero_balanced_exact": round(balanced_accuracy(grades, np.zeros_like(grades)), 4),
        "n_of_grade": dict(zip(map(str, values.tolist()), counts.tolist(), strict=True)),
    }
