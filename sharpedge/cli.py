"""The command line: parses, calls, prints. Nothing heavy is imported before a command needs it.

Exit statuses: 0 done (``score``: all scored), 1 failure, 2 wrong usage or configuration,
3 some films held, 4 some films rejected.
"""

from __future__ import annotations

import signal
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from sharpedge.choices import BackEnd  # noqa: TC001 - typer reads it at run time
from sharpedge.commands.evaluate import evaluate
from sharpedge.commands.train import train

if TYPE_CHECKING:
    from edge.model import LimbResult
    from edge.system.terminal import Progress

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


class LimbName(str, Enum):
    """What a film shows, in an operator's words."""

    hand = "hand"
    foot = "foot"


class SideName(str, Enum):
    """Side of the patient, in an operator's words."""

    L = "L"
    R = "R"


class Grades(str, Enum):
    """How the simulated scanner draws grades."""

    flat = "flat"
    real = "real"


class Looks(str, Enum):
    """Family of looks: what is judged is never drawn like what models are trained on."""

    eval = "eval"
    train = "train"


class TruthLayout(str, Enum):
    """How the simulated scanner writes the truth down."""

    jsonl = "jsonl"
    ra2 = "ra2"


class Broker(str, Enum):
    """Which broker the demo starts."""

    auto = "auto"
    mosquitto = "mosquitto"
    amqtt = "amqtt"


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


_Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="SHARPEDGE_CONFIG", help="Configuration (TOML)."),
]


@app.command()
def run(config: _Config = None) -> None:
    """Watch the drop folder, score what arrives, publish over MQTT."""
    # A stop that is asked for while it starts is a stop, not a failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    from edge.config import load
    from edge.daemon import appliance

    raise typer.Exit(appliance.run(load(config)))


@app.command()
def score(
    paths: Annotated[list[Path], typer.Argument(help="Films, or folders of films.")],
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON line per limb.")] = False,
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
    from edge.pipeline.settings import PipelineSettings
    from edge.scoring.fallback import FallbackScorer
    from edge.scoring.film_scorer import FilmScorer
    from edge.scoring.score_files import (
        as_json,
        as_text,
        exit_status,
        films_in,
        lacks_scorer,
        score_files,
    )
    from edge.system.paths import built_engines
    from edge.system.terminal import Progress, complain, say

    missing = [path for path in paths if not path.exists() and not path.is_symlink()]
    if missing:
        _fail(f"{missing[0]}: no such file or folder", 2)
    films = list(films_in(paths, out))
    if not films:
        _fail("no film was found in what you named", 2)
    settings = PipelineSettings(accept_side_from_geometry=accept_side_from_geometry)

    def scorer_without(refused: frozenset[str]) -> FilmScorer:
        loaded = load_engines(engines or built_engines(), refuse=refused)
        if not refused:
            for refusal in loaded.refusals:
                complain(f"degraded: {refusal.stem}: {refusal.why} (fix: {refusal.fix})")
        return FilmScorer(loaded, settings, want_masks=out is not None)

    scorer = FallbackScorer(scorer_without, lambda why: complain(f"degraded: {why}"))
    show = Progress("scoring")
    show(0, len(films))
    results: list[LimbResult] = []
    faults = 0
    for scored in score_files(scorer, films, out, lambda done: show(done, len(films))):
        results += scored.results
        show.clear()
        if scored.fault is not None:
            faults += 1
            complain(f"{scored.path}: {scored.fault}")
        elif json_lines:
            for result in scored.results:
                say(as_json(result))
        else:
            say("\n".join([as_text(scored), *(f"  {picture}" for picture in scored.pictures)]))
    if not json_lines:
        say(NOTICE)
    if lacks_scorer(results):
        _fail("joints have no grades: the scorers are not installed (fix: sharpedge export)", 1)
    raise typer.Exit(1 if faults else exit_status(results))


class ExportTarget(str, Enum):
    """The oldest builder that must read an exported graph; see `export.onnx_graph.opset`."""

    tensorrt_8_5 = "tensorrt-8.5"
    tensorrt_8_6 = "tensorrt-8.6"
    tensorrt_10 = "tensorrt-10"


@app.command()
def export(
    recipes: Annotated[
        list[str] | None, typer.Argument(help="Recipes or shipped names; default: all shipped.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the engines.")] = None,
    target: Annotated[
        ExportTarget | None,
        typer.Option(help="Oldest builder that must read imported graphs (opset 13, 17 or 20)."),
    ] = None,
    init: Annotated[
        bool, typer.Option("--init", help="Write a recipe for these model files; no engine.")
    ] = False,
) -> None:
    """Write ONNX engines with passports from trained weights."""
    from sharpedge.commands import engines as commands

    if init:
        raise typer.Exit(commands.init_recipe([Path(item) for item in recipes or ()]))
    raise typer.Exit(commands.export(recipes or (), out, target.value if target else None))


_Engines = Annotated[Path | None, typer.Option("--engines", help="Folder of built engines.")]


@app.command()
def build(
    recipes: Annotated[
        list[str] | None, typer.Argument(help="Recipes or shipped names; default: all shipped.")
    ] = None,
    backend: Annotated[
        list[BackEnd] | None, typer.Option(help="May be given again; default: what is installed.")
    ] = None,
    films: Annotated[
        Path | None, typer.Option(help="Judge over this folder of films, not over simulated ones.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the engines.")] = None,
    workspace_mib: Annotated[
        int, typer.Option(min=16, help="Memory in MiB that a TensorRT builder tries layers in.")
    ] = 1024,
    level: Annotated[
        int | None,
        typer.Option(min=0, max=5, help="TensorRT's optimisation level; more is slower to build."),
    ] = None,
) -> None:
    """Build engines for this device, judge them against FP32, install what agrees."""
    from export.builders.build import BuilderOptions
    from sharpedge.commands import engines as commands

    options = BuilderOptions(workspace_mib, level)
    raise typer.Exit(
        commands.build(recipes or (), out, [item.value for item in backend or ()], films, options)
    )


engines = typer.Typer(help="What is installed, and what serves.", no_args_is_help=True)
app.add_typer(engines, name="engines")


@engines.command(name="list")
def engines_list(
    name: Annotated[str | None, typer.Argument(help="Only this recipe.")] = None,
    folder: _Engines = None,
) -> None:
    """Show installed engines: hash, verdict, latency, and why one is refused."""
    from sharpedge.commands import engines as commands

    raise typer.Exit(commands.show_engines(folder, name))


@engines.command(name="activate")
def engines_activate(
    stem: Annotated[str, typer.Argument(help="As `engines list` shows it.")],
    folder: _Engines = None,
) -> None:
    """Let an engine come first for its recipe."""
    from sharpedge.commands import engines as commands

    raise typer.Exit(commands.activate_engine(folder, stem))


@engines.command(name="rollback")
def engines_rollback(folder: _Engines = None) -> None:
    """Take back the last choice."""
    from sharpedge.commands import engines as commands

    raise typer.Exit(commands.roll_back(folder))


@app.command()
def agree(
    first: Annotated[BackEnd, typer.Argument(help="Back end.")],
    second: Annotated[BackEnd, typer.Argument(help="Back end to compare it with.")],
    films: Annotated[Path, typer.Argument(help="Folder of films.")],
    folder: _Engines = None,
) -> None:
    """Compare two back ends over a folder of films; 1: a grade or a film's fate differs."""
    from sharpedge.commands import engines as commands

    raise typer.Exit(commands.agree(folder, first.value, second.value, films))


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
    style: Annotated[
        Looks, typer.Option(help="eval: looks for judging; train: the disjoint ones for training.")
    ] = Looks.eval,
    borderline: Annotated[bool, typer.Option(help="Also draw joints between two grades.")] = False,
    layout: Annotated[
        TruthLayout,
        typer.Option(help="jsonl: truth.jsonl; ra2: the challenge's table, boxes/ and masks/."),
    ] = TruthLayout.jsonl,
    check: Annotated[
        bool,
        typer.Option("--check", help="Measure phantoms against real films' numbers; 1: outside."),
    ] = False,
    ceiling: Annotated[
        bool,
        typer.Option("--ceiling", help="Grade with an ideal observer of the truth; 1: too low."),
    ] = False,
) -> None:
    """Simulate a scanner: films with known truth."""
    from edge.system.terminal import Progress, say

    if check or ceiling:
        raise typer.Exit(_phantom_tables(patients, seed, style, check=check, ceiling=ceiling))
    if out is None:
        _fail("name a folder with --out", 2)
    from phantom.command import write_patients

    summary = write_patients(
        out,
        patients,
        seed,
        image_format.value,
        grades.value,
        style.value,
        borderline=borderline,
        layout=layout.value,
        progress=Progress("drawing"),
    )
    say(f"{summary.films} films and {summary.truth.name} in {summary.out_dir}")
    say(f"{summary.graded_joints} graded joints, {summary.held} films mirrored. {NOTICE}")


def _phantom_tables(patients: int, seed: int, style: Looks, *, check: bool, ceiling: bool) -> int:
    from edge.system.terminal import Progress, say
    from phantom.verdict import ceiling_table, check_table

    wanted = [*((check_table,) if check else ()), *((ceiling_table,) if ceiling else ())]
    show = Progress("measuring")
    passed = True
    for number, table_of in enumerate(wanted):
        show(number, len(wanted))
        table = table_of(4 * patients, seed, style.value)
        passed &= table.passed
        show.clear()
        say("\n".join(table.lines))
    say(f"Simulated films, no patients. {NOTICE}")
    return 0 if passed else 1


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for what the demo leaves.")] = Path(
        "demo-out"
    ),
    broker: Annotated[
        Broker, typer.Option(help="auto: Mosquitto where it is installed, else the library amqtt.")
    ] = Broker.auto,
) -> None:
    """Show the main job end to end with simulated films and a broker on this machine."""
    from edge.system.terminal import say
    from sharpedge.demo import run_demo

    raise typer.Exit(run_demo(out, say, broker.value))


app.add_typer(train, name="train")
app.add_typer(evaluate, name="evaluate")


@app.command()
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


_Films = Annotated[
    list[str], typer.Argument(help="Films: path, result id, job number, or name of the kept copy.")
]


@app.command()
def release(
    films: _Films,
    limb: Annotated[LimbName | None, typer.Option(help="What the film shows.")] = None,
    side: Annotated[SideName | None, typer.Option(help="Side of the patient.")] = None,
    config: _Config = None,
) -> None:
    """Have held films scored with the limb and side that you state."""
    from edge.model import Laterality, Limb, OperatorWord
    from sharpedge.commands import operator

    word = OperatorWord(
        None if limb is None else Limb(limb.value), None if side is None else Laterality(side.value)
    )
    raise typer.Exit(operator.release(config, films, word))


@app.command()
def retry(
    films: Annotated[
        list[str] | None,
        typer.Argument(help="Films, as in release; none: list set-aside messages."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Send every message again that is set aside.")
    ] = False,
    config: _Config = None,
) -> None:
    """Have films worked on again; without one, list messages that are set aside."""
    from sharpedge.commands import operator

    if everything and films:
        _fail("give films, or --all", 2)
    if everything:
        raise typer.Exit(operator.take_all_back(config))
    if not films:
        raise typer.Exit(operator.list_set_aside(config))
    raise typer.Exit(operator.retry(config, films))


@app.command()
def dismiss(films: _Films, config: _Config = None) -> None:
    """End held films without a score, or give up messages that are set aside."""
    from sharpedge.commands import operator

    raise typer.Exit(operator.dismiss(config, films))


@app.command()
def replay(
    ids: Annotated[list[str] | None, typer.Argument(help="Result ids.")] = None,
    config: _Config = None,
    rescore: Annotated[
        bool,
        typer.Option("--rescore", help="Send nothing: score the archive with other engines."),
    ] = False,
    engines: Annotated[
        Path | None, typer.Option(help="With --rescore: the folder of the other engines.")
    ] = None,
) -> None:
    """Send messages again under their ids; a dashboard must answer anew."""
    if rescore != (engines is not None) or rescore == bool(ids):
        _fail("give result ids, or --rescore with --engines FOLDER", 2)
    if engines is not None:
        from edge.config import load
        from sharpedge.commands import engines as commands

        at = load(config)
        archive = at.state_folder / "archive"
        raise typer.Exit(commands.rescore(at.worker.engines, engines, archive))
    from sharpedge.commands import operator

    raise typer.Exit(operator.replay(config, ids or []))


@app.command()
def audit(
    config: _Config = None,
    json_object: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    broker: Annotated[
        bool, typer.Option(help="Also compare with the journal head that the broker keeps.")
    ] = True,
) -> None:
    """Prove that every film is in exactly one state; 1: missing, changed or given up, 3: waits."""
    from sharpedge.commands import operator

    raise typer.Exit(operator.audit(config, machine=json_object, ask_broker=broker))


@app.command()
def drift(
    config: _Config = None,
    json_object: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    again: Annotated[
        bool, typer.Option("--begin-again", help="The next films are the measure: a new scanner.")
    ] = False,
) -> None:
    """Compare the last films' pictures and scores with a site's first ones; 1: they drifted."""
    from sharpedge.commands import operator

    raise typer.Exit(operator.drift(config, machine=json_object, again=again))


@app.command(name="listen")
def listen_command(
    host: Annotated[str, typer.Option(help="Broker.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Its port.")] = 1883,
    topic: Annotated[str, typer.Option(help="Filter.")] = "sharpedge/#",
    receipt: Annotated[
        str | None, typer.Option(help="Give receipts under this dashboard's name.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Take [broker] from here: TLS and user.")
    ] = None,
) -> None:
    """Print messages as JSON lines, each once (images: their size)."""
    import json

    from edge.config import load
    from edge.delivery.listen import listen
    from edge.delivery.settings import BrokerSettings
    from edge.system.terminal import say

    broker = BrokerSettings(host=host, port=port) if config is None else load(config).broker
    for message in listen(broker, topic=topic, receiver=receipt):
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
        say(json.dumps(line))


def _fail(message: str, status: int) -> NoReturn:
    from edge.system.terminal import complain

    complain(message)
    raise typer.Exit(status)


def _terminated(_number: int, _frame: object) -> NoReturn:
    # An exception, so that what a command has started is stopped on the way out.
    raise SystemExit(128 + signal.SIGTERM)


def main() -> None:
    """Entry point: expected errors become one line and an exit status."""
    from edge.system.terminal import complain, prepare_streams

    prepare_streams()
    signal.signal(signal.SIGTERM, _terminated)
    try:
        app()
    except OSError as error:
        complain(str(error))
        raise SystemExit(1) from None
    except Exception as error:
        from edge.errors import ConfigError, EdgeError
        from export.errors import ExportError

        if not isinstance(error, EdgeError | ExportError):
            raise
        complain(str(error))
        raise SystemExit(2 if isinstance(error, ConfigError) else 1) from None


if __name__ == "__main__":
    main()
