"""Accounts of people whom the provider has signed in: made, brought up to date, refused.

Layer: dashboard; reads and writes the store. An account belongs to issuer and subject, whatever
the name: a local account, or another person of the same name, is never taken for it.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from dashboard.people import audit
from dashboard.people.oidc.errors import SignInError
from dashboard.store.tables import PERSON, SESSION

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from dashboard.people.oidc.identity import Identity
    from dashboard.settings import OidcSettings
    from dashboard.store.database import Database


def admit(database: Database, who: Identity, settings: OidcSettings, address: str) -> int:
    """Give the key of somebody's account, which has name and role of this sign-in afterwards.

    Raises `SignInError` where the account is disabled, or nothing gives it a role; then its
    sessions are ended.
    """
    with database.writing() as connection:
        found = _find(connection, who)
        refused = _refusal(found, who, settings)
        if refused is not None:
            if found is not None:
                connection.execute(delete(SESSION).where(SESSION.c.person_pk == found.pk))
            name = who.name if found is None else found.name
            audit.note(
                connection, name, "sign-in refused", f"{refused.why}; {_origin(who)}", address
            )
        else:
            found = _up_to_date(connection, found, who, address)
            audit.note(connection, found.name, "sign-in", _origin(who), address)
    if refused is not None:
        raise refused
    return int(found.pk)


def _find(connection: Connection, who: Identity) -> Any:
    mine = (PERSON.c.issuer == who.issuer, PERSON.c.subject == who.subject)
    return connection.execute(select(PERSON).where(*mine)).first()


def _refusal(found: Any, who: Identity, settings: OidcSettings) -> SignInError | None:
    if found is not None and not found.active:
        return SignInError(
            f"{settings.label}: the account {found.name} is disabled here; fix: ask an admin of "
            "the dashboard", 403, "account disabled",
        )  # fmt: skip
    if who.role is None:
        return SignInError(
            f"{settings.label}: {who.name} has no role here, because no value of the claim "
            f"{settings.roles_claim} gives one; fix: ask an admin for a group that has one",
            403, "no role",
        )  # fmt: skip
    return None


def _up_to_date(connection: Connection, found: Any, who: Identity, address: str) -> Any:
    """Give the account's row with today's name and role."""
    added = found is None
    if found is None or not _is_called(found.name, who.name):
        added = _write_named(connection, found, who) and added
    now = _find(connection, who)
    if added:
        audit.note(connection, now.name, "account added", f"{who.role}; {_origin(who)}", address)
    elif found is not None and now.name != found.name:
        audit.note(connection, now.name, "account renamed", f"was {found.name}", address)
    if now.role != who.role:
        connection.execute(update(PERSON).where(PERSON.c.pk == now.pk).values(role=who.role))
        audit.note(connection, now.name, "role changed", f"{now.role} to {who.role}", address)
    return now


def _write_named(connection: Connection, found: Any, who: Identity) -> bool:
    """Write an account under a name that nobody else has; others may do so at once.

    Returns whether it was written here: not where the same person has come by another window.
    """
    values = {"name": "", "password": "", "role": who.role, "active": True,
              "created_s": time.time(), "issuer": who.issuer, "subject": who.subject}  # fmt: skip
    number = 0
    while True:
        number += 1
        name = who.name if number == 1 else f"{who.name} ({number})"
        if _is_taken(connection, name, found):
            continue
        try:
            with connection.begin_nested():
                if found is None:
                    connection.execute(PERSON.insert().values(values | {"name": name}))
                else:
                    mine = PERSON.c.pk == found.pk
                    connection.execute(update(PERSON).where(mine).values(name=name))
        except IntegrityError:
            if found is None and _find(connection, who) is not None:
                return False
            # The name was taken meanwhile.
            continue
        return True


def _is_taken(connection: Connection, name: str, found: Any) -> bool:
    """Whether another account has a name that a person would take for this one."""
    others = connection.execute(select(PERSON.c.pk, PERSON.c.name)).all()
    mine = None if found is None else found.pk
    return any(it.name.casefold() == name.casefold() and it.pk != mine for it in others)


def _is_called(name: str, wanted: str) -> bool:
    """Whether an account has the wanted name, or that with a number."""
    return re.fullmatch(re.escape(wanted) + r"( \(\d+\))?", name) is not None


def _origin(who: Identity) -> str:
    return f"OpenID Connect, subject {who.subject}"
