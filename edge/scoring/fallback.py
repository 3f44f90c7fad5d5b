"""A film scorer that goes on with the next back end when an engine's outputs cannot be used.

Layer: scoring; loads engines through the function that it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.errors import EngineError, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.model import OperatorStatement, Versions
    from edge.scoring.film_scorer import FilmOutcome, FilmScorer


class FallbackScorer:
    """Scores films as `FilmScorer` does.

    Parameters
    ----------
    make
        Makes the scorer without the engines whose SHA-256 it is given; raises `EngineError` where
        a recipe has no other engine.
    on_refused
        Called with one line each time an engine is left out.
    """

    def __init__(
        self, make: Callable[[frozenset[str]], FilmScorer], on_refused: Callable[[str], None]
    ) -> None:
        self._make = make
        self._on_refused = on_refused
        self._refused: frozenset[str] = frozenset()
        self._scorer = make(self._refused)

    @property
    def versions(self) -> Versions:
        """Of the engines that serve now."""
        return self._scorer.versions

    def score(
        self,
        data: bytes,
        file_name: str,
        operator: OperatorStatement | None = None,
        on_stage: Callable[[str], None] | None = None,
    ) -> FilmOutcome:
        """Score one film; see `FilmScorer.score`.

        Raises `OutputError` where no other engine of the recipe can serve.
        """
        while True:
            try:
                return self._scorer.score(data, file_name, operator, on_stage)
            except OutputError as error:  # noqa: PERF203 - once an engine
                if error.sha256 in self._refused:
                    raise
                self._refused |= {error.sha256}
                try:
                    self._scorer = self._make(self._refused)
                except EngineError:
                    raise error from None
                self._on_refused(str(error))
