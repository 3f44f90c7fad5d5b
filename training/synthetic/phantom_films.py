"""Simulated films kept as small labelled copies, drawn before a training starts.

Layer: training.synthetic; reads and writes one folder (ignored by git).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.anatomy import Limb
from edge.model import Laterality
from edge.pipeline.template import unit_px
from phantom import render_film, sample_limb
from training.datasets.labelled_films import LabelledFilm

if TYPE_CHECKING:
    from pathlib import Path

    from phantom.statistics import GradeSetting


class PhantomFilms:
    """Phantom films on disk, one PNG and one line of ``index.jsonl`` each, read as they arrive."""

    def __init__(self, folder: Path, limb: Limb) -> None:
        self._folder, self._limb = folder, limb
        self.films: list[LabelledFilm] = []
        self._lines = 0
        self.refresh()

    def __len__(self) -> int:
        return len(self.films)

    def refresh(self) -> None:
        """Read the films that were added since the last call."""
        index = self._folder / "index.jsonl"
        if not index.exists():
            return
        lines = _whole_lines(index)
        for line in lines[self._lines :]:
            row = json.loads(line)
            if row["limb"] != self._limb.value:
                continue
            pixels = cv2.imread(str(self._folder / row["file"]), cv2.IMREAD_GRAYSCALE)
            points = np.asarray(row["points"], dtype=np.float64)
            names = tuple(row["names"])
            self.films.append(
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
        return self.films[int(rng.integers(len(self.films)))]


def _whole_lines(index: Path) -> list[str]:
    """Lines of an index without the incomplete one of an interrupted or running writer."""
    return index.read_text("utf-8").split("\n")[:-1]


def draw_phantom_films(
    folder: Path, limb: Limb, count: int, seed: int, longest_px: int = 700
) -> None:
    """Draw ``count`` films into a folder; continues one that was begun with the same seed."""
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / "index.jsonl"
    done = _whole_lines(index) if index.exists() else []
    if index.exists() and not index.read_bytes().endswith(b"\n"):
        index.write_text("".join(f"{line}\n" for line in done), "utf-8")
    names = {json.loads(line)["file"] for line in done}
    for i in range(count):
        name = f"{limb}-{seed}-{i:05d}.png"
        if name in names:
            continue
        rng = np.random.default_rng((seed, i, list(Limb).index(limb)))
        side = Laterality.LEFT if i % 2 else Laterality.RIGHT
        setting: GradeSetting = "real" if i % 3 == 0 else "flat"
        film = render_film(sample_limb(rng, limb, side, setting), rng, long_side_px=longest_px)
        seen = [joint for joint in film.joints if joint.centre is not None]
        cv2.imwrite(str(folder / name), film.pixels)
        cv2.imwrite(str(folder / f"mask-{name}"), film.mask.astype(np.uint8) * 255)
        row = {
            "file": name,
            "limb": limb.value,
            "names": [joint.name for joint in seen],
            "points": [joint.centre for joint in seen],
        }
        with index.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(row) + "\n")
