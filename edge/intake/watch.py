"""Collects events of the watched folder from watchdog and by listing.

watchdog's handlers run on its threads and die with any exception, so they only put a line into
`Inbox`. Listing finds what events miss, and that the folder itself went away, came back as
another one, or was never there, which watchdog does not report.

Layer: intake; watches and lists one folder.
"""

from __future__ import annotations

import errno
import fnmatch
import logging
import os
import threading
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from watchdog import events
from watchdog.events import FileSystemEvent, FileSystemEventHandler

from edge.enums import StrEnum
from edge.intake.settle import Change, Closing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from watchdog.observers.api import BaseObserver

log = logging.getLogger(__name__)

_TELLS_ATTRIBUTES = hasattr(events, "FileAttribEvent")
"""Before version 7 watchdog reports a change of attributes as one of contents."""

_EVENTS: list[type[FileSystemEvent]] = [
    events.DirCreatedEvent,
    events.DirMovedEvent,
    events.DirDeletedEvent,
    events.FileCreatedEvent,
    events.FileModifiedEvent,
    events.FileClosedEvent,
    events.FileMovedEvent,
]
"""What the handler listens to. Without this list watchdog queues as many events again, of the
folder itself and of our own reading, and a flood of films is a flood of memory."""

NETWORK_TYPES = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs", "glusterfs"}
)


class WatchMode(StrEnum):
    """How the folder is followed."""

    AUTO = "auto"
    NATIVE = "native"
    POLL = "poll"


class Noticed(NamedTuple):
    """One event, with the time at which the handler got it.

    ``touched`` stands for a change that may have been one of attributes only; ``closed`` is the
    close that came before it.
    """

    path: bytes
    change: Change
    at: Closing
    touched: bool = False
    closed: Closing | None = None


@dataclass
class Inbox:
    """Events between watchdog's threads and the intake: one line a file, so a flood is bounded.

    ``listing`` asks for a listing of the folder: something happened that no file event reports.
    """

    _files: dict[bytes, Noticed] = field(default_factory=dict)
    _listing: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def put(self, path: bytes, change: Change, *, touched: bool = False) -> None:
        """Note an event; a later one of the same file replaces it, except a mere sighting."""
        at = Closing(time.monotonic(), time.time())
        with self._changed:
            before = self._files.get(path)
            if change is Change.SEEN and before is not None:
                return
            closed = None
            if touched and before is not None:
                closed = before.at if before.change is Change.CLOSED else before.closed
            self._files[path] = Noticed(path, change, at, touched, closed)
            self._changed.notify()

    def ask_listing(self) -> None:
        """Ask for a listing of the folder."""
        with self._changed:
            self._listing = True
            self._changed.notify()

    def wake(self) -> None:
        """End a wait early."""
        with self._changed:
            self._changed.notify()

    def take(self, timeout_s: float) -> tuple[list[Noticed], bool]:
        """All that came, in order, and whether a listing was asked for; waits for the first."""
        with self._changed:
            if not self._files and not self._listing:
                self._changed.wait(timeout_s)
            files, listing = list(self._files.values()), self._listing
            self._files, self._listing = {}, False
        return files, listing


class _Handler(FileSystemEventHandler):
    """Only enqueues."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.is_directory:
            self._inbox.ask_listing()
            return
        if event.event_type == "created":
            self._inbox.put(os.fsencode(event.src_path), Change.SEEN)
        elif event.event_type == "modified":
            touched = not _TELLS_ATTRIBUTES
            self._inbox.put(os.fsencode(event.src_path), Change.WRITTEN, touched=touched)
        elif event.event_type == "closed":
            self._inbox.put(os.fsencode(event.src_path), Change.CLOSED)
        elif event.event_type == "moved" and event.dest_path:
            # A file that we give its name back may have a writer: that is no close.
            ours = os.path.basename(os.fsencode(event.src_path)).startswith(CLAIMED)  # noqa: PTH119
            self._inbox.put(os.fsencode(event.dest_path), Change.SEEN if ours else Change.CLOSED)


class Entry(NamedTuple):
    """One name in the folder.

    ``regular`` is False for links, pipes, devices and folders named like images.
    """

    path: bytes
    regular: bool


CLAIMED = b".sharpedge-claimed-"
"""Beginning of the name under which a file waits while it is moved or deleted."""
IMAGE_SUFFIXES = (b".jpg", b".jpeg", b".png", b".tif", b".tiff", b".bmp", b".dcm", b".dicom")


@dataclass(frozen=True)
class Folder:
    """The watched folder: which names in it count.

    Parameters
    ----------
    path
        The drop folder.
    ignore
        Shell patterns of names that are never films (temporary names of copying programs).
    apart
        Folders of our own that may lie inside; never listed.
    """

    path: Path
    ignore: tuple[str, ...]
    apart: tuple[Path, ...] = ()

    def counts(self, path: bytes) -> bool:
        """Whether a file of this path is a film to be taken, by its name and place alone."""
        root = os.fsencode(self.path)
        if not path.startswith(root + b"/"):
            return False
        if any(path.startswith(os.fsencode(p) + b"/") for p in self.apart):
            return False
        parts = path[len(root) + 1 :].split(b"/")
        return not any(self._ignored(part) for part in parts)

    def _ignored(self, name: bytes) -> bool:
        """Whether a name is never a film; capitals do not matter, as for the scanners' systems."""
        text = os.fsdecode(name).lower()
        return name.startswith(CLAIMED) or any(
            fnmatch.fnmatchcase(text, pattern.lower()) for pattern in self.ignore
        )

    def entries(self, denied: Callable[[bytes], None] | None = None) -> Iterator[Entry]:
        """Every name that counts, below the folder, in no order; links are not followed.

        Raises `OSError` when the folder itself cannot be listed; folders inside that cannot be
        are passed over (the next listing meets them again). ``denied`` is called with the path of
        a folder that may not be entered.
        """
        apart = {os.fsencode(p) for p in self.apart}
        pending = [os.fsencode(self.path)]
        first = True
        while pending:
            where = pending.pop()
            try:
                with os.scandir(where) as listing:
                    for name in listing:
                        if self._ignored(name.name) or name.path in apart:
                            continue
                        if not name.is_dir(follow_symlinks=False):
                            yield Entry(name.path, regular=name.is_file(follow_symlinks=False))
                        elif name.name.lower().endswith(IMAGE_SUFFIXES):
                            yield Entry(name.path, regular=False)
                        else:
                            pending.append(name.path)
            except OSError as error:
                if first:
                    raise
                if denied is not None and error.errno in {errno.EACCES, errno.EPERM}:
                    denied(where)
                if error.errno == errno.ENAMETOOLONG:
                    # What lies deeper has no path that could be opened: reported once, as refused.
                    yield Entry(where, regular=False)
            first = False


def mount_type(path: Path) -> str:
    """File system type of the mount that holds a path (``ext4``, ``nfs4``), empty if unknown."""
    best, kind = "", ""
    wanted = os.path.realpath(path)
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    for line in lines.splitlines():
        left, _, right = line.partition(" - ")
        point = left.split(" ")[4].replace("\\040", " ")
        inside = wanted == point or wanted.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, right.split(" ")[0]
    return kind


class Watch:
    """Keeps a native watch on the folder for as long as the folder is the same one.

    `check` must be called at every listing: it makes a new watch when the folder's identity
    changed, and says whether the folder is there at all.
    """

    def __init__(self, folder: Path, inbox: Inbox, mode: WatchMode) -> None:
        self._folder = folder
        self._inbox = inbox
        self._wanted = mode
        self._observer: BaseObserver | None = None
        self._identity: tuple[int, int] | None = None
        self._told = False
        self._filled_device: int | None = None
        self.fault: str | None = None

    def listed(self, entries: int) -> None:
        """Take in how many names a listing met.

        A share that is not mounted leaves an empty folder of another device: a fault, not news
        that every film was removed.
        """
        device = None if self._identity is None else self._identity[0]
        if entries:
            self._filled_device = device
        elif self._filled_device not in {None, device}:
            self.fault = "the drop folder is empty and another one than before: mount the share"

    @property
    def native(self) -> bool:
        """Whether events are coming."""
        return self._observer is not None

    def check(self) -> bool:
        """Whether the folder can be listed; renews the watch where that is needed."""
        try:
            found = self._folder.stat()
        except OSError as error:
            self.fault = (
                f"{self._folder}: the drop folder cannot be reached ({error.strerror}); "
                "fix: correct folders.watch, or mount the share"
            )
            self._drop()
            return False
        self.fault = None
        identity = (found.st_dev, found.st_ino)
        if identity != self._identity or not self._alive():
            self._drop()
            self._identity = identity
            if self._native_wanted():
                self._start()
        return True

    def _native_wanted(self) -> bool:
        if self._wanted is WatchMode.AUTO:
            return mount_type(self._folder) not in NETWORK_TYPES
        return self._wanted is WatchMode.NATIVE

    def _alive(self) -> bool:
        if self._observer is None:
            return not self._native_wanted()
        # Version 7 reads on one more thread, whose end neither of the others notices.
        reader = getattr(self._observer, "_inotify_fd", None)
        threads = [self._observer, *self._observer.emitters, *([reader] if reader else [])]
        return all(thread.is_alive() for thread in threads)

    def _start(self) -> None:
        # Imported here: the module does not import where the C library has no inotify.
        from watchdog.observers.inotify import InotifyObserver  # noqa: PLC0415

        # Its warnings hold the paths of folders, and turned into errors they end its thread.
        warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"watchdog\.")
        try:
            observer = InotifyObserver(generate_full_events=True)
            observer.schedule(
                _Handler(self._inbox), str(self._folder), recursive=True, event_filter=_EVENTS
            )
            observer.start()
        except OSError as error:
            if not self._told:
                log.warning("no inotify watch (%s): the folder is listed instead", error.strerror)
            self._told = True
            return
        self._told = False
        self._observer = observer

    def _drop(self) -> None:
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(5)
        self._observer = None

    def close(self) -> None:
        """End watchdog's threads."""
        self._drop()
