"""Dashboards of one PostgreSQL hear at once of what another one has written."""

from __future__ import annotations

import threading

import pytest
from appliance import until
from rooms import arrived, result
from sqlalchemy import text

from dashboard.intake.arrivals import save
from dashboard.store.announcements import Announcements
from dashboard.store.database import Database, engine_of


@pytest.fixture
def pair(postgres):
    url = postgres.new_database()
    made = [Database(engine_of(url)) for _ in range(2)]
    yield made
    for it in made:
        it.close()


@pytest.fixture
def heard(pair):
    """Counts what the second dashboard hears."""
    calls = []
    it = Announcements(pair[1], lambda: calls.append(1))
    it.start()
    until(lambda: calls)
    calls.clear()
    yield calls
    it.stop()


def store(database, number):
    with database.writing() as connection:
        save(connection, [arrived(result(number))], 1e9, 10)
        database.announce(connection)


def test_the_other_one_hears_and_the_one_that_wrote_does_not(pair, heard):
    store(pair[0], 1)
    until(lambda: heard)
    heard.clear()
    store(pair[1], 2)
    store(pair[0], 3)
    until(lambda: heard)
    assert len(heard) == 1


def test_a_transaction_that_failed_is_not_announced(pair, heard):
    with pair[0].engine.connect() as connection, connection.begin() as transaction:
        pair[0].announce(connection)
        transaction.rollback()
    store(pair[0], 4)
    until(lambda: heard)
    assert len(heard) == 1


def test_it_listens_again_after_its_connection_was_ended(pair, heard):
    with pair[0].reading() as connection:
        connection.execute(text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' "
            "AND datname = current_database()"
        ))  # fmt: skip
    # It looks again after the rest, and says that something may have changed.
    until(lambda: heard, 10)
    heard.clear()
    store(pair[0], 5)
    until(lambda: heard)


def test_sqlite_has_one_dashboard_and_no_thread(database):
    it = Announcements(database, lambda: None)
    it.start()
    assert "announcements" not in {one.name for one in threading.enumerate()}
    it.stop()
