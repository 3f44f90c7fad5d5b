"""Joint crops to learn from and to measure on: drawn, stored in shards on disk, augmented.

Layer: training.synthetic; reads and writes one folder of shards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.anatomy import Limb
from edge.system.files import whole_file
from phantom import render_crop
from phantom.ra2_columns import ScoreKind
from training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from phantom.style import StyleName

UNKNOWN = -1
"""Grade of a joint that has none, or that nobody graded."""
SMALL_SHARE = 0.12
"""Share of crops that are shown at the resolution of a smaller film."""


@dataclass(frozen=True)
class Crops:
    """Joint crops [n, s, s] uint8 with limb index and both grades [n] (-1: not known)."""

    pixels: np.ndarray
    limb: np.ndarray
    erosion: np.ndarray
    narrowing: np.ndarray

    def __len__(self) -> int:
        return len(self.pixels)

    def at(self, rows: slice | np.ndarray) -> Crops:
        """These crops, in this order."""
        return Crops(self.pixels[rows], self.limb[rows], self.erosion[rows], self.narrowing[rows])

    def grades(self, kind: ScoreKind) -> np.ndarray:
        """Grades [n] of one kind."""
        return self.erosion if kind is ScoreKind.EROSION else self.narrowing

    def first(self, count: int) -> Crops:
        """The first ``count`` crops."""
        return self.at(slice(count))

    def of(self, limb: Limb) -> Crops:
        """The crops of one limb."""
        return self.at(np.flatnonzero(self.limb == list(Limb).index(limb)))


@dataclass(frozen=True)
class CropSet:
    """Simulated crops, and real ones with painted damage where films were at hand."""

    simulated: Crops
    painted: Crops | None = None

    def of(self, limb: Limb) -> CropSet:
        """The crops of one limb."""
        return CropSet(self.simulated.of(limb), self.painted.of(limb) if self.painted else None)

    def first_simulated(self, count: int) -> CropSet:
        """The first ``count`` simulated crops, and all painted ones."""
        return CropSet(self.simulated.first(count), self.painted)


def draw_crops(
    count: int, size_px: int, seed: int, style: StyleName, limbs: Sequence[Limb] = tuple(Limb)
) -> Crops:
    """Render crops of all joints of ``limbs``, every grade about equally often."""
    rng = np.random.default_rng(seed)
    pixels = np.empty((count, size_px, size_px), np.uint8)
    numbers = np.array([list(Limb).index(limb) for limb in limbs])
    which = numbers[rng.integers(0, len(limbs), count)]
    erosion, narrowing = np.full(count, UNKNOWN), np.full(count, UNKNOWN)
    for i in range(count):
        limb = list(Limb)[int(which[i])]
        joint = str(rng.choice(limb.joints))
        crop, eroded, narrowed = render_crop(rng, limb, joint, size_px, style)
        pixels[i], erosion[i] = crop, eroded
        narrowing[i] = UNKNOWN if narrowed is None else narrowed
    return Crops(pixels, which, erosion, narrowing)


def draw_crop_shards(
    folder: Path,
    shards: int,
    per_shard: int,
    size_px: int,
    seed: int,
    style: StyleName = "train",
    limbs: Sequence[Limb] = tuple(Limb),
) -> None:
    """Draw crops to disk in shards; an existing shard is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        path = folder / f"crops-{style}-{shard:04d}.npz"
        if path.exists():
            continue
        crops = draw_crops(per_shard, size_px, seed * 100_003 + shard, style, limbs)
        write_crops(path, crops)


def write_crops(path: Path, crops: Crops) -> None:
    """Write one shard; a reader finds it whole or not at all."""
    with whole_file(path, durable=False) as file:
        np.savez(
            file, pixels=crops.pixels, limb=crops.limb, erosion=crops.erosion,
            narrowing=crops.narrowing,
        )  # fmt: skip


def join_crops(parts: Sequence[Crops]) -> Crops:
    """Crops of one size, one after the other."""
    return Crops(
        *(
            np.concatenate([getattr(part, key) for part in parts])
            for key in ("pixels", "limb", "erosion", "narrowing")
        )
    )


def read_crops(folder: Path, style: str = "train", shards: slice = slice(None)) -> Crops:
    """Read every shard of a folder. Raises `TrainingError` for none, and for mixed sizes."""
    paths = sorted(folder.glob(f"crops-{style}-[0-9][0-9][0-9][0-9].npz"))[shards]
    loaded = []
    for path in paths:
        with np.load(path) as shard:
            loaded.append(Crops(**{key: shard[key] for key in shard.files}))
    if len({part.pixels.shape[1:] for part in loaded}) != 1:
        raise TrainingError(
            f"{folder}: no crops-{style}-*.npz of one size",
            fix="delete the folder: the crops are drawn again",
        )
    return join_crops(loaded)


def augment(crops: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror, small turns and scales, exposure, sharpness, grain, resolution of a small film.

    [n, s, s] uint8 to the same.
    """
    out = np.empty_like(crops)
    size = crops.shape[1]
    for i, crop in enumerate(crops):
        matrix = cv2.getRotationMatrix2D(
            ((size - 1) / 2, (size - 1) / 2), rng.uniform(-12, 12), rng.uniform(0.94, 1.06)
        )
        if rng.random() < 0.5:
            matrix = matrix @ np.array([[-1, 0, size - 1], [0, 1, 0], [0, 0, 1.0]])
        matrix = matrix + np.array([[0, 0, rng.uniform(-2, 2)], [0, 0, rng.uniform(-2, 2)]])
        turned = cv2.warpAffine(crop, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
        table = (np.arange(256) / 255) ** math.exp(rng.uniform(-0.4, 0.4)) * 255
        table = np.clip((table - 128) * rng.uniform(0.75, 1.2) + 128 + rng.uniform(-20, 20), 0, 255)
        exposed = cv2.LUT(turned, table.astype(np.uint8))
        sharpness = rng.random()
        if sharpness < 0.25:
            exposed = cv2.GaussianBlur(exposed, (0, 0), rng.uniform(0.4, 0.9))
        elif sharpness < 0.45:
            soft = cv2.GaussianBlur(exposed, (0, 0), 1.2)
            amount = rng.uniform(0.3, 1.0)
            exposed = cv2.addWeighted(exposed, 1 + amount, soft, -amount, 0)
        if rng.random() < 0.4:
            grain = rng.normal(0, rng.uniform(1, 8), exposed.shape)
            exposed = np.clip(exposed + grain, 0, 255).astype(np.uint8)
        if rng.random() < SMALL_SHARE:
            zoom = rng.uniform(0.4, 0.9)
            small = cv2.resize(exposed, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
            exposed = cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC)
        out[i] = exposed
    return out
