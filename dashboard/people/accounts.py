"""Accounts: names, passwords as Argon2 hashes, roles, and the first one.

Layer: dashboard; reads and writes the store.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from typing import TYPE_CHECKING, Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, func, select, update

from dashboard.people.roles import ADMIN, ROLES
from dashboard.store.rows import insert_new
from dashboard.store.tables import NOTE, PERSON, SESSION
from edge.contract.payloads import OperatorMessage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from dashboard.store.database import Database

LEAST, MOST = 12, 128
"""Characters of a password."""
_AT_ONCE = 2
_SETUP = "setup"
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without those that are taken for each other."""
_NOBODY = "00000000-0000-0000-0000-000000000000"


class AccountError(Exception):
    """An account cannot be made or changed; the message is for the person who asked."""


class Accounts:
    """Everyone who may sign in."""

    def __init__(self, database: Database, hasher: PasswordHasher | None = None) -> None:
        self._database = database
        self._hasher = hasher or PasswordHasher()
        # Each takes 64 MiB: many attempts at once must not take the memory of the machine.
        self._at_once = threading.BoundedSemaphore(_AT_ONCE)
        # Checked where the name is not known, so that both take as long.
        self._decoy = self._hasher.hash(secrets.token_urlsafe(16))

    def setup_token(self) -> str | None:
        """Make the token with which the first admin is made; None where there are accounts.

        An earlier token does not hold any more.
        """
        token = "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(5))
        with self._database.writing() as connection:
            if connection.execute(select(func.count()).select_from(PERSON)).scalar_one():
                return None
            connection.execute(delete(NOTE).where(NOTE.c.name == _SETUP))
            connection.execute(NOTE.insert().values(name=_SETUP, value=_hash(token)))
        return token

    def is_fresh(self) -> bool:
        """Whether the first set-up is still to be done."""
        with self._database.reading() as connection:
            return not connection.execute(select(func.count()).select_from(PERSON)).scalar_one()

    def set_up(self, token: str, name: str, password: str) -> None:
        """Make the first admin. Raises `AccountError`."""
        values = self._new(name, password, ADMIN)
        with self._database.writing() as connection:
            # Taken away and looked at in one step: of several at once one finds it.
            mine = (NOTE.c.name == _SETUP, NOTE.c.value == _hash(token))
            taken = connection.execute(delete(NOTE).where(*mine)).rowcount
            fresh = not connection.execute(select(func.count()).select_from(PERSON)).scalar_one()
            if not taken or not fresh:
                raise AccountError("This is not the token that the dashboard printed at its start.")
            connection.execute(PERSON.insert().values(values))

    def verify(self, name: str, password: str) -> Any:
        """Key and role of the account whose name and password these are; None for no one."""
        # PostgreSQL takes no NUL, and no name has one.
        name = name.replace("\0", "")
        with self._database.reading() as connection:
            found = connection.execute(
                select(PERSON.c.pk, PERSON.c.role, PERSON.c.password, PERSON.c.active).where(
                    PERSON.c.name == name, PERSON.c.issuer.is_(None)
                )
            ).first()
        known = self._matches(found.password if found else self._decoy, password)
        return found if found is not None and known and found.active else None

    def add(self, name: str, password: str, role: str) -> None:
        """Make an account. Raises `AccountError`."""
        values = self._new(name, password, role)
        with self._database.writing() as connection:
            if not insert_new(connection, PERSON, values):
                raise AccountError(f"There is an account {values['name']} already.")

    def everyone(self) -> Sequence[Any]:
        """All accounts, without their passwords, by name."""
        with self._database.reading() as connection:
            return connection.execute(
                select(
                    PERSON.c.pk,
                    PERSON.c.name,
                    PERSON.c.role,
                    PERSON.c.active,
                    PERSON.c.created_s,
                    PERSON.c.issuer,
                    PERSON.c.subject,
                ).order_by(PERSON.c.name)
            ).all()

    def change(self, pk: int, role: str, *, active: bool, password: str = "") -> str:
        """Change an account, end its sessions; returns its name. Raises `AccountError`.

        Role and password of an account of an OpenID Connect provider are the provider's.
        """
        if role not in ROLES:
            raise AccountError("There is no such role.")
        with self._database.writing() as connection:
            found = connection.execute(
                select(PERSON.c.name, PERSON.c.role, PERSON.c.issuer).where(PERSON.c.pk == pk)
            ).first()
            if found is None:
                raise AccountError("There is no such account.")
            name = found.name
            if found.issuer is not None:
                if password:
                    raise AccountError(
                        f"{name} signs in by OpenID Connect: the password is the provider's."
                    )
                # The page may show the role of an earlier sign-in.
                role = found.role
            values: dict[str, object] = {"role": role, "active": active}
            if password:
                values["password"] = self._hash_of(name, password)
            connection.execute(update(PERSON).where(PERSON.c.pk == pk).values(values))
            if not _admins(connection):
                raise AccountError("The last admin with a password must stay one.")
            connection.execute(delete(SESSION).where(SESSION.c.person_pk == pk))
        return str(name)

    def change_password(self, pk: int, old: str, new: str) -> None:
        """Change one's own password. Raises `AccountError`."""
        with self._database.writing() as connection:
            found = connection.execute(
                select(PERSON.c.name, PERSON.c.password, PERSON.c.issuer).where(PERSON.c.pk == pk)
            ).one()
            if found.issuer is not None:
                raise AccountError("This account has no password: it signs in by OpenID Connect.")
            if not self._matches(found.password, old):
                raise AccountError("The old password is another one.")
            values = {"password": self._hash_of(found.name, new)}
            connection.execute(update(PERSON).where(PERSON.c.pk == pk).values(values))
            connection.execute(delete(SESSION).where(SESSION.c.person_pk == pk))

    def _matches(self, hashed: str, password: str) -> bool:
        with self._at_once:
            try:
                return self._hasher.verify(hashed, password[: MOST + 1])
            except (VerificationError, InvalidHashError):
                return False

    def _hash_of(self, name: str, password: str) -> str:
        if not LEAST <= len(password) <= MOST or password.casefold() == name.casefold():
            raise AccountError(f"A password has {LEAST} to {MOST} characters and is not the name.")
        with self._at_once:
            return self._hasher.hash(password)

    def _new(self, name: str, password: str, role: str) -> dict[str, object]:
        if role not in ROLES:
            raise AccountError("There is no such role.")
        clean = person_name(name)
        return {
            "name": clean, "password": self._hash_of(clean, password), "role": role,
            "active": True, "created_s": time.time(),
        }  # fmt: skip


def _admins(connection: Connection) -> int:
    """How many can sign in whatever an OpenID Connect provider does."""
    able = (PERSON.c.role == ADMIN, PERSON.c.active, PERSON.c.issuer.is_(None))
    found = select(func.count()).where(*able)
    return int(connection.execute(found).scalar_one())


def person_name(text: str) -> str:
    """A name as it may go into a device's journal. Raises `AccountError`."""
    clean = " ".join(text.split())
    try:
        OperatorMessage.model_validate({"command": "dismiss", "id": _NOBODY, "operator": clean})
    except ValueError:
        raise AccountError(
            "A name has 1 to 64 characters, without quotation marks and backslashes."
        ) from None
    return clean


def _hash(token: str) -> str:
    plain = "".join(it for it in token.upper() if it.isascii() and it.isalnum())
    return hashlib.sha256(plain.encode()).hexdigest()
