"""Sessions kept in the store, so that they outlast a restart and can be ended by an admin.

Layer: dashboard; reads and writes the store. A cookie's secret is kept as its hash alone.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update

from dashboard.store.tables import PERSON, SESSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboard.store.database import Database

_LONGEST_S = 7 * 86400.0
_TOUCH_S = 60.0
_OF_A_PERSON = 10


@dataclass(frozen=True)
class Session:
    """A person who signed in; ``issuer`` is None where that was by a password."""

    key: str
    person_pk: int
    name: str
    role: str
    csrf: str
    issuer: str | None = None


class Sessions:
    """Begins, finds and ends sessions; ``clock`` gives seconds since 1970."""

    def __init__(
        self, database: Database, idle_s: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._idle_s = idle_s
        self._clock = clock

    def begin(self, person_pk: int) -> str:
        """Begin a session; returns the secret for the cookie."""
        secret, now_s = secrets.token_urlsafe(32), self._clock()
        with self._database.writing() as connection:
            connection.execute(
                delete(SESSION).where(
                    (SESSION.c.seen_s < now_s - self._idle_s)
                    | (SESSION.c.begun_s < now_s - _LONGEST_S)
                )
            )
            mine = SESSION.c.person_pk == person_pk
            kept = (
                select(SESSION.c.key)
                .where(mine)
                .order_by(SESSION.c.seen_s.desc())
                .limit(_OF_A_PERSON - 1)
            )
            connection.execute(delete(SESSION).where(mine, SESSION.c.key.not_in(kept)))
            connection.execute(
                SESSION.insert().values(
                    key=_key(secret), person_pk=person_pk, csrf=secrets.token_urlsafe(24),
                    begun_s=now_s, seen_s=now_s, said="",
                )
            )  # fmt: skip
        return secret

    def find(self, secret: str | None, *, in_use: bool = True) -> Session | None:
        """The session of a cookie; None where it has ended. ``in_use`` keeps it from ending."""
        if not secret:
            return None
        now_s = self._clock()
        with self._database.reading() as connection:
            found = connection.execute(
                select(SESSION, PERSON.c.name, PERSON.c.role, PERSON.c.issuer)
                .join(PERSON, PERSON.c.pk == SESSION.c.person_pk)
                .where(
                    SESSION.c.key == _key(secret), PERSON.c.active,
                    SESSION.c.seen_s >= now_s - self._idle_s,
                    SESSION.c.begun_s >= now_s - _LONGEST_S,
                )
            ).first()  # fmt: skip
        if found is None:
            return None
        if in_use and now_s - found.seen_s > _TOUCH_S:
            with self._database.writing() as connection:
                mine = SESSION.c.key == found.key
                connection.execute(update(SESSION).where(mine).values(seen_s=now_s))
        return Session(found.key, found.person_pk, found.name, found.role, found.csrf, found.issuer)

    def end(self, session: Session) -> None:
        """End a session."""
        with self._database.writing() as connection:
            connection.execute(delete(SESSION).where(SESSION.c.key == session.key))

    def say(self, session: Session, text: str) -> None:
        """Keep a sentence for the next page of a session."""
        with self._database.writing() as connection:
            mine = SESSION.c.key == session.key
            connection.execute(update(SESSION).where(mine).values(said=text[:500]))

    def take_said(self, session: Session) -> str:
        """Give the sentence that was kept, once."""
        mine = SESSION.c.key == session.key
        with self._database.reading() as connection:
            said = connection.execute(select(SESSION.c.said).where(mine)).scalar() or ""
        if said:
            with self._database.writing() as connection:
                connection.execute(update(SESSION).where(mine).values(said=""))
        return str(said)


def _key(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
