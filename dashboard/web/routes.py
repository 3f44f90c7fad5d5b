"""Every URL with its view and what it asks of whoever opens it.

Layer: dashboard; a table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dashboard.people.oidc.provider import RETURN_PATH
from dashboard.people.roles import Need
from dashboard.web.views import (
    corrections,
    devices,
    film,
    oidc,
    over_time,
    people,
    sign_in,
    worklist,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response

    from dashboard.web.site import Asked


class Page(NamedTuple):
    """One URL: its view runs in a thread, after who asks was checked."""

    path: str
    method: str
    need: Need
    view: Callable[[Asked], Response]


EVENTS = "/events"
"""The stream of changes, for whoever is signed in."""

PAGES = (
    Page("/", "GET", Need.SIGNED_IN, worklist.show),
    Page("/worklist.{kind}", "GET", Need.SIGNED_IN, worklist.export),
    Page("/film/{pk:int}", "GET", Need.SIGNED_IN, film.show),
    Page("/film/{pk:int}/picture.jpg", "GET", Need.SIGNED_IN, film.picture),
    Page("/film/{pk:int}/picture", "POST", Need.SIGNED_IN, film.ask_picture),
    Page("/film/{pk:int}/read", "POST", Need.CORRECT, film.mark_read),
    Page("/film/{pk:int}/grades", "POST", Need.CORRECT, film.correct),
    Page("/film/{pk:int}/order/{command}", "POST", Need.DECIDE, film.order),
    Page("/film/{pk:int}/close", "POST", Need.DECIDE, film.close),
    Page("/study/{name}", "GET", Need.SIGNED_IN, over_time.study),
    Page("/patient/{name}", "GET", Need.SIGNED_IN, over_time.patient),
    Page("/patient/{name}/films.{kind}", "GET", Need.SIGNED_IN, over_time.export),
    Page("/devices", "GET", Need.SIGNED_IN, devices.show),
    Page("/devices.{kind}", "GET", Need.SIGNED_IN, devices.export),
    Page("/corrections", "GET", Need.SIGNED_IN, corrections.show),
    Page("/truth.jsonl", "GET", Need.CORRECT, corrections.export),
    Page("/people", "GET", Need.ADMINISTER, people.show),
    Page("/people", "POST", Need.ADMINISTER, people.add),
    Page("/people/{pk:int}", "POST", Need.ADMINISTER, people.change),
    Page("/audit", "GET", Need.ADMINISTER, people.show_audit),
    Page("/problems", "GET", Need.ADMINISTER, devices.show_problems),
    Page("/account", "GET", Need.SIGNED_IN, sign_in.account),
    Page("/account", "POST", Need.SIGNED_IN, sign_in.change_password),
    Page("/sign-out", "POST", Need.SIGNED_IN, sign_in.end),
    Page("/sign-in", "GET", Need.NOTHING, sign_in.ask),
    Page("/sign-in", "POST", Need.NOTHING, sign_in.begin),
    Page("/sign-in/password", "GET", Need.NOTHING, sign_in.ask_password),
    Page("/sign-in/oidc", "POST", Need.NOTHING, oidc.begin),
    Page("/sign-in/oidc", "GET", Need.NOTHING, sign_in.ask),
    Page(RETURN_PATH, "GET", Need.NOTHING, oidc.finish),
    Page("/sign-in/oidc/out", "GET", Need.NOTHING, oidc.out),
    Page("/setup", "GET", Need.NOTHING, sign_in.ask_setup),
    Page("/setup", "POST", Need.NOTHING, sign_in.set_up),
    Page("/theme", "POST", Need.NOTHING, sign_in.set_theme),
)
