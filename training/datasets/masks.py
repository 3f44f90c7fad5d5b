"""Masks: one PNG for each film, ``STEM_mask.png`` or any name in a folder ``masks``.

Layer: training.datasets; reads file names, no pictures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.datasets.files import MASK_ENDING, is_mask, walk

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from training.datasets.files import Films
    from training.datasets.options import Options
    from training.datasets.truth import Fault


def mask_files(folder: Path) -> list[Path]:
    """Mask pictures of a folder."""
    return [path for path in walk(folder) if is_mask(path, folder)]


def read_masks(
    files: Sequence[Path],
    films: Films,
    options: Options,  # noqa: ARG001 - the signature of every reader
    faults: list[Fault],  # noqa: ARG001
) -> list[tuple[Path, Path]]:
    """Film and mask of every mask whose film is there."""
    found = []
    for mask in files:
        stem = mask.stem
        if stem.lower().endswith(MASK_ENDING):
            stem = stem[: -len(MASK_ENDING)]
        film = films.named(stem)
        if film is not None:
            found.append((film, mask))
    return found
