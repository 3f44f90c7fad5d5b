"""Measure the installed engines against known truth: simulated patients, or labelled real films.

Room: training (needs no torch). Figures on simulated films are always called phantom figures.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.model import LimbResult, Status
from edge.pipeline.shape import unit_px
from training.films import is_validation, read_labelled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge.model import JointScore, Limb, Points
    from edge.pipeline.scorer import FilmScorer

REACH = {"hand": 0.2, "foot": 0.1}
"""A joint counts as found within this share of MCP3-PIP3, or of MTP1-MTP5, of its true centre."""
NOT_SCORED = -9


@dataclass
class Tally:
    """Counts, pairs of true and given grades by scorer, and the Dice of each outline."""

    counts: Counter[str] = field(default_factory=Counter)
    grades: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    dice: list[float] = field(default_factory=list)


def balanced_accuracy(truth: np.ndarray, guess: np.ndarray, within: int = 0) -> float:
    """Mean over the grades present of the share graded right (or at most ``within`` off)."""
    right = np.abs(truth - guess) <= within
    return float(np.mean([right[truth == grade].mean() for grade in np.unique(truth)]))


def balanced(pairs: Sequence[tuple[int, int]], within: int = 0) -> float:
    """`balanced_accuracy` of pairs of true and given grade."""
    table = np.asarray(pairs)
    return balanced_accuracy(table[:, 0], table[:, 1], within)


def named(result: LimbResult, *, certain: bool = True) -> dict[str, JointScore]:
    """Joints that have a place, by name; with ``certain`` only those whose name is certain."""
    found = {}
    for joint in result.joints:
        name = joint.name if certain else joint.name or joint.name_candidate
        if name is not None and joint.centre is not None:
            found[name] = joint
    return found


def measure_phantoms(scorer: FilmScorer, folder: Path, tick: Callable[[int], None]) -> Tally:
    """Score a folder that ``sharpedge phantom`` or ``train data paint`` wrote against its truth.

    A joint with a known grade that was not scored counts as wrong, unless its resolution is low.
    Where the truth knows no side (painted films), the side is not judged; the scorer must then
    accept geometry's.
    """
    tally = Tally()
    lines = (folder / "truth.jsonl").read_text("utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        truth = LimbResult.model_validate_json(line)
        outcome = scorer.score((folder / truth.file).read_bytes(), truth.file)
        limb, result = outcome.limbs[0], outcome.limbs[0].result
        tally.counts[f"{truth.limb} films"] += 1
        same = result.limb is truth.limb and truth.laterality in (None, result.laterality)
        held_right = truth.status is Status.SCORED or result.reason == truth.reason
        tally.counts["limb and side right"] += same and held_right
        tally.counts[f"{truth.limb} complete"] += _complete(truth, named(result))
        _compare_grades(tally, truth, named(result))
        if limb.mask_png is not None and result.transform is not None:
            tally.dice.append(_dice(folder, truth.file, limb.mask_png, result.transform))
        tick(number)
    return tally


def _complete(truth: LimbResult, found: dict[str, JointScore]) -> bool:
    places = {j.name: j.centre for j in truth.joints if j.name and j.centre is not None}
    if truth.limb is None:
        return False
    reach = REACH[truth.limb] * unit_px(
        truth.limb, list(places), np.array(list(places.values()), dtype=np.float64)
    )
    return all(
        name in found and _apart(found[name], np.asarray(place)) <= reach
        for name, place in places.items()
    )


def _apart(joint: JointScore, place: Points) -> float:
    return float(np.hypot(*(np.asarray(joint.centre) - place)))


def _compare_grades(tally: Tally, truth: LimbResult, found: dict[str, JointScore]) -> None:
    for joint in truth.joints:
        given = found.get(joint.name or "")
        for kind in ("erosion", "narrowing"):
            grade = getattr(joint, kind)
            if grade is None:
                continue
            got = getattr(given, kind, None)
            if given is not None and getattr(given, f"{kind}_reason") == "low_resolution":
                continue
            pairs = tally.grades.setdefault(f"{truth.limb} {kind}", [])
            pairs.append((grade, NOT_SCORED if got is None else got))


def _dice(folder: Path, file: str, mask_png: bytes, transform: list[list[float]]) -> float:
    true = cv2.imread(str(folder / f"{file.rsplit('.', 1)[0]}_mask.png"), cv2.IMREAD_GRAYSCALE)
    mine = cv2.imdecode(np.frombuffer(mask_png, np.uint8), cv2.IMREAD_GRAYSCALE)
    matrix = np.asarray(transform)[:2]
    first, second = (
        cv2.warpAffine(np.asarray(mask, np.uint8), matrix, (1200, 1500)) > 127
        for mask in (true, mine)
    )
    return 2 * float((first & second).sum()) / max(float(first.sum() + second.sum()), 1.0)


def measure_films(
    scorer: FilmScorer, labels: Path, films_dir: Path, limb: Limb, tick: Callable[[int], None]
) -> Tally:
    """Score labelled real films that no training has seen; the scorer must accept geometry's side.

    Counts joints found and named on clean films (see `LabelledFilm.clean`) and on the others.
    """
    tally = Tally()
    paths = {path.name: path for path in sorted(films_dir.rglob("*.jpg"))}
    films = [film for film in read_labelled(labels, films_dir, limb) if is_validation(film.film)]
    for number, film in enumerate(films, start=1):
        outcome = scorer.score(paths[film.film].read_bytes(), film.film)
        seen = [one.result for one in outcome.limbs if one.result.limb is limb]
        joints = [pair for result in seen for pair in named(result, certain=False).items()]
        reach = REACH[limb] * film.unit / film.scale
        kind = "clean" if film.clean else "other"
        tally.counts[f"{kind} films"] += 1
        for name, place in zip(film.names, film.points / film.scale, strict=True):
            near = [(found, joint) for found, joint in joints if _apart(joint, place) <= reach]
            tally.counts[f"{kind} joints"] += 1
            tally.counts[f"{kind} joints found and named"] += name in dict(near)
            tally.counts[f"{kind} joints under another certain name"] += any(
                joint.name not in (None, name) for _, joint in near
            )
        tick(number)
    return tally


def as_table(tally: Tally, what: str) -> str:
    """The tally as a person reads it; ``what`` says of which films it speaks."""
    rows = [what, *(f"  {name}: {count}" for name, count in sorted(tally.counts.items()))]
    if tally.counts["clean joints"]:
        share = tally.counts["clean joints found and named"] / tally.counts["clean joints"]
        rows.append(f"  clean joints found and named: {100 * share:.1f} %")
    if tally.dice:
        rows.append(f"  outline, Dice: mean {np.mean(tally.dice):.4f}, least {min(tally.dice):.4f}")
    for name, pairs in tally.grades.items():
        scored = np.mean([got != NOT_SCORED for _, got in pairs])
        rows.append(
            f"  {name}: n {len(pairs)}, balanced exact {100 * balanced(pairs):.1f} %, "
            f"within one {100 * balanced(pairs, 1):.1f} %, scored {100 * scored:.1f} %"
        )
        healthy = [got for grade, got in pairs if grade == 0 and got != NOT_SCORED]
        if healthy:
            zero, one = (100 * np.mean([got <= most for got in healthy]) for most in (0, 1))
            rows.append(
                f"    of {len(healthy)} scored joints without damage {zero:.1f} % as 0, "
                f"{one:.1f} % as at most 1"
            )
    return "\n".join(rows)
