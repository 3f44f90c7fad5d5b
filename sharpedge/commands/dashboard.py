"""The commands ``sharpedge dashboard``: parse, call, print.

Layer: sharpedge; uses `dashboard`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sharpedge.commands.demo import Broker
from sharpedge.commands.options import NOTICE, fail

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboard.settings import Settings

DashboardConfig = Annotated[
    Path | None, typer.Option("--config", "-c", help="The dashboard's configuration (TOML).")
]

dashboard = typer.Typer(
    help="Serve the clinic's dashboard over all rooms: worklist, pictures, decisions, accounts."
)


@dashboard.callback(invoke_without_command=True)
def serve_command(context: typer.Context, config: DashboardConfig = None) -> None:
    """Serve the clinic's dashboard over all rooms: worklist, pictures, decisions, accounts."""
    if context.invoked_subcommand is not None:
        if config is not None:
            fail("give --config after the name of the command", 2)
        return

    def run(settings: Settings, home: Path) -> int:
        from dashboard.serve import serve
        from edge.system.terminal import say

        return serve(settings, home, say)

    raise typer.Exit(_with(config, run))


@dashboard.command(name="demo")
def demo_command(
    out: Annotated[Path, typer.Option(help="Folder of its database and scored films.")] = Path(
        "dashboard-demo-out"
    ),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 8491,
    broker: Annotated[Broker, typer.Option(help="Broker to start.")] = Broker.auto,
) -> None:
    """Serve the dashboard with a broker and three simulated rooms, until Ctrl-C."""

    def run(_settings: Settings, _home: Path) -> int:
        from edge.system.terminal import say
        from sharpedge.dashboard_demo import run_demo

        return run_demo(out.absolute(), port, say, broker.value)

    raise typer.Exit(_with(None, run))


@dashboard.command(name="backup")
def backup_command(
    out: Annotated[Path, typer.Option(help="File that is written; must not exist.")],
    config: DashboardConfig = None,
) -> None:
    """Write a copy of the database (SQLite), which may be in use meanwhile."""

    def run(settings: Settings, home: Path) -> int:
        from dashboard.output.backup import back_up
        from edge.system.terminal import say

        back_up(settings.database_url(home), out)
        say(f"{out}: {out.stat().st_size >> 10} KiB. It holds results and accounts. {NOTICE}")
        return 0

    raise typer.Exit(_with(config, run))


@dashboard.command(name="restore")
def restore_command(
    backup: Annotated[Path, typer.Argument(help="What `dashboard backup` wrote.")],
    config: DashboardConfig = None,
) -> None:
    """Put a backup where no database is; the dashboard must be stopped."""

    def run(settings: Settings, home: Path) -> int:
        from dashboard.output.backup import restore
        from edge.system.terminal import say

        restore(settings.database_url(home), backup)
        say(f"{backup}: restored. {NOTICE}")
        return 0

    raise typer.Exit(_with(config, run))


@dashboard.command(name="dataset")
def dataset_command(
    films: Annotated[Path, typer.Option(help="Folder with the films, below it too.")],
    out: Annotated[Path, typer.Option(help="Empty folder for the data set.")],
    config: DashboardConfig = None,
) -> None:
    """Write readers' grades with their films, for `sharpedge train data check`."""

    def run(settings: Settings, home: Path) -> int:
        from dashboard.output.dataset import write_dataset
        from dashboard.store.database import open_database
        from edge.system.terminal import say

        found, wanted = write_dataset(open_database(settings.database_url(home)), films, out)
        say(f"{out}: {found} of {wanted} films with readers' grades. {NOTICE}")
        return 0 if found == wanted else 1

    raise typer.Exit(_with(config, run))


def _with(config: Path | None, run: Callable[[Settings, Path], int]) -> int:
    """Read the configuration and run; a fault is one line."""
    from edge.system.paths import data_root

    try:
        from dashboard.errors import DashboardError
        from dashboard.settings import load

        return run(load(config), data_root())
    except ModuleNotFoundError as error:
        fail(f"{error.name} is not installed; fix: pip install 'sharpedge[dashboard]'", 1)
    except DashboardError as error:
        fail(str(error), 2)
