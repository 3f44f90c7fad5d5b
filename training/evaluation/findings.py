"""What a report holds, as plain frozen values: the input of the page, and its JSON.

Layer: training.evaluation; types only. Shares are 0..1, lengths pixels, totals Sharp/van der Heijde
units.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.model import DISCLAIMER

if TYPE_CHECKING:
    from training.evaluation.agreement import Agreement
    from training.evaluation.statistics import Calibration, Estimate

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class About:
    """Which set was measured with what, and what its figures may be called."""

    title: str
    kind: str
    statement: str
    split: str
    split_statement: str
    set_name: str
    notes: tuple[str, ...]
    films: int
    limbs: int
    patients: int
    software: str
    engines: dict[str, str]
    draws: int
    seed: int
    made: str


@dataclass(frozen=True)
class ClassBoxes:
    """Boxes of one detector class."""

    label: str
    truths: int
    ap50: Estimate
    ap75: Estimate


@dataclass(frozen=True)
class GroupJoints:
    """Joints and films of one group of a set: ``group`` ``value`` (size: under 100 px)."""

    limb: str
    group: str
    value: str
    films: int
    joints: int
    found: Estimate
    named: Estimate
    complete: Estimate
    misnamed: int
    certain: int
    ap50: Estimate
    ap75: Estimate


@dataclass(frozen=True)
class Outcome:
    """How many films of a limb ended with a status and a reason."""

    limb: str
    status: str
    reason: str | None
    films: int


@dataclass(frozen=True)
class DetectionFindings:
    """Boxes and names; ``groups`` begins with the whole of each limb (group ``all``)."""

    classes: tuple[ClassBoxes, ...]
    groups: tuple[GroupJoints, ...]


@dataclass(frozen=True)
class FateFindings:
    """Whether limb, side and fate of the films were right, by limb."""

    limb: str
    films: int
    limb_right: Estimate
    side_right: Estimate
    fate_right: Estimate
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True)
class IdentityFindings:
    """Naming from true places alone, with ``drop`` joints taken away."""

    limb: str
    drop: int
    conditions: str
    images: int
    right: Estimate
    certain: Estimate
    wrong_of_certain: Estimate


@dataclass(frozen=True)
class OutlineFindings:
    """Dice of the outline on the canvas."""

    limb: str
    films: int
    mean: Estimate
    median: float
    least: float


@dataclass(frozen=True)
class SpaceGroup:
    """Measured joint spaces of one group of joints; errors in mm, where the truth is known."""

    name: str
    joints: int
    measured: int
    errors: int
    mean_error_mm: float | None
    sd_error_mm: float | None
    largest_error_mm: float | None
    reasons: dict[str, int]


@dataclass(frozen=True)
class SpaceRepeat:
    """Joint spaces measured again after a change of the film; ``sd_mm`` is of one measurement."""

    change: str
    joints: int
    sd_mm: float | None
    median_mm: float | None
    largest_mm: float | None


@dataclass(frozen=True)
class Baseline:
    """Figures of giving every joint the same grade."""

    answer: int
    exact: float
    within_one: float
    mean_error: float


@dataclass(frozen=True)
class ScorerFindings:
    """One of the four scorers. Figures are of scored joints but those named ``all``.

    ``confusion``: rows true, columns given, last column not scored. ``exact_all`` and
    ``within_one_all`` count a joint without a grade as wrong, unless its film is too small. These
    four are balanced over grades; ``share`` counts every joint alike, ``sound`` those of true
    grade 0. ``sensitivity`` and ``specificity`` are of any damage: grade 1 and more against 0.
    """

    task: str
    limb: str
    kind: str
    joints: int
    scored: int
    by_grade: tuple[int, ...]
    coverage: Estimate
    missing: dict[str, int]
    exact: Estimate
    within_one: Estimate
    exact_all: Estimate
    within_one_all: Estimate
    share_exact: Estimate
    share_within_one: Estimate
    sound_exact: Estimate
    sound_within_one: Estimate
    kappa: Estimate
    rank: Estimate
    icc: Estimate
    sensitivity: Estimate
    specificity: Estimate
    mean_error: Estimate
    damage_auc: Estimate
    confusion: tuple[tuple[int, ...], ...]
    damage_calibration: Calibration | None
    grade_calibration: Calibration | None
    zero: Baseline
    constant: Baseline
    paper_exact: float
    paper_within_one: float


@dataclass(frozen=True)
class GroupGrades:
    """One scorer on one group of films; shares are of the scored joints, counted alike."""

    task: str
    group: str
    value: str
    joints: int
    scored: int
    coverage: Estimate
    share_exact: Estimate
    share_within_one: Estimate
    kappa: Estimate


@dataclass(frozen=True)
class StricterDoubt:
    """What one scorer would be like if its grades were left out above ``limit``.

    ``limit`` stands for the setting ``grade_doubt``; ``coverage`` is of the joints scored now, the
    other figures of those that would be left: balanced over grades, and all alike for the ``sound``
    ones of true grade 0.
    """

    task: str
    limit: float
    scored: int
    coverage: Estimate
    exact: Estimate
    within_one: Estimate
    sound_within_one: Estimate


@dataclass(frozen=True)
class HealthyFindings:
    """Grades given to sharp joints that are presumed to be without arthritis."""

    task: str
    joints: int
    scored: int
    given: tuple[int, ...]
    coverage: Estimate
    zero: Estimate
    at_most_one: Estimate


@dataclass(frozen=True)
class TotalFindings:
    """One sum of grades, given and true; ``pairs`` are (true, given) of each unit."""

    label: str
    unit: str
    maximum: int
    left_out: int
    agreement: Agreement
    pairs: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Report:
    """Everything that one evaluation found; a part that the set has no labels for is empty."""

    about: About
    fates: tuple[FateFindings, ...] = ()
    detection: DetectionFindings | None = None
    identity: tuple[IdentityFindings, ...] = ()
    outlines: tuple[OutlineFindings, ...] = ()
    scorers: tuple[ScorerFindings, ...] = ()
    scorer_groups: tuple[GroupGrades, ...] = ()
    stricter: tuple[StricterDoubt, ...] = ()
    healthy: tuple[HealthyFindings, ...] = ()
    totals: tuple[TotalFindings, ...] = ()
    spaces: tuple[SpaceGroup, ...] = ()
    space_repeats: tuple[SpaceRepeat, ...] = ()


def as_json(report: Report) -> str:
    """The report as one JSON object; figures that are not defined are null."""
    body: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "notice": DISCLAIMER,
        **dataclasses.asdict(report),
    }
    return json.dumps(_plain(body), indent=1, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
