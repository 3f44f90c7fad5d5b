"""Fixtures of the dashboard's tests."""

from __future__ import annotations

import shutil

import pytest
from fixtures import broker, make_appliance, make_broker
from postgres import NoPostgresError, Postgres

from dashboard.store.database import Database, engine_of, open_database

__all__ = ["broker", "make_appliance", "make_broker"]


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL of our own; skips where there is none."""
    try:
        it = Postgres()
    except NoPostgresError as error:
        pytest.skip(str(error))
    open_database(it.template).close()
    yield it
    it.close()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory):
    """A database of SQLite with its tables, to be copied: to make them takes a while."""
    path = tmp_path_factory.mktemp("migrated") / "dashboard.sqlite"
    open_database(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def database(tmp_path, migrated):
    """An empty database of SQLite."""
    path = shutil.copy(migrated, tmp_path / "dashboard.sqlite")
    it = Database(engine_of(f"sqlite:///{path}"))
    yield it
    it.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_database(request):
    """An empty database of each kind."""
    if request.param == "sqlite":
        yield request.getfixturevalue("database")
        return
    it = Database(engine_of(request.getfixturevalue("postgres").new_database()))
    yield it
    it.close()


@pytest.fixture
def sso():
    """A provider of OpenID Connect over HTTP on loopback."""
    from oidc_provider import TestProvider

    it = TestProvider()
    yield it
    it.close()
