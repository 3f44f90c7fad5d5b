"""The command line: a table of commands, each loaded when it is used.

Exit statuses: 0 done (``score``: all scored), 1 failure, 2 wrong usage or configuration,
3 some films held, 4 some films rejected.

Layer: sharpedge; imports the module of one command.
"""

from __future__ import annotations

import difflib
import signal
import sys
from importlib import import_module
from typing import Annotated, Any, NamedTuple, NoReturn

import typer
from typer.core import TyperGroup

from edge import __version__
from edge.system.terminal import complain, prepare_streams
from sharpedge.commands.examples import EXAMPLES
from sharpedge.commands.options import NOTICE


class Command(NamedTuple):
    """A command or a group of commands.

    ``target`` is ``module:attribute``, a function or a `typer.Typer`; ``help`` is the line that
    the list of commands shows: the first sentence of its own help.
    """

    target: str
    help: str


COMMANDS = {
    "run": Command(
        "sharpedge.commands.appliance:run",
        "Watch the drop folder, score what arrives, publish over MQTT.",
    ),
    "receive": Command(
        "sharpedge.commands.receive:receive",
        "Receive films by DICOM C-STORE into the inbox, which `run` follows.",
    ),
    "init": Command(
        "sharpedge.commands.setup:init",
        "Write a commented configuration: asks on a terminal for what no option states.",
    ),
    "doctor": Command(
        "sharpedge.commands.setup:doctor",
        "Check the installed appliance: cause and fix for each fault; 1: failed, 3: warnings.",
    ),
    "backup": Command(
        "sharpedge.commands.upkeep:backup",
        "Write journal, key, engines, waiting films and configuration to one file.",
    ),
    "restore": Command(
        "sharpedge.commands.upkeep:restore",
        "Put a backup into the state folder, whole or not at all; the service must be stopped.",
    ),
    "support-bundle": Command(
        "sharpedge.commands.upkeep:support_bundle",
        "Write checks, counts, versions and log to one file, without secrets or patient data.",
    ),
    "score": Command("sharpedge.commands.score:score", "Score files without a broker."),
    "archive": Command(
        "sharpedge.commands.archive:archive",
        "Score whole archives into one Parquet file; the same command resumes a run.",
    ),
    "results": Command(
        "sharpedge.commands.tables:results",
        "Export the journal's results of a time span as CSV, in two layouts.",
    ),
    "history": Command(
        "sharpedge.commands.tables:history",
        "Show a patient's films over time, each change held against the smallest detectable one.",
    ),
    "export": Command(
        "sharpedge.commands.engines:export",
        "Write ONNX engines with passports from trained weights.",
    ),
    "build": Command(
        "sharpedge.commands.engines:build",
        "Build engines for this device, judge them against FP32, install what agrees.",
    ),
    "tune": Command(
        "sharpedge.commands.engines:tune",
        "Measure back ends, precisions and threads on this machine; the fastest that agree serve.",
    ),
    "agree": Command(
        "sharpedge.commands.engines:agree",
        "Compare two back ends over a folder of films; 1: a grade or a film's fate differs.",
    ),
    "phantom": Command(
        "sharpedge.commands.phantom:phantom", "Simulate a scanner: films with known truth."
    ),
    "demo": Command(
        "sharpedge.commands.demo:demo",
        "Show the main job end to end with simulated films and a broker on this machine.",
    ),
    "bench": Command(
        "sharpedge.commands.bench:bench",
        "Measure latency: engines, pipeline, appliance, peers; compare reports.",
    ),
    "status": Command(
        "sharpedge.commands.operator:status",
        "Show how the appliance is: films that wait and why, last results, alerts.",
    ),
    "held": Command(
        "sharpedge.commands.operator:held",
        "List films that are held, each with the commands that end its waiting.",
    ),
    "page": Command(
        "sharpedge.commands.page:page",
        "Serve the local page: held films with their pictures, decisions, last results.",
    ),
    "dashboard": Command(
        "sharpedge.commands.dashboard:dashboard",
        "Serve the clinic's dashboard over all rooms: worklist, pictures, decisions, accounts.",
    ),
    "release": Command(
        "sharpedge.commands.operator:release",
        "Have held films scored with the limb and side that you state.",
    ),
    "retry": Command(
        "sharpedge.commands.operator:retry",
        "Have films worked on again; without one, list messages that are set aside.",
    ),
    "dismiss": Command(
        "sharpedge.commands.operator:dismiss",
        "End held films without a score, or give up messages that are set aside.",
    ),
    "replay": Command(
        "sharpedge.commands.operator:replay",
        "Send messages again under their ids; a dashboard must answer again.",
    ),
    "audit": Command(
        "sharpedge.commands.operator:audit",
        "Prove that every film is in exactly one state; 1: missing, changed or given up, 3: waits.",
    ),
    "whois": Command(
        "sharpedge.commands.operator:whois",
        "Say what a pseudonym stands for, where the site keeps it; each question is recorded.",
    ),
    "pacs": Command("sharpedge.commands.pacs:pacs", "Try the delivery to the PACS."),
    "drift": Command(
        "sharpedge.commands.operator:drift",
        "Compare the last films' pictures and scores with a site's first ones; 1: they drifted.",
    ),
    "listen": Command(
        "sharpedge.commands.appliance:listen_to",
        "Print messages as JSON lines, each once (images: their size).",
    ),
    "engines": Command("sharpedge.commands.engines:engines", "What is installed, and what serves."),
    "licenses": Command(
        "sharpedge.commands.licenses:licenses",
        "List the installed packages and the model files with their licences.",
    ),
    "train": Command(
        "sharpedge.commands.train_exclusions:train",
        "Train the models (needs torch: pip install 'sharpedge[train]').",
    ),
    "evaluate": Command(
        "sharpedge.commands.calibrate_site:evaluate",
        "Measure the installed engines on known truth.",
    ),
}


GROUPS = {
    "Set up": ("init", "doctor", "pacs", "export", "build", "tune", "engines", "licenses"),
    "Score and serve": (
        "run", "receive", "score", "archive", "results", "history", "demo", "listen",
    ),
    "Operate": (
        "status", "held", "release", "dismiss", "retry", "page", "dashboard", "replay", "audit",
        "drift", "whois", "backup", "restore", "support-bundle",
    ),
    "Measure and develop": ("bench", "evaluate", "agree", "phantom", "train"),
}  # fmt: skip
"""The list of commands by purpose."""


class LazyGroup(TyperGroup):
    """The group of all commands of `COMMANDS`; a command's module is imported when it is used."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - click's signature
        """Names in the order of the table."""
        return list(COMMANDS)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; one that is not known is answered with the nearest one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            meant = f" Did you mean {near[0]}?" if near else ""
            ctx.fail(f"No such command '{args[0]}'.{meant}")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Load a command; None for a name that the table lacks."""
        row = COMMANDS.get(cmd_name)
        return None if row is None else _load(cmd_name, row.target)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """List the commands by purpose without loading one."""
        for title, names in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(name, COMMANDS[name].help) for name in names if name in COMMANDS]
                )


def _load(name: str, target: str) -> Any:
    module, _, attribute = target.partition(":")
    found = getattr(import_module(module), attribute)
    holder = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
    )
    # A Typer of one command and no callback is that command, not a group that holds it.
    holder.callback()(lambda: None)
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name)
    else:
        holder.command(name=name)(found)
    group = typer.main.get_command(holder)
    assert isinstance(group, TyperGroup)  # noqa: S101 - it has a callback
    command = group.commands[name]
    if name in EXAMPLES:
        # Each line as it stands: click would fill them into one paragraph.
        lines = "\n".join(f"  {line}" for line in EXAMPLES[name])
        command.epilog = f"\b\nExamples:\n{lines}"
    return command


app = typer.Typer(
    name="sharpedge",
    cls=LazyGroup,
    help=f"Scores rheumatoid joint damage on hand and foot radiographs at the edge. {NOTICE}",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\b\nsharpedge COMMAND -h   options and examples of a command\n"
    "sharpedge doctor       what is wrong with an installed box",
)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"sharpedge {__version__}. {NOTICE}")
        raise typer.Exit


@app.callback()
def root(
    _version_flag: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Score hand and foot radiographs (research use only, not a medical device)."""


def _on_sigterm(_number: int, _frame: object) -> NoReturn:
    # An exception, so that what a command has started is stopped on the way out.
    raise SystemExit(128 + signal.SIGTERM)


def main() -> None:
    """Entry point: expected errors become one line and an exit status."""
    prepare_streams()
    signal.signal(signal.SIGTERM, _on_sigterm)
    try:
        app(prog_name="sharpedge")
    except OSError as error:
        complain(str(error))
        raise SystemExit(1) from None
    except Exception as error:
        # Imported here: help and version need neither numpy nor pydantic. Only where `export` was
        # imported can its error have been raised.
        from edge.errors import ConfigError, EdgeError  # noqa: PLC0415

        export = sys.modules.get("export.errors")
        if not isinstance(error, (EdgeError, export.ExportError) if export else EdgeError):
            raise
        complain(str(error))
        raise SystemExit(2 if isinstance(error, ConfigError) else 1) from None


if __name__ == "__main__":
    main()
