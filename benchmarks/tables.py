"""The report as tables: Markdown, text for a terminal, CSV.

Layer: benchmarks; pure functions over a `Report`.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.engine_tables import accuracy_tables, engine_tables
from benchmarks.machine_state import as_rows
from benchmarks.peer_tables import peer_tables
from benchmarks.pipeline import PICTURE, WHOLE
from benchmarks.report import flat
from benchmarks.table import (
    BOUND,
    Table,
    as_markdown,
    as_text,
    bound_cell,
    number,
    with_interval,
)
from benchmarks.verdict import is_headline, title_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.figures import Figures
    from benchmarks.report import Report
    from benchmarks.series import Series

_BOUNDED = ("pipeline", "appliance")


@dataclass(frozen=True)
class Page:
    """What a person reads: a head of lines, tables, notes below."""

    head: tuple[str, ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...]


def page_of(report: Report) -> Page:
    """Lay a report out."""
    tables = [
        *_machine(report),
        *engine_tables(report),
        *_pipeline(report),
        *_waits(report),
        *peer_tables(report),
        *accuracy_tables(report),
    ]
    return Page(tuple(_head(report)), tuple(tables), report.notes)


def markdown(report: Report, plots: tuple[str, ...] = ()) -> str:
    """The page in Markdown; ``plots`` are names of pictures beside it."""
    page = page_of(report)
    lines = [f"# Benchmarks\n\n{_sentence(report.notice)}\n", *(f"- {line}" for line in page.head)]
    for name in plots:
        lines += ["", f"![{name.removesuffix('.png').replace('-', ' ')}]({name})"]
    for table in page.tables:
        lines += ["", f"## {table.title}", "", *as_markdown(table)]
    if page.notes:
        lines += ["", "## Notes", "", *(f"- {note}" for note in page.notes)]
    return "\n".join(lines) + "\n"


def text(report: Report) -> str:
    """The page for a terminal."""
    page = page_of(report)
    lines = list(page.head)
    for table in page.tables:
        lines += ["", table.title, *as_text(table)]
    if page.notes:
        lines += ["", *page.notes]
    return "\n".join([*lines, _sentence(report.notice)])


def as_csv(report: Report) -> str:
    """One line a series: what it is, then its figures."""
    pairs = report.measured_series
    keys = sorted({key for series, _ in pairs for key in series.labels})
    out = io.StringIO()
    names = list(flat(pairs[0][1])) if pairs else []
    writer = csv.DictWriter(out, ["bench", "name", *keys, "unit", *names], extrasaction="ignore")
    writer.writeheader()
    for series, figures in pairs:
        row: dict[str, Any] = {"bench": series.bench, "name": series.name, "unit": series.unit}
        writer.writerow({**row, **series.labels, **flat(figures)})
    return out.getvalue()


def _head(report: Report) -> Iterator[str]:
    verdict = report.verdict
    yield f"publishable: {'yes' if verdict.publishable else 'no'}"
    yield from (f"not publishable: {reason}" for reason in verdict.reasons)
    yield from (f"warning: {warning}" for warning in verdict.warnings)
    for series, figures in report.measured_series:
        if is_headline(series) and series.bench in _BOUNDED:
            yield f"{series.bench}, {title_of(series)}: {figures.bound_text(series.unit)}"
    about = report.machine
    yield f"{about.get('processor')}, {about.get('cores')} cores, {about.get('memory_mib')} MiB"
    commit = (report.commit or "unknown")[:12]
    versions = about.get("versions") or {}
    told = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    yield f"commit {commit}{' and changes' if report.changed else ''}; {told}"
    settings = ", ".join(f"{key} {value}" for key, value in report.settings.items())
    yield f"measured {report.measured} in {report.seconds:.0f} s ({settings})"


def _machine(report: Report) -> Iterator[Table]:
    before, after = as_rows(report.before), as_rows(report.after)
    rows = [(name, str(before[name]), str(after[name])) for name in before]
    yield Table("Machine before and after", ("", "before", "after"), rows)
    sections = [*report.sections, *report.rests]
    yield Table(
        "Use of the cores",
        ("", "s", "ours", "other processes"),
        [
            (
                section.name,
                f"{section.seconds:.0f}",
                f"{section.own:.0%}",
                "unknown" if section.others is None else f"{section.others:.1%}",
            )
            for section in sections
        ],
    )


def _pipeline(report: Report) -> Iterator[Table]:
    kinds: dict[tuple[str, str], dict[str, tuple[Series, Figures]]] = {}
    for series, figures in report.of("pipeline"):
        key = (series.labels.get("size", ""), series.labels.get("format", ""))
        kinds.setdefault(key, {})[series.name] = (series, figures)
    if not kinds:
        return
    rows = []
    for (size, form), found in kinds.items():
        figures = found[WHOLE][1]
        rows.append((size, form, *_waited(figures), f"{60_000 / figures.mean:.0f}"))
    columns = ("film (px)", "format", *_WAITED, "films/min")
    yield Table("Pipeline: film in memory to result (ms)", columns, rows)
    stages: dict[str, None] = {}
    for found in kinds.values():
        stages |= dict.fromkeys(name for name in found if name not in {WHOLE, PICTURE})
    shares = []
    for (size, form), found in kinds.items():
        whole = found[WHOLE][1].mean
        cells = [
            f"{number(found[name][1].median)} ({found[name][1].mean / whole:.0%})"
            if name in found
            else ""
            for name in stages
        ]
        drawn = number(found[PICTURE][1].median) if PICTURE in found else ""
        shares.append((size, form, *cells, drawn))
    yield Table(
        "Pipeline by stage: p50 in ms (share of the whole)",
        ("film (px)", "format", *stages, PICTURE),
        shares,
    )


_WAITED = ("n", "p50 (95 % interval)", "p90", "p95", "p99", "max", "variation", BOUND)


def _waited(figures: Figures) -> tuple[str, ...]:
    points = [number(figures.points[point].value) for point in (90.0, 95.0, 99.0)]
    return (
        str(figures.n),
        with_interval(figures.points[50.0]),
        *points,
        number(figures.most),
        f"{figures.variation:.0%}",
        bound_cell(figures),
    )


def _waits(report: Report) -> Iterator[Table]:
    """Appliance and scaling: each series a row, whatever its names and labels are."""
    titles = {"appliance": "Appliance", "scaling": "Scaling"}
    for bench, title in titles.items():
        pairs = report.of(bench)
        rows = [
            (title_of(series), series.unit, *_waited(figures))
            for series, figures in pairs
            if figures.n > 1
        ]
        single = [
            (title_of(series), number(figures.median), series.unit)
            for series, figures in pairs
            if figures.n == 1
        ]
        if rows:
            yield Table(title, ("", "unit", *_WAITED), rows)
        if single:
            yield Table(f"{title}: single values", ("", "value", "unit"), single)


def _sentence(notice: str) -> str:
    return f"{notice[:1].upper()}{notice[1:]}."
