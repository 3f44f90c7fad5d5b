"""Sign-ins that were begun: each is for the browser that began it, for one use, for ten minutes.

Layer: dashboard; reads and writes the store, so that any dashboard of a group may end a sign-in.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select

from dashboard.people.oidc.provider import Attempt
from dashboard.store.tables import SIGN_IN

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboard.store.database import Database

LASTS_S = 600
_MOST = 10_000
_STATE = re.compile(r"[A-Za-z0-9_-]{1,64}")


def keep(
    database: Database, attempt: Attempt, clock: Callable[[], float] = time.time
) -> str | None:
    """Keep an attempt; returns the secret for the browser's cookie. None where too many wait."""
    secret, now_s = secrets.token_urlsafe(32), clock()
    with database.writing() as connection:
        connection.execute(delete(SIGN_IN).where(SIGN_IN.c.begun_s < now_s - LASTS_S))
        if connection.execute(select(func.count()).select_from(SIGN_IN)).scalar_one() >= _MOST:
            return None
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
    if not secret or _STATE.fullmatch(state) is None:
        # What nobody can have been given needs no database.
        return None
    mine = (SIGN_IN.c.key == _key(secret), SIGN_IN.c.state == state)
    with database.writing() as connection:
        found = connection.execute(delete(SIGN_IN).where(*mine).returning(SIGN_IN)).first()
    if found is None or found.begun_s < clock() - LASTS_S:
        return None
    return Attempt(found.state, found.nonce, found.verifier)


def _key(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
