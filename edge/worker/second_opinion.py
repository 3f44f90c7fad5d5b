"""Scores films a second time, with other engines, when the worker is idle.

Only figures of it are published: a candidate's engines run as a shadow, or one film in so many is
scored again with the FP32 graphs.

Layer: worker; runs in the child, holds one film at most.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edge.errors import EngineError, place_of
from edge.scoring.agreement import Agreement

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.model import LimbResult, OperatorStatement, Recheck
    from edge.scoring.film_scorer import FilmScorer

log = logging.getLogger(__name__)


class Rechecker:
    """Second opinions of ``scorer`` on one film in ``every``."""

    def __init__(self, scorer: FilmScorer, every: int) -> None:
        self._scorer: FilmScorer | None = scorer
        self._every = every
        self._seen = 0
        self._found = Agreement()
        self.fault = ""
        """Why no film is scored a second time any more; empty while they are."""
        self._film: tuple[bytes, str, OperatorStatement | None, tuple[LimbResult, ...]] | None = (
            None
        )

    @property
    def waits(self) -> bool:
        """Whether a film is held that has not been looked at again."""
        return self._film is not None

    def offer(
        self,
        data: bytes,
        name: str,
        operator: OperatorStatement | None,
        results: Sequence[LimbResult],
    ) -> None:
        """Note a film that was scored; a film that still waits gives way to it."""
        self._seen += 1
        if self._scorer is not None and self._seen % self._every == 0:
            self._film = (data, name, operator, tuple(results))

    def look(self, on_stage: Callable[[str], None] | None = None) -> Recheck | None:
        """Score the film that waits; returns the figures so far, None where none waits.

        Never raises for a fault of the second engines: they are given up, and `fault` says why.
        ``on_stage`` is called with the name of each stage as it begins.
        """
        film, scorer, self._film = self._film, self._scorer, None
        if film is None or scorer is None:
            return None
        data, name, operator, results = film
        try:
            again = [limb.result for limb in scorer.score(data, name, operator, on_stage).limbs]
        except Exception as error:  # noqa: BLE001 - a second opinion must not cost the first
            # Another exception's text may hold what stood in the film's tags or name.
            why = str(error) if isinstance(error, EngineError) else place_of(error)
            self.fault = f"no film is scored a second time any more: {why}"
            log.error("%s", self.fault)  # noqa: TRY400 - one line an event
            self._scorer = None
            return None
        # The film's name stays out of what is kept.
        self._found.add("film", results, again)
        self._found.differences.clear()
        return self._found.as_recheck()
