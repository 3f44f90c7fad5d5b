"""The page as a Starlette application: routes, sign-in, decisions.

Layer: sharpedge; asks the appliance through a `Box`.
"""

from __future__ import annotations

import time
from functools import wraps
from hmac import compare_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, select_autoescape
from pydantic import TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from edge.anatomy import Limb
from edge.contract.payloads import PersonName
from edge.model import DISCLAIMER, Laterality
from edge.operator.client import OperatorError
from edge.operator.protocol import Ask, HeldFilm
from sharpedge.page.box import pulse_of
from sharpedge.page.guard import Guard, form_of
from sharpedge.status_text import age, clock, contradiction, outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from starlette.requests import Request

    from edge.operator.protocol import Status
    from sharpedge.page.box import Box
    from sharpedge.page.sign_in import Session, SignIn

_HERE = Path(__file__).resolve().parent
_COOKIE, _THEME = "sharpedge_session", "sharpedge_theme"
_THEMES = ("auto", "light", "dark")
_YEAR_S = 365 * 86400
_SIDES = {Laterality.LEFT: "left", Laterality.RIGHT: "right"}
_PERSON = TypeAdapter(PersonName)
_WRONG = "This token is not the page's."
_TOO_MANY = "Too many attempts: wait a minute."
_WANTS_NAME = "Give your name: it is recorded with what you decide."


class PageApp:
    """The views; ``secure`` sets cookies for TLS only."""

    def __init__(self, box: Box, sign_in: SignIn, *, secure: bool) -> None:
        self._box = box
        self._sign_in = sign_in
        self._secure = secure
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"), autoescape=select_autoescape(),
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self._templates.filters.update(
            age=age, clock=clock, words=_words, side=_side, contradiction=contradiction,
            outcome=outcome,
        )  # fmt: skip

    def asgi(self, names: Collection[str]) -> Starlette:
        """The application, served under these names only."""
        static = StaticFiles(directory=_HERE / "static")
        signed = self._signed_in
        return Starlette(
            routes=[
                Route("/", signed(self._overview)),
                Route("/film/{job:int}", signed(self._film)),
                Route("/film/{job:int}/{order}", signed(self._order), methods=["POST"]),
                Route("/result/{id:uuid}", signed(self._result)),
                Route("/picture/film/{job:int}", signed(self._film_picture)),
                Route("/picture/result/{id:uuid}", signed(self._result_picture)),
                Route("/pulse", signed(self._pulse)),
                Route("/theme", self._set_theme, methods=["POST"]),
                Route("/sign-in", self._ask_sign_in, methods=["GET"]),
                Route("/sign-in", self._begin, methods=["POST"]),
                Route("/sign-out", signed(self._end), methods=["POST"]),
                Mount("/static", static),
            ],
            middleware=[Middleware(Guard, names=names)],
            exception_handlers={OperatorError: self._unanswered},
        )

    # -- who is there -----------------------------------------------------------------------

    def _signed_in(
        self, view: Callable[[Request, Session], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Give a view the session; without one, a page leads to the sign-in."""

        @wraps(view)
        async def checked(request: Request) -> Response:
            session = self._sign_in.session(request.cookies.get(_COOKIE))
            if session is not None:
                return await view(request, session)
            if request.method == "GET" and not request.url.path.startswith(("/picture", "/pulse")):
                return RedirectResponse("/sign-in", 303)
            return Response("sign in first\n", 401)

        return checked

    async def _ask_sign_in(self, request: Request) -> Response:
        return self._render(request, "sign_in.html")

    async def _begin(self, request: Request) -> Response:
        form = await form_of(request)
        if not self._sign_in.may_try():
            return self._render(request, "sign_in.html", 429, fault=_TOO_MANY)
        try:
            name = _PERSON.validate_python(" ".join(form.get("name", "").split()))
        except ValidationError:
            return self._render(request, "sign_in.html", 400, fault=_WANTS_NAME)
        secret = self._sign_in.begin(name, form.get("token", ""))
        if secret is None:
            return self._render(request, "sign_in.html", 403, fault=_WRONG, name=name)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(_COOKIE, secret, httponly=True, samesite="strict", secure=self._secure)
        return answer

    async def _end(self, request: Request, session: Session) -> Response:
        if _is_own(await form_of(request), session):
            self._sign_in.end(request.cookies.get(_COOKIE))
        answer = RedirectResponse("/sign-in", 303)
        answer.delete_cookie(_COOKIE, httponly=True, samesite="strict", secure=self._secure)
        return answer

    async def _set_theme(self, request: Request) -> Response:
        theme = (await form_of(request)).get("theme", "")
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            _THEME, theme if theme in _THEMES else _THEMES[0], max_age=_YEAR_S, httponly=True,
            samesite="strict", secure=self._secure,
        )  # fmt: skip
        return answer

    # -- what is shown ----------------------------------------------------------------------

    async def _overview(self, request: Request, session: Session) -> Response:
        status = await run_in_threadpool(self._box.status)
        wall = "wall" in request.query_params
        said, session.said = session.said, ""
        return self._render(
            request, "wall.html" if wall else "overview.html", session=session, status=status,
            pulse=pulse_of(status), said=said,
        )  # fmt: skip

    async def _film(self, request: Request, session: Session) -> Response:
        status = await run_in_threadpool(self._box.status)
        film = _held(status, request.path_params["job"])
        if film is None:
            session.said = f"Film {request.path_params['job']} is not held any more."
            return RedirectResponse("/", 303)
        said, session.said = session.said, ""
        return self._render(
            request, "film.html", session=session, status=status, film=film, said=said
        )

    async def _result(self, request: Request, session: Session) -> Response:
        status = await run_in_threadpool(self._box.status)
        wanted = str(request.path_params["id"])
        result = next((it for it in status.results if it.id == wanted), None)
        if result is None:
            session.said = "This result is none of the last ones."
            return RedirectResponse("/", 303)
        return self._render(request, "result.html", session=session, status=status, result=result)

    async def _film_picture(self, request: Request, _session: Session) -> Response:
        job = request.path_params["job"]
        return _jpeg(await run_in_threadpool(self._box.film_picture, job))

    async def _result_picture(self, request: Request, _session: Session) -> Response:
        wanted = str(request.path_params["id"])
        return _jpeg(await run_in_threadpool(self._box.result_picture, wanted))

    async def _pulse(self, _request: Request, _session: Session) -> Response:
        status = await run_in_threadpool(self._box.status)
        return JSONResponse({"pulse": pulse_of(status)})

    async def _unanswered(self, request: Request, error: Exception) -> Response:
        if request.url.path.startswith(("/picture", "/pulse")):
            return Response(f"{error}\n", 503, media_type="text/plain")
        session = self._sign_in.session(request.cookies.get(_COOKIE))
        return self._render(request, "unanswered.html", 503, session=session, error=str(error))

    # -- decisions --------------------------------------------------------------------------

    async def _order(self, request: Request, session: Session) -> Response:
        form = await form_of(request)
        job, order = request.path_params["job"], request.path_params["order"]
        if not _is_own(form, session):
            return Response("this form is out of date: load the page again\n", 403)
        if order not in {Ask.RELEASE, Ask.DISMISS, Ask.RETRY}:
            return Response("no such decision\n", 404)
        try:
            limb, side = _stated(form) if order == Ask.RELEASE else (None, None)
        except ValueError:
            session.said = "Choose left or right, and hand or foot."
            return RedirectResponse(f"/film/{job}", 303)
        try:
            new_job = await run_in_threadpool(
                self._box.order, Ask(order), job, session.name, limb=limb, side=side
            )
        except OperatorError as error:
            session.said = f"Film {job}: {error}"
        else:
            session.said = _done(Ask(order), job, limb, side, new_job)
        return RedirectResponse("/", 303)

    def _render(self, request: Request, template: str, code: int = 200, **values: Any) -> Response:
        theme = request.cookies.get(_THEME, "")
        text = self._templates.get_template(template).render(
            notice=f"{DISCLAIMER.capitalize()}.", now=time.time(),
            theme=theme if theme in _THEMES else _THEMES[0], themes=_THEMES,
            **{"session": None, "pulse": "", "said": "", **values},
        )  # fmt: skip
        return HTMLResponse(text, code)


def _held(status: Status, job: int) -> HeldFilm | None:
    return next((film for film in status.held if film.job == job), None)


def _is_own(form: dict[str, str], session: Session) -> bool:
    """Whether a form was made for this session."""
    return compare_digest(form.get("csrf", "").encode(), session.csrf.encode())


def _stated(form: dict[str, str]) -> tuple[Limb, Laterality]:
    """Limb and side of a form. Raises `ValueError`."""
    return Limb(form.get("limb", "")), Laterality(form.get("side", ""))


def _done(
    order: Ask, job: int, limb: Limb | None, side: Laterality | None, new_job: int | None
) -> str:
    if order is Ask.DISMISS:
        return f"Film {job} is dismissed."
    if order is Ask.RETRY:
        return f"Film {job} is worked on again."
    return f"Film {job} is scored as {_side(side)} {limb} (job {new_job})."


def _jpeg(data: bytes) -> Response:
    return Response(data, media_type="image/jpeg")


def _words(code: str) -> str:
    return code.replace("_", " ")


def _side(side: Laterality | None) -> str:
    return "?" if side is None else _SIDES[side]
