"""Both heads of one limb on the demo's crops: kept from the trunk's training or trained.

Layer: training.tasks; writes run folders of heads and one weight file a limb.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from phantom.ra2_columns import ScoreKind
from training.datasets.split import split_rows
from training.models.heads import TASKS
from training.models.trunk import trunk_features
from training.synthetic.crops import UNKNOWN, CropSet, join_crops
from training.tasks.heads import HeadTraining, calibrate, head_figures, train_head
from training.tasks.publish import publish_heads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edge.anatomy import Limb
    from training.models.heads import Head
    from training.models.trunk import FoldedTrunk, InputRule
    from training.synthetic.crops import Crops
    from training.tasks.recipes import DemoHeads


def train_demo_heads(
    limb: Limb,
    trunk: FoldedTrunk,
    rule: InputRule,
    crops: CropSet,
    held_out: CropSet,
    recipe: DemoHeads,
    run_dir: Path,
    out: Path,
    record: Callable[[dict[str, Any]], dict[str, Any]],
    ready: Mapping[str, Head] | None = None,
) -> dict[str, Any]:
    """Train a limb's two heads on features of its trunk and write their file; returns the figures.

    Pixels are normalised by the trunk's ``rule``. All crops are of that limb. ``ready`` heads are
    only calibrated and measured. The figures are of crops that no head has seen: ``held_out``,
    painted ones apart, and where the recipe does not train on them, the validation and test rows of
    the simulated crops.
    """
    learnt_from = crops.simulated
    if crops.painted:
        learnt_from = join_crops([crops.simulated, crops.painted])
    features = None if ready else trunk_features(trunk, learnt_from.pixels, rule)
    unseen = [
        (source, trunk_features(trunk, part.pixels, rule), part)
        for source, part in (("phantom", held_out.simulated), ("painted", held_out.painted))
        if part
    ]
    figures: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    for kind in ScoreKind:
        folds: dict[str, Any] = {}
        task = f"{limb}_{kind}"
        if features is None:
            head = (ready or {})[task]
        else:
            head, folds = _train(
                run_dir / str(kind), task, features, learnt_from, len(crops.simulated), recipe, kind
            )
        apart = {source: _known(found, part, kind) for source, found, part in unseen}
        figures[task] = _calibrated(head, list(apart.values()))
        for source, (known, grades) in apart.items():
            found = head_figures(head, known, grades, f"{source}_")
            figures[task] |= found if source == "phantom" else {source: found}
        figures[task] |= folds
        arrays |= head.arrays(task)
    publish_heads(out, arrays, record(figures), learnt_from.pixels)
    return figures


def _known(
    features: torch.Tensor, crops: Crops, kind: ScoreKind
) -> tuple[torch.Tensor, np.ndarray]:
    """Features and grades of the crops whose grade of one kind is known."""
    grades = crops.grades(kind)
    rows = np.flatnonzero(grades != UNKNOWN)
    return features[torch.from_numpy(rows)], grades[rows]


def _train(
    run_dir: Path,
    task: str,
    features: torch.Tensor,
    crops: Crops,
    simulated: int,
    recipe: DemoHeads,
    kind: ScoreKind,
) -> tuple[Head, dict[str, Any]]:
    """One head, with the figures of the simulated crops that it did not learn from.

    The first ``simulated`` crops are such. Paintings of one film stand on both sides of the split:
    they measure nothing.
    """
    grades = crops.grades(kind)
    rows = np.flatnonzero(grades != UNKNOWN)
    learnt, validation, test = (
        rows[part] for part in split_rows(len(rows), recipe.test_share, recipe.validation_share)
    )
    head = train_head(
        run_dir,
        features[torch.from_numpy(learnt), None],
        grades[learnt],
        TASKS[task],
        HeadTraining(recipe, balance="undersample" if recipe.undersample_zero else "none"),
    )
    folds = {}
    for name, kept in (("validation", validation), ("test", test)):
        fold = kept[kept < simulated]
        if len(fold):
            folds[name] = head_figures(
                head, features[torch.from_numpy(fold)], grades[fold], "phantom_"
            )
    return head, folds


def _calibrated(head: Head, apart: list[tuple[torch.Tensor, np.ndarray]]) -> dict[str, Any]:
    """Calibrate a head on crops that it did not learn from; returns what that changed."""
    found = calibrate(head, apart)
    if found is None:
        return {}
    return {
        "temperature": round(found.temperature, 4),
        "loss_uncalibrated": round(found.loss_before, 5),
        "loss_calibrated": round(found.loss_after, 5),
    }
