"""Tells open pages of changes by server-sent events.

Layer: dashboard; one answer that lasts as long as the page is open and its session holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from dashboard.web.site import COOKIE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from dashboard.web.site import Site

STREAMS = 200
"""So many pages may be open at once; others look every minute."""
_BEAT_S = 15.0


class Live:
    """The stream of events of each open page."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._open = 0

    async def __call__(self, request: Request) -> Response:
        """Begin a stream."""
        if self._open >= STREAMS:
            return PlainTextResponse("too many pages are open\n", 503)
        headers = {"x-accel-buffering": "no"}
        events = self._events(request.cookies.get(COOKIE))
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)

    async def _events(self, secret: str | None) -> AsyncIterator[str]:
        changes, sessions = self._site.changes, self._site.sessions
        self._open += 1
        try:
            number = changes.number
            yield f"retry: 2000\n\nevent: change\ndata: {number}\n\n"
            while not changes.is_closed:
                now = await changes.after(number, _BEAT_S)
                session = await run_in_threadpool(sessions.find, secret, in_use=False)
                if session is None:
                    yield "event: ended\ndata: -\n\n"
                    return
                yield ": beat\n\n" if now == number else f"event: change\ndata: {now}\n\n"
                number = now
        finally:
            self._open -= 1
