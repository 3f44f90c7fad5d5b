"""The table of ``sharpedge score --csv`` and ``--xlsx``: one row a limb of a file.

Layer: sharpedge; pure functions over scored files.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edge.model import DISCLAIMER
from sharpedge.tables.limb_rows import LIMB_COLUMNS, identifier_cells, limb_cells

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edge.model import Identifier
    from edge.scoring.score_files import ScoredFile
    from sharpedge.tables.cells import Cell

HEADER = ("path", "study", "date", "limb_index", *LIMB_COLUMNS)


def header_of(identifiers: Sequence[Identifier]) -> tuple[str, ...]:
    """`HEADER`, and a last column for each identifier."""
    return (*HEADER, *map(str, identifiers))


def rows_of(
    scored: Iterable[ScoredFile], identifiers: Sequence[Identifier] = ()
) -> Iterator[list[Cell]]:
    """Rows under `header_of`; a file that could not be read has one with the cause in ``reason``.

    ``study`` and ``date`` are those of the DICOM tags, ``study`` also the id of a name such as
    ``ID-LH``; empty where nothing states them.
    """
    for film in scored:
        path = os.fsencode(film.path).decode("utf-8", "replace")
        before: list[Cell] = [path, film.study or "", film.taken or ""]
        for result in film.results:
            joined = identifier_cells(film.identifiers, identifiers)
            yield [*before, result.limb_index, *limb_cells(result), *joined]
        if film.fault is not None:
            cells: dict[str, Cell] = {"reason": film.fault, "notice": DISCLAIMER}
            yield [*before, None, *map(cells.get, (*LIMB_COLUMNS, *map(str, identifiers)))]
