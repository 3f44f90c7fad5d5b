"""The commands of an operator: status, held, release, replay, audit, whois and others.

Layer: sharpedge; parses, calls, prints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharpedge.commands.options import ConfigOption, LimbOption, SideOption, fail, stated

_Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]
_Films = Annotated[
    list[str], typer.Argument(help="Films: path, result id, job number, or name of the kept copy.")
]


def status(
    config: ConfigOption = None,
    json_object: _Json = False,
    watch: Annotated[bool, typer.Option("--watch", help="Again every 2 s, until Ctrl-C.")] = False,
) -> None:
    """Show how the appliance is: films that wait and why, last results, alerts."""
    from sharpedge import status as shown

    raise typer.Exit(shown.status(config, machine=json_object, watch=watch))


def held(config: ConfigOption = None, json_object: _Json = False) -> None:
    """List films that are held, each with the commands that end its waiting."""
    from sharpedge import status as shown

    raise typer.Exit(shown.held(config, machine=json_object))


def release(
    films: _Films,
    limb: LimbOption = None,
    side: SideOption = None,
    config: ConfigOption = None,
) -> None:
    """Have held films scored with the limb and side that you state."""
    from edge.model import OperatorStatement
    from sharpedge import operator

    word = stated(limb, side) or OperatorStatement()
    raise typer.Exit(operator.release(config, films, word))


def retry(
    films: Annotated[
        list[str] | None,
        typer.Argument(help="Films, as in release; none: list set-aside messages."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Send every message again that is set aside.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Have films worked on again; without one, list messages that are set aside."""
    from sharpedge import operator

    if everything and films:
        fail("give films, or --all", 2)
    if everything:
        raise typer.Exit(operator.take_all_back(config))
    if not films:
        raise typer.Exit(operator.list_set_aside(config))
    raise typer.Exit(operator.retry(config, films))


def dismiss(films: _Films, config: ConfigOption = None) -> None:
    """End held films without a score, or give up messages that are set aside."""
    from sharpedge import operator

    raise typer.Exit(operator.dismiss(config, films))


def replay(
    ids: Annotated[list[str] | None, typer.Argument(help="Result ids.")] = None,
    config: ConfigOption = None,
    rescore: Annotated[
        bool,
        typer.Option("--rescore", help="Send nothing: score the archive with other engines."),
    ] = False,
    engines: Annotated[
        Path | None, typer.Option(help="With --rescore: the folder of the other engines.")
    ] = None,
) -> None:
    """Send messages again under their ids; a dashboard must answer again."""
    if rescore != (engines is not None) or rescore == bool(ids):
        fail("give result ids, or --rescore with --engines FOLDER", 2)
    if engines is not None:
        from edge.config import load
        from sharpedge.engines import rescore as rescore_archive

        at = load(config)
        archive = at.state_folder / "archive"
        raise typer.Exit(rescore_archive(at.worker.engines, engines, archive))
    from sharpedge import operator

    raise typer.Exit(operator.replay(config, ids or []))


def audit(
    config: ConfigOption = None,
    json_object: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    broker: Annotated[
        bool, typer.Option(help="Also compare with the journal head that the broker keeps.")
    ] = True,
) -> None:
    """Prove that every film is in exactly one state; 1: missing, changed or given up, 3: waits."""
    from sharpedge import operator

    raise typer.Exit(operator.audit(config, machine=json_object, ask_broker=broker))


def whois(
    pseudonym: Annotated[
        str | None, typer.Argument(help="Of a study or a patient, all 32 digits.")
    ] = None,
    asked: Annotated[
        bool, typer.Option("--asked", help="List who has asked what and when, from the journal.")
    ] = False,
    json_object: _Json = False,
    config: ConfigOption = None,
) -> None:
    """Say what a pseudonym stands for, where the site keeps it; each question is recorded."""
    from sharpedge import whois as table

    if asked == (pseudonym is not None):
        fail("give a pseudonym, or --asked", 2)
    if pseudonym is None:
        raise typer.Exit(table.asked(config, machine=json_object))
    raise typer.Exit(table.whois(config, pseudonym, machine=json_object))


def drift(
    config: ConfigOption = None,
    json_object: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    again: Annotated[
        bool, typer.Option("--begin-again", help="The next films are the measure: a new scanner.")
    ] = False,
) -> None:
    """Compare the last films' pictures and scores with a site's first ones; 1: they drifted."""
    from sharpedge import operator

    raise typer.Exit(operator.drift(config, machine=json_object, again=again))
