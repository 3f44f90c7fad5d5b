"""Runs an archive: lists films, scores those without an outcome, writes the Parquet file.

Layer: sharpedge; reads films, writes the manifest and the Parquet file.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sharpedge.archive.crew import Crew
from sharpedge.archive.films import films_of
from sharpedge.archive.manifest import Manifest
from sharpedge.archive.parquet import require_pyarrow, write_parquet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sharpedge.archive.crew import CrewSettings
    from sharpedge.archive.films import Scored
    from sharpedge.archive.manifest import Row


@dataclass(frozen=True)
class Done:
    """What a run left: films in the file, films that it scored itself, and those it could not read.

    ``unread`` counts rows of all runs.
    """

    rows: int
    scored: int
    unread: int


def manifest_of(out: Path) -> Path:
    """File in which the films of an archive and their outcomes are noted."""
    return out.with_name(f"{out.name}.manifest")


def run_archive(
    source: Path,
    out: Path,
    settings: CrewSettings,
    *,
    address: str | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Done:
    """Score the films of a folder or list into one Parquet file.

    A run that was ended is resumed by the same call: films with an outcome are not scored again
    unless they changed. ``address`` is that of a Ray cluster, whose machines must see the films
    under the same paths; ``"local"`` starts one here.

    Raises `edge.errors.EdgeError` with cause and fix.
    """
    require_pyarrow()
    manifest = Manifest(manifest_of(out))
    with contextlib.closing(manifest):
        manifest.enter(films_of(source, out))
        total, before = manifest.count()
        progress(before, total)
        scored = 0
        if before < total:
            for number, outcome in _outcomes(manifest, settings, address):
                manifest.done(number, outcome)
                scored += 1
                progress(before + scored, total)
        unread: list[bytes] = []
        rows = write_parquet(out, _noting(manifest.rows(), unread))
        return Done(rows, scored, len(unread))


def _noting(rows: Iterator[Row], unread: list[bytes]) -> Iterator[Row]:
    """Pass rows on; paths of films that could not be read are added to ``unread``."""
    for row in rows:
        if row.scored.fault is not None:
            unread.append(row.path)
        yield row


def _outcomes(
    manifest: Manifest, settings: CrewSettings, address: str | None
) -> Iterator[tuple[int, Scored]]:
    if address is not None:
        from sharpedge.archive.ray_crew import score_on_ray  # noqa: PLC0415 - an extra

        yield from score_on_ray(manifest, settings, address)
        return
    crew = Crew(settings, manifest.tried, manifest.hold_to)
    with contextlib.closing(crew):
        yield from crew.score(manifest.pending())
