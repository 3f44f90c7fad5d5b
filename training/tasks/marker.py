"""Train the network that reads side markers, on markers drawn on real films; resumable.

Layer: training.tasks; writes crops, checkpoints and logs into its run folder, and one weight file.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from edge.pipeline.marker.candidates import WORKING_SIDE_PX
from edge.pipeline.marker.network import CLASSES, MarkerNetwork
from edge.system.files import whole_file
from export.importers.compact import load_compact, save_compact
from training.datasets.labelled_films import is_validation, shrink
from training.datasets.labelled_markers import read_markers
from training.errors import TrainingError
from training.models.marker import MarkerModule
from training.models.tensors import device
from training.run import loop
from training.run.checkpoint import read_checkpoint
from training.run.run_folder import last_figures, require_same_values
from training.synthetic.marker_crops import MarkerCrops, crops_of_window, draw_window
from training.synthetic.marker_glyphs import find_faces
from training.tasks.marker_films import measure_films
from training.tasks.publish import training_record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge.model import GreyImage
    from training.synthetic.marker_glyphs import Face

    Say = Callable[[str], None]

_MIRRORED = np.array([0, 2, 1, 4, 3])
"""Class of a crop that is mirrored."""
_WINDOWS_A_SHARD = 100


@dataclass(frozen=True)
class MarkerRecipe:
    """How the reader of markers is trained; lengths are in crops, ``windows`` in parts of films."""

    windows: int = 4_000
    samples: int = 1_500_000
    batch: int = 256
    letter_share: float = 0.5
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    held_out_share: float = 0.05
    seed: int = 1
    checkpoint_every_s: float = 60.0


def films_to_learn_from(folders: Sequence[Path], labels: Path) -> list[Path]:
    """Films without a marker of their own that do not belong to the validation part.

    Raises `TrainingError` where there is none.
    """
    marked = {label.film for label in read_markers(labels)}
    paths = sorted(path for folder in folders for path in folder.rglob("*.jpg"))
    kept = [path for path in paths if path.name not in marked and not is_validation(path.name)]
    if not kept:
        raise TrainingError(
            f"{', '.join(map(str, folders))}: no film to draw markers on",
            fix="name a folder with radiographs (*.jpg) that show no marker",
        )
    return kept


def draw_crops(
    films: Sequence[Path], faces: list[Face], folder: Path, recipe: MarkerRecipe
) -> MarkerCrops:
    """Crops of every window; each shard of windows is drawn once and kept in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = []
    for number in range(-(-recipe.windows // _WINDOWS_A_SHARD)):
        path = folder / f"shard-{number:03d}.npz"
        if not path.exists():
            rng = np.random.default_rng((recipe.seed, number))
            drawn = _joined([_window(films, faces, rng) for _ in range(_WINDOWS_A_SHARD)])
            with whole_file(path, durable=False) as file:
                np.savez(file, crops=drawn.crops, classes=drawn.classes, turns=drawn.turns_deg)
        with np.load(path) as stored:
            shards.append(MarkerCrops(stored["crops"], stored["classes"], stored["turns"]))
    return _joined(shards)


def _window(films: Sequence[Path], faces: list[Face], rng: np.random.Generator) -> MarkerCrops:
    path = films[int(rng.integers(len(films)))]
    stored = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    if stored is None:
        raise TrainingError(f"{path}: the film cannot be decoded", fix="remove or replace it")
    film: GreyImage = shrink(np.asarray(stored, np.uint8), WORKING_SIDE_PX)[0]
    return crops_of_window(*draw_window(film, faces, rng), rng)


def _joined(parts: Sequence[MarkerCrops]) -> MarkerCrops:
    return MarkerCrops(
        np.concatenate([part.crops for part in parts]),
        np.concatenate([part.classes for part in parts]),
        np.concatenate([part.turns_deg for part in parts]),
    )


def varied(
    crops: np.ndarray, classes: np.ndarray, turns_deg: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Crops [n, 2, s, s] uint8 turned by right angles, mirrored and shaded, with their classes."""
    quarter, flip = int(rng.integers(4)), bool(rng.random() < 0.5)
    if flip:
        crops, classes, turns_deg = crops[..., ::-1], _MIRRORED[classes], -turns_deg
    # Counter-clockwise, as numpy turns.
    crops, turns_deg = np.rot90(crops, quarter, axes=(2, 3)), turns_deg - 90 * quarter
    shape = (len(crops), 1, 1, 1)
    factor, shift, noise = (
        rng.uniform(low, high, shape).astype(np.float32)
        for low, high in ((0.8, 1.15), (-0.1, 0.1), (0, 0.06))
    )
    grey = crops.astype(np.float32) / 255 * factor + shift
    grey += rng.standard_normal(crops.shape, np.float32) * noise
    return np.clip(grey, 0, 1), classes, turns_deg


def _rows(pool: MarkerCrops, recipe: MarkerRecipe, rng: np.random.Generator) -> np.ndarray:
    """Crops of a batch: more of them are letters than in the pool."""
    letters, others = np.flatnonzero(pool.classes > 0), np.flatnonzero(pool.classes == 0)
    count = round(recipe.batch * recipe.letter_share)
    chosen = rng.choice(letters, count), rng.choice(others, recipe.batch - count)
    return rng.permutation(np.concatenate(chosen))


def _batch(pool: MarkerCrops, recipe: MarkerRecipe, seen: int) -> tuple[Tensor, Tensor, Tensor]:
    rng = loop.batch_rng(recipe.seed, seen)
    # Eight ways to turn and mirror, in one batch.
    parts = [
        varied(pool.crops[rows], pool.classes[rows], pool.turns_deg[rows], rng)
        for rows in np.split(_rows(pool, recipe, rng), 8)
    ]
    crops, classes, turns = (np.concatenate(part) for part in zip(*parts, strict=True))
    angle = np.deg2rad(turns)
    target = np.column_stack([np.cos(angle), np.sin(angle)]).astype(np.float32)
    return torch.from_numpy(crops), torch.from_numpy(classes), torch.from_numpy(target)


def train_marker(
    folders: Sequence[Path], labels: Path, runs: Path, out: Path, recipe: MarkerRecipe, say: Say
) -> dict[str, Any]:
    """Draw crops, train, write compact weights; each step resumes. Returns the figures.

    Raises `TrainingError` for films, labels or fonts that cannot be used.
    """
    films, faces = films_to_learn_from(folders, labels), find_faces()
    names = {"films": [path.name for path in films], "fonts": _font_names(faces)}
    require_same_values(runs, asdict(recipe) | names)
    say(f"markers: drawing on {len(films)} films in {len(names['fonts'])} fonts")
    pool = draw_crops(films, faces, runs / "crops", recipe)
    say(f"markers: {len(pool)} crops, {int((pool.classes > 0).sum())} of them letters")
    held_out = max(1, round(len(pool) * recipe.held_out_share))
    figures = _train(runs / "network", _part(pool, held_out), _part(pool, None, held_out), recipe)
    record = training_record("sharpedge train marker", figures) | {
        "films": hashlib.sha256("\n".join(names["films"]).encode()).hexdigest(),
        "fonts": names["fonts"],
        "recipe": asdict(recipe),
    }
    save_compact(out, finished(runs / "network").arrays(), record)
    say("markers: reading the films that were kept out")
    network = MarkerNetwork(load_compact(out)[0])
    return figures | {"real_films": measure_films(network, folders, labels)}


def _font_names(faces: list[Face]) -> list[str]:
    return sorted({face.file.rpartition("/")[2] for face in faces if face.file})


def _part(pool: MarkerCrops, begin: int | None, end: int | None = None) -> MarkerCrops:
    rows = slice(begin, end)
    return MarkerCrops(pool.crops[rows], pool.classes[rows], pool.turns_deg[rows])


def _train(
    run_dir: Path, pool: MarkerCrops, held_out: MarkerCrops, recipe: MarkerRecipe
) -> dict[str, Any]:
    torch.manual_seed(recipe.seed)
    model = MarkerModule().to(device(), memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(
        model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
    )

    def step(batch: tuple[Tensor, Tensor, Tensor], seen: int) -> float:
        crops, classes, turn = (part.to(device()) for part in batch)
        rate = recipe.learning_rate * min(1.0, (seen + 1) / 10_000)
        rate *= 0.5 * (1 + np.cos(np.pi * seen / recipe.samples))
        model.train()
        logits, turns = model(crops)
        loss = functional.cross_entropy(logits, classes, label_smoothing=0.01)
        is_letter = (classes > 0).float()[:, None]
        loss = loss + 0.3 * ((turns - turn).square() * is_letter).sum() / is_letter.sum().clamp(1)
        return loop.descend(loss, model, optimiser, float(rate), 5.0)

    plan = loop.Plan(recipe.samples, recipe.batch, recipe.checkpoint_every_s)
    parts = {"model": model, "optimiser": optimiser}
    loop.run(
        run_dir,
        parts,
        plan,
        lambda seen: _batch(pool, recipe, seen),
        step,
        lambda _: measure(model, held_out),
    )
    return last_figures(run_dir)


def measure(model: MarkerModule, held_out: MarkerCrops) -> dict[str, Any]:
    """Share of letters that are read right, and of what is none that is read as a letter."""
    model.eval()
    crops = torch.from_numpy(held_out.crops.astype(np.float32) / 255)
    with torch.no_grad():
        read = model(crops.to(device()))[0].argmax(1).cpu().numpy()
    letters = held_out.classes > 0
    wrong = (read != held_out.classes) & letters & (read > 0)
    by_class = {
        name: float(np.mean(read[held_out.classes == row] == row))
        for row, name in enumerate(CLASSES)
        if (held_out.classes == row).any()
    }
    return {"right": by_class, "wrong_letters": float(wrong.sum() / max(1, letters.sum()))}


def finished(run_dir: Path) -> MarkerModule:
    """The trained network of a run, for use."""
    model = MarkerModule()
    model.load_state_dict(read_checkpoint(run_dir / "checkpoint.pt")["model"])
    return model.eval()
