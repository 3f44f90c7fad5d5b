"""Roles of people and what each may do.

Layer: dashboard; a table.
"""

from __future__ import annotations

from enum import Enum


class Need(Enum):
    """What a page asks of whoever opens it."""

    NOTHING = "nothing"
    """Whoever reaches it: sign-in, first set-up."""
    SIGNED_IN = "signed_in"
    CORRECT = "correct"
    """State another grade than the machine's."""
    DECIDE = "decide"
    """Release, dismiss or retry a held film."""
    ADMINISTER = "administer"
    """Accounts, audit log, messages that were not understood."""


ROLES: dict[str, frozenset[Need]] = {
    "reader": frozenset({Need.SIGNED_IN, Need.CORRECT}),
    "operator": frozenset({Need.SIGNED_IN, Need.DECIDE}),
    "admin": frozenset({Need.SIGNED_IN, Need.CORRECT, Need.DECIDE, Need.ADMINISTER}),
}
ADMIN = "admin"


def may(role: str | None, need: Need) -> bool:
    """Whether a role, None for nobody, is enough."""
    return need is Need.NOTHING or need in ROLES.get(role or "", frozenset())
