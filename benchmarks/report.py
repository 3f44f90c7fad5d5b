"""Runs both benchmarks and writes their results: JSON, a table, a plot.

Layer: benchmarks; measures, writes what it is asked to.
"""

from __future__ import annotations

import json
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.appliance import ALONE, measure
from benchmarks.stages import time_stages
from benchmarks.statistics import machine, summary
from edge.engine.loader import load_engines
from edge.model import DISCLAIMER
from edge.pipeline.settings import PipelineSettings
from edge.scoring.film_scorer import FilmScorer
from edge.system.paths import built_engines
from phantom.command import write_patients

if TYPE_CHECKING:
    from collections.abc import Callable

    Progress = Callable[[str, int, int], None]

SEED = 7


def run_benchmarks(rounds: int, progress: Progress) -> dict[str, Any]:
    """Time one simulated patient's four films; returns the report as written to JSON."""
    report: dict[str, Any] = {
        "notice": DISCLAIMER,
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "films": "one simulated patient: LH RH LF RF",
        "rounds": rounds,
    }
    with tempfile.TemporaryDirectory(prefix="sharpedge-bench-") as name:
        folder = Path(name)
        write_patients(folder / "films", 1, SEED)
        films = sorted((folder / "films").glob("*.jpg"))
        engines = load_engines(built_engines())
        report["engines"] = engines.versions
        scorer = FilmScorer(engines, PipelineSettings())
        report["stages"] = time_stages(
            scorer, films, rounds, lambda done, total: progress("stages", done, total)
        )
        series = measure(
            folder / "run",
            films,
            ALONE,
            rounds * len(films),
            progress=lambda done, total: progress("delivery", done, total),
        )
        whole = next(it for it in series if it.name == "closed to received")
        report["delivery"] = {
            "broker": whole.labels["broker"],
            "closed_to_received": summary(whole.values),
        }
    return report


def as_table(report: dict[str, Any]) -> str:
    """The report as a person reads it."""
    rows = [f"{'':<28}{'p50':>9}{'p90':>9}{'p99':>9}   ms"]
    figures = {
        **report["stages"],
        "file closed to received": report["delivery"]["closed_to_received"],
    }
    for name, found in figures.items():
        rows.append(
            f"{name:<28}{found['p50_ms']:>9.1f}{found['p90_ms']:>9.1f}{found['p99_ms']:>9.1f}"
        )
    about = report["machine"]
    rows.append(f"{about['processor']}, {about['cores']} cores; n = {report['rounds']} x 4 films")
    rows.append(f"{report['notice']}; simulated films")
    return "\n".join(rows)


def write_report(report: dict[str, Any], out_dir: Path) -> list[Path]:
    """Write ``latency.json`` and, where matplotlib is installed, ``latency.png``."""
    out_dir.mkdir(parents=True, exist_ok=True)
    written = [out_dir / "latency.json"]
    written[0].write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    try:
        import matplotlib as mpl  # noqa: PLC0415
    except ModuleNotFoundError:
        return written
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    stages = {name: v["p50_ms"] for name, v in report["stages"].items() if name != "whole film"}
    figure, axis = plt.subplots(figsize=(8, 3.2))
    left = 0.0
    for name, width_ms in stages.items():
        axis.barh([0], [width_ms], left=left, label=f"{name} {width_ms:.0f} ms")
        left += width_ms
    whole = report["delivery"]["closed_to_received"]["p50_ms"]
    axis.barh([1], [whole], color="0.6")
    axis.set_yticks([0, 1], ["pipeline stages", "file closed\nto received"])
    axis.set_xlabel("median ms a film")
    axis.set_title(f"sharpedge, {report['machine']['cores']} cores ({DISCLAIMER})", fontsize=9)
    axis.legend(fontsize=7, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.25))
    figure.tight_layout()
    written.append(out_dir / "latency.png")
    figure.savefig(written[1], dpi=110)
    plt.close(figure)
    return written
