"""What every view uses: the store, the people, the templates, and the request that was made.

Layer: dashboard; renders templates.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dashboard.people import audit
from dashboard.people.roles import Need, may
from dashboard.scores import limb_words, null_words, reason_words, step_of
from edge.contract.vocabulary import DISCLAIMER

if TYPE_CHECKING:
    from starlette.requests import Request

    from dashboard.people.accounts import Accounts
    from dashboard.people.oidc.provider import Provider
    from dashboard.people.pace import Pace
    from dashboard.people.sessions import Session, Sessions
    from dashboard.settings import Settings
    from dashboard.store.database import Database
    from dashboard.web.changes import Changes
    from edge.contract.ids import DeviceName
    from edge.contract.payloads import OperatorMessage

HERE = Path(__file__).resolve().parents[1]
THEMES = ("auto", "light", "dark")
THEME_COOKIE = "sharpedge_dashboard_theme"
COOKIE = "sharpedge_dashboard"
LARGEST_KEY = 2**31 - 1


class Orders(Protocol):
    """Where a person's decision goes: `dashboard.intake.subscriber.Subscriber`."""

    @property
    def is_connected(self) -> bool:
        """Whether the broker is there."""
        ...

    def order(self, device: DeviceName, message: OperatorMessage, correlation: str) -> bool:
        """Publish it; whether the broker has it."""
        ...

    def ask_picture(self, device: DeviceName, result_id: str) -> bool:
        """Ask for a picture again; whether the broker has the command."""
        ...


@dataclass(frozen=True)
class Site:
    """Everything that the pages are made of."""

    database: Database
    settings: Settings
    accounts: Accounts
    sessions: Sessions
    pace: Pace
    changes: Changes
    orders: Orders
    provider: Provider | None = None


@dataclass(frozen=True)
class Asked:
    """One request: who asks, with which form. ``session`` is None where nobody is signed in.

    ``at_change`` is the number of changes before anything was read, so that none is missed.
    """

    site: Site
    request: Request
    session: Session | None
    form: dict[str, str]
    at_change: int

    @property
    def person(self) -> Session:
        """Who asks, on a page that asks for somebody."""
        assert self.session is not None  # noqa: S101 - the route has a need
        return self.session

    @property
    def address(self) -> str:
        """Address of the browser, or of the proxy where that is not trusted."""
        client = self.request.client
        return client.host if client else "socket"

    def key(self, name: str = "pk") -> int:
        """Number in the path; 0, which no row has, for one that no row can have."""
        number = int(self.request.path_params[name])
        return number if number <= LARGEST_KEY else 0

    def may(self, need: Need) -> bool:
        """Whether whoever asks may do more."""
        return may(None if self.session is None else self.session.role, need)

    @property
    def is_live(self) -> bool:
        """Whether the open page asks by itself, and no person."""
        return "x-live" in self.request.headers

    def say(self, text: str) -> None:
        """Tell the person on the next page."""
        if self.session is not None:
            self.site.sessions.say(self.session, text)

    def note(self, connection: Any, action: str, what: str, person: str = "") -> None:
        """Note in the audit log what is done in a transaction."""
        audit.note(connection, person or self.person.name, action, what, self.address)

    def render(self, template: str, code: int = 200, **values: Any) -> HTMLResponse:
        """Fill a template."""
        theme = self.request.cookies.get(THEME_COOKIE, "")
        session = self.session
        said = "" if session is None or self.is_live else self.site.sessions.take_said(session)
        text = TEMPLATES.get_template(template).render(
            notice=f"{DISCLAIMER.capitalize()}.", now_s=time.time(), session=session,
            theme=theme if theme in THEMES else THEMES[0], themes=THEMES,
            path=self.request.url.path,
            csrf="" if session is None else session.csrf, may=self.may, Need=Need,
            said=said, at_change=self.at_change,
            broker=self.site.orders.is_connected, **values,
        )  # fmt: skip
        return HTMLResponse(text, code)

    def missing(self, what: str) -> Response:
        """Answer that there is no such thing."""
        return self.render("fault.html", 404, title="Not found", text=what)


def redirect(path: str) -> Response:
    """Lead to another page of ours after a form."""
    return RedirectResponse(path, 303)


def age_words(seconds: float) -> str:
    """How long ago, in one unit."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"


def clock(unix_s: float | None) -> str:
    """Day and time, UTC; a dash for none."""
    if unix_s is None:
        return "-"
    return f"{datetime.fromtimestamp(unix_s, timezone.utc):%Y-%m-%d %H:%M:%S}"


def identifiers(joined: str) -> str:
    """What a site has joined to a message: each identifier with its name."""
    return ", ".join(f"{_words(key)} {value}" for key, value in json.loads(joined).items())


def _words(code: object) -> str:
    return str(code).replace("_", " ")


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=select_autoescape(),
        trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined,
    )  # fmt: skip
    made.filters.update(
        age=age_words, clock=clock, words=_words, null_words=null_words, identifiers=identifiers,
        reason_words=reason_words,
    )  # fmt: skip
    made.globals.update(limb_words=limb_words, step_of=step_of)
    return made


TEMPLATES = _environment()
