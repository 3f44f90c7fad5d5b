"""Catches what C libraries write to standard error.

Layer: imaging; replaces file descriptor 2 of this process while a decoder runs.
libjpeg, libpng, libtiff and GDCM report damage there and nowhere else.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

_STDERR = 2
_KEPT_BYTES = 4096
_STAMP = re.compile(r"^\[\s*\w+:\d+@[\d.]+\] global \S+ ")


class Messages:
    """Text that was caught; empty until the block has ended."""

    text = ""

    def line_with(self, *words: str) -> str | None:
        """First line that holds one of ``words``, without OpenCV's stamp before it."""
        for line in self.text.splitlines():
            if any(word in line for word in words):
                return _STAMP.sub("", line).strip()
        return None


def _memory_file() -> IO[bytes]:
    """Open an unbuffered file that never touches a disk where the system can do that."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("sharpedge"), "r+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)


@contextmanager
def native_messages() -> Iterator[Messages]:
    """Catch what C code writes to standard error inside the block (first 4 KiB).

    Other threads' writes in the meantime are caught too; all of it goes to the log at level
    DEBUG. Without a standard error there is nothing to catch, and the text stays empty.
    """
    messages = Messages()
    try:
        spare = os.dup(_STDERR)
    except OSError:
        yield messages
        return
    with _memory_file() as caught:
        os.dup2(caught.fileno(), _STDERR)
        try:
            yield messages
        finally:
            os.dup2(spare, _STDERR)
            os.close(spare)
            caught.seek(0)
            messages.text = caught.read(_KEPT_BYTES).decode("utf-8", "replace")
            if messages.text:
                log.debug("decoder: %s", messages.text.strip())
