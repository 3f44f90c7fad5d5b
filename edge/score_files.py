"""Score files and folders without a broker: the body of ``sharpedge score``.

Reads films, writes labelled pictures and masks where it is told to; knows no journal and no MQTT.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import REASONS, FilmError, Reason
from edge.model import LimbResult, Status, Versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge.pipeline.scorer import FilmOutcome, FilmScorer

LARGEST_FILE_MIB = 256


@dataclass(frozen=True)
class ScoredFile:
    """One file with its outcome, and the pictures that were written for it."""

    path: Path
    results: tuple[LimbResult, ...]
    pictures: tuple[Path, ...]
    total_ms: float


def films_in(paths: Sequence[Path]) -> Iterator[Path]:
    """Files of the arguments in order; folders are walked, hidden files and masks left out."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                ours = name.endswith(("_mask.png", ".jsonl", ".json", ".md", ".csv"))
                if not name.startswith(".") and not ours:
                    yield Path(folder) / name


def read_film(path: Path) -> bytes:
    """Bytes of a film. Raises `FilmError` for what is no regular file or is too large."""
    if not path.is_file():
        raise FilmError(Reason.NOT_A_REGULAR_FILE, path.name)
    if path.stat().st_size > LARGEST_FILE_MIB * 2**20:
        raise FilmError(Reason.TOO_LARGE, f"over {LARGEST_FILE_MIB} MiB")
    return path.read_bytes()


def score_files(
    scorer: FilmScorer,
    paths: Sequence[Path],
    out_dir: Path | None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[ScoredFile]:
    """Score every film; pictures go to ``out_dir`` as ``STEM_LIMBINDEX.jpg`` and ``_mask.png``."""
    if out_dir is not None:
        out_dir.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(paths):
        try:
            outcome = scorer.score(read_film(path), path.name)
        except FilmError as error:
            yield ScoredFile(path, (_rejected(error, path.name, scorer.versions),), (), 0.0)
        else:
            pictures = () if out_dir is None else tuple(_write(outcome, path, out_dir))
            results = tuple(limb.result for limb in outcome.limbs)
            yield ScoredFile(path, results, pictures, sum(outcome.stage_ms.values()))
        if progress is not None:
            progress(number + 1)


def _write(outcome: FilmOutcome, path: Path, out_dir: Path) -> Iterator[Path]:
    for limb in outcome.limbs:
        stem = f"{path.stem}_{limb.result.limb_index}"
        for data, name in (
            (limb.overlay_jpeg, f"{stem}.jpg"),
            (limb.mask_png, f"{stem}_mask.png"),
        ):
            if data is not None:
                target = out_dir / name
                target.write_bytes(data)
                yield target


def _rejected(error: FilmError, file_name: str, versions: Versions) -> LimbResult:
    return LimbResult(
        file=file_name,
        limb_index=0,
        status=error.status,
        reason=str(error.reason),
        advice=REASONS[error.reason].advice,
        versions=versions,
    )


def exit_status(results: Sequence[LimbResult]) -> int:
    """0 all scored, 3 some held, 4 some rejected (the worse wins)."""
    statuses = {result.status for result in results}
    return 4 if Status.REJECTED in statuses else 3 if Status.HELD in statuses else 0


def as_text(scored: ScoredFile) -> str:
    """A table a person can read: one block a limb."""
    blocks = []
    for result in scored.results:
        side = {"L": "left", "R": "right"}.get(str(result.laterality), "")
        head = f"{scored.path.name}: {side} {result.limb or ''}".replace(":  ", ": ")
        if result.status is not Status.SCORED:
            blocks.append(f"{head.rstrip(': ')}: {result.status}, {result.reason}: {result.advice}")
            continue
        rows = [f"{head}  ({scored.total_ms:.0f} ms)", "  joint  erosion  narrowing  notes"]
        for joint in result.joints:
            name = joint.name or f"{joint.name_candidate}?"
            notes = [*joint.flags]
            if joint.erosion_reason:
                notes.append(joint.erosion_reason)
            rows.append(
                f"  {name:<6}{_cell(joint.erosion):>7}{_cell(joint.narrowing):>10}     "
                f"{', '.join(notes)}".rstrip()
            )
        if result.subtotals is not None:
            for kind in ("erosion", "narrowing"):
                part = getattr(result.subtotals, kind)
                rows.append(
                    f"  {kind} {_cell(part.score)} of {part.maximum} "
                    f"({part.n_scored} of {part.n_expected} joints)"
                )
        blocks.append("\n".join(rows))
    return "\n".join(blocks)


def _cell(grade: int | None) -> str:
    return "-" if grade is None else str(grade)
