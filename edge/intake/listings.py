"""Listings of the watched folder: which names are new, which are known, which are gone.

Layer: intake, on its thread; reads the folder, writes nothing.
"""

from __future__ import annotations

import logging
import time
from array import array
from collections import deque
from typing import TYPE_CHECKING

from edge.intake.beneath import stat_beneath
from edge.intake.seen import Listing, mark_of
from edge.intake.settle import Change, Closing
from edge.intake.take import signature_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from edge.intake.seen import Known
    from edge.intake.settle import Settling
    from edge.intake.unreadable import Unreadable
    from edge.intake.watch import Folder, Watch
    from edge.model import Signature

log = logging.getLogger(__name__)


class Listings:
    """Lists the folder and starts the settling of what is new.

    ``last`` are paths that settle after all others at the first listing. With ``pass_over`` what
    the first listing meets is not taken; see ``passed_over``. ``first`` and ``latest`` hold the
    marks of the paths that those listings met, ``passed_over`` the files that were not taken;
    each is None until then.
    """

    def __init__(
        self,
        folder: Folder,
        root: bytes,
        watch: Watch,
        settling: Settling,
        known: Known,
        unreadable: Unreadable,
        *,
        waits: Callable[[bytes], bool],
        last: Collection[bytes],
        pass_over: bool,
    ) -> None:
        self._folder = folder
        self._root = root
        self._watch = watch
        self._settling = settling
        self._known = known
        self._unreadable = unreadable
        self._waits = waits
        self._last = frozenset(last)
        self._passes_over = pass_over
        self._forgotten: deque[bytes] = deque()
        self.first: Listing | None = None
        self.latest: Listing | None = None
        self.passed_over: list[tuple[bytes, Signature]] | None = None
        self.duration_s = 0.0
        """How long the latest listing took."""

    def forget(self, paths: Collection[bytes]) -> None:
        """Take these files for new ones at the next listing; any thread may call this."""
        self._forgotten.extend(paths)

    def update(self) -> None:
        """List the folder once."""
        begun_s = time.monotonic()
        self._update()
        self.duration_s = time.monotonic() - begun_s

    def _update(self) -> None:
        before = self._watch.fault
        while self._forgotten:
            self._known.forget(self._forgotten.popleft())
        new: list[bytes] = []
        met = self._names(new)
        if self._watch.fault != before:
            log.warning("folder: %s", self._watch.fault or "reached again")
        if met is None:
            return
        first = self.first is None
        if first and self._passes_over:
            self.passed_over = self._known_unread(new)
        else:
            self._note_new(new, first=first)
        # An emptied folder is not a reason to forget what was dealt with: a share that comes
        # back must not be taken for all new. Only single names that went are forgotten.
        if len(met):
            self._known.keep_only(met)
        self._unreadable.keep_only(met)
        self.latest = met
        if first:
            self.first = met

    def _note_new(self, new: list[bytes], *, first: bool) -> None:
        now = Closing(time.monotonic(), time.time())
        if first:
            # The backlog is taken oldest first, as far as the files' own times tell.
            new.sort(key=lambda path: (path in self._last, self._age_key(path), path))
        else:
            new.sort()
        for path in new:
            self._settling.note(path, Change.SEEN, now, at_start=first)

    def _age_key(self, path: bytes) -> int:
        try:
            return stat_beneath(self._root, path).st_mtime_ns
        except OSError:
            return 0

    def _known_unread(self, paths: list[bytes]) -> list[tuple[bytes, Signature]]:
        """Note files as known that are not taken."""
        left = []
        for path in paths:
            try:
                signature = signature_of(stat_beneath(self._root, path))
            except OSError:
                continue
            self._known.note(path, signature)
            left.append((path, signature))
        return left

    def _names(self, new: list[bytes]) -> Listing | None:
        """Marks of what is in the folder; None where it cannot be listed.

        Paths that nothing is known of are added to ``new``.
        """
        if not self._watch.check():
            return None
        self._settling.watched = self._watch.native
        found = array("Q")

        def denied(folder: bytes) -> None:
            found.append(mark_of(folder))
            self._unreadable.note(self._root, folder)

        try:
            for entry in self._folder.entries(denied):
                found.append(mark_of(entry.path))
                in_work = entry.path in self._settling or self._waits(entry.path)
                if not in_work and entry.path not in self._known:
                    new.append(entry.path)
        except OSError as error:
            self._watch.fault = f"the drop folder cannot be listed ({error.strerror})"
            return None
        self._watch.listed(len(found))
        return Listing(found)
