"""What a runs folder belongs to, and which patients a training may see.

Room: training. Writes ``recipe.json`` and ``split.json`` into a runs folder; imports no torch.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.model import StrEnum
from training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from training.datasets import DataSet

LEAST_PATIENTS = 3


class Part(StrEnum):
    """Parts of a data set, by patient."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


def keep_to_one_recipe(runs: Path, values: Mapping[str, Any]) -> None:
    """Refuse to go on with checkpoints that were begun with other values.

    Raises `TrainingError` naming them; writes ``recipe.json`` otherwise.
    """
    path = runs / "recipe.json"
    mine = json.loads(json.dumps(values, default=str))
    if path.exists():
        try:
            begun = json.loads(path.read_text("utf-8"))
        except ValueError:
            begun = {}
        odd = sorted(key for key in mine if begun.get(key) != mine[key])
        if odd:
            raise TrainingError(
                f"{runs} was begun with other values of {', '.join(odd)}",
                fix="name another folder with --runs, or delete this one",
            )
    runs.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(mine, indent=1) + "\n", "utf-8")


def split_patients(
    patients: Iterable[str], test_share: float = 0.1, validation_share: float = 0.1
) -> dict[str, Part]:
    """Part of every patient: the same for every model trained on one data set.

    Patients are ranked by the SHA-256 of their name; the first share is the test, the next of what
    is left the validation, at least one patient each. Raises `TrainingError` for fewer than three.
    """
    ranked = sorted(set(patients), key=lambda name: hashlib.sha256(name.encode()).digest())
    if len(ranked) < LEAST_PATIENTS:
        raise TrainingError(
            f"{len(ranked)} patients cannot be split into training, validation and test",
            fix=f"bring films of {LEAST_PATIENTS} patients or more",
        )
    tests = math.ceil(test_share * len(ranked))
    validations = math.ceil(validation_share * (len(ranked) - tests))
    parts = {}
    for rank, patient in enumerate(ranked):
        learnt = Part.TRAIN if rank >= tests + validations else Part.VALIDATION
        parts[patient] = Part.TEST if rank < tests else learnt
    return parts


def split_of(dataset: DataSet, runs: Path) -> dict[str, Part]:
    """`split_patients` of a data set, written down as ``split.json``."""
    parts = split_patients(film.patient for film in dataset.usable)
    runs.mkdir(parents=True, exist_ok=True)
    text = json.dumps({name: str(part) for name, part in sorted(parts.items())}, indent=1)
    (runs / "split.json").write_text(text + "\n", "utf-8")
    return parts


def fingerprint(dataset: DataSet) -> str:
    """Hash of everything that a data set says: a run does not go on with other truth."""
    total = hashlib.sha256()
    for film in dataset.usable:
        joints = [
            (j.name, str(j.joint_class), j.box, j.centre, j.erosion, j.narrowing)
            for j in film.joints
        ]
        total.update(repr((film.name, film.patient, str(film.limb), joints)).encode())
    return total.hexdigest()[:16]


def split_rows(
    count: int, test_share: float, validation_share: float, random_state: int = 42
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row numbers for training, validation and test.

    The test rows are those of scikit-learn's ``train_test_split(random_state=42)``, the validation
    rows the last share of the rest, as Keras takes them: the paper's split, by joint. It is a split
    by patient only where every row is of another patient, as simulated crops are.
    """
    order = np.random.RandomState(random_state).permutation(count)
    tests = math.ceil(test_share * count)
    rest = order[tests:]
    learnt = len(rest) - math.ceil(validation_share * len(rest))
    return rest[:learnt], rest[learnt:], order[:tests]
