"""Hears of what other dashboards have written to the same database.

Layer: dashboard; one thread with a connection of its own to PostgreSQL; none with SQLite.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from dashboard.store.database import CHANNEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboard.store.database import Database

log = logging.getLogger(__name__)

_LOOK_S = 0.5
_CHECK_S = 15.0
_RETRY_S = 2.0


class Announcements:
    """Calls ``changed`` for each transaction that another dashboard announced."""

    def __init__(self, database: Database, changed: Callable[[], None]) -> None:
        self._database = database
        self._changed = changed
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="announcements", daemon=True)

    def start(self) -> None:
        """Begin to listen, where the database can be shared."""
        if self._database.is_shared:
            self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def _run(self) -> None:
        import psycopg  # noqa: PLC0415 - with PostgreSQL only

        while not self._stopped.is_set():
            try:
                self._listen()
            except (SQLAlchemyError, psycopg.Error) as error:  # noqa: PERF203 - it goes on
                log.warning("database: %s; listening again soon", type(error).__name__)
                self._stopped.wait(_RETRY_S)

    def _listen(self) -> None:
        engine = self._database.engine
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"LISTEN {CHANNEL}"))
            raw: Any = connection.connection.driver_connection
            # What was written before has not been announced to this connection.
            self._changed()
            checked_s = time.monotonic()
            while not self._stopped.is_set():
                heard = list(raw.notifies(timeout=_LOOK_S, stop_after=1))
                if any(it.payload != self._database.name for it in heard):
                    self._changed()
                if time.monotonic() - checked_s >= _CHECK_S:
                    checked_s = time.monotonic()
                    connection.execute(text("SELECT 1"))
