"""What the folder holds, kept in a few bytes a file: a flood of films is no flood of memory.

Layer: intake; numbers only. A path is kept as 64 bits of a keyed hash, a signature as another 64:
two files would have to agree in both to be taken for each other.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import numpy as np

from edge.intake.beneath import stat_beneath
from edge.intake.take import signature_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy.typing as npt

    from edge.model import Signature

_SALT = os.urandom(16)


def mark_of(path: bytes) -> int:
    """64 bits of a keyed hash of a path."""
    return int.from_bytes(hashlib.blake2b(path, digest_size=8, key=_SALT).digest(), "big")


class Listing:
    """The paths that one listing met; answers only whether a path was among them."""

    def __init__(self, marks: Iterable[int]) -> None:
        self._marks: npt.NDArray[np.uint64] = np.unique(np.fromiter(marks, np.uint64))

    def __len__(self) -> int:
        return len(self._marks)

    def __contains__(self, path: object) -> bool:
        if not isinstance(path, bytes):
            return False
        return bool(self.has_marks(np.array([mark_of(path)], np.uint64))[0])

    def with_paths_of(self, other: Listing) -> Listing:
        """Give a listing that met what either met."""
        return Listing([*self._marks.tolist(), *other._marks.tolist()])

    def has_marks(self, wanted: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Whether the path of each mark [n] was met: [n]."""
        if not len(self._marks):
            return np.zeros(len(wanted), np.bool_)
        at = np.minimum(np.searchsorted(self._marks, wanted), len(self._marks) - 1)
        return np.asarray(self._marks[at] == wanted)


_RECENT = 4096
"""Files that are kept apart until they are sorted in with the others."""


class Seen:
    """Signatures of files that were dealt with, by path: 16 bytes a file."""

    def __init__(self) -> None:
        self._paths: npt.NDArray[np.uint64] = np.empty(0, np.uint64)
        """Marks, ascending; one that is not in the table stands for no file."""
        self._digests: npt.NDArray[np.uint64] = np.empty(0, np.uint64)
        self._recent: dict[int, int | None] = {}
        """What came since the tables were sorted; None for a file that was forgotten."""

    def note(self, path: bytes, signature: Signature) -> None:
        """Remember a file as it was dealt with."""
        self._set(mark_of(path), _digest(signature))

    def forget(self, path: bytes) -> None:
        """Take a file for a new one."""
        self._set(mark_of(path), None)

    def keep_only(self, listing: Listing) -> None:
        """Forget every file that a listing did not meet."""
        self._sort_in()
        kept = listing.has_marks(self._paths)
        self._paths, self._digests = self._paths[kept], self._digests[kept]

    def holds(self, path: bytes) -> bool:
        """Whether a file of this path was dealt with."""
        return self._get(mark_of(path)) is not None

    def is_same(self, path: bytes, found: Signature) -> bool:
        """Whether the file of this path is still the one that was dealt with."""
        return self._get(mark_of(path)) == _digest(found)

    def _get(self, mark: int) -> int | None:
        if mark in self._recent:
            return self._recent[mark]
        at = int(np.searchsorted(self._paths, np.uint64(mark)))
        if at < len(self._paths) and int(self._paths[at]) == mark:
            return int(self._digests[at])
        return None

    def _set(self, mark: int, digest: int | None) -> None:
        self._recent[mark] = digest
        if len(self._recent) > _RECENT:
            self._sort_in()

    def _sort_in(self) -> None:
        changed = np.fromiter(self._recent, np.uint64, len(self._recent))
        stays = ~np.isin(self._paths, changed)
        added = {mark: digest for mark, digest in self._recent.items() if digest is not None}
        paths = np.concatenate([self._paths[stays], np.fromiter(added, np.uint64, len(added))])
        values = np.fromiter(added.values(), np.uint64, len(added))
        digests = np.concatenate([self._digests[stays], values])
        order = np.argsort(paths)
        self._paths, self._digests = paths[order], digests[order]
        self._recent = {}


class Known:
    """Which files below ``root`` were dealt with and have not changed since.

    ``recall`` gives the signature of a path that was dealt with in an earlier run.
    """

    def __init__(self, root: bytes, recall: Callable[[bytes], Signature | None]) -> None:
        self._root = root
        self._recall = recall
        self._seen = Seen()

    def note(self, path: bytes, signature: Signature) -> None:
        """Remember a file as it was dealt with."""
        self._seen.note(path, signature)

    def forget(self, path: bytes) -> None:
        """Take a file for a new one, unless an earlier run dealt with it."""
        self._seen.forget(path)

    def keep_only(self, listing: Listing) -> None:
        """Forget every file that a listing did not meet."""
        self._seen.keep_only(listing)

    def __contains__(self, path: object) -> bool:
        if not isinstance(path, bytes):
            return False
        held = self._seen.holds(path)
        before = None if held else self._recall(path)
        if not held and before is None:
            return False
        try:
            found = signature_of(stat_beneath(self._root, path))
        except OSError:
            # Whatever it is, it cannot be taken now.
            return True
        if held:
            return self._seen.is_same(path, found)
        if before is not None and before.is_of(found):
            self._seen.note(path, found)
            return True
        return False


def _digest(signature: Signature) -> int:
    """Hash of a signature without its device: that of a share changes when it is mounted again."""
    digest = hashlib.blake2b(repr(signature[1:]).encode(), digest_size=8, key=_SALT).digest()
    return int.from_bytes(digest, "big")
