"""An operator socket over a journal with films, without a daemon."""

from __future__ import annotations

import contextlib

import pytest
from held_films import Desk


@pytest.fixture
def make_desk(tmp_path):
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(contextlib.closing(Desk(tmp_path, **options)))


@pytest.fixture
def desk(make_desk):
    return make_desk()
