"""Compares two sets of engines over films, through the whole pipeline.

Layer: export; reads films; writes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.pipeline.settings import PipelineSettings
from edge.scoring.agreement import Agreement
from edge.scoring.film_scorer import FilmScorer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edge.engine.loader import EngineSet


def compare(
    films: Iterable[tuple[str, bytes]],
    first: EngineSet,
    second: EngineSet,
    settings: PipelineSettings | None = None,
    progress: Callable[[int], None] | None = None,
) -> Agreement:
    """Score every film with both sets. Raises `EngineError` where an engine fails."""
    settings = settings or PipelineSettings()
    scorers = (FilmScorer(first, settings), FilmScorer(second, settings))
    found = Agreement()
    for name, data in films:
        one, other = ([limb.result for limb in s.score(data, name).limbs] for s in scorers)
        found.add(name, one, other)
        if progress is not None:
            progress(found.films)
    return found
