"""Tells open pages of changes by server-sent events.

Layer: dashboard; one answer that lasts as long as the page is open and its session holds.
"""

from __future__ import annotations

import asyncio
import time
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
_PACE_S = 0.1
"""Changes that follow each other faster are told together."""
_CHECK_S = 2.0
"""The number of a change says nothing: a session that has ended may hear of it for so long."""


class Live:
    """The stream of events of each open page."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def __call__(self, request: Request) -> Response:
        """Begin a stream."""
        if self._site.changes.streams >= STREAMS:
            return PlainTextResponse("too many pages are open\n", 503)
        headers = {"x-accel-buffering": "no"}
        events = self._events(request.cookies.get(COOKIE))
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)

    async def _events(self, secret: str | None) -> AsyncIterator[str]:
        changes, sessions = self._site.changes, self._site.sessions
        changes.streams += 1
        try:
            number = changes.number
            checked_s = -_CHECK_S
            yield f"retry: 2000\n\nevent: change\ndata: {number}\n\n"
            while not changes.is_closed:
                now = await changes.after(number, _BEAT_S)
                if time.monotonic() - checked_s >= _CHECK_S:
                    checked_s = time.monotonic()
                    if await run_in_threadpool(sessions.find, secret, in_use=False) is None:
                        yield "event: ended\ndata: -\n\n"
                        return
                yield ": beat\n\n" if now == number else f"event: change\ndata: {now}\n\n"
                number = now
                await asyncio.sleep(_PACE_S)
        finally:
            changes.streams -= 1
