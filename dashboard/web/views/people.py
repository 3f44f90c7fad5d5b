"""Accounts and the audit log, for admins.

Layer: dashboard; views.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboard.people import audit
from dashboard.people.accounts import AccountError
from dashboard.people.roles import ROLES
from dashboard.web.site import LARGEST_KEY, redirect

if TYPE_CHECKING:
    from starlette.responses import Response

    from dashboard.web.site import Asked


def show(it: Asked) -> Response:
    """Show everyone who may sign in."""
    return _page(it)


def add(it: Asked) -> Response:
    """Make an account."""
    name, role = it.form.get("name", ""), it.form.get("role", "")
    try:
        it.site.accounts.add(name, it.form.get("password", ""), role)
    except AccountError as error:
        return _page(it, 400, fault=str(error), name=name)
    with it.site.database.writing() as connection:
        it.note(connection, "account added", f"{name}: {role}")
    it.say(f"{name} may sign in.")
    return redirect("/people")


def change(it: Asked) -> Response:
    """Change role, password, or whether somebody may sign in."""
    role, active = it.form.get("role", ""), "active" in it.form
    try:
        name = it.site.accounts.change(
            it.key(), role, active=active, password=it.form.get("password", "")
        )
    except AccountError as error:
        it.say(str(error))
        return redirect("/people")
    with it.site.database.writing() as connection:
        password = ", password set" if it.form.get("password") else ""
        it.note(connection, "account changed", f"{name}: {role}, active {active}{password}")
    it.say(f"The account {name} is changed; its sessions are ended.")
    return redirect("/people")


def show_audit(it: Asked) -> Response:
    """Show who did what, the latest first."""
    before = it.request.query_params.get("before", "")
    key = int(before) if before.isascii() and before.isdecimal() and len(before) < 11 else None
    with it.site.database.reading() as connection:
        rows = audit.page_of(connection, None if key is None else min(key, LARGEST_KEY))
    more = rows[-1].pk if len(rows) == audit.ROWS else None
    return it.render("audit.html", rows=rows, more=more)


def _page(it: Asked, code: int = 200, fault: str = "", name: str = "") -> Response:
    return it.render(
        "people.html", code, people=it.site.accounts.everyone(), roles=ROLES, fault=fault,
        name=name, only=it.site.settings.oidc.only,
    )  # fmt: skip
