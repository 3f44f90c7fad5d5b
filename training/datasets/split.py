"""Which patients, or which rows, a training may learn from.

Layer: training.datasets; writes ``split.json`` into a runs folder.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING

import numpy as np

from edge.enums import StrEnum
from training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from training.datasets.truth import DataSet

LEAST_PATIENTS = 3


class Part(StrEnum):
    """Parts of a data set, by patient."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


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
    """`split_patients` of a data set; writes it to ``split.json``."""
    parts = split_patients(film.patient for film in dataset.usable)
    runs.mkdir(parents=True, exist_ok=True)
    text = json.dumps({name: str(part) for name, part in sorted(parts.items())}, indent=1)
    (runs / "split.json").write_text(text + "\n", "utf-8")
    return parts


def fingerprint(dataset: DataSet) -> str:
    """Hash of the labels of a data set: a run does not resume with other labels."""
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
