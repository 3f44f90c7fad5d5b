"""``sharpedge train exclusions``: what forbids a grade, read from the features of a scorer's trunk.

Layer: training.tasks; reads labelled films and a trunk, keeps crops and features in its run folder,
writes one small file of weights a limb. It is a linear layer, as there are few such joints, on the
means of the trunk's last two stages: the last alone, which serves grades, tells covered joint
spaces from narrowed ones less well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from edge.pipeline.plausibility import EXCLUSIONS
from edge.system.files import whole_file
from export.importers.compact import save_compact
from export.importers.vgg import EXCLUSION_STAGES
from training.datasets.labelled_films import FULL_SIZE_PX, read_labelled, read_proposed
from training.models.tensors import device, half_precision
from training.models.trunk import FoldedTrunk, trunk_features
from training.run.run_folder import require_same_values
from training.synthetic.crops import draw_crops, join_crops
from training.synthetic.exclusion_crops import (
    MADE,
    UNKNOWN,
    ExclusionCrops,
    blurred,
    gradable,
    join,
    joint_crops,
    other_parts,
    read_exclusions,
    seen_in_many_ways,
)
from training.synthetic.framed_crops import framed_crops
from training.synthetic.painted_crops import painted_crops
from training.synthetic.painted_films import sharp_films
from training.synthetic.variation import enlarge
from training.tasks.publish import committed_trunk, sources_record, training_record
from training.tasks.trunk_file import read_trunk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.anatomy import Limb
    from training.tasks.trunk_file import TrunkFile

FOLDS = 10
"""Parts of the films; each is measured by a layer that learnt from the others."""
FALSE_JOINTS, FALSE_LIMBS = 0.02, 0.01
"""Shares of plain joints and of adults' limbs left out where they were not learnt from."""
FALSE_OF_GRADED = 0.005
"""The same of simulated and painted joints of every grade: damage is no exclusion."""
_PENALTY = 1e-3
_STEPS = 120
_GROWTH = EXCLUSIONS.index("growth_plates")


@dataclass(frozen=True)
class ExclusionRecipe:
    """How many crops of each kind are made, and their side."""

    crop_px: int = 96
    views: int = 4
    covered_views: int = 8
    pieces: int = 8
    simulated: int = 1_000
    framed_films: int = 40
    paintings: int = 60
    seed: int = 1


@dataclass(frozen=True)
class Layer:
    """Weight [3, k] and bias [3] of the linear layer; above 0 means left out."""

    weight: np.ndarray
    bias: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Log-odds [n, 3] of features [n, k]."""
        return np.asarray(features @ self.weight.T + self.bias)


def train_exclusions(
    films_dir: Path,
    others: Path | None,
    labels: Path,
    runs: Path,
    out: Path,
    limb: Limb,
    recipe: ExclusionRecipe,
    say: Callable[[str], None],
    trunk_path: Path | None = None,
) -> dict[str, Any]:
    """Train the exclusions of one limb and write ``LIMB-exclusion.npz``; returns the figures.

    ``others`` holds films of other body parts; without it only blur is learnt as unfamiliar. What
    was made is kept in ``runs``: the same command goes on, and one for another trunk takes the same
    crops. Raises `TrainingError` for labels, films or a trunk that cannot be used.
    """
    trunk = read_trunk(trunk_path or committed_trunk(limb))
    require_same_values(runs, vars(recipe) | {"others": others is not None, "limb": limb})
    say(f"{limb}: crops and their features on {trunk.source} ({trunk.sha256[:16]})")
    kept = runs / "crops.npz"
    if not kept.exists():
        crops = _crops(films_dir, others, labels, limb, recipe)
        with whole_file(kept, durable=False) as file:
            np.savez(file, **vars(crops))
    with np.load(kept) as found:
        crops = ExclusionCrops(**{name: found[name] for name in found.files})
    data = _examples(crops, _features(trunk, crops, runs))
    unseen = _out_of_fold(data, recipe.seed)
    levels = _levels(data, unseen)
    layer = _fit(data, np.ones(len(data.films), bool))
    figures = _figures(data, unseen - levels)
    arrays = {
        f"{limb}_exclusion.weight": layer.weight.astype(np.float32),
        f"{limb}_exclusion.bias": (layer.bias - levels).astype(np.float32),
    }
    command = f"sharpedge train exclusions FRACATLAS --limb {limb}"
    names = {film for film in data.films.tolist() if not film.startswith(MADE)}
    record = training_record(command, figures) | sources_record(films_dir, names)
    # In a scorer's passport the heads' figures stand; these have a place of their own there.
    record |= {"exclusion": figures, "fits_trunk": trunk.sha256, "recipe": vars(recipe)}
    save_compact(out / f"{limb}-exclusion.npz", arrays, record)
    return figures


def _features(trunk: TrunkFile, crops: ExclusionCrops, runs: Path) -> np.ndarray:
    """Features [n, k] of the crops, kept in a file that the trunk and the stages name."""
    stages = "-".join(map(str, EXCLUSION_STAGES))
    kept = runs / f"features-{trunk.sha256[:16]}-{stages}.npy"
    if not kept.exists():
        folded = FoldedTrunk(trunk.arrays, EXCLUSION_STAGES).eval()
        folded.to(device(), memory_format=torch.channels_last)
        with half_precision():
            features = trunk_features(folded, crops.pixels, trunk.rule).numpy()
        with whole_file(kept, durable=False) as file:
            np.save(file, features)
    return np.asarray(np.load(kept))


def _crops(
    films_dir: Path, others: Path | None, labels: Path, limb: Limb, recipe: ExclusionRecipe
) -> ExclusionCrops:
    rng = np.random.default_rng((recipe.seed, recipe.crop_px))
    real = joint_crops(labels, films_dir, limb, recipe.crop_px, rng)
    covered = _rows(real, real.targets[:, 0] == 1)
    parts = [
        real,
        seen_in_many_ways(real, recipe.views, rng),
        seen_in_many_ways(covered, recipe.covered_views, rng),
        blurred(real, rng),
        *_gradable(films_dir, labels, limb, recipe, rng),
    ]
    foreign = None if others is None else other_parts(others, recipe.pieces, recipe.crop_px, rng)
    return join(parts if foreign is None else [*parts, foreign])


def _rows(crops: ExclusionCrops, chosen: np.ndarray) -> ExclusionCrops:
    return ExclusionCrops(*(part[chosen] for part in vars(crops).values()))


def _gradable(
    films_dir: Path, labels: Path, limb: Limb, recipe: ExclusionRecipe, rng: np.random.Generator
) -> list[ExclusionCrops]:
    """Simulated joints of every grade, and real ones with painted damage of every grade."""
    px, seed = recipe.crop_px, int(rng.integers(2**31))
    drawn = join_crops(
        [
            draw_crops(recipe.simulated, px, seed, "train", (limb,)),
            framed_crops(limb, recipe.framed_films, px, seed),
        ]
    )
    found = [gradable(drawn)]
    troubled = {film for film, *_ in read_exclusions(labels)}
    films = [
        film
        for read in (read_labelled, read_proposed)
        for film in read(labels, films_dir, limb, FULL_SIZE_PX)
        if film.clean and film.film not in troubled
    ]
    for chosen in (films, [enlarge(film) for film in films]):
        sharp = sharp_films(chosen)
        if sharp:
            painted = painted_crops(sharp, recipe.paintings, px, seed, varied=True)
            found.append(gradable(painted))
    return found


@dataclass(frozen=True)
class _Examples:
    """Features [n, k] with targets [n, 3], film [n] and whether each is a plain joint [n].

    ``views`` [n]: another view of a crop that is here as it is too.
    """

    features: np.ndarray
    targets: np.ndarray
    films: np.ndarray
    plain: np.ndarray
    views: np.ndarray


def _examples(crops: ExclusionCrops, features: np.ndarray) -> _Examples:
    facts = {name: part for name, part in vars(crops).items() if name != "pixels"}
    return _Examples(features=features, **facts)


def _fit(data: _Examples, learnt: np.ndarray) -> Layer:
    """Logistic regression with a small penalty, each output on the examples that are known."""
    x = data.features[learnt]
    mean, scale = x.mean(0), x.std(0) + 1e-2
    inputs = torch.from_numpy(((x - mean) / scale).astype(np.float32))
    targets = torch.from_numpy(data.targets[learnt].astype(np.float32))
    weights = torch.from_numpy(_weights(data.targets[learnt]))
    layer = torch.nn.Linear(x.shape[1], len(EXCLUSIONS))
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimiser = torch.optim.LBFGS(layer.parameters(), max_iter=_STEPS)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(
            layer(inputs), targets.clamp(min=0), weights, reduction="sum"
        )
        total: torch.Tensor = loss + _PENALTY * layer.weight.square().sum()
        total.backward()
        return total

    optimiser.step(closure)
    weight = layer.weight.detach().numpy() / scale
    return Layer(weight, layer.bias.detach().numpy() - weight @ mean)


def _weights(targets: np.ndarray) -> np.ndarray:
    """Weight of each target [n, 3], each column's sum 1: the rare answer counts for more.

    By the square root of how much rarer it is; what is not known counts nothing.
    """
    weights = np.zeros(targets.shape, np.float32)
    for column in range(targets.shape[1]):
        known = targets[:, column] != UNKNOWN
        positive = targets[:, column] == 1
        if not known.any():
            continue
        rarity = np.sqrt((known & ~positive).sum() / max(positive.sum(), 1))
        weights[known, column] = np.where(positive[known], max(rarity, 1.0), 1.0)
        weights[:, column] /= weights[:, column].sum()
    return weights


def _out_of_fold(data: _Examples, seed: int) -> np.ndarray:
    """Log-odds [n, 3] of every example by a layer that learnt from no example of its film."""
    names = np.unique(data.films)
    order = np.random.default_rng(seed).permutation(len(names))
    fold_of = dict(zip(names[order].tolist(), (i % FOLDS for i in range(len(names))), strict=True))
    folds = np.array([fold_of[name] for name in data.films.tolist()])
    found = np.zeros(data.targets.shape)
    for fold in range(FOLDS):
        inside = folds == fold
        if inside.any():
            found[inside] = _fit(data, ~inside)(data.features[inside])
    return found


def _levels(data: _Examples, unseen: np.ndarray) -> np.ndarray:
    """What is taken from each output so that 0 leaves out no more of what can be graded."""
    made = np.char.startswith(data.films, MADE)
    levels = np.maximum(
        np.quantile(unseen[data.plain], 1 - FALSE_JOINTS, axis=0),
        np.quantile(unseen[made], 1 - FALSE_OF_GRADED, axis=0),
    )
    limbs, immature = _limbs(data, unseen)
    # No more adults than the share: between two of them the level is the higher one.
    levels[_GROWTH] = np.quantile(limbs[~immature], 1 - FALSE_LIMBS, method="higher")
    return np.asarray(levels)


def _limbs(data: _Examples, unseen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean log-odds of growth plates of each real film, and whether it is a child's."""
    real = (data.targets[:, _GROWTH] != UNKNOWN) & ~np.char.startswith(data.films, MADE)
    names = np.unique(data.films[real])
    rows = [real & (data.films == name) for name in names]
    means = np.array([unseen[row, _GROWTH].mean() for row in rows])
    return means, np.array([data.targets[row, _GROWTH].max() == 1 for row in rows])


def _figures(data: _Examples, unseen: np.ndarray) -> dict[str, Any]:
    """Shares left out, each of films that were not learnt from."""
    figures: dict[str, Any] = {"plain_joints": int(data.plain.sum())}
    as_they_are = ~data.views
    for column, name in enumerate(EXCLUSIONS):
        above = unseen[:, column] > 0
        known = data.targets[:, column]
        made = np.char.startswith(data.films, MADE)
        figures[name] = {
            "n": int((as_they_are & (known == 1)).sum()),
            "found": _share(above[as_they_are & (known == 1)]),
            "false_of_plain": _share(above[data.plain]),
            "false_of_graded": _share(above[made]),
        }
    limbs, immature = _limbs(data, unseen)
    figures["growth_plates"] |= {
        "limbs": int(immature.sum()),
        "limbs_found": _share(limbs[immature] > 0),
        "adults": int((~immature).sum()),
        "adults_false": _share(limbs[~immature] > 0),
    }
    return figures


def _share(chosen: np.ndarray) -> float | None:
    return round(float(chosen.mean()), 4) if chosen.size else None
