"""Runs the installed engines over a labelled set and keeps their results, film by film.

Layer: training.evaluation; scores in this process, reads films, writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from edge.anatomy import Limb
from edge.engine.passport import Role
from edge.errors import NullReason
from edge.pipeline.ordinal import decode_ordinal
from edge.scoring.film_scorer import FilmScorer
from export.acceptance.golden import Recorder
from training.evaluation.measure_crops import score_crops

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.engine.loader import EngineSet
    from edge.engine.protocol import Tensor
    from edge.model import JointScore, LimbResult
    from edge.pipeline.settings import PipelineSettings
    from edge.scoring.film_scorer import FilmOutcome
    from training.evaluation.truth import LabelledSet, TruthLimb

Probabilities = npt.NDArray[np.float64]
"""[grades] float64, the probability of each grade of one joint."""
REACH = {Limb.HAND: 0.2, Limb.FOOT: 0.1}
"""A joint counts as found within this share of MCP3-PIP3, or of MTP1-MTP5, of its true centre."""
NOT_SCORED = -9
_SCORED_BUT_LEFT_OUT = (
    str(NullReason.DOUBTFUL),
    str(NullReason.UNFAMILIAR),
    str(NullReason.COVERED),
)
_CANVAS_PX = (1200, 1500)


class Scorer(Protocol):
    """What scores one film; `edge.scoring.film_scorer.FilmScorer` does."""

    def score(self, data: bytes, file_name: str) -> FilmOutcome:
        """Score the bytes of one film under its name."""


@dataclass(frozen=True, eq=False)
class Measured:
    """One labelled limb and the results of its film.

    ``results`` are all limbs that were seen on the film, ``matched`` the index of the one that is
    compared with the truth (``None``: no result is of this limb); ``probabilities`` belong to the
    matched one: joint name and kind (erosion, narrowing) to a probability for each grade; empty
    where the engines' outputs were not recorded. ``dice`` compares the outlines.
    """

    labelled: TruthLimb
    results: tuple[LimbResult, ...]
    matched: int | None
    dice: float | None = None
    probabilities: Mapping[tuple[str, str], Probabilities] = field(default_factory=dict)

    @property
    def result(self) -> LimbResult | None:
        """The result that is compared with the truth."""
        return None if self.matched is None else self.results[self.matched]


def named(result: LimbResult, *, certain: bool = True) -> dict[str, JointScore]:
    """Joints that have a place, by name; with ``certain`` only those whose name is certain."""
    found = {}
    for joint in result.joints:
        name = joint.name if certain else joint.name or joint.name_candidate
        if name is not None and joint.centre is not None:
            found[name] = joint
    return found


class ProbabilityScorer:
    """A film scorer that also gives the probability of every grade."""

    def __init__(
        self, engines: EngineSet, settings: PipelineSettings, *, want_masks: bool = False
    ) -> None:
        self._recorders = {
            where: Recorder(engine)
            for where, engine in engines.engines.items()
            if where[0] is Role.SCORE
        }
        self._engines, self._doubt_limit = engines, settings.grade_doubt
        recorded = replace(engines, engines={**engines.engines, **self._recorders})
        self._scorer = FilmScorer(recorded, settings, want_masks=want_masks)
        self.versions = self._scorer.versions

    def score(self, data: bytes, file_name: str) -> FilmOutcome:
        """Score one film, and drop the recorded outputs of the film before."""
        for engine in self._recorders.values():
            engine.calls.clear()
        return self._scorer.score(data, file_name)

    def score_crops(self, labelled: TruthLimb) -> Measured:
        """Grade a limb of which the set holds pictures of joints and no film."""
        if labelled.truth.limb is None:
            raise ValueError(f"{labelled.path}: its truth names no limb")
        result, probabilities = score_crops(
            self._engines, labelled.truth.limb, labelled.crops, self._doubt_limit
        )
        return Measured(labelled, (result,), 0, probabilities=probabilities)

    def probabilities(self, result: LimbResult) -> dict[tuple[str, str], Probabilities]:
        """Probabilities behind a result of the last film; empty where they cannot be assigned.

        A run belongs to a result when its rows, decoded, are that result's expected values.
        """
        scored = [
            joint
            for joint in result.joints
            if joint.erosion is not None or joint.erosion_reason in _SCORED_BUT_LEFT_OUT
        ]
        engines = [engine for (_, limb), engine in self._recorders.items() if limb is result.limb]
        for _, run in (call for engine in engines for call in engine.calls):
            if len(run["erosion"]) == len(scored) > 0:
                found = _decoded(run, scored)
                if found:
                    return found
        return {}


def _decoded(
    run: Mapping[str, Tensor], scored: list[JointScore]
) -> dict[tuple[str, str], Probabilities]:
    found = {}
    for kind in ("erosion", "narrowing"):
        for row, joint in zip(run[kind], scored, strict=True):
            expected = getattr(joint, f"{kind}_expected")
            if expected is None:
                continue
            decoded = decode_ordinal(row)
            if abs(decoded.expected - expected) > 2e-3:
                return {}
            found[joint.name or joint.name_candidate or "", kind] = decoded.probabilities
    return found


def measure_set(
    scorer: Scorer, labelled: LabelledSet, tick: Callable[[int, int], None]
) -> list[Measured]:
    """Score every film of a set once; ``tick`` gets the number of films done and of all films."""
    ordered = sorted(labelled.limbs, key=lambda limb: limb.path)
    films = [list(limbs) for _, limbs in groupby(ordered, key=lambda limb: limb.path)]
    measured: dict[int, Measured] = {}
    for number, limbs in enumerate(films, 1):
        for limb, one in zip(limbs, _measure_film(scorer, limbs), strict=True):
            measured[id(limb)] = one
        tick(number, len(films))
    return [measured[id(limb)] for limb in labelled.limbs]


def _measure_film(scorer: Scorer, limbs: list[TruthLimb]) -> list[Measured]:
    path = limbs[0].path
    if limbs[0].crops and isinstance(scorer, ProbabilityScorer):
        return [scorer.score_crops(limb) for limb in limbs]
    outcome = scorer.score(path.read_bytes(), path.name)
    return [_compare(scorer, limb, outcome) for limb in limbs]


def _compare(scorer: Scorer, limb: TruthLimb, outcome: FilmOutcome) -> Measured:
    results = tuple(one.result for one in outcome.limbs)
    matched = match(limb.truth, results)
    if matched is None:
        return Measured(limb, results, None)
    dice = None
    mask_png, transform = outcome.limbs[matched].mask_png, results[matched].transform
    if limb.mask is not None and mask_png is not None and transform is not None:
        true = cv2.imread(str(limb.mask), cv2.IMREAD_GRAYSCALE)
        dice = None if true is None else _dice(np.asarray(true, np.uint8), mask_png, transform)
    probabilities = (
        scorer.probabilities(results[matched]) if isinstance(scorer, ProbabilityScorer) else {}
    )
    return Measured(limb, results, matched, dice, probabilities)


def match(truth: LimbResult, results: tuple[LimbResult, ...]) -> int | None:
    """Index of the result to compare with a labelled limb: of the same limb, the nearest one."""
    same = [i for i, result in enumerate(results) if result.limb is truth.limb]
    if not same:
        return None
    places = _places(truth)
    if not places:
        return next((i for i in same if results[i].laterality is truth.laterality), same[0])

    def apart(index: int) -> float:
        found = _places(results[index])
        shared = [np.subtract(found[name], places[name]) for name in found.keys() & places.keys()]
        return float(np.median(np.hypot(*np.transpose(shared)))) if shared else np.inf

    return min(same, key=apart)


def _places(result: LimbResult) -> dict[str, tuple[float, float]]:
    return {
        joint.name or joint.name_candidate or "": joint.centre
        for joint in result.joints
        if joint.centre is not None
    }


def _dice(true: npt.NDArray[np.uint8], mask_png: bytes, transform: list[list[float]]) -> float:
    mine = cv2.imdecode(np.frombuffer(mask_png, np.uint8), cv2.IMREAD_GRAYSCALE)
    matrix = np.asarray(transform)[:2]
    first, second = (
        cv2.warpAffine(np.asarray(mask, np.uint8), matrix, _CANVAS_PX) > 127
        for mask in (true, mine)
    )
    return 2 * float((first & second).sum()) / max(float(first.sum() + second.sum()), 1.0)
