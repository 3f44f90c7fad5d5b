"""Writes a report: JSON, CSV, Markdown and, where matplotlib is installed, plots.

Layer: benchmarks; writes into the folder that it is given.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from benchmarks.report import JSON_NAME, write_json
from benchmarks.tables import as_csv, markdown

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.report import Report

CSV_NAME = "bench.csv"
PAGE_NAME = "bench.md"
NO_PLOTS = "plots are left out: matplotlib is not installed (fix: pip install 'sharpedge[bench]')"


def write_report(report: Report, out_dir: Path) -> tuple[list[Path], str | None]:
    """Write every file; returns their paths, and why there are no plots where there are none.

    Raises OSError where the folder cannot be written.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    lack = None
    plots: list[Path] = []
    if importlib.util.find_spec("matplotlib") is None:
        lack = NO_PLOTS
    else:
        from benchmarks.plots import draw_all  # noqa: PLC0415 - optional

        plots = draw_all(report, out_dir)
    files = {
        CSV_NAME: as_csv(report),
        PAGE_NAME: markdown(report, tuple(path.name for path in plots)),
    }
    write_json(report, out_dir / JSON_NAME)
    for name, content in files.items():
        (out_dir / name).write_text(content, encoding="utf-8")
    return [out_dir / JSON_NAME, *(out_dir / name for name in files), *plots], lack
