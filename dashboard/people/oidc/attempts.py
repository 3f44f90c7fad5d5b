"""Sign-ins that were begun: each is for the browser that began it, for one use, for ten minutes.

Layer: dashboard; reads and writes the store, so that any dashboard of a group may end a sign-in.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from dashboard.people.oidc.provider import Attempt
from dashboard.store.tables import SIGN_IN

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboard.store.database import Database

LASTS_S = 600
_MOST = 10_000


def keep(database: Database, attempt: Attempt, clock: Callable[[], float] = time.time) -> str:
    """Keep an attempt; returns the secret for the browser's cookie."""
    secret, now_s = secrets.token_urlsafe(32), clock()
    with database.writing() as connection:
        connection.execute(delete(SIGN_IN).where(SIGN_IN.c.begun_s < now_s - LASTS_S))
        kept = select(SIGN_IN.c.key).order_by(SIGN_IN.c.begun_s.desc()).limit(_MOST - 1)
        connection.execute(delete(SIGN_IN).where(SIGN_IN.c.key.not_in(kept)))
        connection.execute(
            SIGN_IN.insert().values(
                key=_key(secret), state=attempt.state, nonce=attempt.nonce,
                verifier=attempt.verifier, begun_s=now_s,
            )
        )  # fmt: skip
    return secret


def take(
    database: Database, secret: str, state: str, clock: Callable[[], float] = time.time
) -> Attempt | None:
    """Give the attempt of a cookie and a state, once; None where there is none."""
    mine = (SIGN_IN.c.key == _key(secret), SIGN_IN.c.state == state)
    with database.writing() as connection:
        found = connection.execute(delete(SIGN_IN).where(*mine).returning(SIGN_IN)).first()
    if found is None or found.begun_s < clock() - LASTS_S:
        return None
    return Attempt(found.state, found.nonce, found.verifier)


def _key(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
