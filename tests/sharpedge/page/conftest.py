"""The page over the operator socket of a journal with films."""

from __future__ import annotations

import contextlib

import pytest
from held_films import Desk
from starlette.testclient import TestClient

from sharpedge.page.app import PageApp
from sharpedge.page.box import Box
from sharpedge.page.guard import LOCAL_NAMES
from sharpedge.page.sign_in import SignIn

TOKEN = "ABCD-EFGH-JKLM-NPQR-STUV"  # noqa: S105 - of this test


@pytest.fixture
def desk(tmp_path):
    with contextlib.closing(Desk(tmp_path)) as it:
        it.wait()
        yield it


@pytest.fixture
def client(desk):
    app = PageApp(Box(desk.path), SignIn(TOKEN), secure=False).asgi(LOCAL_NAMES)
    with TestClient(app, base_url="http://localhost:8480", follow_redirects=False) as it:
        it.headers["origin"] = "http://localhost:8480"
        yield it


@pytest.fixture
def anna(client):
    """A client that has signed in."""
    done = client.post("/sign-in", data={"name": "Anna Müller", "token": TOKEN})
    assert (done.status_code, done.headers["location"]) == (303, "/")
    return client
