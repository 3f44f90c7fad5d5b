"""Compares the classical mask with the same algorithm over scikit-image's full-size entropy.

Layer: benchmarks; reads films; prints a table with one row for each. Needs numba.
``python -m benchmarks.entropy_mask FILMS...`` where FILMS are files or folders.

Every film is letterboxed to the canvas and equalised as the method says. The overlap is
intersection over union, of the regions above Otsu's threshold ("before filling") and of the masks
("after"). The processor time of both ways is taken film by film, in alternating order.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from skimage.filters.rank import entropy as rank_entropy

from edge.errors import EdgeError, FilmError
from edge.imaging.decode import decode_film
from edge.model import DISCLAIMER
from edge.pipeline.contrast import equalise
from edge.pipeline.frame import letterbox, warp
from edge.pipeline.mask import (
    ENTROPY_WINDOW_PX,
    classical_mask,
    entropy_everywhere,
    filled,
    rich,
)
from edge.pipeline.settings import PipelineSettings
from edge.scoring.score_files import films_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from edge.model import GreyImage

LEAST_OVERLAP = 0.985
LEAST_RATIO = 10.0


@dataclass(frozen=True)
class Comparison:
    """One film: overlaps before and after filling, and the processor time of both ways."""

    film: str
    before: float
    after: float
    full_ms: float
    ours_ms: float

    @property
    def ratio(self) -> float:
        """How many times longer the full-size way takes."""
        return self.full_ms / self.ours_ms


def canvas_of(film: GreyImage, settings: PipelineSettings) -> GreyImage:
    """A whole film on the canvas, equalised."""
    size = settings.canvas_width_px, settings.canvas_height_px
    plain = warp(film, letterbox((film.shape[1], film.shape[0]), size), size)
    return equalise(plain, settings.clahe_clip_limit, settings.clahe_grid)


def full_size_entropy(canvas: GreyImage) -> npt.NDArray[np.float64]:
    """Entropy over 37 x 37 at every pixel, by scikit-image, [h, w]."""
    window = np.ones((ENTROPY_WINDOW_PX, ENTROPY_WINDOW_PX), np.uint8)
    return np.asarray(rank_entropy(canvas, window), np.float64)


def overlap(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    """Intersection over union; 1 where both are empty."""
    union = int(np.count_nonzero(one | other))
    return int(np.count_nonzero(one & other)) / union if union else 1.0


def compare(name: str, canvas: GreyImage, *, ours_first: bool) -> Comparison:
    """Make one canvas's mask both ways. Raises `EdgeError` where numba is missing."""
    spent_ms: dict[bool, float] = {}
    full = np.empty(0)
    ours = by_full = np.empty(0, np.bool_)
    for is_ours in (ours_first, not ours_first):
        begun_s = time.process_time()
        if is_ours:
            ours = classical_mask(canvas)
        else:
            full = full_size_entropy(canvas)
            by_full = filled(rich(full))
        spent_ms[is_ours] = (time.process_time() - begun_s) * 1000
    entropy = entropy_everywhere(canvas)
    if entropy is None:
        raise EdgeError("numba is not installed (fix: pip install 'sharpedge[classical]')")
    return Comparison(
        name,
        overlap(rich(entropy) > 0, rich(full) > 0),
        overlap(ours, by_full),
        spent_ms[False],
        spent_ms[True],
    )


def comparisons(paths: Sequence[Path]) -> Iterator[Comparison]:
    """Compare every film that can be decoded; the first one twice, its first time left out."""
    settings = PipelineSettings()
    for number, path in enumerate(films_in(paths)):
        try:
            film = decode_film(path.read_bytes(), path.name, settings.max_megapixels)
        except FilmError as error:
            print(f"{path.name} left out: {error.reason}", file=sys.stderr)
            continue
        canvas = canvas_of(film.pixels, settings)
        if number == 0:
            classical_mask(canvas)
        yield compare(path.name, canvas, ours_first=bool(number % 2))


def main(paths: Sequence[Path]) -> None:
    """Print the table and what of it decides."""
    print("| film | before filling | after | scikit-image, CPU ms | ours, CPU ms | ratio |")
    print("|---|---|---|---|---|---|")
    rows = []
    for row in comparisons(paths):
        rows.append(row)
        print(
            f"| {row.film} | {row.before:.4f} | {row.after:.4f} | {row.full_ms:.0f} "
            f"| {row.ours_ms:.0f} | {row.ratio:.1f} |",
            flush=True,
        )
    if rows:
        print(
            f"\n{len(rows)} films: least overlap {min(r.before for r in rows):.4f} before filling, "
            f"{min(r.after for r in rows):.4f} after (bar {LEAST_OVERLAP}); median ratio "
            f"{statistics.median(r.ratio for r in rows):.1f}, least "
            f"{min(r.ratio for r in rows):.1f} (bar {LEAST_RATIO:.0f})."
        )
    print(f"{DISCLAIMER.capitalize()}.")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
