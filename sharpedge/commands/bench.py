"""The commands ``bench``: measure, print, write the report; compare two reports.

Layer: sharpedge; parses, calls, prints.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sharpedge.commands.options import NOTICE, EnginesOption, fail

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.session import Session

bench = typer.Typer(
    help="Measure latency: engines, pipeline, appliance, peers; compare reports.",
    invoke_without_command=True,
)


class FilmSize(str, Enum):
    """Sizes of the bench's films; as `benchmarks.films.SIZES`."""

    small = "1100x1500"
    middle = "2000x2500"
    large = "3000x4000"


class FilmFormat(str, Enum):
    """Formats of the bench's films; as `benchmarks.films.FORMATS`."""

    jpeg = "JPEG"
    png = "PNG"
    jpeg_2000 = "DICOM JPEG 2000"


class PeerPart(str, Enum):
    """What is compared with peers; as `benchmarks.peer_tables.TITLES`."""

    graph = "graph"
    pipeline = "pipeline"
    paper = "paper"


_Out = Annotated[
    Path | None,
    typer.Option("--out", help="Folder for bench.json, bench.csv, bench.md and plots."),
]
_Seconds = Annotated[float, typer.Option(min=0.0, help="Least seconds of runs of each engine.")]
_Runs = Annotated[int, typer.Option(min=1, help="Least number of runs of each engine.")]
_Rounds = Annotated[int, typer.Option(min=1, help="Rounds of a patient's four films.")]
_Only = Annotated[
    list[str] | None, typer.Option("--only", help="An engine or a recipe; may be given again.")
]
_Sizes = Annotated[
    list[FilmSize] | None, typer.Option("--size", help="Film size; may be given again.")
]
_Formats = Annotated[
    list[FilmFormat] | None, typer.Option("--format", help="File format; may be given again.")
]
_ROUNDS = 25
_SECONDS = 3.0
_RUNS = 100


@bench.callback()
def everything(
    context: typer.Context,
    rounds: _Rounds = _ROUNDS,
    seconds: _Seconds = _SECONDS,
    runs: _Runs = _RUNS,
    sizes: _Sizes = None,
    formats: _Formats = None,
    engines: EnginesOption = None,
    out: _Out = None,
) -> None:
    """Measure engines, pipeline and appliance; one report for all."""
    if context.invoked_subcommand is not None:
        given = [name for name in context.params if _is_stated(context, name)]
        if given:
            fail(f"give --{given[0]} after the command {context.invoked_subcommand}", 2)
        return
    session = _session(rounds=rounds, seconds=seconds, runs=runs)
    _engine(session, engines, seconds, runs, ())
    _pipeline(session, engines, rounds, sizes, formats)
    _appliance(session, engines, films=4 * rounds, every_s=None, at_once=None)
    _finish(session, out)


@bench.command(name="engine")
def engine(
    seconds: _Seconds = _SECONDS,
    runs: _Runs = _RUNS,
    only: _Only = None,
    full_size: Annotated[
        bool,
        typer.Option("--full-size", help="Also networks of published sizes with random weights."),
    ] = False,
    engines: EnginesOption = None,
    out: _Out = None,
) -> None:
    """Each installed engine alone: copies, computation, variation, memory, GFLOP/s."""
    session = _session(seconds=seconds, runs=runs)
    _engine(session, engines, seconds, runs, tuple(only or ()))
    if full_size:
        from benchmarks.engines import Effort
        from benchmarks.runs import run_published

        run_published(session, engines, Effort(seconds, runs), _shown())
    _finish(session, out)


@bench.command(name="pipeline")
def pipeline(
    rounds: _Rounds = _ROUNDS,
    sizes: _Sizes = None,
    formats: _Formats = None,
    engines: EnginesOption = None,
    out: _Out = None,
) -> None:
    """Film in memory to result, by stage, film size and file format."""
    session = _session(rounds=rounds)
    _pipeline(session, engines, rounds, sizes, formats)
    _finish(session, out)


@bench.command(name="appliance")
def appliance(
    films: Annotated[int, typer.Option(min=1, help="Films of each arrival pattern.")] = 100,
    every_s: Annotated[
        float | None, typer.Option(min=0.1, help="One patient (four films) every so many seconds.")
    ] = None,
    at_once: Annotated[
        int | None, typer.Option("--burst", min=1, help="So many films at once.")
    ] = None,
    engines: EnginesOption = None,
    out: _Out = None,
) -> None:
    """File closed to message received, through daemon, broker and folder."""
    session = _session(films=films)
    _appliance(session, engines, films=films, every_s=every_s, at_once=at_once)
    _finish(session, out)


@bench.command(name="peers")
def peers(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds in which all take turns.")] = 40,
    part: Annotated[
        list[PeerPart] | None, typer.Option("--part", help="May be given again; default: all.")
    ] = None,
    engines: EnginesOption = None,
    out: _Out = None,
) -> None:
    """Other runtimes on the same graphs, and the paper's own way, in turns with ours."""
    from benchmarks.peer_runs import run_peers

    session = _session(rounds=rounds)
    parts = [item.value for item in part or PeerPart]
    run_peers(session, engines, rounds, parts, _shown())
    _finish(session, out)


@bench.command(name="scaling")
def scaling(
    films: Annotated[int, typer.Option(min=1, help="Films at each arrival rate.")] = 16,
    rows: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Rows of journal and outbox; may be given again."),
    ] = None,
    arrivals_only: Annotated[
        bool, typer.Option("--arrivals-only", help="Leave the journal's size out.")
    ] = False,
    out: _Out = None,
) -> None:
    """Films a minute by arrival rate and workers; pick-up and publishing by rows."""
    from benchmarks.runs import run_scaling
    from benchmarks.scaling import ROWS

    session = _session(films=films)
    run_scaling(session, films, () if arrivals_only else rows or ROWS, _shown())
    _finish(session, out)


@bench.command(name="compare")
def compare(
    first: Annotated[Path, typer.Argument(help="bench.json of the first run.")],
    second: Annotated[Path, typer.Argument(help="bench.json of the second run.")],
) -> None:
    """Ratios of every series that two reports hold, with intervals."""
    from benchmarks.compare import as_lines
    from benchmarks.report import read_report
    from edge.system.terminal import say

    say("\n".join(as_lines(read_report(first), read_report(second))))
    say(NOTICE)


def _is_stated(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _session(**settings: float) -> Session:
    from benchmarks.films import SEED
    from benchmarks.session import Session

    return Session({**settings, "seed": SEED})


def _engine(
    session: Session, engines: Path | None, seconds: float, runs: int, only: tuple[str, ...]
) -> None:
    from benchmarks.engines import Effort
    from benchmarks.runs import run_engine

    run_engine(session, engines, Effort(seconds, runs), only, _shown())


def _pipeline(
    session: Session,
    engines: Path | None,
    rounds: int,
    sizes: list[FilmSize] | None,
    formats: list[FilmFormat] | None,
) -> None:
    from benchmarks.films import FORMATS, SIZES, size_name
    from benchmarks.runs import run_pipeline

    wanted_sizes = [size for size in SIZES if not sizes or size_name(size) in set(sizes)]
    wanted = [form for form in FORMATS if not formats or form in set(formats)]
    run_pipeline(session, engines, rounds, wanted_sizes, wanted, _shown())


def _appliance(
    session: Session,
    engines: Path | None,
    *,
    films: int,
    every_s: float | None,
    at_once: int | None,
) -> None:
    from benchmarks.appliance import ALONE, SUSTAINED, burst, patients
    from benchmarks.runs import run_appliance

    patterns = [(ALONE, films)]
    if every_s is not None:
        patterns.append((patients(every_s), films))
    patterns.append((burst(at_once or min(films, 20)), at_once or min(films, 20)))
    patterns.append((SUSTAINED, films))
    run_appliance(session, engines, patterns, _shown())


def _shown() -> Callable[[str, int, int], None]:
    """Progress by label."""
    from edge.system.terminal import Progress

    lines: dict[str, Progress] = {}

    def show(label: str, done: int, total: int) -> None:
        lines.setdefault(label, Progress(label))(done, total)

    return show


def _finish(session: Session, out: Path | None) -> None:
    """Print the report, and write it where that is wanted."""
    from benchmarks.output import write_report
    from benchmarks.tables import text
    from edge.system.terminal import complain, say

    report = session.close()
    say(text(report))
    if out is None:
        return
    files, lack = write_report(report, out)
    for path in files:
        say(str(path))
    if lack is not None:
        complain(lack)
