"""The command ``bench``: latency.

Layer: sharpedge; parses, calls, prints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def bench(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of four films, after a warm-up.")] = 10,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for latency.json and latency.png.")
    ] = None,
) -> None:
    """Measure latency: each stage, and from file closed to message received."""
    from benchmarks.report import as_table, run_benchmarks, write_report
    from edge.system.terminal import Progress, say

    shows: dict[str, Progress] = {}

    def show(label: str, done: int, total: int) -> None:
        shows.setdefault(label, Progress(label))(done, total)

    report = run_benchmarks(rounds, show)
    say(as_table(report))
    if out is not None:
        for path in write_report(report, out):
            say(str(path))
