"""Outlines for review: contact sheets, and the list of what is kept.

Layer: training.tasks; writes PNG pages and one list; reads a list that a person changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.model import DISCLAIMER
from training.datasets.files import read_text
from training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge.model import GreyImage

COLUMNS, ROWS = 7, 4
_TILE = (176, 220)
_TEXT = 34
_LINE = (60, 220, 255)
KEEP, REJECT = "keep", "reject"


@dataclass(frozen=True)
class Candidate:
    """One outline: a canvas and its mask, [h, w] uint8, and how it was made."""

    film: str
    canvas: GreyImage
    outline: GreyImage
    source: str

    @property
    def share(self) -> float:
        """Share of the canvas inside the outline."""
        return float((self.outline > 127).mean())


def write_sheets(folder: Path, candidates: Sequence[Candidate]) -> list[Path]:
    """Write pages ``sheet-001.png`` with every outline, numbered as in the list."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("sheet-*.png"):
        old.unlink()
    pages = []
    a_page = COLUMNS * ROWS
    for page, start in enumerate(range(0, len(candidates), a_page), start=1):
        tiles = [
            _tile(start + i + 1, one) for i, one in enumerate(candidates[start : start + a_page])
        ]
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
        rows = [np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)]
        path = folder / f"sheet-{page:03d}.png"
        cv2.imwrite(str(path), np.vstack(rows))
        pages.append(path)
    return pages


def _tile(number: int, candidate: Candidate) -> np.ndarray:
    width, height = _TILE
    small = cv2.resize(candidate.canvas, _TILE, interpolation=cv2.INTER_AREA)
    picture = cv2.cvtColor(small, cv2.COLOR_GRAY2BGR)
    outline = cv2.resize(candidate.outline, _TILE, interpolation=cv2.INTER_LINEAR)
    edges, _ = cv2.findContours(
        (outline > 127).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
    )
    cv2.drawContours(picture, edges, -1, _LINE, 1)
    tile = np.zeros((height + _TEXT, width, 3), np.uint8)
    tile[:height] = picture
    name = candidate.film.rpartition("/")[2]
    for row, text in enumerate((f"{number}  {candidate.source}", name[:26])):
        cv2.putText(tile, text, (4, height + 13 + 15 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.4,
                    (255, 255, 255), 1, cv2.LINE_AA)  # fmt: skip
    tile[:, -1] = tile[-1] = 90
    return tile


def write_list(path: Path, candidates: Sequence[Candidate]) -> None:
    """Write the list that belongs to the sheets."""
    lines = [
        f"# {DISCLAIMER}",
        "# Look at sheet-*.png. Where an outline is wrong, write reject for keep, or delete",
        "# the line; then give this file back: sharpedge train mask DIR --reject FILE",
        *(
            f"{KEEP}\t{number}\t{one.film}\t{one.source}\t{100 * one.share:.0f} % of the canvas"
            for number, one in enumerate(candidates, start=1)
        ),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def rejected(path: Path, films: Sequence[str]) -> set[str]:
    """Films whose outline a person rejected.

    A line that begins with ``reject``, or is a film's name alone, rejects it. Where the file still
    has lines that begin with ``keep``, a film that it does not name is rejected too: its line was
    deleted. Raises `TrainingError` for a file that cannot be read and for a name that is no film's.
    """
    if not path.is_file():
        raise TrainingError(f"{path}: no such file", fix="give the list that lies by the sheets")
    kept: set[str] = set()
    dropped: set[str] = set()
    known = {film.casefold(): film for film in films}
    for number, mark, name in _lines(read_text(path, [], path.parent)):
        film = known.get(name.casefold())
        if film is None:
            if mark == KEEP:
                continue
            raise TrainingError(
                f"{path}, line {number}: {name!r} is no film with an outline",
                fix="write film names as the list has them",
            )
        (kept if mark == KEEP else dropped).add(film)
    return dropped | (set(films) - kept if kept else set())


def _lines(text: str) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        plain = line.strip()
        if not plain or plain.startswith("#"):
            continue
        cells = plain.split("\t")
        mark = cells[0].strip().casefold()
        if mark in {KEEP, REJECT} and len(cells) >= 3:
            yield number, mark, cells[2].strip()
        else:
            yield number, REJECT, plain.removeprefix(REJECT).strip()
