"""What the three trainings on an own data set share: the check, the split, the passport.

Room: training. Writes into the runs folder it is given.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from edge import __version__
from edge.model import DISCLAIMER, Limb
from training.datasets import read_dataset
from training.datasets.check import check_dataset
from training.datasets.files import decode
from training.errors import TrainingError
from training.run.split import Part, fingerprint, split_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from training.datasets import DataSet, FilmTruth, Layout
    from training.run.recipes_own import OwnRecipe

CHECKED_NAME = "checked.json"


@dataclass(frozen=True)
class Job:
    """One command's data, folders and voice.

    ``out`` gets recipes and weights for export; ``engines`` holds the installed engines that find
    joints where nobody drew boxes.
    """

    dataset: DataSet
    parts: dict[str, Part]
    runs: Path
    out: Path
    engines: Path
    recipe: OwnRecipe
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

    def passport(
        self, values: Any, films: Iterable[FilmTruth], figures: dict[str, Any]
    ) -> dict[str, Any]:
        """What a model's file says of its training; ``films`` are those it learnt from."""
        patients = Counter(str(part) for part in self.parts.values())
        learnt = sorted(films, key=lambda film: film.name)
        return {
            "command": self.command,
            "software": __version__,
            "torch": torch.__version__,
            "recipe": {"name": self.recipe.name, **asdict(values)},
            "data_set": {
                "name": self.dataset.folder.name,
                "layouts": [str(layout) for layout in self.dataset.layouts],
                "simulated": self.dataset.simulated,
                "patients": dict(patients),
            },
            "films": {
                film.name: decode(film.path).sha256 for film in learnt if film.path is not None
            },
            "figures": figures,
            "notice": DISCLAIMER,
        }


def begin(
    folder: Path,
    layout: Layout | None,
    runs: Path,
    out: Path,
    engines: Path,
    recipe: OwnRecipe,
    limb: Limb | None,
    command: str,
    say: Callable[[str], None],
    progress: Callable[[str], Callable[[int, int], None]],
) -> Job:
    """Read, check and split a data set. Raises `TrainingError` where it is not fit to train on."""
    dataset = read_dataset(folder, layout)
    mark = runs / CHECKED_NAME
    fit = {"data_set": fingerprint(dataset)}
    if not mark.is_file() or json.loads(mark.read_text("utf-8")) != fit:
        checked = check_dataset(dataset, progress("checking"))
        wrong = sum(fault.stops for fault in checked.faults)
        if wrong:
            raise TrainingError(
                f"{folder}: {wrong} faults would teach something wrong",
                fix=f"sharpedge train data check {folder} names them",
            )
        runs.mkdir(parents=True, exist_ok=True)
        mark.write_text(json.dumps(fit) + "\n", "utf-8")
    parts = split_of(dataset, runs)
    counts = Counter(parts.values())
    said = ", ".join(f"{counts[part]} {part}" for part in Part)
    what = "simulated films" if dataset.simulated else "films"
    say(f"{len(dataset.usable)} {what} of {len(parts)} patients ({said}), split by patient")
    return Job(dataset, parts, runs, out, engines, recipe, limb, command, say, progress)


def limbs_of(job: Job) -> tuple[Limb, ...]:
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
