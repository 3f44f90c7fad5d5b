"""The folder of documents: files that are sent, and those that are not needed any more.

Layer: delivery; reads files of the folder and removes them.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.outputs.document import StoredDocument

_PIECE = 1 << 20
_UNFINISHED_S = 3600.0
"""Age at which a file that was being written belongs to a process that is gone."""


class DocumentFiles:
    """The files below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, document: StoredDocument) -> Path:
        """Path of a document's file."""
        return self._folder / document.file

    def is_whole(self, document: StoredDocument) -> bool:
        """Whether a file is what was written; False where it is gone. Raises `OSError`."""
        digest = hashlib.sha256()
        try:
            with self.path(document).open("rb") as file:
                while piece := file.read(_PIECE):
                    digest.update(piece)
        except FileNotFoundError:
            return False
        return digest.hexdigest() == document.sha256

    def remove(self, file: str) -> None:
        """Remove a file; one that is gone already is no fault. Raises `OSError`."""
        (self._folder / file).unlink(missing_ok=True)

    def sweep(self, is_needed: Callable[[str], bool], unfinished_s: float = _UNFINISHED_S) -> int:
        """Remove the files whose row is closed or gone; returns how many. Raises `OSError`.

        ``is_needed`` is asked with the name without its ending. A file that was being written is
        removed at an age of ``unfinished_s``.
        """
        removed = 0
        if not self._folder.is_dir():
            return removed
        for path in sorted(self._folder.iterdir()):
            if path.name.startswith("."):
                with contextlib.suppress(FileNotFoundError):
                    if abs(time.time() - path.stat().st_mtime) >= unfinished_s:
                        path.unlink()
            elif not is_needed(path.stem):
                path.unlink(missing_ok=True)
                removed += 1
        return removed
