"""The appliance's own copies of films that were not scored.

Layer: journal; reads and writes quarantine and archive, reads the watched folder.

A copy's name holds the job's number and nothing of the scanner's file name, which may hold a
patient's name.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING

from edge.intake.beneath import stat_beneath
from edge.intake.take import ChangedError, NotRegularError, TooLargeError, signature_of, take
from edge.system.files import suffix_of, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


def keep_copy(folder: Path, job: int, path: bytes, reason: str, data: bytes) -> Path:
    """Write a copy of a held or rejected film to the quarantine; returns its path.

    A repeat for the same job writes the same file again.
    """
    target = folder / f"{job:08d}-{reason}{suffix_of(path)}"
    write_whole(target, data, durable=True, mode=0o640)
    return target


def job_of(name: str) -> int | None:
    """Job number in the name of a copy; None where the name has none."""
    found = re.match(r"(\d{8})(?=[-.]|$)", name)
    return None if found is None else int(found[1])


def kept_film(
    places: Sequence[Path],
    drop: Path,
    jobs: Iterable[int],
    path: bytes,
    sha256: str,
    limit_bytes: int,
) -> bytes | None:
    """Find the bytes of a film that was processed before.

    Tries the copies of ``jobs`` in the folders ``places``, then the scanner's file below ``drop``.
    None where no file has the digest ``sha256``.
    """
    candidates = [
        (os.fsencode(place), os.fsencode(copy))
        for job in jobs
        for place in places
        for copy in sorted(place.glob(f"{job:08d}[-.]*")) + sorted(place.glob(f"{job:08d}"))
    ]
    for root, candidate in (*candidates, (os.fsencode(drop), path)):
        try:
            signature = signature_of(stat_beneath(root, candidate))
            data = take(root, candidate, signature, limit_bytes)
        except (OSError, ChangedError, NotRegularError, TooLargeError):
            continue
        if hashlib.sha256(data).hexdigest() == sha256:
            return data
    return None
