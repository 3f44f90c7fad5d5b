"""Backup and restore of the dashboard's SQLite database, whole or not at all.

Layer: dashboard; reads and writes files. PostgreSQL has tools of its own.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from sqlalchemy import make_url

from dashboard.errors import DashboardError
from dashboard.store.database import open_database

_STEP_PAGES = 2000


def back_up(url: str, out: Path) -> None:
    """Write a copy of the database, which may be in use meanwhile; mode 0600.

    Raises
    ------
    DashboardError
        Where the database is no file, is not there, or ``out`` exists or cannot be written.
    """
    source = _file_of(url)
    if not source.is_file():
        raise DashboardError(f"{source}: is not there; fix: name the configuration by --config")
    part = out.with_name(f".{out.name}.part")
    try:
        os.close(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        with (
            contextlib.closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True)) as live,
            contextlib.closing(sqlite3.connect(part)) as copy,
        ):
            live.backup(copy, pages=_STEP_PAGES)
            copy.execute("PRAGMA journal_mode=DELETE")
        _durable(part)
        part.replace(out)
    except FileExistsError:
        raise DashboardError(f"{out}: exists; fix: name another file") from None
    except (OSError, sqlite3.Error) as error:
        part.unlink(missing_ok=True)
        out.unlink(missing_ok=True)
        raise DashboardError(f"{out}: was not written ({error}); fix: disk and rights") from error


def restore(url: str, backup: Path) -> None:
    """Put a backup where no database is; the dashboard must be stopped. Tables are upgraded.

    Raises
    ------
    DashboardError
        Where there is a database, or the file is no backup of this release or an earlier one.
    """
    target = _file_of(url)
    if target.exists():
        raise DashboardError(f"{target}: exists; fix: stop the dashboard and move it away")
    part = target.with_name(f"{target.name}.restored")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with (
            contextlib.closing(sqlite3.connect(f"{backup.absolute().as_uri()}?mode=ro", uri=True))
            as saved,
            contextlib.closing(sqlite3.connect(part)) as copy,
        ):  # fmt: skip
            known = saved.execute("SELECT count(*) FROM alembic_version").fetchone()
            whole = saved.execute("PRAGMA quick_check").fetchone() == ("ok",)
            if known != (1,) or not whole:
                raise sqlite3.DatabaseError("it is damaged")
            saved.backup(copy)
        open_database(f"sqlite:///{part}").close()
        _durable(part)
        part.replace(target)
    except (OSError, sqlite3.Error) as error:
        raise DashboardError(f"{backup}: is no backup of a dashboard ({error})") from error
    finally:
        for left in ("", "-wal", "-shm", ".lock"):
            part.with_name(part.name + left).unlink(missing_ok=True)


def _file_of(url: str) -> Path:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        raise DashboardError(
            "database.url: is no file; fix: use pg_dump and pg_restore of PostgreSQL"
        )
    return Path(parsed.database).absolute()


def _durable(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
