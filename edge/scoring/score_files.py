"""Scores files and folders without a broker: the body of ``sharpedge score``.

Layer: scoring; reads films, writes labelled pictures and masks.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from edge.anatomy import LIMBS
from edge.errors import EdgeError, FilmError, NullReason, Reason, place_of, rejected
from edge.model import Laterality, LateralitySource, LimbResult, Status, Subtotal
from edge.pipeline.picture.words import SIDE_SOURCES, Caption
from edge.scoring.drawing import beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge.anatomy import Limb
    from edge.model import Identifiers, OperatorStatement
    from edge.scoring.fallback import FallbackScorer
    from edge.scoring.film_scorer import FilmOutcome, FilmScorer

LARGEST_FILE_MIB = 256
_BESIDE_FILMS = ("_mask.png", "_overlay.png", ".jsonl", ".json", ".md", ".csv", ".txt")
"""Endings of what lies beside films and is none."""
_ENDINGS = (".jpg", "_mask.png", "_overlay.png")


@dataclass(frozen=True)
class ScoredFile:
    """One file with its outcome, and the pictures that were written for it.

    ``fault`` says why the file could not be read at all; then there are no results. ``study`` is
    what tags or name state of the study, ``taken`` the day of the exposure by the tags,
    ``identifiers`` are those of the tags.
    """

    path: Path
    results: tuple[LimbResult, ...]
    pictures: tuple[Path, ...] = ()
    total_ms: float = 0.0
    fault: str | None = None
    study: str | None = None
    taken: str | None = None
    identifiers: Identifiers | None = None


@dataclass(frozen=True)
class Wanted:
    """What is written for each film into ``folder``: labelled picture and mask; labels alone."""

    folder: Path
    overlays: bool = False


def films_in(
    paths: Sequence[Path], apart: Path | None = None, *, recursive: bool = True
) -> Iterator[Path]:
    """Files of the arguments in order; folders are walked, with ``recursive`` those in them too.

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
            folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
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
    wanted: Wanted | None,
    progress: Callable[[int], None] | None = None,
    operator: OperatorStatement | None = None,
) -> Iterator[ScoredFile]:
    """Score every film; pictures are written as ``STEM_LIMBINDEX.jpg`` and ``_mask.png``.

    The labelled picture shows the film unmasked. Films of one stem get ``STEM-2`` and so on, and no
    film is ever written over. ``operator`` is a person's word on limb and side of all films. Raises
    OSError where the folder cannot be written, `edge.errors.EngineError` where an engine fails.
    """
    taken = {path.resolve() for path in paths}
    if wanted is not None:
        wanted.folder.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(paths):
        yield _score_file(scorer, path, wanted, taken, operator)
        if progress is not None:
            progress(number + 1)


def _score_file(
    scorer: FilmScorer | FallbackScorer,
    path: Path,
    wanted: Wanted | None,
    taken: set[Path],
    operator: OperatorStatement | None,
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
        outcome = scorer.score(data, name, operator)
    except (MemoryError, EdgeError):
        raise
    except Exception as error:  # noqa: BLE001 - one film must not end the others
        return ScoredFile(
            path, (rejected(Reason.INTERNAL, name, scorer.versions, detail=place_of(error)),)
        )
    pictures = () if wanted is None else tuple(_write(outcome, path, wanted, taken))
    results = tuple(limb.result for limb in outcome.limbs)
    total_ms = sum(outcome.stage_ms.values())
    return ScoredFile(
        path,
        results,
        pictures,
        total_ms,
        study=outcome.study_key,
        taken=outcome.taken,
        identifiers=outcome.identifiers,
    )


def _write(outcome: FilmOutcome, path: Path, wanted: Wanted, taken: set[Path]) -> Iterator[Path]:
    for limb in outcome.limbs:
        index = limb.result.limb_index
        stems = (path.stem if n == 1 else f"{path.stem}-{n}" for n in range(1, len(taken) + 2))
        names = ([f"{stem}_{index}{end}" for end in _ENDINGS] for stem in stems)
        free = next(
            three
            for three in names
            if not any((wanted.folder / n).resolve() in taken for n in three)
        )
        caption = Caption(file=limb.result.file, taken=_taken_words(outcome, path))
        drawing = limb.drawing
        made = (
            limb.overlay_jpeg if drawing is None else drawing.local(caption),
            limb.mask_png,
            drawing.transparent() if drawing is not None and wanted.overlays else None,
        )
        for data, name in zip(made, free, strict=True):
            if data is not None:
                target = wanted.folder / name
                target.write_bytes(data)
                taken.add(target.resolve())
                yield target


def _taken_words(outcome: FilmOutcome, path: Path) -> str:
    """When a film was taken by its tags, else the date of its file."""
    if outcome.taken:
        return f"taken {outcome.taken}"
    try:
        at = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
    except (OSError, OverflowError, ValueError):
        return ""
    return f"file dated {at:%Y-%m-%d %H:%M} UTC"


def pair_pictures(scored: Sequence[ScoredFile], folder: Path) -> Iterator[Path]:
    """Write both hands, and both feet, of each study beside each other, left limb at the left.

    The latest film of each limb counts; the file is called after both. Raises OSError where the
    folder cannot be written.
    """
    found: dict[tuple[str, Limb], dict[Laterality, Path]] = {}
    for film in scored:
        pictures = [path for path in film.pictures if path.suffix == ".jpg"]
        for result, picture in zip(film.results, pictures, strict=False):
            if film.study and result.limb is not None and result.laterality is not None:
                sides = found.setdefault((film.study, result.limb), {})
                sides[result.laterality] = picture
    for (_, limb), sides in found.items():
        if len(sides) == len(Laterality):
            left, right = sides[Laterality.LEFT], sides[Laterality.RIGHT]
            jpeg = beside(left.read_bytes(), right.read_bytes())
            target = folder / f"{left.stem}+{right.stem}_{LIMBS[limb].plural}.jpg"
            if jpeg is not None:
                target.write_bytes(jpeg)
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
        if result.laterality_source is LateralitySource.MARKER:
            head += f", {SIDE_SOURCES[LateralitySource.MARKER]}"
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
