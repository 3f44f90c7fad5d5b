"""From checkpoints to the compact weights that are committed, with where they came from.

Room: training. Writes ``engines/weights``.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edge import __version__
from edge.model import DISCLAIMER
from edge.pipeline.plausibility import PASSPORT_KEY
from edge.system.paths import engines_home
from export.importers.compact import load_compact, save_compact
from training.data.crop_statistics import describe_crops
from training.evaluation.measure import balanced_accuracy
from training.models.darknet import DarknetModule
from training.models.scorer import (
    TASKS,
    FoldedTrunk,
    Head,
    HeadRecipe,
    TrunkTrainer,
    cache_features,
    decode_grades,
    fitting_temperature,
    ordinal_loss,
    train_head,
    undersample_zero,
)
from training.models.unet import MultiScaleUNet
from training.run import loop
from training.run.checkpoint import read_checkpoint
from training.run.model_cards import code_hash
from training.run.split import split_rows
from training.synthetic.crops import UNKNOWN, Crops, CropSet, join_crops

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from torch import Tensor

    from edge.model import Limb
    from training.models.darknet import Section

_Learnt = dict[str, tuple[Head, dict[str, Any]]]
"""Head of each task, with the figures of the crops that were kept apart from its training."""

ATTRIBUTION = (
    "Trained in part on radiographs of FracAtlas (Abedeen et al., Scientific Data 10, 2023, "
    "doi 10.1038/s41597-023-02432-4, CC BY 4.0); see NOTICE"
)


def provenance(command: str, films: Iterable[Path], figures: dict[str, Any]) -> dict[str, Any]:
    """What a passport says of a training: command, hash of every real film, figures."""
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in films}
    return {
        "command": command,
        "software": __version__,
        "code": code_hash(Path(__file__).parents[2]),
        "torch": torch.__version__,
        "real_films": dict(sorted(hashes.items())),
        "attribution": ATTRIBUTION if hashes else "trained on simulated films alone",
        "figures": figures,
        "notice": DISCLAIMER,
    }


def last_figures(run_dir: Path) -> dict[str, Any]:
    """Last whole line of a run's log; a line that was cut off is left out."""
    lines = (run_dir / "log.jsonl").read_text("utf-8").split("\n")[:-1]
    return dict(json.loads(lines[-1]))


def ship_detector(run_dir: Path, sections: list[Section], out: Path, meta: dict[str, Any]) -> None:
    """Write the averaged weights of a detector's run."""
    model = DarknetModule(sections)
    state = read_checkpoint(run_dir / "checkpoint.pt")
    model.load_state_dict(state["average"])
    save_compact(out, model.eval().arrays(), meta)


def ship_mask(run_dir: Path, out: Path, meta: dict[str, Any]) -> None:
    """Write the weights of a mask network's run."""
    model = MultiScaleUNet()
    state = read_checkpoint(run_dir / "checkpoint.pt")
    model.load_state_dict(state["model"])
    save_compact(out, model.eval().arrays(), meta)


def committed_trunk(limb: Limb) -> Path:
    """The compact file of the trunk that a limb's shipped scorer has."""
    return engines_home() / "weights" / f"{limb}-trunk.npz"


def ship_trunk(run_dir: Path, out: Path, meta: dict[str, Any]) -> FoldedTrunk:
    """Write the folded trunk and return it as it will be read back: quantised."""
    save_compact(out, trunk_arrays(run_dir), meta)
    arrays, _ = load_compact(out)
    folded = FoldedTrunk(arrays).eval()
    return folded.to(loop.device(), memory_format=torch.channels_last)


def linear_heads(run_dir: Path) -> dict[str, Head]:
    """The heads that a trunk learnt with, by task."""
    model = _finished(run_dir)
    return {task: Head.of_linear(model.heads[task]) for task in TASKS}


def trunk_arrays(run_dir: Path) -> dict[str, np.ndarray]:
    """The folded trunk of a finished run, as another run goes on with it."""
    return _finished(run_dir).trunk.eval().arrays()


def _finished(run_dir: Path) -> TrunkTrainer:
    model = TrunkTrainer()
    model.load_state_dict(read_checkpoint(run_dir / "checkpoint.pt")["model"])
    return model


def ship_heads(
    limb: Limb,
    trunk: FoldedTrunk,
    crops: CropSet,
    held_out: CropSet,
    out: Path,
    recipe: HeadRecipe,
    describe: Callable[[dict[str, Any]], dict[str, Any]],
    ready: Mapping[str, Head] | None = None,
) -> dict[str, Any]:
    """Train a limb's two heads on cached features and write their file; returns the figures.

    All crops are of that limb. Heads that are ``ready`` are only measured and made honest.

    The figures are of crops that no head has seen: ``held_out``, painted ones apart, and where the
    recipe keeps them apart, the validation and test rows of the simulated crops.
    """
    learnt_from = crops.simulated
    if crops.painted:
        learnt_from = join_crops([crops.simulated, crops.painted])
    heads: _Learnt = {task: (head, {}) for task, head in (ready or {}).items()}
    if not heads:
        heads = _learn_heads(limb, trunk, learnt_from, len(crops.simulated), recipe)
    unseen = [
        (source, cache_features(trunk, part.pixels), part)
        for source, part in (("phantom", held_out.simulated), ("painted", held_out.painted))
        if part
    ]
    figures: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    for kind in ("erosion", "narrowing"):
        task = f"{limb}_{kind}"
        head, folds = heads[task]
        apart = [
            (source, kept_apart, getattr(crops_apart, kind), _known(crops_apart, kind))
            for source, kept_apart, crops_apart in unseen
        ]
        figures[task] = _calibrate(head, [part[1:] for part in apart])
        for source, kept_apart, truth, rows_apart in apart:
            at = torch.from_numpy(rows_apart)
            found = head_figures(head, kept_apart[at], truth[rows_apart], f"{source}_")
            figures[task] |= found if source == "phantom" else {source: found}
        figures[task] |= folds
        arrays |= head.arrays(task)
    meta = describe(figures) | {PASSPORT_KEY: describe_crops(learnt_from.pixels)}
    save_compact(out, arrays, meta)
    return figures


def _learn_heads(
    limb: Limb, trunk: FoldedTrunk, crops: Crops, simulated: int, recipe: HeadRecipe
) -> _Learnt:
    """Head of each task, with the figures of the simulated crops that were kept apart.

    The first ``simulated`` crops are such. Paintings of one film stand on both sides of the split:
    they measure nothing.
    """
    features = cache_features(trunk, crops.pixels)
    heads: _Learnt = {}
    for kind in ("erosion", "narrowing"):
        task = f"{limb}_{kind}"
        grades = getattr(crops, kind)
        rows = _known(crops, kind)
        learnt, validation, test = (
            rows[part] for part in split_rows(len(rows), recipe.test_share, recipe.validation_share)
        )
        if recipe.undersample_zero:
            rng = np.random.default_rng(recipe.seed)
            learnt = learnt[undersample_zero(grades[learnt], rng)]
        head = train_head(
            features[torch.from_numpy(learnt)],
            torch.from_numpy(grades[learnt]),
            TASKS[task],
            recipe,
        )
        folds = {}
        for name, kept in (("validation", validation), ("test", test)):
            fold = kept[kept < simulated]
            if len(fold):
                at = torch.from_numpy(fold)
                folds[name] = head_figures(head, features[at], grades[fold], "phantom_")
        heads[task] = head, folds
    return heads


def _calibrate(
    head: Head, apart: Sequence[tuple[Tensor, np.ndarray, np.ndarray]]
) -> dict[str, float]:
    """Cool a head on features, grades and rows that it did not learn from, and say how."""
    parts = []
    with torch.no_grad():
        for features, grades, rows in apart:
            if len(rows):
                logits = head(features[torch.from_numpy(rows)])
                parts.append((logits, torch.from_numpy(grades[rows])))
    if not parts:
        return {}
    temperature = fitting_temperature(parts)
    head.cool(temperature)
    before, after = (
        sum(ordinal_loss(logits / t, grades).item() for logits, grades in parts) / len(parts)
        for t in (1.0, temperature)
    )
    return {
        "temperature": round(temperature, 4),
        "loss_uncalibrated": round(before, 5),
        "loss_calibrated": round(after, 5),
    }


def _known(crops: Crops, kind: str) -> np.ndarray:
    return np.flatnonzero(getattr(crops, kind) != UNKNOWN)


def head_figures(head: Head, features: Tensor, grades: np.ndarray, of: str = "") -> dict[str, Any]:
    """Balanced accuracies on joints that were not learnt from, and how many of each grade.

    ``of`` (``phantom_``, ``painted_``) stands before a figure's name where its joints are no
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
