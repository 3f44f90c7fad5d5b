"""How long a demo recipe will take on this machine, from a few timed samples of each step.

Layer: training.tasks; reads the committed network configuration, writes nothing.
"""

from __future__ import annotations

import math
import os
import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from edge.anatomy import Limb, shape_template
from edge.model import Laterality
from edge.system.paths import engines_home
from phantom import render_film, sample_limb
from training.datasets.labelled_films import LabelledFilm
from training.models.darknet import DarknetModule, decode, detection_loss, read_cfg
from training.models.heads import Head, TrunkTrainer, ordinal_loss
from training.models.tensors import device, half_precision
from training.models.trunk import FEATURES, Trunk, trunk_features
from training.models.unet import MultiScaleUNet
from training.run import loop
from training.synthetic.augment import detector_sample
from training.synthetic.crops import Crops, augment, draw_crops
from training.synthetic.framed_crops import framed_crops
from training.synthetic.outlines import MaskExample
from training.synthetic.painted_crops import painted_crops
from training.synthetic.painted_films import sharp_films
from training.tasks.detector import layout
from training.tasks.mask import mask_sample, plan_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from training.tasks.recipes import DemoRecipe, HeadSchedule, TrunkRecipe

_BATCH = 8
_HEAD_STEPS = 20
_SHARP_PX = 2_600


def estimate_hours(recipe: DemoRecipe, real_films: int = 0) -> dict[str, float]:
    """Hours from nothing of each step on this machine, in the order of the steps.

    Early stopping and what is already done are not known here: the figure is a most.
    """
    crops = draw_crops(_BATCH, recipe.crop_px, recipe.seed, "train")
    detectors = recipe.hand_detector.samples + recipe.foot_detector.samples
    examples = recipe.mask_phantoms + real_films // 2
    masks = 2 * plan_of(recipe.mask, examples).samples
    simulated = recipe.crop_shards * recipe.crops_per_shard
    shards = recipe.painted_shards + recipe.enlarged_shards if real_films else 0
    painted = shards * sum(n * len(limb.joints) for limb, n in recipe.paintings.items())
    painting_s = sum(n * _painting_s(recipe, limb) for limb, n in recipe.paintings.items())
    headed = recipe.held_out_crops
    if not recipe.head.of_the_trunk:
        headed += min(len(Limb) * recipe.head_crops, simulated) + painted
    limbs = () if recipe.further else tuple(Limb)
    films_s = sum(_film_s(recipe, limb) * recipe.phantoms(limb) for limb in limbs)
    framed = recipe.framed_shards * recipe.framed_films
    films_s += framed * sum(
        _seconds(partial(framed_crops, limb, 1, recipe.crop_px, recipe.seed)) for limb in Limb
    )
    crop_s = _seconds(lambda: draw_crops(_BATCH, recipe.crop_px, recipe.seed, "train")) / len(crops)
    seconds = {
        "drawing": films_s + crop_s * (simulated + recipe.held_out_crops),
        "painting": shards * painting_s,
    }
    if not recipe.further:
        seconds["detectors"] = detectors * _detector_s(recipe)
        seconds["masks"] = masks * _mask_s(recipe)
    seconds["trunks"] = 0.0 if recipe.further else _trunk_s(recipe.trunk, crops)
    if recipe.limb_trunk:
        seconds["trunks"] += len(Limb) * _trunk_s(recipe.limb_trunk, crops)
    seconds["heads"] = _heads_s(recipe.head, crops, headed)
    return {name: round(value / 3600, 2) for name, value in seconds.items()}


def _seconds(work: Callable[[], object]) -> float:
    """Time of the second of two runs: the first one warms caches up."""
    work()
    begun = time.perf_counter()
    work()
    if device().type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def _film_s(recipe: DemoRecipe, limb: Limb) -> float:
    rng = np.random.default_rng(recipe.seed)

    def draw() -> object:
        model = sample_limb(rng, limb, Laterality.LEFT, "flat")
        return render_film(model, rng, long_side_px=recipe.film_px)

    return _seconds(draw)


def _painting_s(recipe: DemoRecipe, limb: Limb) -> float:
    """Of one film of all its joints, drawn as large as a sharp film is."""
    rng = np.random.default_rng(recipe.seed)
    drawn = render_film(
        sample_limb(rng, limb, Laterality.LEFT, "real"), rng, long_side_px=_SHARP_PX
    )
    points = np.array([joint.centre for joint in drawn.joints])
    names = tuple(joint.name or "" for joint in drawn.joints)
    film = LabelledFilm("drawn", limb, drawn.pixels, 1.0, names, points, drawn.unit_px)
    sharp = sharp_films([film])
    return _seconds(lambda: painted_crops(sharp, 1, recipe.crop_px, recipe.seed, varied=True))


def _beside(prepare_s: float) -> float:
    """What preparing a sample adds when it shares the cores with the training."""
    return prepare_s / (os.cpu_count() or 1)


def _detector_s(recipe: DemoRecipe) -> float:
    size = recipe.hand_detector.size_px
    cfg = read_cfg(engines_home() / "cfg" / "yolov3-quarter.cfg")
    model = DarknetModule(cfg).to(device(), memory_format=torch.channels_last)
    anchor, cell = layout(model, size)
    boxes = [torch.tensor([[0.0, 100.0, 100.0, 30.0]], device=device())] * _BATCH

    def learn() -> None:
        with half_precision():
            heads = model(torch.rand(_BATCH, 1, size, size, device=device()))
        detection_loss(decode(heads, model.anchors(), size), anchor, cell, boxes).backward()

    limb, rng = Limb.HAND, np.random.default_rng(recipe.seed)
    points = shape_template(limb).mean * 150 + 350
    pixels = np.zeros((recipe.film_px, recipe.film_px), np.uint8)
    film = LabelledFilm("", limb, pixels, 1.0, limb.joints, points, 150.0)
    prepare = _seconds(lambda: detector_sample(film, size, rng))
    return _seconds(learn) / _BATCH + _beside(prepare)


def _mask_s(recipe: DemoRecipe) -> float:
    model = MultiScaleUNet().to(device())

    def learn() -> None:
        x = torch.rand(_BATCH, 1, *recipe.mask.size, device=device())
        with half_precision():
            logits = model(x.to(memory_format=torch.channels_last))
        logits.float().mean().backward()

    example = MaskExample(np.zeros((600, 480), np.uint8), np.zeros((600, 480), np.uint8))
    rng = np.random.default_rng(recipe.seed)
    prepare = _seconds(lambda: mask_sample(example, recipe.mask.size, rng))
    return _seconds(learn) / _BATCH + _beside(prepare)


def _trunk_s(recipe: TrunkRecipe, crops: Crops) -> float:
    trunk = TrunkTrainer().to(device(), memory_format=torch.channels_last)
    trunk.trunk.freeze(recipe.frozen)
    known = torch.zeros(_BATCH, dtype=torch.long, device=device())

    def learn() -> None:
        x = torch.rand(_BATCH, 3, *crops.pixels.shape[1:], device=device())
        with half_precision():
            loss = trunk.loss(x.contiguous(memory_format=torch.channels_last), known, known, known)
        loss.backward()

    rng = np.random.default_rng(recipe.seed)
    prepare = _seconds(lambda: augment(crops.pixels, rng)) / len(crops)
    return recipe.samples * (_seconds(learn) / _BATCH + _beside(prepare))


def _heads_s(recipe: HeadSchedule, crops: Crops, count: int) -> float:
    trunk = Trunk().to(device(), memory_format=torch.channels_last)
    caching = _seconds(lambda: trunk_features(trunk, crops.pixels)) / len(crops)
    batch = recipe.batch
    head = Head(6).to(device())
    optimiser = torch.optim.AdamW(head.parameters(), recipe.learning_rate)
    features = torch.rand(batch, FEATURES, device=device())
    grades = torch.zeros(batch, dtype=torch.long, device=device())

    def learn() -> None:
        for _ in range(_HEAD_STEPS):
            loss = ordinal_loss(head(features), grades)
            loop.descend(loss, head, optimiser, recipe.learning_rate, math.inf)

    step = _seconds(learn) / _HEAD_STEPS
    # Each of the two limbs has about half the crops, and two heads learn from each.
    steps = 2 * recipe.epochs * count / batch
    return caching * count + step * steps
