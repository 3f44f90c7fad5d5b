"""The command line: parses, calls, prints. Nothing heavy is imported before a command needs it.

Exit statuses: 0 done (``score``: all scored), 1 failure, 2 wrong usage or configuration,
3 some films held, 4 some films rejected.
"""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.model import LimbResult

NOTICE = "Research use only, not a medical device."

app = typer.Typer(
    name="sharpedge",
    help=f"Scores rheumatoid joint damage on hand and foot radiographs at the edge. {NOTICE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class ImageFormat(str, Enum):
    """File formats of the simulated scanner."""

    jpeg = "jpeg"
    png = "png"
    dicom = "dicom"


class Grades(str, Enum):
    """How the simulated scanner draws grades."""

    flat = "flat"
    real = "real"


def _progress(label: str) -> Callable[[int, int], None]:
    """A progress line on a terminal; nothing when piped."""
    if not sys.stderr.isatty():
        return lambda _done, _total: None

    def show(done: int, total: int) -> None:
        width = 30
        full = width * done // max(total, 1)
        end = "\n" if done >= total else ""
        sys.stderr.write(f"\r{label} [{'#' * full}{'.' * (width - full)}] {done}/{total}{end}")
        sys.stderr.flush()

    return show


def _version(show: bool) -> None:
    if show:
        from edge import __version__

        typer.echo(f"sharpedge {__version__}. {NOTICE}")
        raise typer.Exit


@app.callback()
def root(
    _version_flag: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Score hand and foot radiographs (research use only, not a medical device)."""


@app.command()
def run(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Configuration (TOML).")
    ] = None,
) -> None:
    """Watch the drop folder, score what arrives, publish over MQTT."""
    from edge import daemon
    from edge.config import load

    raise typer.Exit(daemon.run(load(config)))


@app.command()
def score(
    paths: Annotated[list[Path], typer.Argument(help="Films, or folders of films.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line per limb.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for labelled pictures and masks.")
    ] = None,
    accept_side_from_geometry: Annotated[
        bool,
        typer.Option(help="Score films whose side only the joints tell, instead of holding them."),
    ] = False,
    engines: Annotated[Path | None, typer.Option(help="Folder of built engines.")] = None,
) -> None:
    """Score files without a broker."""
    from edge.engine.loader import load_engines
    from edge.paths import built_engines
    from edge.pipeline.scorer import FilmScorer
    from edge.pipeline.settings import PipelineSettings
    from edge.score_files import as_text, exit_status, films_in, score_files

    missing = [path for path in paths if not path.exists() and not path.is_symlink()]
    if missing:
        _fail(f"{missing[0]}: no such file or folder", 2)
    settings = PipelineSettings(accept_side_from_geometry=accept_side_from_geometry)
    scorer = FilmScorer(
        load_engines(engines or built_engines()), settings, want_masks=out is not None
    )
    films = list(films_in(paths))
    if not films:
        _fail("no film was found in what you named", 2)
    show = _progress("scoring")
    results: list[LimbResult] = []
    for scored in score_files(scorer, films, out, lambda done: show(done, len(films))):
        results += scored.results
        if as_json:
            for result in scored.results:
                typer.echo(result.model_dump_json())
        else:
            typer.echo(as_text(scored))
            for picture in scored.pictures:
                typer.echo(f"  {picture}")
    if not as_json:
        typer.echo(NOTICE)
    raise typer.Exit(exit_status(results))


@app.command()
def export(
    recipes: Annotated[
        list[Path] | None, typer.Argument(help="Recipes (*.toml); default: all shipped ones.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the engines.")] = None,
) -> None:
    """Write ONNX engines with passports from trained weights."""
    from edge.paths import built_engines, engines_home
    from export.errors import ExportError
    from export.exporter import export_all, export_engine

    target = out or built_engines()
    show = _progress("exporting")
    failed = 0
    if recipes:
        for number, recipe in enumerate(recipes):
            show(number, len(recipes))
            try:
                exported = export_engine(recipe, target)
            except ExportError as error:
                failed += 1
                typer.echo(f"{recipe}: {error}", err=True)
            else:
                _print_engine(exported.engine, exported.sha256, exported.cached)
        show(len(recipes), len(recipes))
    else:
        for outcome in export_all(engines_home(), target, lambda _n, i, total: show(i, total)):
            if outcome.exported is None:
                failed += 1
                typer.echo(f"{outcome.recipe}: {outcome.error}", err=True)
            else:
                done = outcome.exported
                _print_engine(done.engine, done.sha256, done.cached)
    typer.echo(NOTICE)
    raise typer.Exit(1 if failed else 0)


def _print_engine(path: Path, sha256: str, cached: bool) -> None:
    typer.echo(f"{path}  {sha256[:16]}  {'unchanged' if cached else 'built'}")


@app.command()
def phantom(
    patients: Annotated[int, typer.Option(min=1, help="Patients; four films each.")] = 1,
    seed: Annotated[int, typer.Option(help="Same seed, same films.")] = 1,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for films and truth.")] = None,
    image_format: Annotated[
        ImageFormat, typer.Option("--format", help="File format.")
    ] = ImageFormat.jpeg,
    grades: Annotated[
        Grades, typer.Option(help="flat: every grade as often; real: a cohort's marginals.")
    ] = Grades.real,
    borderline: Annotated[bool, typer.Option(help="Also draw joints between two grades.")] = False,
    check: Annotated[
        bool, typer.Option(help="Measure phantoms against real films' numbers.")
    ] = False,
    ceiling: Annotated[bool, typer.Option(help="Score of an ideal observer of the truth.")] = False,
) -> None:
    """Simulate a scanner: films with known truth."""
    from edge.phantom.command import write_patients

    if check or ceiling:
        raise typer.Exit(_phantom_tables(patients, seed, check=check, ceiling=ceiling))
    if out is None:
        _fail("name a folder with --out", 2)
    show = _progress("drawing")
    summary = write_patients(
        out, patients, seed, image_format.value, grades.value, borderline=borderline, progress=show
    )
    typer.echo(f"{summary.films} films and {summary.truth.name} in {summary.out_dir}")
    typer.echo(f"{summary.held} mirrored, {summary.graded_joints} graded joints. {NOTICE}")


def _phantom_tables(patients: int, seed: int, *, check: bool, ceiling: bool) -> int:
    from edge.phantom import measure, observer

    passed = True
    if check:
        table = measure.check(4 * patients, seed)
        passed &= all(row.inside for row in table)
        for row in table:
            typer.echo(str(row))
    if ceiling:
        for line in observer.ceiling(4 * patients, seed):
            typer.echo(str(line))
    typer.echo(f"Simulated films, no patients. {NOTICE}")
    return 0 if passed else 1


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for what the demo leaves.")] = Path(
        "demo-out"
    ),
) -> None:
    """Show the main job end to end with simulated films and a broker on this machine."""
    from edge.demo import run_demo

    raise typer.Exit(run_demo(out, typer.echo))


train = typer.Typer(
    help="Train the models (needs torch: pip install 'sharpedge[train]').", no_args_is_help=True
)
app.add_typer(train, name="train")


@train.command(name="demo")
def train_demo_command(
    films: Annotated[
        Path | None, typer.Option(help="Folder of FracAtlas films; without it, phantoms alone.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Checkpoints; the same folder resumes.")] = Path(
        "runs"
    ),
    weights: Annotated[
        Path | None, typer.Option(help="Where compact weights go; default: RUNS/weights.")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="Joint labels (CSV).")] = None,
) -> None:
    """Train every demo model from nothing, resumable; prints an estimate first."""
    try:
        from training.demo_models import DemoRecipe, train_demo
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        _fail("training needs torch: pip install 'sharpedge[train]'", 2)
    import json

    import training

    shipped = Path(training.__file__).parent / "labels" / "joints.csv"
    target = weights or runs / "weights"
    target.mkdir(parents=True, exist_ok=True)
    figures = train_demo(films, labels or shipped, runs, target, DemoRecipe(), typer.echo)
    typer.echo(json.dumps(figures, indent=1))
    typer.echo(f"Figures on simulated films say nothing about patients. {NOTICE}")


@app.command()
def bench(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of four films, after a warm-up.")] = 10,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for latency.json and latency.png.")
    ] = None,
) -> None:
    """Measure latency: each stage, and from file closed to message received."""
    from benchmarks.report import as_table, run_benchmarks, write_report

    shows: dict[str, Callable[[int, int], None]] = {}

    def show(label: str, done: int, total: int) -> None:
        shows.setdefault(label, _progress(label))(done, total)

    report = run_benchmarks(rounds, show)
    typer.echo(as_table(report))
    if out is not None:
        for path in write_report(report, out):
            typer.echo(str(path))


@app.command(name="listen")
def listen_command(
    host: Annotated[str, typer.Option(help="Broker.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Its port.")] = 1883,
    topic: Annotated[str, typer.Option(help="Filter.")] = "sharpedge/#",
    receipt: Annotated[
        str | None, typer.Option(help="Give receipts under this dashboard's name.")
    ] = None,
) -> None:
    """Print messages as JSON lines, each once (images: their size)."""
    import json

    from edge.delivery.listen import listen
    from edge.delivery.settings import BrokerSettings

    for message in listen(BrokerSettings(host=host, port=port), topic=topic, receiver=receipt):
        body: object = None
        if message.message is not None:
            body = message.message.model_dump(mode="json")
        line = {
            "topic": message.topic,
            "bytes": len(message.payload),
            "retained": message.retained,
            "fault": message.fault,
            "message": body,
        }
        typer.echo(json.dumps(line))


def _fail(message: str, status: int) -> NoReturn:
    typer.echo(f"sharpedge: {message}", err=True)
    raise typer.Exit(status)


def main() -> None:
    """Entry point: expected errors become one line and an exit status."""
    try:
        app()
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(1) from None
    except Exception as error:
        from edge.errors import ConfigError, EdgeError

        if isinstance(error, EdgeError):
            sys.stderr.write(f"sharpedge: {error}\n")
            raise SystemExit(2 if isinstance(error, ConfigError) else 1) from None
        raise


if __name__ == "__main__":
    main()
