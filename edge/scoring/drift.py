"""Drift watch: compares a site's films and scores with those of its first days.

It keeps figures of films, never
names or keys. The first `COMMISSIONING` films of a limb under one set of engines are the measure;
the last `RECENT` are compared with them. A change raises an alert
and holds nothing: a new tube, another exposure or other patients look alike here.

Layer: scoring; reads and writes its own folder below the state folder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field, ValidationError

from edge.anatomy import Limb
from edge.model import DISCLAIMER, Record
from edge.system.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

COMMISSIONING = 60
RECENT = 60
LEAST_SHIFT = 1.0
"""A figure has drifted when its mean moved by more than this many of its first deviations ..."""
LEAST_Z = 5.0
"""... and by more than this many standard errors: chance alone does that less than once in a
million looks."""


class FilmsSeen(Record):
    """Figures of a limb's films under one set of engines, oldest first."""

    engines: str
    first: tuple[dict[str, float], ...] = ()
    recent: tuple[dict[str, float], ...] = ()
    notice: str = Field(default=DISCLAIMER)


@dataclass(frozen=True)
class Shift:
    """One figure's mean then and now; ``shift`` in first deviations, ``z`` in standard errors."""

    limb: Limb
    figure: str
    then: float
    now: float
    shift: float
    z: float

    @property
    def drifted(self) -> bool:
        """Whether it moved farther than chance and habit explain."""
        return abs(self.shift) > LEAST_SHIFT and abs(self.z) > LEAST_Z


class DriftWatch:
    """Keeps and compares figures in one folder.

    Every call reads the files again: the daemon writes them, and the command line may reset them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def note(self, limb: Limb, engines: str, figures: Mapping[str, float]) -> None:
        """Take in one film. Raises `OSError` where the folder cannot be written."""
        if not figures:
            return
        seen = self.seen(limb)
        if seen is None or seen.engines != engines:
            seen = FilmsSeen(engines=engines)
        kept = {name: round(value, 5) for name, value in figures.items()}
        if len(seen.first) < COMMISSIONING:
            seen = seen.model_copy(update={"first": (*seen.first, kept)})
        else:
            seen = seen.model_copy(update={"recent": (*seen.recent, kept)[-RECENT:]})
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        # Not durable: a power cut may cost the figures of a few films.
        write_whole(self._path(limb), seen.model_dump_json().encode(), durable=False)

    def seen(self, limb: Limb) -> FilmsSeen | None:
        """What is known of a limb; ``None`` for nothing, or for a file that cannot be read."""
        try:
            return FilmsSeen.model_validate_json(self._path(limb).read_bytes())
        except (OSError, ValidationError):
            return None

    def begin_again(self) -> None:
        """Forget: the next films are the measure. For a new scanner, or after a repair."""
        for limb in Limb:
            self._path(limb).unlink(missing_ok=True)

    def shifts(self) -> list[Shift]:
        """Every figure of every limb that has enough films, then and now."""
        return [
            shift
            for limb in Limb
            if (seen := self.seen(limb)) is not None
            for shift in _compare(limb, seen)
        ]

    def _path(self, limb: Limb) -> Path:
        return self._folder / f"{limb}.json"


def _compare(limb: Limb, seen: FilmsSeen) -> list[Shift]:
    if len(seen.first) < COMMISSIONING or len(seen.recent) < RECENT:
        return []
    found = []
    for figure in seen.first[0]:
        then, now = (
            np.array([film[figure] for film in films if figure in film])
            for films in (seen.first, seen.recent)
        )
        if len(then) < 2 or len(now) < 2:
            continue
        moved = float(now.mean() - then.mean())
        # A figure that never varied may not forbid any variation.
        spread = max(float(then.std(ddof=1)), 1e-3 * abs(float(then.mean())), 1e-3)
        error = math.hypot(
            spread / math.sqrt(len(then)), float(now.std(ddof=1)) / math.sqrt(len(now))
        )
        found.append(
            Shift(
                limb, figure, float(then.mean()), float(now.mean()), moved / spread, moved / error
            )
        )
    return found


def in_words(shifts: list[Shift]) -> str:
    """What has drifted, in one line; empty when nothing has."""
    return "; ".join(
        f"{shift.limb}: {shift.figure} {shift.then:.3g} -> {shift.now:.3g} "
        f"({shift.shift:+.1f} deviations)"
        for shift in shifts
        if shift.drifted
    )


def as_table(watch: DriftWatch) -> str:
    """What a person reads: how many films were seen, and every figure then and now."""
    lines = []
    for limb in Limb:
        seen = watch.seen(limb)
        first, recent = (len(seen.first), len(seen.recent)) if seen else (0, 0)
        lines.append(f"{limb}: {first} of {COMMISSIONING} first films, {recent} of {RECENT} recent")
        lines += [
            f"  {shift.figure:<14} {shift.then:>10.3f} -> {shift.now:>10.3f}  "
            f"{shift.shift:+6.2f} deviations  {'DRIFTED' if shift.drifted else ''}".rstrip()
            for shift in (_compare(limb, seen) if seen else ())
        ]
    return "\n".join(lines)
