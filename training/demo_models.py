"""Train every demo model from nothing, one command, resumable.

Room: training. The recipe is the one that made the committed weights. It writes checkpoints under
its runs folder and compact weights where it is told to.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch

from edge.model import Limb
from edge.paths import engines_home
from training import detector, scorer, unet
from training.darknet import DarknetModule, decode, detection_loss, read_cfg
from training.films import read_labelled, split
from training.phantoms import PhantomShelf, fill_shelf
from training.ship import (
    last_figures,
    provenance,
    ship_detector,
    ship_heads,
    ship_mask,
    ship_trunk,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from training.films import LabelledFilm

    Say = Callable[[str], None]

COMMAND = "sharpedge train demo --films FRACATLAS"


@dataclass(frozen=True)
class DemoRecipe:
    """Sizes of every step; the defaults made the committed weights."""

    phantom_films: int = 500
    crop_shards: int = 25
    crops_per_shard: int = 2_000
    held_out_crops: int = 2_000
    crop_px: int = 96
    seed: int = 1
    hand_detector: detector.DetectorRecipe = field(
        default_factory=lambda: detector.DetectorRecipe(samples=26_000)
    )
    foot_detector: detector.DetectorRecipe = field(
        default_factory=lambda: detector.DetectorRecipe(samples=18_000)
    )
    mask: unet.MaskRecipe = field(default_factory=unet.MaskRecipe)
    trunk: scorer.TrunkRecipe = field(default_factory=scorer.TrunkRecipe)
    head: scorer.HeadRecipe = field(default_factory=scorer.HeadRecipe)


def estimate_hours(recipe: DemoRecipe) -> dict[str, float]:
    """Hours that each step will take on this machine, from one timed batch of each network."""
    cfg = read_cfg(engines_home() / "cfg" / "yolov3-quarter.cfg")
    detect = DarknetModule(cfg).to(memory_format=torch.channels_last)
    size = recipe.hand_detector.size_px
    anchor, cell = detector.layout(detect, size)

    def detector_batch() -> None:
        boxes = [torch.tensor([[0.0, 100.0, 100.0, 30.0]])] * 8
        with torch.autocast("cpu", torch.bfloat16):
            heads = detect(torch.rand(8, 1, size, size))
        detection_loss(decode(heads, detect.anchors(), size), anchor, cell, boxes).backward()

    mask = unet.MultiScaleUNet().to(memory_format=torch.channels_last)

    def mask_batch() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            logits = mask(torch.rand(8, 1, *recipe.mask.size))
        logits.float().mean().backward()

    trunk = scorer.TrunkTrainer().to(memory_format=torch.channels_last)
    none = torch.zeros(8, dtype=torch.long)

    def trunk_batch() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            loss = trunk.loss(torch.rand(8, 3, recipe.crop_px, recipe.crop_px), none, none, none)
        loss.backward()

    detectors = recipe.hand_detector.samples + recipe.foot_detector.samples
    steps = {
        "detectors": (detector_batch, detectors),
        "masks": (mask_batch, 2 * recipe.mask.samples),
        "trunk": (trunk_batch, recipe.trunk.samples),
    }
    hours = {}
    for name, (batch, samples) in steps.items():
        batch()
        begun = time.perf_counter()
        batch()
        hours[name] = round((time.perf_counter() - begun) / 8 * samples / 3600, 2)
    return hours


def train_demo(
    films_dir: Path | None, labels: Path, runs: Path, weights: Path, recipe: DemoRecipe, say: Say
) -> dict[str, Any]:
    """Train all models; each step resumes where it was cut off. Returns the figures.

    Without ``films_dir`` everything is trained on simulated films alone, and that is said.
    """
    hours = estimate_hours(recipe)
    say(f"estimate for this machine: {sum(hours.values()):.1f} h ({hours}), drawing not counted")
    if films_dir is None:
        say("no folder of FracAtlas films was named: training on simulated films alone")
    figures: dict[str, Any] = {}
    shelf_dir = runs / "shelf"
    for limb in Limb:
        films = read_labelled(labels, films_dir, limb) if films_dir is not None else []
        fill_shelf(shelf_dir, limb, recipe.phantom_films, recipe.seed)
        figures |= _train_detector(limb, films, films_dir, runs, weights, recipe, say)
        figures |= _train_mask(limb, films, films_dir, runs, weights, recipe, say)
    figures |= _train_scorers(runs, weights, recipe, say)
    return figures


def _trained_on(films: list[LabelledFilm], films_dir: Path | None) -> list[Path]:
    if films_dir is None:
        return []
    names = {film.film for film in split(films)[0]}
    return sorted(path for path in films_dir.rglob("*.jpg") if path.name in names)


def _train_detector(
    limb: Limb, films: list[LabelledFilm], films_dir: Path | None,
    runs: Path, weights: Path, recipe: DemoRecipe, say: Say,
) -> dict[str, Any]:  # fmt: skip
    say(f"{limb} detector")
    cfg = read_cfg(engines_home() / "cfg" / "yolov3-quarter.cfg")
    run_dir = runs / f"detect-{limb}"
    hand = runs / f"detect-{Limb.HAND}" / "checkpoint.pt"
    detector.train(
        cfg,
        run_dir,
        films,
        PhantomShelf(runs / "shelf", limb),
        recipe.hand_detector if limb is Limb.HAND else recipe.foot_detector,
        start_from=hand if limb is Limb.FOOT else None,
    )
    found = last_figures(run_dir)
    meta = provenance(COMMAND, _trained_on(films, films_dir), found)
    ship_detector(run_dir, cfg, weights / f"{limb}-detect.npz", meta)
    return {f"{limb}-detect": found}


def mask_examples(
    limb: Limb, films: list[LabelledFilm], shelf_dir: Path, held_out: int = 40
) -> tuple[list[unet.MaskExample], ...]:
    """Phantoms for training and for measuring, real films for training and for measuring."""
    shelf = PhantomShelf(shelf_dir, limb)
    drawn = []
    for film in shelf.films:
        outline = cv2.imread(str(shelf_dir / f"mask-{film.film}"), cv2.IMREAD_GRAYSCALE)
        drawn.append(unet.canvas_example(film, np.asarray(outline, np.uint8)))
    phantoms = [example for example in drawn if example is not None]
    training, validation = split(films)
    real, unseen = (
        [example for film in part if (example := unet.canvas_example(film, None)) is not None]
        for part in (training, validation)
    )
    return phantoms[held_out:], phantoms[:held_out], real, unseen


def _train_mask(
    limb: Limb, films: list[LabelledFilm], films_dir: Path | None,
    runs: Path, weights: Path, recipe: DemoRecipe, say: Say,
) -> dict[str, Any]:  # fmt: skip
    say(f"{limb} mask")
    phantoms, held_phantoms, real, held_real = mask_examples(limb, films, runs / "shelf")
    run_dir = runs / f"mask-{limb}"
    unet.train(run_dir, phantoms, real, recipe.mask, (held_phantoms, held_real))
    found = last_figures(run_dir)
    meta = provenance(COMMAND, _trained_on(films, films_dir), found)
    ship_mask(run_dir, weights / f"{limb}-mask.npz", meta)
    return {f"{limb}-mask": found}


def _train_scorers(runs: Path, weights: Path, recipe: DemoRecipe, say: Say) -> dict[str, Any]:
    say("scorers: drawing crops")
    shelf = runs / "crops"
    scorer.shelve_crops(shelf, 1, recipe.held_out_crops, recipe.crop_px, recipe.seed + 6, "eval")
    scorer.shelve_crops(
        shelf, recipe.crop_shards, recipe.crops_per_shard, recipe.crop_px, recipe.seed
    )
    crops, held_out = scorer.read_crops(shelf), scorer.read_crops(shelf, "eval")
    say("scorers: trunk")
    scorer.train_trunk(runs / "trunk", crops, held_out, recipe.trunk)
    meta = provenance(COMMAND, [], last_figures(runs / "trunk"))
    trunk = ship_trunk(runs / "trunk", weights / "trunk.npz", meta)
    say("scorers: heads")
    figures = ship_heads(
        trunk,
        crops,
        held_out,
        weights,
        recipe.head,
        lambda found: provenance(COMMAND, [], found) | {"recipe": asdict(recipe.head)},
    )
    return {"scorers": figures}
