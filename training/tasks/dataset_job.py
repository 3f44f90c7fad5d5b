"""What the trainings on a data set share: the check, the split by patient, the training record.

Layer: training.tasks; reads the data set, writes into the runs folder.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edge.anatomy import Limb
from training.datasets.check import check_dataset
from training.datasets.files import decode
from training.datasets.reading import read_dataset
from training.datasets.split import Part, fingerprint, split_of
from training.errors import TrainingError
from training.tasks.publish import training_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from training.datasets.truth import DataSet, FilmTruth
    from training.tasks.recipes import DataSetRecipe

CHECKED_NAME = "checked.json"


@dataclass(frozen=True)
class DataSetJob:
    """Data, folders, recipe and output functions of one command.

    ``out`` gets recipes and weights for export; ``engines`` holds the installed engines that find
    joints where nobody drew boxes.
    """

    dataset: DataSet
    parts: dict[str, Part]
    runs: Path
    out: Path
    engines: Path
    recipe: DataSetRecipe
    limb: Limb | None
    command: str
    say: Callable[[str], None]
    progress: Callable[[str], Callable[[int, int], None]]

    def films(self, limb: Limb, *parts: Part) -> list[FilmTruth]:
        """Films of one limb in some parts of the split."""
        return [
            film
            for film in self.dataset.usable
            if film.limb is limb and self.parts[film.patient] in parts
        ]

    def record(
        self, values: Any, films: Iterable[FilmTruth], figures: dict[str, Any]
    ) -> dict[str, Any]:
        """What a model's file states of its training; ``films`` are those it learnt from."""
        patients = Counter(str(part) for part in self.parts.values())
        learnt = sorted(films, key=lambda film: film.name)
        return training_record(self.command, figures) | {
            "recipe": {"name": self.recipe.name, **asdict(values)},
            "data_set": {
                "name": self.dataset.folder.name,
                "layouts": list(self.dataset.layouts),
                "simulated": self.dataset.simulated,
                "patients": dict(patients),
            },
            "films": {
                film.name: decode(film.path).sha256 for film in learnt if film.path is not None
            },
        }


def begin(
    folder: Path,
    layout: str | None,
    runs: Path,
    out: Path,
    engines: Path,
    recipe: DataSetRecipe,
    limb: Limb | None,
    command: str,
    say: Callable[[str], None],
    progress: Callable[[str], Callable[[int, int], None]],
) -> DataSetJob:
    """Read, check and split a data set. Raises `TrainingError` for faults that stop a training."""
    dataset = read_dataset(folder, layout)
    path = runs / CHECKED_NAME
    checked_set = {"data_set": fingerprint(dataset)}
    if not path.is_file() or json.loads(path.read_text("utf-8")) != checked_set:
        checked = check_dataset(dataset, progress("checking"))
        wrong = sum(fault.stops for fault in checked.faults)
        if wrong:
            raise TrainingError(
                f"{folder}: {wrong} faults would teach something wrong",
                fix=f"sharpedge train data check {folder} names them",
            )
        runs.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(checked_set) + "\n", "utf-8")
    parts = split_of(dataset, runs)
    counts = Counter(parts.values())
    by_part = ", ".join(f"{counts[part]} {part}" for part in Part)
    what = "simulated films" if dataset.simulated else "films"
    say(f"{len(dataset.usable)} {what} of {len(parts)} patients ({by_part}), split by patient")
    return DataSetJob(dataset, parts, runs, out, engines, recipe, limb, command, say, progress)


def limbs_of(job: DataSetJob) -> tuple[Limb, ...]:
    """Limbs that the training part has films of, or the one that was asked for.

    Raises `TrainingError` for none.
    """
    asked = tuple(Limb) if job.limb is None else (job.limb,)
    found = tuple(limb for limb in asked if job.films(limb, Part.TRAIN))
    if not found:
        raise TrainingError(
            f"{job.dataset.folder}: no film of {' or '.join(asked)} to learn from",
            fix="name another folder, or another --limb",
        )
    return found
