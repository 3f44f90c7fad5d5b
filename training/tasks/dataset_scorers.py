"""``sharpedge train scorers``: a frozen trunk, and heads for erosion and narrowing of each limb.

Layer: training.tasks; writes crops, checkpoints, the trunk and one file of heads a limb.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edge.model import DISCLAIMER
from edge.system.files import whole_file
from phantom.ra2_columns import ScoreKind
from training.datasets.split import Part, fingerprint, split_rows
from training.errors import TrainingError
from training.models.heads import TASKS
from training.models.trunk import trunk_features
from training.run.run_folder import require_same_values
from training.synthetic.crops import UNKNOWN
from training.tasks.dataset_crops import cut_joints
from training.tasks.dataset_job import limbs_of
from training.tasks.heads import HeadTraining, calibrate, head_figures, train_head
from training.tasks.publish import committed_trunk, publish_heads, publish_trunk
from training.tasks.recipe_files import next_command, write_score_recipe
from training.tasks.trunk_file import read_trunk

if TYPE_CHECKING:
    from pathlib import Path

    from edge.anatomy import Limb
    from training.models.trunk import FoldedTrunk
    from training.tasks.dataset_crops import JointCrops
    from training.tasks.dataset_job import DataSetJob
    from training.tasks.trunk_file import TrunkFile

LEAST_TO_CALIBRATE = 50
"""With fewer joints of other patients a head is not calibrated."""
LEAST_TO_DESCRIBE = 500
"""With fewer crops learnt from, the heads' file does not describe them."""
TEST_SHARE = VALIDATION_SHARE = 0.1
SPLITS = {
    "patient": "by patient",
    "paper": "the paper's, by joint, random state 42: one patient's joints stand on both sides, so "
    "these figures are too good for a new patient",
}


def train_scorers(job: DataSetJob, trunk_path: Path | None) -> dict[str, Any]:
    """Train both heads of each limb on a frozen trunk; returns the figures by task."""
    figures: dict[str, Any] = {"split": SPLITS[job.recipe.heads.split]}
    written = []
    for limb in limbs_of(job):
        trunk = read_trunk(trunk_path or committed_trunk(limb))
        folded = publish_trunk(
            trunk.arrays,
            job.out / "weights" / f"{limb}-trunk.npz",
            {"trunk": trunk.source, "trunk_sha256": trunk.sha256, "notice": DISCLAIMER},
            trunk.compact,
        )
        job.say(f"{limb}: trunk {trunk.source} ({trunk.sha256[:16]}), frozen")
        run_dir = job.runs / f"scorers-{limb}"
        values = {"data_set": fingerprint(job.dataset), "trunk": trunk.sha256}
        require_same_values(run_dir, asdict(job.recipe.heads) | values)
        crops = cut_joints(job, limb)
        features = _features(crops, folded, trunk, run_dir)
        arrays: dict[str, np.ndarray] = {}
        for kind in ScoreKind:
            task = f"{limb}_{kind}"
            found, head = _train_head(job, run_dir, task, kind, crops, features)
            figures[task] = found
            job.say(f"{task}: {json.dumps(found)}")
            arrays |= head
        written.append(_publish(job, limb, crops, arrays, trunk, figures))
    job.say(next_command(job.out, written))
    return figures


def _features(
    crops: JointCrops, folded: FoldedTrunk, trunk: TrunkFile, run_dir: Path
) -> torch.Tensor:
    """Features [n, views, 512]; kept on disk, so that the trunk runs once for all heads."""
    path = run_dir / "features.npy"
    n, views = crops.pixels.shape[:2]
    if path.is_file():
        kept = np.load(path)
        if kept.shape == (n, views, 512):
            return torch.from_numpy(kept)
    flat = crops.pixels.reshape(n * views, *crops.pixels.shape[2:])
    features = trunk_features(folded, flat, trunk.rule).reshape(n, views, 512)
    with whole_file(path, durable=False) as file:
        np.save(file, features.numpy())
    return features


def _train_head(
    job: DataSetJob,
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
    recipe = job.recipe.heads
    head = train_head(
        run_dir / str(kind),
        features[torch.from_numpy(learnt)],
        grades[learnt],
        TASKS[task],
        HeadTraining(recipe, recipe.balance, recipe.gate, recipe.checkpoint_every_s),
    )
    apart = fold[Part.VALIDATION]
    unseen = [(features[torch.from_numpy(apart), 0], grades[apart])]
    found = calibrate(head, unseen, LEAST_TO_CALIBRATE)
    calibrated = {} if found is None else {"temperature": round(found.temperature, 4)}
    figures = {
        str(part): head_figures(
            head,
            features[torch.from_numpy(fold[part]), 0],
            grades[fold[part]],
            "phantom_" if job.dataset.simulated else "",
        )
        for part in (Part.VALIDATION, Part.TEST)
    }
    return {"n_learnt": len(learnt), **calibrated, **figures}, head.arrays(task)


def _folds(job: DataSetJob, crops: JointCrops, rows: np.ndarray) -> dict[Part, np.ndarray]:
    if job.recipe.heads.split == "paper":
        cut = split_rows(len(rows), TEST_SHARE, VALIDATION_SHARE)
        return {
            part: rows[found]
            for part, found in zip((Part.TRAIN, Part.VALIDATION, Part.TEST), cut, strict=True)
        }
    parts = np.array([str(job.parts[crops.patients[row]]) for row in rows])
    return {part: rows[parts == str(part)] for part in Part}


def _publish(
    job: DataSetJob,
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
    meta = job.record(recipe, learnt.values(), mine | {"split": SPLITS[recipe.split]})
    meta["trunk"] = {"file": trunk.source, "sha256": trunk.sha256}
    rows = [i for i, film in enumerate(crops.films) if film.name in learnt]
    views = crops.pixels[rows].reshape(-1, *crops.pixels.shape[2:])
    if len(views) < LEAST_TO_DESCRIBE:
        job.say(f"{limb}: {len(views)} crops are too few to tell foreign ones by: all are graded")
    name = f"weights/{limb}-heads.npz"
    publish_heads(job.out / name, arrays, meta, views if len(views) >= LEAST_TO_DESCRIBE else None)
    return write_score_recipe(job.out, limb, "weights/", recipe.crop_px, trunk.rule)
