"""An operator socket over a journal with films, without a daemon."""

from __future__ import annotations

import contextlib

import pytest
from held_films import Desk


@pytest.fixture
def make_desk(tmp_path):
    with contextlib.ExitStack() as stack:

        def make(folder=tmp_path, **options):
            return stack.enter_context(contextlib.closing(Desk(folder, **options)))

        yield make


@pytest.fixture
def desk(make_desk):
    return make_desk()
