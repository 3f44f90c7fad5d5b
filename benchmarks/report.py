"""The report of a run: one schema, whatever was measured.

Layer: benchmarks; reads and writes the JSON file that it is given.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field, ValidationError

from benchmarks.figures import Figures, figures_of
from benchmarks.machine_state import MachineState  # noqa: TC001 - pydantic needs it
from benchmarks.others import Section  # noqa: TC001 - as above
from benchmarks.series import Series
from benchmarks.verdict import Verdict  # noqa: TC001 - as above
from edge.errors import EdgeError
from edge.model import DISCLAIMER, Record

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FORMAT: Final = "sharpedge-bench"
SCHEMA_VERSION: Final = 1
JSON_NAME = "bench.json"
_DIGITS = 6


class SeriesRow(Record):
    """A `Series` in the file, with its figures for readers that compute none themselves."""

    bench: str
    name: str
    labels: dict[str, str] = Field(default_factory=dict)
    unit: str = "ms"
    figures: dict[str, float | None] = Field(default_factory=dict)
    values: tuple[float, ...]
    at_s: tuple[float, ...] = ()

    @property
    def series(self) -> Series:
        """The series as it was measured."""
        return Series(self.bench, self.name, self.values, self.labels, self.unit, self.at_s)


class EngineRow(Record):
    """One engine of the report.

    Attributes
    ----------
    stem, name, backend, precision, sha256 : str
        Of its passport; the hash has 64 hex digits.
    serves : bool
        Whether the pipeline runs it.
    batch : int or None
        Images in one measured run; None where `bench engine` did not run it.
    gflop : float or None
        Floating-point operations of one run / 1e9.
    memory : mapping of str to float
        MiB that loading and running it added: ``pss``, ``rss``.
    peak_gflops : mapping of str to float
        How the machine's peak was measured, to GFLOP/s.
    agreement : mapping of str to float
        Figures of the acceptance gate against the FP32 graph.
    judged : str
        The gate's verdict.
    """

    stem: str
    name: str
    backend: str
    precision: str
    sha256: str
    serves: bool = False
    batch: int | None = None
    gflop: float | None = None
    memory: dict[str, float] = Field(default_factory=dict)
    peak_gflops: dict[str, float] = Field(default_factory=dict)
    agreement: dict[str, float] = Field(default_factory=dict)
    judged: str = ""


class AccuracyRow(Record):
    """Grades of one kind of film, beside its speed.

    Attributes
    ----------
    films : str
        Which films.
    against : str
        What they are compared with.
    grades, equal, largest_jump : int
        Pairs of grades, how many are equal, the largest difference.
    fates_differ : int
        Films that ended in another way, and joints that only one side graded.
    """

    films: str
    against: str
    grades: int
    equal: int
    largest_jump: int
    fates_differ: int


class Report(Record):
    """Everything about one run."""

    format: Literal["sharpedge-bench"] = FORMAT
    schema_version: Literal[1] = SCHEMA_VERSION
    notice: str = DISCLAIMER
    measured: str = Field(description="UTC, ISO 8601")
    seconds: float
    benches: tuple[str, ...]
    commit: str | None = None
    changed: bool = Field(default=False, description="the code differs from that commit")
    settings: dict[str, float | str] = Field(default_factory=dict)
    machine: dict[str, Any]
    before: MachineState
    after: MachineState
    rests: tuple[Section, ...] = ()
    sections: tuple[Section, ...] = ()
    verdict: Verdict
    engines: tuple[EngineRow, ...] = ()
    accuracy: tuple[AccuracyRow, ...] = ()
    notes: tuple[str, ...] = ()
    series: tuple[SeriesRow, ...]

    @cached_property
    def measured_series(self) -> tuple[tuple[Series, Figures], ...]:
        """Every series with its figures, computed once."""
        return with_figures(row.series for row in self.series)

    def of(self, bench: str) -> list[tuple[Series, Figures]]:
        """Series of one benchmark, with their figures."""
        return [pair for pair in self.measured_series if pair[0].bench == bench]


def with_figures(series: Iterable[Series]) -> tuple[tuple[Series, Figures], ...]:
    """Each series that has a value, with its figures."""
    return tuple((one, figures_of(one)) for one in series if one.values)


def row_of(series: Series, figures: Figures) -> SeriesRow:
    """A series as the file has it."""
    return SeriesRow(
        bench=series.bench,
        name=series.name,
        labels=dict(series.labels),
        unit=series.unit,
        figures=flat(figures),
        values=tuple(_short(value) for value in series.values),
        at_s=tuple(round(value, 3) for value in series.at_s),
    )


def flat(figures: Figures) -> dict[str, float | None]:
    """Figures by name, as JSON and CSV have them."""
    found: dict[str, float | None] = {"n": figures.n}
    for point, interval in figures.points.items():
        name = f"p{point:.0f}"
        found[name] = _short(interval.value)
        found[f"{name}_low"], found[f"{name}_high"] = _short(interval.low), _short(interval.high)
    found["max"], found["mean"] = _short(figures.most), _short(figures.mean)
    found["variation"], found["spread"] = round(figures.variation, 4), round(figures.spread, 4)
    for number, window in enumerate(figures.windows, 1):
        found[f"window_{number}"] = round(window, 4)
    for quantile, limit in figures.bounds.items():
        name = f"p{quantile * 100:.0f}_bound"
        found[name] = None if limit is None else _short(limit)
    return found


def write_json(report: Report, path: Path) -> None:
    """Write the report."""
    path.write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_report(path: Path) -> Report:
    """Read a report. Raises `EdgeError` for another schema, with the cause and the fix."""
    try:
        fields = json.loads(path.read_bytes())
    except OSError as error:
        raise EdgeError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise EdgeError(
            f"{path}: it is no JSON file (fix: give a {JSON_NAME} of sharpedge bench --out)"
        ) from error
    found = fields if isinstance(fields, dict) else {}
    if (found.get("format"), found.get("schema_version")) != (FORMAT, SCHEMA_VERSION):
        raise EdgeError(
            f"{path}: format {found.get('format')} {found.get('schema_version')}, wanted {FORMAT} "
            f"{SCHEMA_VERSION} (fix: run sharpedge bench --out DIR with this version)"
        )
    try:
        return Report.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise EdgeError(
            f"{path}: {place}: {first['msg']} (fix: run sharpedge bench --out DIR again)"
        ) from error


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
