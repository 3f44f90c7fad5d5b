"""Checks of the drop folder: that it is there, rights, files, mount, clock of the share.

Layer: sharpedge; lists the drop folder; on a share it writes one hidden file and removes it.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from edge.daemon.state_folder import drop_folder
from edge.errors import ConfigError
from edge.intake.watch import NETWORK_TYPES, Folder, WatchMode, mount_type
from edge.model import After
from sharpedge.doctor.account import owner_of
from sharpedge.doctor.finding import Finding, Level, failed, ok, skipped, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharpedge.doctor.box import Box

CHECK = "drop folder"
_FILES = "drop folder, files"
_MOUNT = "drop folder, mount"
_CLOCK = "drop folder, clock"
_LOOKED_AT = 2000
_SKEW_S = 5.0
_AHEAD_S = 60.0


def check_folder(box: Box) -> Iterator[Finding]:
    """Check everything that stands between a scanner's file and the service."""
    path = box.config.folders.watch.absolute()
    try:
        folder = drop_folder(box.config, box.state)
    except ConfigError as error:
        yield failed(CHECK, f"{path}: cannot be watched", str(error), "set folders.watch")
        return
    if not path.exists():
        near = _nearest(path)
        yield failed(
            CHECK, f"{path}: does not exist",
            f"{near} is the last folder of this path that exists; it holds {_names(near)}",
            f"correct folders.watch, mount the share, or make it: install -d -m 2775 "
            f"-o {box.service.name} {path}",
        )  # fmt: skip
        return
    if not path.is_dir():
        yield failed(CHECK, f"{path}: is a file", "folders.watch names no folder",
                     "name the folder that the scanner writes to")  # fmt: skip
        return
    rights = _rights(box, path)
    yield rights
    if rights.level is not Level.FAILED:
        yield from _files(box, folder)
    yield _mount(box, path)


def _nearest(path: Path) -> Path:
    return next(parent for parent in path.parents if parent.exists())


def _names(folder: Path) -> str:
    try:
        names = sorted(entry.name for entry in islice(folder.iterdir(), 50) if entry.is_dir())
    except OSError as error:
        return f"nothing that can be listed ({error.strerror})"
    return ", ".join(names[:8]) or "no folders"


def _rights(box: Box, path: Path) -> Finding:
    who = box.service.name
    needed = "rx" if box.config.folders.after is After.LEAVE else "rwx"
    may = box.service.may(path, needed)
    if may is None:
        return skipped(CHECK, f"only root or {who} can tell; fix: run this as root")
    if may:
        return ok(CHECK, f"{path}: {who} may {'read' if needed == 'rx' else 'read and change'} it")
    verb = {"rx": "list and read", "rwx": "list, read and change"}[needed]
    return failed(
        CHECK, f"{path}: {who} may not {verb} it",
        f"{owner_of(path)}, or a folder above it is closed to {who}",
        f"chgrp {who} {path} && chmod 2775 {path}; "
        f"each folder above it needs x for {who}: namei -l {path}",
    )  # fmt: skip


@dataclass
class _Files:
    seen: int = 0
    newest_s: float = 0.0
    unreadable: tuple[Path, ...] = ()


def _look(box: Box, folder: Folder) -> _Files:
    """Look at the first names of the folder.

    A right is asked for once for each folder inside, owner and mode.
    """
    found = _Files()
    known: dict[tuple[Path, int, int, int], bool | None] = {}
    for entry in islice(folder.entries(), _LOOKED_AT):
        if not entry.regular:
            continue
        path = Path(os.fsdecode(entry.path))
        try:
            stat = path.stat()
        except OSError:
            continue
        found.seen += 1
        found.newest_s = max(found.newest_s, stat.st_mtime)
        kind = (path.parent, stat.st_uid, stat.st_gid, stat.st_mode)
        if kind not in known:
            known[kind] = box.service.may(path, "r")
        if known[kind] is False:
            found.unreadable = (*found.unreadable, path)
    return found


def _files(box: Box, folder: Folder) -> Iterator[Finding]:
    try:
        found = _look(box, folder)
    except OSError:
        return
    if found.unreadable:
        first = found.unreadable[0]
        yield failed(
            _FILES, f"{len(found.unreadable)} of {found.seen} files: {box.service.name} may not "
            f"read them, the first {first}",
            f"{owner_of(first)}: the program that writes them makes them, or their folder, private "
            "(umask)",
            f"let it write with umask 0027 into a folder with the group of {box.service.name} "
            f"(chmod 2775 {folder.path}); for those that are there: "
            f"chgrp {box.service.name} FILE && chmod g+r FILE",
        )  # fmt: skip
    else:
        text = f"{found.seen} looked at, each readable" if found.seen else "none there yet"
        yield ok(_FILES, text)
    ahead_s = found.newest_s - time.time()
    if ahead_s > _AHEAD_S:
        yield warning(
            _CLOCK, f"the newest file is dated {ahead_s:.0f} s in the future",
            "the clock of the scanner, of the file server or of this machine is wrong",
            "set all three to one time server",
        )  # fmt: skip
    else:
        yield _clock(folder)


def _mount(box: Box, path: Path) -> Finding:
    kind = mount_type(path) or "unknown"
    mode = box.config.folders.mode
    network = kind in NETWORK_TYPES
    if network and mode is WatchMode.NATIVE:
        return failed(
            _MOUNT, f"{path}: {kind}, and folders.mode is native",
            "a network share reports no events of what other machines write",
            'set folders.mode = "auto" (or "poll")',
        )  # fmt: skip
    if network or mode is WatchMode.POLL:
        return ok(_MOUNT, f"{kind}: listed every {box.config.folders.rescan_s:g} s (no events)")
    return ok(_MOUNT, f"{kind}: events, and a listing every {box.config.folders.rescan_s:g} s")


def _clock(folder: Folder) -> Finding:
    """Compare the clock that dates files here with this machine's."""
    if mount_type(folder.path) not in NETWORK_TYPES:
        return ok(_CLOCK, "files are dated by this machine")
    probe = folder.path / f".sharpedge-doctor-{os.getpid()}"
    try:
        before_s = time.time()
        probe.touch(exist_ok=False)
        try:
            skew_s = probe.stat().st_mtime - before_s
        finally:
            probe.unlink()
    except OSError as error:
        return skipped(_CLOCK, f"{folder.path}: no file can be written there ({error.strerror})")
    if abs(skew_s) > _SKEW_S:
        return warning(
            _CLOCK, f"the share's clock differs by {skew_s:+.0f} s",
            "file server and appliance take their time from different places",
            "set both to one time server; ages of films are wrong until then",
        )  # fmt: skip
    return ok(_CLOCK, f"the share's clock differs by {skew_s:+.1f} s")
