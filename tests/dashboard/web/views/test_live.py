"""The stream of events of an open page."""

from __future__ import annotations

import asyncio

from sqlalchemy import select

from dashboard.store.tables import PERSON
from dashboard.web.site import COOKIE
from dashboard.web.views.live import STREAMS, Live


def events(clinic, secret, act, count):
    """The first events of a stream; ``act`` is called after the first."""

    async def listen():
        found = []
        async for it in Live(clinic.site)._events(secret):
            found.append(it)
            if len(found) == 1:
                act()
            if len(found) == count:
                break
        return found

    return asyncio.run(listen())


def secret_of(clinic):
    with clinic.database.reading() as connection:
        pk = connection.execute(select(PERSON.c.pk).limit(1)).scalar_one()
    return clinic.sessions.begin(pk)


def test_an_open_page_hears_of_a_change(clinic):
    found = events(clinic, secret_of(clinic), clinic.changes.tell, 2)
    assert found[1] == "event: change\ndata: 1\n\n"


def test_a_stream_ends_with_its_session(clinic):
    secret = secret_of(clinic)

    def sign_out():
        clinic.sessions.end(clinic.sessions.find(secret))
        clinic.changes.tell()

    assert events(clinic, secret, sign_out, 9)[1:] == ["event: ended\ndata: -\n\n"]


def test_a_stream_ends_with_the_dashboard(clinic):
    assert len(events(clinic, secret_of(clinic), clinic.changes.close, 9)) <= 2


def test_so_many_pages_are_open_at_once_and_no_more(clinic):
    client = clinic.client("reader")
    clinic.changes.streams = STREAMS
    assert client.get("/events").status_code == 503
    assert clinic.client().get("/events").status_code == 401
    assert COOKIE in client.cookies
