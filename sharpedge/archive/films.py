"""Films of an archive: found in folders or named by a list, and what became of one.

Layer: sharpedge; reads folders and lists; frozen types.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.errors import ConfigError
from edge.model import LimbResult, Record
from edge.scoring.score_files import films_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Listed:
    """A film as it lay there when it was listed; ``size`` is -1 where it could not be looked at."""

    path: bytes
    size: int
    mtime_ns: int


class Scored(Record):
    """What became of one film.

    ``fault`` says why it could not be read; then there are no limbs. ``machine_ms`` is the time
    from its reading to its outcome.
    """

    sha256: str = ""
    limbs: tuple[LimbResult, ...] = ()
    study: str | None = None
    fault: str | None = None
    machine_ms: float | None = None


def films_of(source: Path, apart: Path) -> Iterator[Listed]:
    """Films of a folder, or of a list with a path a line, relative ones to the list's folder.

    Files beside ``apart`` whose names begin with its name are left out: an archive's own. Raises
    `ConfigError` where there is neither.
    """
    own = apart.resolve()
    for path in _paths_of(source):
        resolved = path.resolve()
        if resolved.parent == own.parent and resolved.name.startswith(own.name):
            continue
        try:
            found = path.stat()
        except OSError:
            yield Listed(os.fsencode(path), -1, -1)
        else:
            yield Listed(os.fsencode(path), found.st_size, found.st_mtime_ns)


def _paths_of(source: Path) -> Iterator[Path]:
    if source.is_dir():
        yield from films_in([source.absolute()])
        return
    try:
        with source.open("rb") as lines:
            for line in lines:
                name = line.rstrip(b"\r\n")
                if name.strip():
                    yield source.absolute().parent / os.fsdecode(name)
    except OSError as error:
        raise ConfigError(
            f"{source}: is neither a folder nor a list that can be read ({error.strerror}); fix: "
            "name a folder, or a text file with the path of a film a line"
        ) from error
