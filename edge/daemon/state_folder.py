"""The lock of the state folder, and checks of the watched folder.

Layer: daemon; locks one file.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edge.errors import ConfigError
from edge.intake.watch import Folder
from edge.journal.places import Places

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.config import Config


@contextmanager
def state_folder(config: Config) -> Iterator[Path]:
    """Make the state folder and hold its lock. Raises `ConfigError` when that cannot be."""
    root = config.state_folder
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o750)
        lock = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"folders.state: {root} cannot be used ({error.strerror})") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise ConfigError(
            f"folders.state: {root} is in use by another sharpedge; stop that one first"
        ) from error
    try:
        yield root
    finally:
        os.close(lock)


def drop_folder(config: Config, root: Path) -> Folder:
    """Give the watched folder without our own. Raises `ConfigError` where it is one of them."""
    places = Places.below(root)
    watch = config.folders.watch.absolute()
    own = [
        place.absolute()
        for place in (places.pictures, places.quarantine, places.archive, places.inbox, places.pacs)
    ]
    if watch == root or any(watch.is_relative_to(place) for place in own):
        raise ConfigError(
            f"folders.watch: {watch} is a folder of the appliance's own; films need another one"
        )
    apart = own if watch.is_relative_to(root) else [root]
    return Folder(watch, config.folders.ignore, tuple(apart))


def appliance_runs(state_folder: Path) -> bool:
    """Whether an appliance holds its state folder's lock."""
    try:
        lock = os.open(state_folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False
