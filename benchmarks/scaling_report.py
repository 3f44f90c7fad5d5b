"""The table and the plot of the scaling benchmark.

Layer: benchmarks; writes three files.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.machine import machine
from edge.model import DISCLAIMER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.series import Series

_HIDDEN = frozenset({"broker"})
_QUIET = 0.5
"""Load for each core above which a machine is busy."""


def write_report(series: Sequence[Series], out: Path) -> list[Path]:
    """Write ``scaling.json``, ``scaling.md`` and, with matplotlib, ``scaling.png``."""
    out.mkdir(parents=True, exist_ok=True)
    about = machine()
    report = {
        "notice": DISCLAIMER,
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": about,
        "series": [asdict(it) for it in series],
    }
    written = [out / "scaling.json", out / "scaling.md"]
    written[0].write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    written[1].write_text(as_table(series, about), "utf-8")
    if _plot(series, out / "scaling.png"):
        written.append(out / "scaling.png")
    return written


def as_table(series: Sequence[Series], about: Mapping[str, Any]) -> str:
    """Markdown: one line for each series, and a warning where the machine was busy."""
    load = about.get("load_before", [0.0])[0]
    busy = f"The machine was busy (load {load}): these figures are not publishable."
    lines = [
        "# Scaling",
        "",
        f"{DISCLAIMER}; simulated films, messages without joints in the filled journals",
        "",
        f"Machine: {about}",
        "",
        *([busy, ""] if load > _QUIET * about.get("cores", 1) else []),
        "| measured | of | n | p50 | p99 | unit |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for it in series:
        p50, p99 = np.percentile(it.values, [50, 99])
        of = ", ".join(f"{k} {v}" for k, v in it.labels.items() if k not in _HIDDEN)
        lines.append(f"| {it.name} | {of} | {len(it.values)} | {p50:.2f} | {p99:.2f} | {it.unit} |")
    return "\n".join(lines) + "\n"


def _plot(series: Sequence[Series], path: Path) -> bool:
    """Whether the plot could be made: it needs matplotlib."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 - belongs to an extra
    except ModuleNotFoundError:
        return False
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - as above

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 5.5))
    for workers in sorted({it.labels["workers"] for it in series if "workers" in it.labels}):
        points = sorted(
            (float(it.labels["share"]), it.values[0])
            for it in series
            if it.name == "films a minute"
            and it.labels.get("workers") == workers
            and "share" in it.labels
        )
        left.plot(*zip(*points, strict=True), marker="o", label=f"{workers} workers")
    left.set_xlabel("arrivals, as a share of what one worker sustains")
    left.set_ylabel("films a minute")
    names = dict.fromkeys(it.name for it in series if "rows" in it.labels and it.unit == "ms")
    for name in names:
        for state, line in (("delivered", "-"), ("waiting", "--")):
            points = sorted(
                (float(it.labels["rows"]), float(np.median(it.values)))
                for it in series
                if it.name == name and it.labels.get("messages") == state
            )
            if points:
                label = f"{name}, {state}"
                right.plot(*zip(*points, strict=True), line, marker=".", label=label)
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlabel("rows in journal and outbox")
    right.set_ylabel("median ms")
    for axis in (left, right):
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.15))
    figure.suptitle(f"sharpedge: scaling ({DISCLAIMER})", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return True
