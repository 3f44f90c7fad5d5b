"""The pages as a Starlette application: who asks is checked for every URL of the table.

Layer: dashboard; Starlette.
"""

from __future__ import annotations

import logging
from hmac import compare_digest
from typing import TYPE_CHECKING

from sqlalchemy.exc import OperationalError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from dashboard.people.roles import Need, may
from dashboard.web.guard import Guard, form_of
from dashboard.web.routes import EVENTS, PAGES, Page
from dashboard.web.site import COOKIE, HERE, Asked, redirect
from dashboard.web.views.live import Live

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from starlette.requests import Request

    from dashboard.people.sessions import Session
    from dashboard.web.site import Site

log = logging.getLogger(__name__)

_NO_PAGES = (".jpg", ".jsonl", ".csv", ".xlsx", ".pdf", EVENTS)
"""Without a session these are refused; a page leads to the sign-in."""


def application(site: Site, names: Collection[str]) -> Starlette:
    """Make the application, served under these names only."""
    live = Live(site)

    async def events(request: Request) -> Response:
        session = await _session_of(site, request, in_use=False)
        return await live(request) if session is not None else _refuse(request)

    async def missing(request: Request, _error: Exception) -> Response:
        session = await _session_of(site, request, in_use=False)
        asked = Asked(site, request, session, {}, site.changes.number)
        return await run_in_threadpool(asked.missing, "There is no such page.")

    async def away(_request: Request, error: Exception) -> Response:
        log.error("database: %s", type(getattr(error, "orig", None) or error).__name__)
        return PlainTextResponse("the database does not answer: try again\n", 503)

    secure = site.settings.web.is_secure
    return Starlette(
        routes=[
            *(Route(page.path, _checked(site, page), methods=[page.method]) for page in PAGES),
            Route(EVENTS, events, methods=["GET"]),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        middleware=[Middleware(Guard, names=names, secure=secure)],
        exception_handlers={404: missing, OperationalError: away},
    )


def _checked(site: Site, page: Page) -> Callable[[Request], Awaitable[Response]]:
    """Let a view see the requests that it may see."""

    async def view(request: Request) -> Response:
        at_change = site.changes.number
        session = await _session_of(site, request, in_use="x-live" not in request.headers)
        if page.need is not Need.NOTHING and session is None:
            return _refuse(request)
        form = await form_of(request) if page.method == "POST" else {}
        asked = Asked(site, request, session, form, at_change)
        if not may(None if session is None else session.role, page.need):
            text = "Your role does not allow this: ask an admin."
            return await run_in_threadpool(
                asked.render, "fault.html", 403, title="Not allowed", text=text
            )
        if page.method == "POST" and page.need is not Need.NOTHING and not _is_own(form, session):
            text = "This form has expired: go back, load the page again, and repeat it."
            return await run_in_threadpool(
                asked.render, "fault.html", 403, title="Not done", text=text
            )
        return await run_in_threadpool(page.view, asked)

    return view


async def _session_of(site: Site, request: Request, *, in_use: bool) -> Session | None:
    secret = request.cookies.get(COOKIE)
    return await run_in_threadpool(site.sessions.find, secret, in_use=in_use)


def _refuse(request: Request) -> Response:
    if request.method == "GET" and not request.url.path.endswith(_NO_PAGES):
        return redirect("/sign-in")
    return PlainTextResponse("sign in first\n", 401)


def _is_own(form: dict[str, str], session: Session | None) -> bool:
    """Whether a form was made for this session."""
    kept = "" if session is None else session.csrf
    return bool(kept) and compare_digest(form.get("csrf", "").encode(), kept.encode())
