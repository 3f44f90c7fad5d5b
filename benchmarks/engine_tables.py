"""Tables of engines: their latency, their use of the machine, accuracy beside speed.

Layer: benchmarks; pure functions over a `Report`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.table import BOUND, Table, bound_cell, number, with_interval

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.figures import Figures
    from benchmarks.report import EngineRow, Report

NOT_THERE = "n/a"
_PHASES = ("h2d", "enqueue", "compute", "d2h")


def engine_tables(report: Report) -> Iterator[Table]:
    """Latency, then what the engine makes of the machine."""
    found = _by_engine(report)
    if not found:
        return
    rows, uses = [], []
    for engine in report.engines:
        phases = found.get(engine.stem)
        if phases is not None:
            rows.append((*_named(engine), str(engine.batch), *_latency(phases)))
            uses.append((*_named(engine), *_use(engine, phases)))
    yield Table(
        f"Engines alone: p50 of each phase and the whole run (ms; {NOT_THERE}: a CPU has no such "
        "phase)",
        (
            "engine", "back end", "precision", "batch", "n", *_PHASES, "total (95 % interval)",
            "p90", "p95", "p99", "max", "variation", "windows", BOUND,
        ),
        rows,
    )  # fmt: skip
    yield Table(
        "Engines: use of the machine",
        (
            "engine", "back end", "precision", "images/s", "GFLOP a run", "GFLOP/s",
            "share of the measured peak", "PSS added (MiB)", "RSS added (MiB)",
        ),
        uses,
    )  # fmt: skip


def accuracy_tables(report: Report) -> Iterator[Table]:
    """Accuracy beside speed: engines by their gate, films by their grades."""
    found = _by_engine(report)
    if report.engines:
        yield Table(
            "Accuracy beside speed: engines",
            ("engine", "back end", "precision", "serves", "total p50 (ms)", "gate", "figures"),
            [
                (
                    *_named(engine),
                    "yes" if engine.serves else "no",
                    number(found[engine.stem]["total"].median) if engine.stem in found else "",
                    engine.judged,
                    ", ".join(f"{key} {value:.4g}" for key, value in engine.agreement.items()),
                )
                for engine in report.engines
            ],
        )
    whole = {
        f"{series.labels.get('format')}, {series.labels.get('size')} px": figures.median
        for series, figures in report.of("pipeline")
        if series.name == "whole film"
    }
    if report.accuracy:
        yield Table(
            "Accuracy beside speed: films",
            ("films", "whole film p50 (ms)", "against", "grades", "equal", "largest difference",
             "other end or lack of a grade"),
            [
                (
                    row.films,
                    number(whole[row.films]) if row.films in whole else "",
                    row.against,
                    str(row.grades),
                    f"{row.equal / row.grades:.1%}" if row.grades else NOT_THERE,
                    str(row.largest_jump),
                    str(row.fates_differ),
                )
                for row in report.accuracy
            ],
        )  # fmt: skip


def _by_engine(report: Report) -> dict[str, dict[str, Figures]]:
    """Stem of an engine to the figures of its phases."""
    found: dict[str, dict[str, Figures]] = {}
    for series, figures in report.of("engine"):
        phase = series.name.rpartition(" ")[2]
        found.setdefault(series.labels["engine"], {})[phase] = figures
    return found


def _named(engine: EngineRow) -> tuple[str, str, str]:
    return engine.name, engine.backend, engine.precision


def _latency(phases: dict[str, Figures]) -> tuple[str, ...]:
    total = phases["total"]
    return (
        str(total.n),
        *(number(phases[name].median) if name in phases else NOT_THERE for name in _PHASES),
        with_interval(total.points[50.0]),
        *(number(total.points[point].value) for point in (90.0, 95.0, 99.0)),
        number(total.most),
        f"{total.variation:.0%}",
        "stable" if total.stable else "unstable",
        bound_cell(total),
    )


def _use(engine: EngineRow, phases: dict[str, Figures]) -> tuple[str, ...]:
    batch, total = engine.batch or 1, phases["total"]
    rate = engine.gflop / phases["compute"].median * 1000 if engine.gflop else None
    shares = [
        f"{rate / peak:.0%} of {number(peak)} ({how})" for how, peak in engine.peak_gflops.items()
    ] if rate else []  # fmt: skip
    memory = [engine.memory.get(name) for name in ("pss", "rss")]
    return (
        number(batch * 1000 / total.mean),
        number(engine.gflop) if engine.gflop else NOT_THERE,
        number(rate) if rate else NOT_THERE,
        "; ".join(shares) or NOT_THERE,
        *(NOT_THERE if value is None else number(value) for value in memory),
    )
