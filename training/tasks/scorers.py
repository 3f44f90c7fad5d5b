"""``sharpedge train scorers``: a frozen trunk, and heads for erosion and narrowing of each limb.

Room: training. Writes crops, checkpoints, the trunk and one file of heads a limb.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edge.pipeline.plausibility import PASSPORT_KEY
from export.importers.compact import save_compact
from phantom.ra2_columns import ScoreKind
from training.data.crop_statistics import describe_crops
from training.errors import TrainingError
from training.models.scorer import TASKS
from training.run.publish import committed_trunk, head_figures
from training.run.split import Part, fingerprint, keep_to_one_recipe, split_rows
from training.synthetic.crops import UNKNOWN
from training.tasks.crops import cut_joints
from training.tasks.heads import calibrate, train_own_head
from training.tasks.job import limbs_of
from training.tasks.recipe_files import next_command, write_recipe
from training.tasks.trunk import read_trunk, ship_trunk, trunk_features

if TYPE_CHECKING:
    from pathlib import Path

    from edge.model import Limb
    from training.models.scorer import FoldedTrunk
    from training.tasks.crops import JointCrops
    from training.tasks.job import Job
    from training.tasks.trunk import TrunkFile

LEAST_TO_KNOW = 500
"""With fewer crops learnt from, the engine is not told what crops it knows."""
TEST_SHARE = VALIDATION_SHARE = 0.1
SPLITS = {
    "patient": "by patient",
    "paper": "the paper's, by joint, random state 42: one patient's joints stand on both sides, so "
    "these figures are too good for a new patient",
}


def train_scorers(job: Job, trunk_path: Path | None) -> dict[str, Any]:
    """Train both heads of each limb on a frozen trunk; returns the figures by task."""
    figures: dict[str, Any] = {"split": SPLITS[job.recipe.heads.split]}
    written = []
    for limb in limbs_of(job):
        trunk = read_trunk(trunk_path or committed_trunk(limb))
        folded = ship_trunk(trunk, job.out / "weights" / f"{limb}-trunk.npz")
        job.say(f"{limb}: trunk {trunk.source} ({trunk.sha256[:16]}), frozen")
        run_dir = job.runs / f"scorers-{limb}"
        values = {"data_set": fingerprint(job.dataset), "trunk": trunk.sha256}
        keep_to_one_recipe(run_dir, asdict(job.recipe.heads) | values)
        crops = cut_joints(job, limb)
        features = _features(crops, folded, trunk, run_dir)
        arrays: dict[str, np.ndarray] = {}
        for kind in ScoreKind:
            task = f"{limb}_{kind}"
            found, head = _train_head(job, run_dir, task, kind, crops, features)
            figures[task] = found
            job.say(f"{task}: {json.dumps(found)}")
            arrays |= head
        written.append(_ship(job, limb, crops, arrays, trunk, figures))
    job.say(next_command(job.out, written))
    return figures


def _features(
    crops: JointCrops, folded: FoldedTrunk, trunk: TrunkFile, run_dir: Path
) -> torch.Tensor:
    """Features [n, views, 512]; kept on disk, so that another try at the heads takes no trunk."""
    path = run_dir / "features.npy"
    n, views = crops.pixels.shape[:2]
    if path.is_file():
        kept = np.load(path)
        if kept.shape == (n, views, 512):
            return torch.from_numpy(kept)
    flat = crops.pixels.reshape(n * views, *crops.pixels.shape[2:])
    features = trunk_features(folded, flat, trunk.rule).reshape(n, views, 512)
    part = path.with_suffix(".part.npy")
    np.save(part, features.numpy())
    part.replace(path)
    return features


def _train_head(
    job: Job,
    run_dir: Path,
    task: str,
    kind: ScoreKind,
    crops: JointCrops,
    features: torch.Tensor,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    grades = crops.grades[kind]
    rows = np.flatnonzero(grades != UNKNOWN)
    if not len(rows):
        raise TrainingError(
            f"{task}: no joint has such a grade, and a scorer needs both erosion and narrowing",
            fix="bring films with both kinds of grade",
        )
    fold = _folds(job, crops, rows)
    learnt = fold[Part.TRAIN]
    head = train_own_head(
        run_dir / str(kind),
        features[torch.from_numpy(learnt)],
        grades[learnt],
        TASKS[task],
        job.recipe.heads,
    )
    apart = fold[Part.VALIDATION]
    cooled = calibrate(head, features[torch.from_numpy(apart), 0], grades[apart])
    figures = {
        str(part): head_figures(
            head,
            features[torch.from_numpy(fold[part]), 0],
            grades[fold[part]],
            "phantom_" if job.dataset.simulated else "",
        )
        for part in (Part.VALIDATION, Part.TEST)
    }
    return {"n_learnt": len(learnt), **cooled, **figures}, head.arrays(task)


def _folds(job: Job, crops: JointCrops, rows: np.ndarray) -> dict[Part, np.ndarray]:
    if job.recipe.heads.split == "paper":
        cut = split_rows(len(rows), TEST_SHARE, VALIDATION_SHARE)
        return {
            part: rows[found]
            for part, found in zip((Part.TRAIN, Part.VALIDATION, Part.TEST), cut, strict=True)
        }
    parts = np.array([str(job.parts[crops.patients[row]]) for row in rows])
    return {part: rows[parts == str(part)] for part in Part}


def _ship(
    job: Job,
    limb: Limb,
    crops: JointCrops,
    arrays: dict[str, np.ndarray],
    trunk: TrunkFile,
    figures: dict[str, Any],
) -> Path:
    recipe = job.recipe.heads
    mine = {task: found for task, found in figures.items() if task.startswith(str(limb))}
    learnt = {
        film.name: film
        for film in crops.films
        if recipe.split == "paper" or job.parts[film.patient] is Part.TRAIN
    }
    meta = job.passport(recipe, learnt.values(), mine | {"split": SPLITS[recipe.split]})
    meta["trunk"] = {"file": trunk.source, "sha256": trunk.sha256}
    rows = [i for i, film in enumerate(crops.films) if film.name in learnt]
    views = crops.pixels[rows].reshape(-1, *crops.pixels.shape[2:])
    if len(views) >= LEAST_TO_KNOW:
        meta[PASSPORT_KEY] = describe_crops(views)
    else:
        job.say(f"{limb}: {len(views)} crops are too few to tell foreign ones by: all are graded")
    name = f"weights/{limb}-heads.npz"
    save_compact(job.out / name, arrays, meta)
    source = ['kind = "compact"', 'architecture = "vgg16"',
              f'files = ["weights/{limb}-trunk.npz", "{name}"]']  # fmt: skip
    return write_recipe(
        job.out,
        limb,
        "score",
        source,
        (recipe.crop_px, recipe.crop_px),
        3,
        scale=trunk.rule.scale,
        mean=trunk.rule.mean,
        std=trunk.rule.std,
    )
