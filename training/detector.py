"""Train one limb's YOLOv3 detector on labelled real films and phantoms, resumable.

Room: training. Writes checkpoints and logs into its run folder only.
"""

from __future__ import annotations

import json
import math
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from torch import Tensor

from edge.model import JointClass, Limb
from training.augment import QUARTER_TURNS, detector_sample, warp
from training.checkpoint import load_checkpoint, save_checkpoint
from training.darknet import DarknetModule, Section, decode, detection_loss
from training.films import LabelledFilm, split

if TYPE_CHECKING:
    from pathlib import Path

    from training.phantoms import PhantomShelf


@dataclass(frozen=True)
class DetectorRecipe:
    """How a detector is trained; the defaults are the demo's."""

    samples: int = 40_000
    batch: int = 16
    learning_rate: float = 2e-3
    warm_up: int = 2_000
    decay_share: float = 0.35
    phantom_share: float = 0.4
    size_px: int = 416
    seed: int = 1
    checkpoint_every_s: float = 180.0


def learning_rate(recipe: DetectorRecipe, seen: int) -> float:
    """Warm-up, plateau, then a cosine to 2 %: a plateau lets a longer run resume from it."""
    if seen < recipe.warm_up:
        return recipe.learning_rate * (seen + 1) / recipe.warm_up
    start = recipe.samples * (1 - recipe.decay_share)
    if seen < start:
        return recipe.learning_rate
    share = min(1.0, (seen - start) / (recipe.samples - start))
    return recipe.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))


class Feed(threading.Thread):
    """Prepares batches beside the training; OpenCV lets go of the interpreter while it works."""

    def __init__(
        self, films: list[LabelledFilm], shelf: PhantomShelf, recipe: DetectorRecipe, seed: int
    ) -> None:
        super().__init__(daemon=True)
        self.ready: queue.Queue[tuple[Tensor, list[Tensor]]] = queue.Queue(6)
        self._films, self._shelf, self._recipe = films, shelf, recipe
        self._rng = np.random.default_rng(seed)

    def _film(self) -> LabelledFilm:
        if len(self._shelf) and self._rng.random() < self._recipe.phantom_share:
            return self._shelf.pick(self._rng)
        return self._films[int(self._rng.integers(len(self._films)))]

    def run(self) -> None:
        """Fill the queue for ever."""
        while True:
            samples = [
                detector_sample(self._film(), self._recipe.size_px, self._rng)
                for _ in range(self._recipe.batch)
            ]
            images = torch.from_numpy(np.stack([image for image, _ in samples]))[:, None]
            boxes = [torch.from_numpy(box).float() for _, box in samples]
            self.ready.put((images, boxes))


def layout(model: DarknetModule, size_px: int) -> tuple[Tensor, Tensor]:
    """Anchor [N, 2] and cell [N, 3] of every prediction, in `decode`'s order."""
    with torch.no_grad():
        heads = model(torch.zeros(1, model.input_channels, size_px, size_px))
    anchors, cells = [], []
    for head, anchor in zip(heads, model.anchors(), strict=True):
        gh, gw = head.shape[2:]
        ys, xs = torch.meshgrid(torch.arange(gh), torch.arange(gw), indexing="ij")
        stride = size_px / gh
        cell = torch.stack([xs * stride, ys * stride, torch.full_like(xs, int(stride))], -1)
        for one in anchor:
            anchors.append(one.expand(gh * gw, 2))
            cells.append(cell.reshape(-1, 3).float())
    return torch.cat(anchors), torch.cat(cells)


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
            image = torch.from_numpy(warp(film.pixels, matrix, size_px)).float()[None, None] / 255
            points = film.points @ linear.T + matrix[:2, 2]
            with torch.no_grad():
                boxes = decode(model(image), model.anchors(), size_px)[0].numpy()
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
    boxes = np.hstack([boxes[:, :4], 1 / (1 + np.exp(-boxes[:, 4:]))])
    rows = boxes[boxes[:, 4] > 0.02]
    corner = rows[:, :2] - rows[:, 2:4] / 2
    order = cv2.dnn.NMSBoxes(
        np.hstack([corner, rows[:, 2:4]]).tolist(), rows[:, 4].tolist(), 0.02, 0.4
    )
    return rows[np.asarray(order, dtype=int).ravel()[:keep]]


def train(
    sections: list[Section],
    run_dir: Path,
    films: list[LabelledFilm],
    shelf: PhantomShelf,
    recipe: DetectorRecipe,
    start_from: Path | None = None,
) -> dict[str, Any]:
    """Train until ``recipe.samples``; resumes from ``run_dir``; returns the last figures.

    ``start_from`` is another limb's finished checkpoint, whose weights a new run begins with.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    training, validation = split(films)
    model = DarknetModule(sections).to(memory_format=torch.channels_last)
    average = DarknetModule(sections)
    average.load_state_dict(model.state_dict())
    optimiser = torch.optim.AdamW(model.parameters(), recipe.learning_rate, weight_decay=1e-3)
    latest = run_dir / "checkpoint.pt"
    parts = {"model": model, "average": average, "optimiser": optimiser}
    begins = not latest.exists()
    seen, spent_s = load_checkpoint(latest, parts)
    if begins and start_from is not None:
        state = torch.load(start_from, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["model"])
    anchor, cell = layout(average.eval(), recipe.size_px)
    anchors = model.anchors()
    feed = Feed(training, shelf, recipe, recipe.seed + seen)
    feed.start()
    begun = saved = time.monotonic()
    figures: dict[str, Any] = {}
    losses: list[float] = []
    while seen < recipe.samples:
        images, targets = feed.ready.get()
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(recipe, seen)
        model.train()
        batch = (images.float() / 255).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            heads = model(batch)
        loss = detection_loss(decode(heads, anchors, recipe.size_px), anchor, cell, targets)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 30.0)
        optimiser.step()
        seen += recipe.batch
        keep = 1 - 1 / (2 + min(seen, 0.04 * recipe.samples) / recipe.batch)
        with torch.no_grad():
            for mean, new in zip(
                average.state_dict().values(), model.state_dict().values(), strict=True
            ):
                if mean.dtype.is_floating_point:
                    mean.lerp_(new.float(), 1 - keep)
                else:
                    mean.copy_(new)
        losses.append(loss.item())
        if time.monotonic() - saved > recipe.checkpoint_every_s or seen >= recipe.samples:
            saved = time.monotonic()
            save_checkpoint(latest, parts, seen, spent_s + saved - begun)
            shelf.refresh()
            turns = QUARTER_TURNS if seen >= recipe.samples else (0.0,)
            figures = {
                "seen": seen,
                "loss": float(np.mean(losses[-200:])),
                "found": found_share(average, validation, recipe.size_px, turns),
                "phantoms": len(shelf),
                "minutes": round((spent_s + saved - begun) / 60, 1),
            }
            with (run_dir / "log.jsonl").open("a") as log:
                log.write(json.dumps(figures) + "\n")
            print(json.dumps(figures), flush=True)
    return figures
