"""Scores files and folders without a broker: the body of ``sharpedge score``.

Layer: scoring; reads films, writes labelled pictures and masks.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import EdgeError, FilmError, NullReason, Reason, place_of, rejected
from edge.model import LimbResult, Status, Subtotal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge.scoring.fallback import FallbackScorer
    from edge.scoring.film_scorer import FilmOutcome, FilmScorer

LARGEST_FILE_MIB = 256
_BESIDE_FILMS = ("_mask.png", ".jsonl", ".json", ".md", ".csv", ".txt")
"""Endings of what lies beside films and is none."""


@dataclass(frozen=True)
class ScoredFile:
    """One file with its outcome, and the pictures that were written for it.

    ``fault`` says why the file could not be read at all; then there are no results.
    """

    path: Path
    results: tuple[LimbResult, ...]
    pictures: tuple[Path, ...] = ()
    total_ms: float = 0.0
    fault: str | None = None


def films_in(paths: Sequence[Path], apart: Path | None = None) -> Iterator[Path]:
    """Files of the arguments in order; folders are walked.

    In folders, hidden files, masks and lists are left out, and everything under ``apart``: the
    pictures of an earlier run are no films.
    """
    own = None if apart is None else apart.resolve()
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, folders, names in os.walk(path):
            if own is not None and Path(folder).resolve() == own != path.resolve():
                folders.clear()
                continue
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if not name.startswith(".") and not name.endswith(_BESIDE_FILMS):
                    yield Path(folder) / name


def read_film(path: Path) -> bytes:
    """Bytes of a film.

    Raises `FilmError` for what is no regular file or is too large, OSError for what cannot be read.
    """
    if not path.is_file():
        raise FilmError(Reason.NOT_A_REGULAR_FILE)
    if path.stat().st_size > LARGEST_FILE_MIB * 2**20:
        raise FilmError(Reason.TOO_LARGE, f"over {LARGEST_FILE_MIB} MiB")
    return path.read_bytes()


def score_files(
    scorer: FilmScorer | FallbackScorer,
    paths: Sequence[Path],
    out_dir: Path | None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[ScoredFile]:
    """Score every film; pictures go to ``out_dir`` as ``STEM_LIMBINDEX.jpg`` and ``_mask.png``.

    Films of one stem get ``STEM-2`` and so on, and no film is ever written over. Raises OSError
    where ``out_dir`` cannot be written, `edge.errors.EngineError` where an engine fails.
    """
    taken = {path.resolve() for path in paths}
    if out_dir is not None:
        out_dir.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(paths):
        yield _score_file(scorer, path, out_dir, taken)
        if progress is not None:
            progress(number + 1)


def _score_file(
    scorer: FilmScorer | FallbackScorer, path: Path, out_dir: Path | None, taken: set[Path]
) -> ScoredFile:
    # Names need not be UTF-8 on disk; JSON must be.
    name = os.fsencode(path.name).decode("utf-8", "replace")
    try:
        data = read_film(path)
    except FilmError as error:
        return ScoredFile(
            path, (rejected(error.reason, name, scorer.versions, detail=error.detail),)
        )
    except OSError as error:
        return ScoredFile(path, (), fault=f"cannot be read ({error.strerror})")
    try:
        outcome = scorer.score(data, name)
    except (MemoryError, EdgeError):
        raise
    except Exception as error:  # noqa: BLE001 - one film must not end the others
        return ScoredFile(
            path, (rejected(Reason.INTERNAL, name, scorer.versions, detail=place_of(error)),)
        )
    pictures = () if out_dir is None else tuple(_write(outcome, path, out_dir, taken))
    results = tuple(limb.result for limb in outcome.limbs)
    return ScoredFile(path, results, pictures, sum(outcome.stage_ms.values()))


def _write(outcome: FilmOutcome, path: Path, out_dir: Path, taken: set[Path]) -> Iterator[Path]:
    for limb in outcome.limbs:
        index = limb.result.limb_index
        stems = (path.stem if n == 1 else f"{path.stem}-{n}" for n in range(1, len(taken) + 2))
        names = ((f"{stem}_{index}.jpg", f"{stem}_{index}_mask.png") for stem in stems)
        free = next(
            pair for pair in names if not any((out_dir / n).resolve() in taken for n in pair)
        )
        for data, name in zip((limb.overlay_jpeg, limb.mask_png), free, strict=True):
            if data is not None:
                target = out_dir / name
                target.write_bytes(data)
                taken.add(target.resolve())
                yield target


def exit_status(results: Sequence[LimbResult]) -> int:
    """0 all scored, 3 some held or not graded, 4 some rejected (the worse wins)."""
    statuses = {result.status for result in results}
    if Status.REJECTED in statuses:
        return 4
    return 0 if statuses <= {Status.SCORED} else 3


def lacks_scorer(results: Sequence[LimbResult]) -> bool:
    """Whether a joint has no grade only because no scorer is installed."""
    return any(
        joint.erosion_reason == NullReason.NO_SCORER
        for result in results
        for joint in result.joints
    )


def as_json(result: LimbResult) -> str:
    """One line of JSON in plain ASCII, which every terminal and pipe takes."""
    return json.dumps(result.model_dump(mode="json"), separators=(",", ":"), allow_nan=False)


def as_text(scored: ScoredFile) -> str:
    """A table a person can read: one block a limb."""
    name = os.fsencode(scored.path.name).decode("utf-8", "replace")
    blocks = []
    for result in scored.results:
        limb = limb_words(result)
        head = f"{name}: {limb}" if limb else name
        if result.status is Status.NOT_GRADED:
            line = f"{head}: not graded, {result.reason}: {result.advice}"
            blocks.append("\n".join([line, *limb_rows(result)]))
        elif result.status is Status.SCORED:
            blocks.append("\n".join([f"{head}  ({scored.total_ms:.0f} ms)", *limb_rows(result)]))
        else:
            blocks.append(f"{head}: {result.status}, {result.reason}: {result.advice}")
    return "\n".join(blocks)


def limb_words(result: LimbResult) -> str:
    """``left hand``; what is not known is left out."""
    side = {"L": "left", "R": "right"}.get(str(result.laterality))
    return " ".join(word for word in (side, result.limb) if word is not None)


def limb_rows(result: LimbResult) -> list[str]:
    """The joints' grades and the subtotals with their maxima, a row each."""
    rows = ["  joint  erosion  narrowing  notes"]
    for joint in result.joints:
        name = joint.name or f"{joint.name_candidate}?"
        reasons = dict.fromkeys((joint.erosion_reason, joint.narrowing_reason))
        notes = [*joint.flags, *(reason for reason in reasons if reason is not None)]
        rows.append(
            f"  {name:<6}{grade_word(joint.erosion):>8}{grade_word(joint.narrowing):>11}  "
            f"{', '.join(notes)}".rstrip()
        )
    if result.subtotals is not None:
        rows.append(f"  erosion {subtotal_words(result.subtotals.erosion)}")
        rows.append(f"  narrowing {subtotal_words(result.subtotals.narrowing)}")
    return rows


def subtotal_words(subtotal: Subtotal) -> str:
    """``7 of 50 (10 of 10 joints scored)``."""
    return (
        f"{grade_word(subtotal.score)} of {subtotal.maximum} "
        f"({subtotal.n_scored} of {subtotal.n_expected} joints scored)"
    )


def grade_word(grade: int | None) -> str:
    """Write a grade as its number, and as a dash where there is none: never as a zero."""
    return "-" if grade is None else str(grade)
