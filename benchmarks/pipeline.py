"""Measures the pipeline in one process: film in memory to result, stage by stage.

Layer: benchmarks; measures. Kinds of film take turns in every round, so that a disturbance meets
all of them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.figures import CYCLE
from benchmarks.report import AccuracyRow
from benchmarks.series import Series
from edge.errors import EdgeError
from edge.model import Status
from edge.scoring.agreement import Agreement
from edge.scoring.score_files import lacks_scorer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.films import BenchFilm
    from edge.model import JointScore, LimbResult
    from edge.scoring.film_scorer import FilmOutcome, FilmScorer

WHOLE = "whole film"
PICTURE = "picture, after the result"
"""The labelled picture is drawn when the result is out; the whole film does not hold it."""


def measure_pipeline(
    scorer: FilmScorer,
    kinds: Sequence[Sequence[BenchFilm]],
    rounds: int,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Series]:
    """Time every stage and the whole of each film, after one round that is not counted.

    ``kinds`` are films of one size and format each. Raises `EdgeError` where a film is not scored
    or a scorer is missing: that would flatter.
    """
    stages = [_stages(scorer, films) for films in kinds]
    times: list[dict[str, list[float]]] = [{name: [] for name in names} for names in stages]
    at_s: list[list[float]] = [[] for _ in kinds]
    begun_s = time.perf_counter()
    total = rounds * sum(map(len, kinds))
    done = 0
    for number in range(rounds):
        for place in _turned(len(kinds), number):
            for film in kinds[place]:
                at_s[place].append(time.perf_counter() - begun_s)
                outcome, whole_ms = timed(scorer, film)
                spent = {**outcome.stage_ms, WHOLE: whole_ms, PICTURE: drawn_ms(outcome)}
                for name, into in times[place].items():
                    into.append(spent.get(name, 0.0))
                done += 1
                progress(done, total)
    return [
        Series("pipeline", name, tuple(values), labels_of(films), at_s=tuple(taken))
        for films, found, taken in zip(kinds, times, at_s, strict=True)
        for name, values in found.items()
    ]


def timed(scorer: FilmScorer, film: BenchFilm) -> tuple[FilmOutcome, float]:
    """Score a film; returns the outcome and the milliseconds that it took."""
    begun_s = time.perf_counter()
    outcome = scorer.score(film.data, film.name)
    return outcome, (time.perf_counter() - begun_s) * 1000


def drawn_ms(outcome: FilmOutcome) -> float:
    """Milliseconds for the labelled pictures of a film."""
    begun_s = time.perf_counter()
    for limb in outcome.limbs:
        _ = limb.overlay_jpeg
    return (time.perf_counter() - begun_s) * 1000


def labels_of(films: Sequence[BenchFilm]) -> dict[str, str]:
    """What distinguishes films of one size and format."""
    return {"size": films[0].size, "format": films[0].format, CYCLE: str(len(films))}


def compare_grades(
    scorer: FilmScorer, reference: FilmScorer, kinds: Sequence[Sequence[BenchFilm]]
) -> list[AccuracyRow]:
    """Grades of each kind of film, against the reference engines and against the truth."""
    rows = []
    for films in kinds:
        title = f"{films[0].format}, {films[0].size} px"
        by_reference, by_truth = Agreement(), Agreement()
        for film in films:
            ours = _results(scorer, film)
            by_reference.add(film.name, _results(reference, film), ours)
            graded = _grades_alone(ours[0])
            by_truth.add(film.name, [_with_truth(graded, film.joints)], [graded])
        rows.append(_row(title, "FP32 graphs in ONNX Runtime", by_reference))
        rows.append(_row(title, "truth of the simulation", by_truth))
    return rows


def _row(films: str, against: str, found: Agreement) -> AccuracyRow:
    return AccuracyRow(
        films=films,
        against=against,
        grades=len(found.grades),
        equal=len(found.grades) - found.flips,
        largest_jump=max((abs(a - b) for a, b in found.grades), default=0),
        fates_differ=found.fates_differ + found.joints_differ,
    )


def _results(scorer: FilmScorer, film: BenchFilm) -> list[LimbResult]:
    return [limb.result for limb in scorer.score(film.data, film.name).limbs]


def _grades_alone(result: LimbResult) -> LimbResult:
    """A result without expected values: the truth has none to compare with."""
    none = {"erosion_expected": None, "narrowing_expected": None}
    joints = tuple(joint.model_copy(update=none) for joint in result.joints)
    return result.model_copy(update={"joints": joints})


def _with_truth(result: LimbResult, joints: Sequence[JointScore]) -> LimbResult:
    """A result with the grades that its joints truly have."""
    return result.model_copy(update={"joints": tuple(joints)})


def _stages(scorer: FilmScorer, films: Sequence[BenchFilm]) -> list[str]:
    """Warm up and return the stages, in order, and `WHOLE`."""
    names: dict[str, None] = {}
    for film in films:
        outcome = scorer.score(film.data, film.name)
        result = outcome.limbs[0].result
        if lacks_scorer([result]):
            raise EdgeError("the scorers are not installed (fix: sharpedge export)")
        if result.status is not Status.SCORED:
            raise EdgeError(
                f"{film.name} ({film.format}, {film.size}) was not scored ({result.reason}) "
                "(fix: check the engines with sharpedge score)"
            )
        names |= dict.fromkeys(outcome.stage_ms)
    return [*names, WHOLE, PICTURE]


def _turned(count: int, by: int) -> list[int]:
    return [(place + by) % count for place in range(count)]
