"""Opens the database, brings its tables up to date, and gives transactions.

Layer: dashboard; SQLite by default, PostgreSQL by a URL.
"""

from __future__ import annotations

import contextlib
import fcntl
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from dashboard.errors import DashboardError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

_MIGRATIONS = Path(__file__).resolve().parent / "migrations"
_BUSY_MS = 15_000
_LOCK_KEY = 0x5348_4152
"""Of PostgreSQL's advisory lock: no two dashboards migrate one database at once."""


CHANNEL = "sharpedge_dashboard"
"""Of PostgreSQL's notifications."""


class Database:
    """One database; every use is a transaction."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.name = secrets.token_hex(8)

    @property
    def is_shared(self) -> bool:
        """Whether other dashboards may write to it, and hear of what this one writes."""
        return self.engine.dialect.name == "postgresql"

    def announce(self, connection: Connection) -> None:
        """Tell other dashboards of a transaction, once it has ended well."""
        if self.is_shared:
            notify = text("SELECT pg_notify(:channel, :name)")
            connection.execute(notify, {"channel": CHANNEL, "name": self.name})

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the database."""
        with self.engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection whose changes are kept together, at the end, or not at all.

        No other one may be begun inside by the same thread: SQLite has one writer at a time.
        """
        connected = self.engine.connect().execution_options(write=True)
        with connected as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def open_database(url: str) -> Database:
    """Open a database and bring its tables up to date.

    Parameters
    ----------
    url
        As SQLAlchemy writes it: ``sqlite:////path`` or ``postgresql+psycopg://user@host/name``.

    Raises
    ------
    DashboardError
        Where it cannot be opened, or was written by a later release.
    """
    engine = engine_of(url)
    shown = engine.url.render_as_string(hide_password=True)
    try:
        with _lock(engine):
            migrate(engine)
    except SQLAlchemyError as error:
        engine.dispose()
        raise DashboardError(
            f"{shown}: cannot be opened ({_cause(error)}); fix: check path, rights and server"
        ) from None
    except BaseException:
        engine.dispose()
        raise
    return Database(engine)


def engine_of(url: str) -> Engine:
    """Make the engine of a URL. Raises `DashboardError` for one that cannot be used."""
    try:
        if make_url(url).get_backend_name() == "sqlite":
            return _sqlite(url)
        return create_engine(url, pool_pre_ping=True, pool_size=8, max_overflow=8)
    except (ArgumentError, ModuleNotFoundError) as error:
        # The text of the error may hold the URL with its password.
        raise DashboardError(
            f"database.url: cannot be used ({type(error).__name__}); "
            "fix: sqlite:////path/file or postgresql+psycopg://user@host/name"
        ) from None


def _cause(error: SQLAlchemyError) -> str:
    lines = str(getattr(error, "orig", None) or error).splitlines()
    return lines[0] if lines else type(error).__name__


def _sqlite(url: str) -> Engine:
    path = make_url(url).database
    if not path or path == ":memory:":
        raise DashboardError(f"database.url: {url} keeps nothing; fix: sqlite:////path/file")
    engine = create_engine(url, connect_args={"timeout": _BUSY_MS / 1000})

    @event.listens_for(engine, "connect")
    def _connected(raw: Any, _record: object) -> None:
        # Transactions are begun below: the driver's own begin late, and then fail when they write.
        raw.isolation_level = None
        cursor = raw.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON",
                       f"busy_timeout={_BUSY_MS}"):  # fmt: skip
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get("write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


@contextlib.contextmanager
def _lock(engine: Engine) -> Iterator[None]:
    """Keep other dashboards from migrating the same database meanwhile."""
    if engine.dialect.name == "sqlite":
        path = Path(f"{engine.url.database}.lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = path.open("w", encoding="ascii")
        except OSError as error:
            raise DashboardError(
                f"{path}: cannot be written ({error.strerror}); fix: give the dashboard's user "
                "the folder of the database"
            ) from error
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        return
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK_KEY})
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK_KEY})


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the tables to a revision. Raises `DashboardError` for one that is not known."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with engine.connect().execution_options(write=True) as connection, connection.begin():
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, revision)
        except CommandError as error:
            raise DashboardError(
                f"the database was written by a later release ({error}); fix: install that release"
            ) from error
