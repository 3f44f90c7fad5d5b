"""One run of benchmarks: the machine before and after, what others used, all series.

Layer: benchmarks; reads the machine's state, runs git where the code lies in a clone.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.machine import machine
from benchmarks.machine_state import read_state
from benchmarks.others import Section, at_rest, section
from benchmarks.report import AccuracyRow, EngineRow, Report, row_of, with_figures
from benchmarks.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from benchmarks.series import Series

_HERE = Path(__file__).resolve().parents[1]
_GIT_S = 10.0


class Session:
    """Collects what one run measures; `close` gives its report.

    ``rest_s`` is how long the machine is watched at rest before and after.
    """

    def __init__(self, settings: dict[str, float | str], *, rest_s: float = 1.0) -> None:
        self._settings, self._rest_s = settings, rest_s
        self._begun = datetime.now(timezone.utc)
        self._begun_s = time.monotonic()
        self._machine = machine()
        self._before = read_state()
        self._rests = [at_rest("before the run", rest_s)]
        self._sections: list[Section] = []
        self._series: list[Series] = []
        self._benches: dict[str, None] = {}
        self.engines: dict[str, EngineRow] = {}
        self.accuracy: list[AccuracyRow] = []
        self.notes: dict[str, None] = {}

    @contextlib.contextmanager
    def measuring(self, bench: str, what: str = "") -> Iterator[None]:
        """Watch what other processes use while one benchmark, or a part of it, runs."""
        self._benches[bench] = None
        with section(f"{bench}, {what}" if what else bench, self._sections):
            yield

    def add(self, series: Iterable[Series]) -> None:
        """Take in measured series."""
        self._series += series

    def note(self, *notes: str) -> None:
        """Keep remarks for the reader, each once."""
        self.notes |= dict.fromkeys(notes)

    def close(self) -> Report:
        """Look at the machine again and give the report with its verdict."""
        self._rests.append(at_rest("after the run", self._rest_s))
        after = read_state()
        measured = with_figures(self._series)
        commit, changed = code_version()
        warnings = []
        if changed:
            warnings.append("the code differs from the commit (fix: commit, and run again)")
        if commit is None:
            warnings.append("the commit is not known: the code lies in no clone")
        verdict = judge(measured, self._sections, self._rests, self._before, after, warnings)
        return Report(
            measured=self._begun.isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - self._begun_s, 1),
            benches=tuple(self._benches),
            commit=commit,
            changed=changed,
            settings=self._settings,
            machine=self._machine,
            before=self._before,
            after=after,
            rests=tuple(self._rests),
            sections=tuple(self._sections),
            verdict=verdict,
            engines=tuple(self.engines.values()),
            accuracy=tuple(self.accuracy),
            notes=tuple(self.notes),
            series=tuple(row_of(series, figures) for series, figures in measured),
        )


def code_version(folder: Path = _HERE) -> tuple[str | None, bool]:
    """Commit of the clone that holds ``folder``, and whether tracked files differ from it."""
    if not (folder / ".git").exists():
        return None, False
    commit = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return (commit or None), bool(changed)


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            timeout=_GIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else ""
