"""Checks of the machine: state folder, key, disk, clock, memory.

Layer: sharpedge; looks at files, asks the kernel.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import time
from typing import TYPE_CHECKING

from edge.errors import ConfigError
from edge.system.clock import wall_clock_is_set
from edge.system.device_key import LENGTH, NAME
from sharpedge.doctor.account import owner_of
from sharpedge.doctor.finding import Finding, failed, ok, skipped, warning
from sharpedge.doctor.ledger import open_read_only

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sharpedge.doctor.box import Box

STATE = "state folder"
KEY = "device key"
DISK = "disk"
CLOCK = "clock"
MEMORY = "memory"
_FIRST_RELEASE_UNIX_S = 1_767_225_600.0
"""2026: an earlier date is a machine without a battery for its clock."""
_NEED_MIB = 1024
_AHEAD_S = 60.0


def check_machine(box: Box) -> Iterator[Finding]:
    """Check what the service needs of this machine."""
    yield from _state(box)
    yield _key(box.state / NAME)
    yield _disk(box)
    yield _clock(box)
    yield _memory()


def _state(box: Box) -> Iterator[Finding]:
    path, who = box.state, box.service.name
    if not path.is_dir():
        yield failed(
            STATE, f"{path}: does not exist", "the service has not been started here",
            f"install -d -m 750 -o sharpedge -g sharpedge {path}; or correct folders.state",
        )  # fmt: skip
        return
    may = box.service.may(path, "rwx")
    if may is None:
        yield skipped(STATE, f"only root or {who} can tell; fix: run this as root")
    elif not may and os.statvfs(path).f_flag & os.ST_RDONLY:
        yield failed(
            STATE, f"{path}: {who} may not write it", "its file system is mounted read-only",
            f"mount -o remount,rw $(findmnt -nT {path} -o TARGET); dmesg tells a broken disk",
        )  # fmt: skip
    elif not may:
        yield failed(STATE, f"{path}: {who} may not write it", owner_of(path),
                     f"chown {who} {path} && chmod 750 {path}")  # fmt: skip
    elif path.stat().st_mode & 0o007:
        yield failed(STATE, f"{path}: every user of this machine may look into it", owner_of(path),
                     f"chmod 750 {path}")  # fmt: skip
    else:
        yield ok(STATE, f"{path}: {owner_of(path)}")
    foreign = [
        entry.name for entry in sorted(_entries(path), key=lambda entry: entry.name)
        if entry.stat(follow_symlinks=False).st_uid != box.service.uid
    ]  # fmt: skip
    if foreign:
        yield failed(
            STATE, f"{path}: {', '.join(foreign[:5])} belong to another user than {who}",
            "a command was run as another user, most often as root",
            f"chown -R {who}: {path}",
        )  # fmt: skip


def _entries(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as listing:
            return list(listing)
    except OSError:
        return []


def _key(path: Path) -> Finding:
    try:
        found = path.stat()
    except FileNotFoundError:
        if (path.parent / "journal.sqlite").exists():
            return failed(
                KEY, f"{path}: is gone, and the journal was written under it",
                "the pseudonyms of all earlier results depend on it", "put the copy of it back",
            )  # fmt: skip
        return ok(KEY, "is made at the first start")
    except OSError as error:
        return skipped(KEY, f"{path}: {error.strerror}; fix: run this as root")
    if stat.S_IMODE(found.st_mode) & 0o077:
        return failed(KEY, f"{path}: others may read it", owner_of(path), f"chmod 600 {path}")
    if found.st_size != LENGTH:
        return failed(KEY, f"{path}: is damaged", f"{LENGTH} bytes expected, {found.st_size} found",
                      "put the copy of it back")  # fmt: skip
    return ok(KEY, f"{path}: mode {stat.S_IMODE(found.st_mode):04o}; keep a copy elsewhere")


def _disk(box: Box) -> Finding:
    existing = next(p for p in (box.state, *box.state.parents) if p.exists())
    used = shutil.disk_usage(existing)
    free_mib, least_mib = used.free >> 20, box.config.retention.min_free_mib
    text = f"{free_mib} of {used.total >> 20} MiB free at {existing}"
    fix = "delete what is not ours there, lower retention.*_mib, or use a larger disk"
    if free_mib < least_mib:
        return failed(DISK, text, f"films wait below {least_mib} MiB (retention.min_free_mib)", fix)
    limits = box.config.retention
    most_mib = limits.pictures_mib + limits.archive_mib + limits.quarantine_mib + limits.journal_mib
    if used.total >> 20 < most_mib:
        return warning(
            DISK, text, f"retention allows {most_mib} MiB, more than the disk holds", fix
        )
    return ok(DISK, text)


def _clock(box: Box) -> Finding:
    now_s = time.time()
    fix = "timedatectl set-ntp true; name the site's time server in /etc/systemd/timesyncd.conf"
    today = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now_s))
    if now_s < _FIRST_RELEASE_UNIX_S:
        return failed(CLOCK, f"it is not {today}", "the clock was never set", fix)
    last_s = _last_event_s(box)
    if last_s is not None and last_s > now_s + _AHEAD_S:
        return failed(
            CLOCK, f"{today}: earlier than the journal's last entry, by {last_s - now_s:.0f} s",
            "the clock was set back, or the journal was written with a wrong one", fix,
        )  # fmt: skip
    if not wall_clock_is_set():
        return warning(CLOCK, f"{today}: not synchronised", "no time server is followed; nothing "
                       "is deleted by age meanwhile", fix)  # fmt: skip
    return ok(CLOCK, f"{today}, synchronised")


def _last_event_s(box: Box) -> float | None:
    try:
        with open_read_only(box.state) as db:
            row = db.execute("SELECT at FROM event ORDER BY row DESC LIMIT 1").fetchone()
    except (sqlite3.Error, ConfigError):
        return None
    return None if row is None else float(row[0])


def _memory() -> Finding:
    free_mib = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    total_mib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    if total_mib < 2 * _NEED_MIB:
        return warning(
            MEMORY, f"{total_mib} MiB", f"daemon and worker take about {_NEED_MIB} MiB together",
            "use a machine with at least 4 GiB",
        )  # fmt: skip
    return ok(MEMORY, f"{total_mib} MiB, {free_mib} MiB of it unused")
