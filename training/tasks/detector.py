"""Train one limb's YOLO detector on labelled real films and simulated ones, resumable.

Layer: training.tasks; writes checkpoints and logs into its run folder. Uses
`training.models.darknet`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from torch import Tensor

from edge.anatomy import JointClass, Limb
from training.errors import TrainingError
from training.models.darknet import DarknetModule, Section, decode, detection_loss
from training.models.tensors import device, half_precision, to_device
from training.run import loop
from training.run.checkpoint import read_checkpoint
from training.synthetic.augment import QUARTER_TURNS, detector_sample, warp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from training.datasets.labelled_films import LabelledFilm
    from training.synthetic.phantom_films import PhantomFilms
    from training.tasks.recipes import DetectorRecipe


@dataclass(frozen=True)
class DetectorExamples:
    """Films to learn from and films to measure; ``phantoms`` are simulated films to learn from."""

    films: list[LabelledFilm]
    validation: list[LabelledFilm]
    phantoms: PhantomFilms


def shortened(recipe: DetectorRecipe, samples: int) -> DetectorRecipe:
    """The recipe with another length, its warm-up and steps in the same proportion."""
    share = samples / recipe.samples
    return replace(
        recipe,
        samples=samples,
        warm_up=max(1, round(recipe.warm_up * share)),
        rate_steps=tuple(round(step * share) for step in recipe.rate_steps),
    )


def learning_rate(recipe: DetectorRecipe, seen: int) -> float:
    """Warm-up, plateau, then steps or a cosine to 2 %: a longer run can resume from a plateau."""
    if recipe.rate_steps:
        risen = min(1.0, (seen + recipe.batch) / recipe.warm_up) ** 4
        return recipe.learning_rate * risen * 0.1 ** sum(seen >= at for at in recipe.rate_steps)
    if seen < recipe.warm_up:
        return recipe.learning_rate * (seen + 1) / recipe.warm_up
    start = recipe.samples * (1 - recipe.decay_share)
    if seen < start:
        return recipe.learning_rate
    share = min(1.0, (seen - start) / (recipe.samples - start))
    return recipe.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))


def detector_batch(
    examples: DetectorExamples, recipe: DetectorRecipe, seen: int
) -> tuple[Tensor, list[Tensor]]:
    """Batch number ``seen / batch``: images [n, 1, s, s] uint8 and boxes [k, 4] float32 an image.

    Simulated films alone where there are no real films, and the reverse.
    """
    films, phantoms = examples.films, examples.phantoms
    rng = loop.batch_rng(recipe.seed, seen)
    images, boxes = [], []
    for _ in range(recipe.batch):
        if len(phantoms) and (not films or rng.random() < recipe.phantom_share):
            film = phantoms.pick(rng)
        else:
            film = films[int(rng.integers(len(films)))]
        image, box = detector_sample(film, recipe.size_px, rng)
        images.append(image)
        boxes.append(torch.from_numpy(box).float())
    return torch.from_numpy(np.stack(images))[:, None], boxes


def layout(model: DarknetModule, size_px: int) -> tuple[Tensor, Tensor]:
    """Anchor [N, 2] and cell [N, 3] of every prediction, in `decode`'s order."""
    where = next(model.parameters()).device
    was_training = model.training
    with torch.no_grad():
        # In evaluation mode: an empty image must not change the running statistics.
        heads = model.eval()(torch.zeros(1, model.input_channels, size_px, size_px, device=where))
    model.train(was_training)
    anchors, cells = [], []
    for head, anchor in zip(heads, model.anchors(), strict=True):
        gh, gw = head.shape[2:]
        ys, xs = torch.meshgrid(torch.arange(gh), torch.arange(gw), indexing="ij")
        stride = size_px / gh
        cell = torch.stack([xs * stride, ys * stride, torch.full_like(xs, int(stride))], -1)
        for one in anchor:
            anchors.append(one.expand(gh * gw, 2))
            cells.append(cell.reshape(-1, 3).float())
    return torch.cat(anchors).to(where), torch.cat(cells).to(where)


def found_share(
    model: DarknetModule, films: list[LabelledFilm], size_px: int, turns: tuple[float, ...]
) -> float:
    """Share of labelled joints found with the right class at the first look at whole films.

    Tolerance .2 x (MCP3-PIP3), feet .1 x (MTP1-MTP5); the best 10 or 6 detections count.
    """
    right = total = 0
    model.eval()
    for film in films:
        for turn in turns:
            height, width = film.pixels.shape
            zoom, angle = size_px / max(height, width), math.radians(turn)
            linear = zoom * np.array(
                [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
            )
            matrix = np.eye(3)
            matrix[:2, :2] = linear
            matrix[:2, 2] = size_px / 2 - linear @ (width / 2, height / 2)
            image = to_device(warp(film.pixels, matrix, size_px)).float()[None, None] / 255
            points = film.points @ linear.T + matrix[:2, 2]
            image = image.expand(-1, model.input_channels, -1, -1)
            with torch.no_grad():
                boxes = decode(model(image), model.anchors(), size_px, model.network.heads)
            boxes = boxes[0].cpu().numpy()
            best = non_maximum_suppression(boxes, len(film.limb.joints))
            reach = film.unit * zoom * (0.2 if film.limb is Limb.HAND else 0.1)
            for point, kind in zip(points, film.classes, strict=True):
                want = 0 if kind is JointClass.PIP else 1
                near = np.hypot(*(best[:, :2] - point).T) <= reach
                right += bool((near & (best[:, 5:].argmax(1) == want)).any())
                total += 1
    return right / max(total, 1)


def non_maximum_suppression(boxes: np.ndarray, keep: int) -> np.ndarray:
    """Best ``keep`` rows of decoded [N, 5 + c] by objectness, overlaps over .4 removed."""
    # Beyond 60 the sigmoid is 0 or 1 in float32, and its exponential overflows.
    boxes = np.hstack([boxes[:, :4], 1 / (1 + np.exp(-boxes[:, 4:].clip(-60, 60)))])
    rows = boxes[boxes[:, 4] > 0.02]
    corner = rows[:, :2] - rows[:, 2:4] / 2
    order = cv2.dnn.NMSBoxes(
        np.hstack([corner, rows[:, 2:4]]).tolist(), rows[:, 4].tolist(), 0.02, 0.4
    )
    return rows[np.asarray(order, dtype=int).ravel()[:keep]]


def train_detector(
    sections: list[Section],
    run_dir: Path,
    examples: DetectorExamples,
    recipe: DetectorRecipe,
    start_from: Path | None = None,
    pretrained: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Train until ``recipe.samples``; resumes from ``run_dir``; returns the last figures.

    ``start_from`` is another limb's finished checkpoint, whose weights a new run starts from;
    ``pretrained`` are arrays as the importer names them, of which those that fit are taken.
    Raises `TrainingError` where there is neither a film nor a simulated one to learn from.
    """
    torch.manual_seed(recipe.seed)
    if not examples.films and not len(examples.phantoms):
        raise TrainingError(
            f"{run_dir.name}: no labelled film and no simulated film to learn from",
            fix="name the folder of labelled films, or draw simulated ones",
        )
    model = DarknetModule(sections).to(device(), memory_format=torch.channels_last)
    if pretrained is not None:
        model.load_arrays(pretrained)
    average = DarknetModule(sections).to(device())
    average.load_state_dict(model.state_dict())
    if start_from is not None and not (run_dir / "checkpoint.pt").exists():
        state = read_checkpoint(start_from)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["model"])
    optimiser = _optimiser(model, recipe)
    anchor, cell = layout(average, recipe.size_px)
    anchors = model.anchors()

    def step(batch: tuple[Tensor, list[Tensor]], seen: int) -> float:
        images, targets = batch
        model.train()
        x = (images.to(device()).float() / 255).expand(-1, model.input_channels, -1, -1)
        with half_precision():
            heads = model(x.contiguous(memory_format=torch.channels_last))
        boxes = [target.to(device()) for target in targets]
        decoded = decode(heads, anchors, recipe.size_px, model.network.heads)
        loss = detection_loss(decoded, anchor, cell, boxes)
        value = loop.descend(loss, model, optimiser, learning_rate(recipe, seen), 30.0)
        loop.follow(average, model, min(seen + recipe.batch, 0.04 * recipe.samples) / recipe.batch)
        return value

    def measure(final: bool) -> dict[str, Any]:
        figures: dict[str, Any] = {}
        examples.phantoms.refresh()
        if examples.validation:
            turns = QUARTER_TURNS if final else (0.0,)
            figures["found"] = found_share(average, examples.validation, recipe.size_px, turns)
        return figures | {"phantoms": len(examples.phantoms)}

    return loop.run(
        run_dir,
        {"model": model, "average": average, "optimiser": optimiser},
        loop.Plan(recipe.samples, recipe.batch, recipe.checkpoint_every_s),
        lambda seen: detector_batch(examples, recipe, seen),
        step,
        measure,
    )


def _optimiser(model: DarknetModule, recipe: DetectorRecipe) -> torch.optim.Optimizer:
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(
            model.parameters(), recipe.learning_rate, 0.9, weight_decay=recipe.weight_decay
        )
    return torch.optim.AdamW(
        model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
    )
