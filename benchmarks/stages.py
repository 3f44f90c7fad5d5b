"""Measures each stage of the pipeline in one process, without folder and broker.

Layer: benchmarks; measures, writes what it is asked to.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.statistics import summary
from edge.errors import EdgeError
from edge.model import Status
from edge.scoring.score_files import lacks_scorer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge.scoring.film_scorer import FilmScorer


def time_stages(
    scorer: FilmScorer,
    films: Sequence[Path],
    rounds: int,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, dict[str, float]]:
    """Percentiles of each stage and of the whole film, after one unmeasured round.

    Raises `EdgeError` where a film is not scored or a scorer is missing: that would flatter.
    """
    stages: dict[str, list[float]] = {}
    total = (rounds + 1) * len(films)
    for round_number in range(rounds + 1):
        for number, film in enumerate(films):
            data = film.read_bytes()
            begun = time.perf_counter()
            outcome = scorer.score(data, film.name)
            whole_ms = (time.perf_counter() - begun) * 1000
            progress(round_number * len(films) + number + 1, total)
            if round_number == 0:
                result = outcome.limbs[0].result
                if lacks_scorer([result]):
                    raise EdgeError("the scorers are not installed (fix: sharpedge export)")
                if result.status is not Status.SCORED:
                    raise EdgeError(
                        f"{film.name} was not scored ({result.reason}); check the engines with "
                        "sharpedge score"
                    )
                continue
            for name, spent_ms in outcome.stage_ms.items():
                stages.setdefault(name, []).append(spent_ms)
            stages.setdefault("whole film", []).append(whole_ms)
    return {name: summary(values) for name, values in stages.items()}
