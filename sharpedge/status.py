"""The commands ``status`` and ``held``: ask the running appliance, else read its journal.

Layer: sharpedge; asks at the operator socket, else reads the journal read-only.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sqlite3
import sys
import time
from typing import TYPE_CHECKING

from edge import config
from edge.daemon.state_folder import appliance_runs
from edge.journal.places import Places
from edge.journal.store import JournalError
from edge.model import DISCLAIMER
from edge.operator.client import NotRunningError
from edge.operator.protocol import Ask, Request
from edge.operator.reading import JournalView, ReadOnlyChain
from edge.operator.status import compose
from edge.system.device_key import derived_key, device_key
from edge.system.terminal import say
from sharpedge.operator import journal_file, unusable, where
from sharpedge.status_text import held_text, status_text

if TYPE_CHECKING:
    from pathlib import Path

    from edge.operator.protocol import Status
    from sharpedge.operator import Where

_WATCH_S = 2.0
_HOME, _REST_OF_LINE, _REST = "\033[H", "\033[K\n", "\033[J"


def status(config_path: Path | None, *, machine: bool, watch: bool) -> int:
    """Print how the appliance is; with ``watch`` again and again until Ctrl-C."""
    at = where(config_path)
    in_place = watch and not machine and sys.stdout is not None and sys.stdout.isatty()
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            found = status_of(at, config_path)
            text = found.model_dump_json() if machine else status_text(found)
            if in_place:
                # Over the earlier text, line by line: a cleared screen would flicker.
                text = f"{_HOME}{text.replace(chr(10), _REST_OF_LINE)}{_REST}"
            say(text)
            if not watch:
                break
            time.sleep(_WATCH_S)
    return 0


def held(config_path: Path | None, *, machine: bool) -> int:
    """Print the films that are held."""
    found = status_of(where(config_path), config_path)
    if machine:
        films = [it.model_dump(mode="json") for it in found.held]
        total = {"held": films, "held_total": found.held_total, "running": found.running}
        say(json.dumps(total | {"notice": DISCLAIMER}))
    else:
        say(held_text(found))
    return 0


def status_of(at: Where, config_path: Path | None) -> Status:
    """How the appliance is; of one that does not run, what its journal holds.

    The commands that it holds name the configuration where the shell does not. Raises
    `edge.errors.EdgeError`.
    """
    try:
        told = at.tell(Request(ask=Ask.STATUS)).answer.status
        assert told is not None  # noqa: S101 - the answer to this request holds one
    except NotRunningError:
        told = _of_journal(at.config or config.load(config_path))
    if config_path is None or os.environ.get("SHARPEDGE_CONFIG"):
        return told
    option = f" --config {shlex.quote(str(config_path))}"
    films = [
        film.model_copy(update={"commands": {k: v + option for k, v in film.commands.items()}})
        for film in told.held
    ]
    return told.model_copy(update={"held": type(told.held)(films)})


def _of_journal(it: config.Config) -> Status:
    root = it.state_folder.absolute()
    path = journal_file(root)
    if appliance_runs(root):
        raise JournalError(
            f"{root}: an appliance runs, and its socket does not answer; fix: name its "
            "configuration with --config, see operator.socket there"
        )
    key = derived_key(device_key(root, expected=True), "journal")
    try:
        chain = ReadOnlyChain(path, key)
        with contextlib.closing(chain.db):
            return compose(JournalView(chain, Places.below(root)), None, str(it.device))
    except sqlite3.Error as error:
        raise JournalError(unusable(path, str(error))) from error
