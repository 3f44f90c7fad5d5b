"""Fixtures of the dashboard's tests."""

from __future__ import annotations

import pytest
from fixtures import broker, make_broker
from postgres import NoPostgresError, Postgres

from dashboard.store.database import open_database

__all__ = ["broker", "make_broker"]


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    """A PostgreSQL of our own; skips where there is none."""
    try:
        it = Postgres(tmp_path_factory.mktemp("postgres"))
    except NoPostgresError as error:
        pytest.skip(str(error))
    yield it
    it.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_database(request, tmp_path):
    """An empty database of each kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'dashboard.sqlite'}"
    else:
        url = request.getfixturevalue("postgres").new_database()
    it = open_database(url)
    yield it
    it.close()


@pytest.fixture
def database(tmp_path):
    """An empty database of SQLite."""
    it = open_database(f"sqlite:///{tmp_path / 'dashboard.sqlite'}")
    yield it
    it.close()
