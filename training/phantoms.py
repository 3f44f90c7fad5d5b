"""Simulated films kept as small labelled copies, so that a training never waits for the simulator.

Room: training. Reads and writes its shelf folder (ignored by git).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.model import Limb
from edge.pipeline.shape import unit_px
from training.films import LabelledFilm

if TYPE_CHECKING:
    from pathlib import Path


class PhantomShelf:
    """Phantom films on disk, one PNG and one line of ``index.jsonl`` each, read as they arrive."""

    def __init__(self, folder: Path, limb: Limb) -> None:
        self._folder, self._limb = folder, limb
        self._films: list[LabelledFilm] = []
        self._lines = 0
        self.refresh()

    def __len__(self) -> int:
        return len(self._films)

    def refresh(self) -> None:
        """Read what was put on the shelf since the last look."""
        index = self._folder / "index.jsonl"
        if not index.exists():
            return
        lines = index.read_text("utf-8").splitlines()
        for line in lines[self._lines :]:
            row = json.loads(line)
            if row["limb"] != self._limb.value:
                continue
            pixels = cv2.imread(str(self._folder / row["file"]), cv2.IMREAD_GRAYSCALE)
            points = np.asarray(row["points"], dtype=np.float64)
            names = tuple(row["names"])
            self._films.append(
                LabelledFilm(
                    film=row["file"],
                    limb=self._limb,
                    pixels=np.asarray(pixels, np.uint8),
                    scale=1.0,
                    names=names,
                    points=points,
                    unit=unit_px(self._limb, names, points),
                )
            )
        self._lines = len(lines)

    def pick(self, rng: np.random.Generator) -> LabelledFilm:
        """One film at random."""
        return self._films[int(rng.integers(len(self._films)))]
