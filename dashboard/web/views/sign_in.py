"""Sign-in, sign-out, first set-up, one's own password, the theme.

Layer: dashboard; views.
"""

from __future__ import annotations

import secrets
from hmac import compare_digest
from typing import TYPE_CHECKING

from dashboard.people import audit
from dashboard.people.accounts import AccountError
from dashboard.people.roles import ADMIN
from dashboard.web.site import COOKIE, THEME_COOKIE, THEMES, redirect

if TYPE_CHECKING:
    from starlette.responses import Response

    from dashboard.web.site import Asked

BEFORE = "sharpedge_dashboard_form"
"""Cookie that a form without a session must repeat."""
_YEAR_S = 365 * 86400
TOO_MANY = "Too many attempts: wait a minute."
_WRONG = "Name or password is wrong."
_ONLY = "Name or password is wrong, or the account is no admin's: others sign in with"
STALE = "This form has expired: try again."


def ask(it: Asked) -> Response:
    """Show the sign-in, or the first set-up where nobody has an account."""
    if it.site.accounts.is_fresh():
        return redirect("/setup")
    return form(it, "sign_in.html", passwords=not it.site.settings.oidc.only)


def ask_password(it: Asked) -> Response:
    """Show the sign-in with a password, which admins have whatever else there is."""
    if it.site.accounts.is_fresh():
        return redirect("/setup")
    return form(it, "sign_in.html")


def begin(it: Asked) -> Response:
    """Sign in."""
    name = " ".join(it.form.get("name", "").split())
    whose = (f"name {name.casefold()}", f"address {it.address}")
    if not is_own(it):
        return form(it, "sign_in.html", 400, fault=STALE, name=name)
    if not it.site.pace.allows(*whose):
        return form(it, "sign_in.html", 429, fault=TOO_MANY, name=name)
    found = it.site.accounts.verify(name, it.form.get("password", ""))
    oidc = it.site.settings.oidc
    if found is not None and oidc.only and found.role != ADMIN:
        found = None
    with it.site.database.writing() as connection:
        action = "sign-in" if found else "sign-in refused"
        audit.note(connection, name or "-", action, "", it.address)
    if found is None:
        it.site.pace.note(*whose)
        fault = f"{_ONLY} {oidc.label}." if oidc.only else _WRONG
        return form(it, "sign_in.html", 403, fault=fault, name=name)
    return with_session(it, redirect("/"), found.pk)


def ask_setup(it: Asked) -> Response:
    """Show the first set-up while nobody has an account."""
    if not it.site.accounts.is_fresh():
        return it.missing("The first set-up is done.")
    return form(it, "setup.html")


def set_up(it: Asked) -> Response:
    """Make the first admin."""
    if not it.site.accounts.is_fresh():
        return it.missing("The first set-up is done.")
    name, whose = it.form.get("name", ""), f"address {it.address}"
    if not is_own(it):
        return form(it, "setup.html", 400, fault=STALE, name=name)
    if not it.site.pace.allows(whose):
        return form(it, "setup.html", 429, fault=TOO_MANY, name=name)
    try:
        it.site.accounts.set_up(it.form.get("token", ""), name, it.form.get("password", ""))
    except AccountError as error:
        it.site.pace.note(whose)
        return form(it, "setup.html", 400, fault=str(error), name=name)
    with it.site.database.writing() as connection:
        audit.note(connection, name, "set-up", "first admin", it.address)
    return redirect("/sign-in")


def end(it: Asked) -> Response:
    """Sign out."""
    it.site.sessions.end(it.person)
    outside = it.person.issuer is not None and it.site.provider is not None
    answer = redirect("/sign-in/oidc/out" if outside else "/sign-in")
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=is_secure(it))
    return answer


def account(it: Asked) -> Response:
    """Show one's own account."""
    return it.render("account.html", fault="")


def change_password(it: Asked) -> Response:
    """Change one's own password, which ends one's sessions."""
    whose = f"name {it.person.name.casefold()}"
    if not it.site.pace.allows(whose):
        return it.render("account.html", 429, fault=TOO_MANY)
    try:
        it.site.accounts.change_password(
            it.person.person_pk, it.form.get("old", ""), it.form.get("new", "")
        )
    except AccountError as error:
        it.site.pace.note(whose)
        return it.render("account.html", 400, fault=str(error))
    with it.site.database.writing() as connection:
        it.note(connection, "password changed", "own")
    return redirect("/sign-in")


def set_theme(it: Asked) -> Response:
    """Choose the colours of this browser."""
    theme, back = it.form.get("theme", ""), it.form.get("back", "/")
    # A path of ours, never another site's: `//host` would be one.
    local = back.startswith("/") and not back.startswith("//") and "\\" not in back
    answer = redirect(back if local and back.isprintable() else "/")
    answer.set_cookie(
        THEME_COOKIE, theme if theme in THEMES else THEMES[0], max_age=_YEAR_S, httponly=True,
        samesite="strict", secure=is_secure(it),
    )  # fmt: skip
    return answer


def with_session(it: Asked, answer: Response, person_pk: int) -> Response:
    """Begin a session in this browser."""
    secret = it.site.sessions.begin(person_pk)
    answer.set_cookie(COOKIE, secret, httponly=True, samesite="strict", secure=is_secure(it))
    answer.delete_cookie(BEFORE, httponly=True, samesite="strict", secure=is_secure(it))
    return answer


def form(
    it: Asked, template: str, code: int = 200, fault: str = "", name: str = "", *,
    passwords: bool = True,
) -> Response:  # fmt: skip
    """Show a form for whoever has no session, bound to this browser."""
    secret = secrets.token_urlsafe(24)
    provider = it.site.provider
    answer = it.render(
        template, code, fault=fault, name=name, before=secret, passwords=passwords,
        label=None if provider is None else provider.settings.label,
        only=it.site.settings.oidc.only,
    )  # fmt: skip
    answer.set_cookie(BEFORE, secret, httponly=True, samesite="strict", secure=is_secure(it))
    return answer


def is_own(it: Asked) -> bool:
    """Whether a form without a session is the one that this browser was shown."""
    given, kept = it.form.get("before", ""), it.request.cookies.get(BEFORE, "")
    return bool(kept) and compare_digest(given.encode(), kept.encode())


def is_secure(it: Asked) -> bool:
    """Whether cookies are for TLS alone."""
    return it.site.settings.web.is_secure
