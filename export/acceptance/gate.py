"""The acceptance gate: whether an engine decides as the FP32 graph does.

Layer: export; pure functions over recorded calls and an `Engine`. It judges the task, not the
tensors: grades, boxes, masks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edge.anatomy import LIMBS, Limb, has_narrowing
from edge.engine.backend_table import Precision
from edge.engine.passport import Acceptance, Role
from edge.pipeline.detect import to_detections
from edge.pipeline.ordinal import decode_ordinal
from edge.scoring.agreement import weighted_kappa
from export.acceptance.golden import Call, inputs_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge.engine.protocol import Engine
    from edge.model import Detection

NEAR = 0.02
"""A deciding FP32 value within this of .5 may fall either way: it is listed, not counted."""
LEAST_SCORES = 1000
"""With fewer scores a verdict carries a warning."""
CENTRE_PX = 0.1
"""What 99 % of the boxes' centres may move by, in px of the detector's input, in any precision. A
crop of a moved box flips grades that are near a limit: boxes of bfloat16 (1.0 px) and of an 8-bit
detector (.65 px) changed .6 and 1.1 % of the grades of 64 simulated films, the scorer unchanged."""
_LIMIT = 0.5
_OVERLAP_LIMIT = 0.4
_ROUNDING = 1e-2
"""A probability may leave 0..1 by this much."""


@dataclass(frozen=True)
class Rules:
    """What a precision must keep of FP32; see `ACCEPTANCE_RULES`."""

    equal_share: float
    grade_jump: int
    expected_p99: float
    expected_max: float
    iou: float
    dice: float
    mask_max: float


# One damaged channel moves a mask's probabilities by .05 and more while its outline may keep a Dice
# of .999; rounding to FP16 moved them by at most .016, to bfloat16 by .054 (60 simulated films).
_EXACT = Rules(1.0, 0, 0.02, 0.02, 0.95, 0.995, 0.035)
ACCEPTANCE_RULES = {
    Precision.FP32: _EXACT,
    Precision.FP16: _EXACT,
    # A bfloat16 has 8 bits: boxes may move by more than in FP16 and less than in int8.
    Precision.BF16: Rules(1.0, 0, 0.05, 0.05, 0.90, 0.995, 0.1),
    Precision.INT8: Rules(0.995, 1, 0.05, 0.15, 0.85, 0.99, 0.2),
}


@dataclass
class Tally:
    """Counts of one engine's run over the golden set; grows call by call."""

    films: set[str] = field(default_factory=set)
    scores: int = 0
    flips: int = 0
    grade_jump: int = 0
    borderline: list[str] = field(default_factory=list)
    flipped: list[str] = field(default_factory=list)
    expected: list[float] = field(default_factory=list)
    grades: list[tuple[int, int]] = field(default_factory=list)
    boxes: int = 0
    lost_boxes: int = 0
    least_iou: float = 1.0
    moved_px: list[float] = field(default_factory=list)
    masks: int = 0
    least_dice: float = 1.0
    mask_max: float = 0.0


def tally(engine: Engine, calls: Iterable[Call]) -> Tally:
    """Run an engine over the recorded calls of its recipe. Raises `EngineError` where it fails."""
    role = Role(str(engine.passport["role"]))
    found = Tally()
    for call in calls:
        if call.engine != engine.name:
            continue
        outputs = engine.run(inputs_of(engine, call))
        found.films.add(call.film)
        if role is Role.SCORE:
            _score(found, call, outputs)
        elif role is Role.MASK:
            _mask(found, call, outputs["mask"][0, 0])
        else:
            _detect(found, call, outputs["boxes"][0])
    return found


def judge(
    found: Tally, precision: Precision, role: Role, *, all_scores: int | None = None
) -> Acceptance:
    """Hold a tally against the rules of a precision.

    ``all_scores`` is how many scores the golden set gave to all its scorers together: a verdict on
    any engine rests on as many. Unless stated, it is the tally's own.
    """
    rules = ACCEPTANCE_RULES[precision]
    faults = []
    if role is Role.SCORE:
        figures = _score_figures(found)
        if 1 - figures["equal_share"] > 1 - rules.equal_share + 1e-12:
            shown = ", ".join(found.flipped[:3])
            faults.append(f"{found.flips} of {found.scores} grades differ ({shown})")
        if found.grade_jump > rules.grade_jump and rules.grade_jump:
            faults.append(f"a grade moved by {found.grade_jump}")
        for key, limit in (
            ("expected_p99", rules.expected_p99),
            ("expected_max", rules.expected_max),
        ):
            if not figures[key] <= limit:
                faults.append(f"{key} is {figures[key]:.4f}, over {limit}")
        counted = found.scores
    elif role is Role.MASK:
        figures = {
            "least_dice": found.least_dice,
            "largest_difference": found.mask_max,
            "masks": float(found.masks),
        }
        if not found.mask_max <= rules.mask_max:
            faults.append(
                f"a mask's probability differs by {found.mask_max:.4f}, over {rules.mask_max}"
            )
        if not found.least_dice >= rules.dice:
            faults.append(f"a mask's Dice is {found.least_dice:.4f}, under {rules.dice}")
        counted = found.masks
    else:
        figures = {
            "least_iou": found.least_iou,
            "centre_px_p99": _p99(found.moved_px),
            "boxes": float(found.boxes),
            "lost_boxes": float(found.lost_boxes),
        }
        if found.lost_boxes:
            faults.append(f"{found.lost_boxes} of {found.boxes} joints were lost, added or renamed")
        if not found.least_iou >= rules.iou:
            faults.append(f"a box's IoU is {found.least_iou:.4f}, under {rules.iou}")
        if not figures["centre_px_p99"] <= CENTRE_PX:
            faults.append(
                f"1 % of the boxes moved by {figures['centre_px_p99']:.3f} px or more, over "
                f"{CENTRE_PX}"
            )
        counted = found.boxes
    if not counted:
        faults.append("the golden set gave nothing to judge by: export the limb's detector too")
    total = found.scores + len(found.borderline) if all_scores is None else all_scores
    warning = None
    if total < LEAST_SCORES:
        warning = f"a golden set of {total} scores supports little; {LEAST_SCORES} are wanted"
    return Acceptance(
        accepted=not faults,
        reason="; ".join(faults) or "agrees",
        films=len(found.films),
        scores=found.scores,
        borderline=tuple(found.borderline),
        # A figure that is not finite is reported by its fault only.
        figures={name: it for name, it in figures.items() if math.isfinite(it)},
        warning=warning,
    )


def scores_in(call: Call) -> int:
    """How many scores a recorded call of a scorer gave; 0 for other engines."""
    joints = call.facts.get("joints")
    if joints is None:
        return 0
    return len(joints) + sum(has_narrowing(call.limb, str(joint)) for joint in joints)


def is_borderline(outputs: npt.NDArray[np.floating], grade: int) -> bool:
    """Whether an output that decided for ``grade`` lies within `NEAR` of .5."""
    deciding = np.asarray(outputs, np.float64)[: grade + 2]
    return bool((np.abs(deciding - _LIMIT) < NEAR).any())


def _score(found: Tally, call: Call, outputs: dict[str, npt.NDArray[Any]]) -> None:
    for row, joint in enumerate(call.facts["joints"]):
        for kind in ("erosion", "narrowing"):
            if kind == "narrowing" and not has_narrowing(call.limb, str(joint)):
                continue
            wanted = decode_ordinal(call.facts[kind][row])
            given = decode_ordinal(outputs[kind][row])
            name = f"{call.film} {joint} {kind}"
            found.expected.append(_gap(wanted.expected, given.expected))
            if is_borderline(call.facts[kind][row], wanted.grade):
                found.borderline.append(name)
                continue
            found.scores += 1
            found.grades.append((wanted.grade, given.grade))
            jump = abs(wanted.grade - given.grade)
            found.grade_jump = max(found.grade_jump, jump)
            sound = _are_probabilities(outputs[kind][row], call.facts[kind][row])
            if jump or not sound:
                found.flips += 1
                found.flipped.append(name)


def _are_probabilities(*arrays: npt.NDArray[np.floating]) -> bool:
    """Whether every value lies in 0..1, but for rounding; one that is not a number does not."""
    return all(bool(((a >= -_ROUNDING) & (a <= 1 + _ROUNDING)).all()) for a in arrays)


def _gap(wanted: float, given: float) -> float:
    gap = abs(wanted - given)
    return gap if np.isfinite(gap) else float("inf")


def _score_figures(found: Tally) -> dict[str, float]:
    return {
        "equal_share": 1 - found.flips / max(found.scores, 1),
        "largest_grade_jump": float(found.grade_jump),
        "expected_p99": _p99(found.expected),
        "expected_max": max(found.expected, default=0.0),
        "weighted_kappa": weighted_kappa(found.grades),
    }


def _p99(values: Sequence[float]) -> float:
    ranked = sorted(values or [0.0])
    return ranked[math.ceil(0.99 * len(ranked)) - 1]


def _mask(found: Tally, call: Call, given: npt.NDArray[np.floating]) -> None:
    wanted, probability = call.facts["mask"], call.facts["probability"]
    foreground = given >= _LIMIT
    total = int(wanted.sum()) + int(foreground.sum())
    dice = 1.0 if total == 0 else 2 * int((wanted & foreground).sum()) / total
    apart = np.abs(given.astype(np.float64) - probability.astype(np.float64))
    if not np.isfinite(apart).all():
        # A value that is not a number is under every threshold: it would pass for background.
        dice, apart = 0.0, np.array(1.0)
    found.masks += 1
    found.least_dice = min(found.least_dice, dice)
    found.mask_max = max(found.mask_max, float(apart.max()))


def _detect(found: Tally, call: Call, given: npt.NDArray[np.float32]) -> None:
    """Compare joint by joint: there in both, of one class, unless its confidence is borderline.

    A joint of one side must be among the other's rows, before overlaps are suppressed, and boxes
    are compared row by row: which of two boxes over one joint is better by a small margin
    does not depend on the engine's quality.
    """
    wanted, index = call.facts["rows"], call.facts["index"]
    places = np.isfinite(given[:, :4]).all() and np.isfinite(wanted).all()
    if not (places and _are_probabilities(given[:, 4:])):
        found.boxes += 1
        found.lost_boxes += 1
        return
    limb = call.limb
    before = _joints(wanted, limb)
    found.boxes += len(before)
    found.lost_boxes += _unmatched(before, given, limb) + _unmatched(
        _joints(given, limb), wanted, limb
    )
    decisive = _confidence(wanted) >= _LIMIT
    if decisive.any():
        there = given[index[decisive]]
        gap = np.abs(wanted[decisive, :2].astype(np.float64) - there[:, :2]).max(axis=1)
        found.moved_px += gap.tolist()
        overlap = _row_iou(_edges(wanted[decisive]), _edges(there))
        least = float(overlap.min())
        # Sides near the largest float have an area that is not a number.
        found.least_iou = min(found.least_iou, least) if np.isfinite(least) else 0.0


def _joints(rows: npt.NDArray[np.float32], limb: Limb) -> tuple[Detection, ...]:
    return to_detections(rows, limb, np.eye(3), _LIMIT + NEAR, _OVERLAP_LIMIT)


def _unmatched(joints: Iterable[Detection], rows: npt.NDArray[np.float32], limb: Limb) -> int:
    """How many joints have no row of their class over the same place."""
    rows = rows[_confidence(rows) >= _LIMIT - NEAR]
    classes = np.array([str(name) for name in LIMBS[limb].detector_classes])[
        rows[:, 5:].argmax(axis=1)
    ]
    places = _edges(rows)
    missing = 0
    for joint in joints:
        x, y, w, h = joint.box
        there = places[classes == str(joint.joint_class)]
        overlap = _row_iou(np.array([[x, y, x + w, y + h]]), there)
        missing += not bool((overlap >= _OVERLAP_LIMIT).any())
    return missing


def _confidence(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray((rows[:, 4:5] * rows[:, 5:]).max(axis=1), np.float32)


def _edges(rows: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Left, top, right, bottom of rows (centre x, centre y, width, height, ...)."""
    half = rows[:, 2:4].astype(np.float64) / 2
    return np.hstack([rows[:, :2] - half, rows[:, :2] + half])


def _row_iou(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """IoU of edges [n, 4], row by row; one row against many is allowed."""
    shared = np.prod(
        np.maximum(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0.0), axis=1
    )
    areas = np.prod(a[:, 2:] - a[:, :2], axis=1) + np.prod(b[:, 2:] - b[:, :2], axis=1)
    return np.asarray(shared / np.maximum(areas - shared, 1e-9), np.float64)
