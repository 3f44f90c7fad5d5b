"""Who somebody is here, as the claims of an ID token say: key, name and role.

Layer: dashboard; computes.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dashboard.people.oidc.errors import SignInError
from dashboard.people.roles import ROLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dashboard.settings import OidcSettings

_SUBJECT = 255
"""Characters of a subject; OpenID Connect Core 1.0, section 2."""
_NAME = 56
"""Characters of a name, so that a number may follow one that is taken."""

_UNSEEN = re.compile(r"[\u00ad\u034f\u17b4\u17b5\u180b-\u180f\u200b-\u200f\ufe00-\ufe0f]")
_BLANK = re.compile(r"[\u115f\u1160\u3164\uffa0]")
"""Characters that are not drawn, and letters that are drawn as spaces: with them two names would
look the same."""


@dataclass(frozen=True)
class Identity:
    """A person as the provider calls them; ``role`` is None where none is given.

    ``issuer`` and ``subject`` together are the key, which stays; a name may change.
    """

    issuer: str
    subject: str
    name: str
    role: str | None


def identity_of(claims: Mapping[str, Any], settings: OidcSettings) -> Identity:
    """Read who somebody is. Raises `SignInError` where claims have no subject or name."""
    subject = claims.get("sub")
    if (
        not isinstance(subject, str)
        or not 0 < len(subject) <= _SUBJECT
        or not subject.isprintable()
    ):
        raise _unusable(settings, "sub")
    name = _name_of(claims.get(settings.name_claim))
    if not name:
        raise _unusable(settings, settings.name_claim)
    given = _values(claims, settings.roles_claim)
    found = {role for value, role in settings.roles.items() if value in given}
    # Roles stand in their table in the order of what they may.
    role = next((it for it in reversed(ROLES) if it in found), None)
    return Identity(str(claims["iss"]), subject, name, role)


def _unusable(settings: OidcSettings, claim: str) -> SignInError:
    return SignInError(
        f"{settings.label}: the claim {claim} of its ID token is missing or no text that can be "
        "used; fix: an admin has the provider send it, or names another one in the section [oidc]",
        403, f"claim {claim}",
    )  # fmt: skip


def _name_of(value: object) -> str:
    """A name that a device's journal takes; empty for what is none."""
    if not isinstance(value, str):
        return ""
    whole = _BLANK.sub(" ", _UNSEEN.sub("", unicodedata.normalize("NFKC", value)))
    plain = "".join(it if it.isprintable() else " " for it in whole if it not in '"\\')
    return " ".join(plain.split())[:_NAME].rstrip()


def _values(claims: Mapping[str, Any], path: str) -> set[str]:
    """Texts of a claim; dots lead into objects unless a claim has the whole name."""
    found: Any = claims
    for key in (path,) if path in claims else path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    if isinstance(found, str):
        return {found}
    return {it for it in found if isinstance(it, str)} if isinstance(found, list) else set()
