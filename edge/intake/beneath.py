"""Opens what lies below a folder without following a link in any part of its path.

Layer: intake; opens files, reads nothing. A folder that is swapped for a link while a film is
looked for would otherwise lead to files outside the drop folder.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATH_LIMIT = 4096


class Place(NamedTuple):
    """A folder that is held open, and a name in it."""

    folder: int
    name: bytes


@contextmanager
def place_beneath(root: bytes, path: bytes) -> Iterator[Place]:
    """Hold the folder of ``path`` open; ``root`` itself may be reached through links.

    Raises `NotADirectoryError` where a part of the path is a link, `OSError` otherwise.
    """
    if not path.startswith(root + b"/"):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if len(path) >= _PATH_LIMIT:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    *folders, name = path[len(root) + 1 :].split(b"/")
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    here = os.open(root, flags)
    try:
        for folder in folders:
            below = os.open(folder, flags | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = below
        yield Place(here, name)
    finally:
        os.close(here)


def stat_beneath(root: bytes, path: bytes) -> os.stat_result:
    """`os.lstat` of what lies below ``root``. Raises as `place_beneath` does."""
    with place_beneath(root, path) as place:
        return os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
