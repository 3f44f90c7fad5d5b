"""Sessions end when nobody uses them, and after a week."""

from __future__ import annotations

import pytest
from clinic import PASSWORD, QUICK
from sqlalchemy import select

from dashboard.people.accounts import Accounts
from dashboard.people.sessions import Sessions
from dashboard.store.tables import SESSION

HOUR_S = 3600.0


class Clock:
    now_s = 1_000_000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sessions(database, clock):
    accounts = Accounts(database, QUICK)
    accounts.add("Anna", PASSWORD, "reader")
    return Sessions(database, 8 * HOUR_S, clock)


def test_a_session_lasts_while_somebody_uses_it_but_a_week_at_most(sessions, clock):
    secret = sessions.begin(1)
    for _ in range(23):
        clock.now_s += 7 * HOUR_S
        assert sessions.find(secret).name == "Anna"
    clock.now_s += 7.5 * HOUR_S
    assert sessions.find(secret) is None


def test_an_open_page_that_nobody_uses_keeps_no_session(sessions, clock):
    secret = sessions.begin(1)
    for _ in range(8):
        clock.now_s += HOUR_S
        assert sessions.find(secret, in_use=False) is not None
    clock.now_s += 60
    assert sessions.find(secret) is None


def test_a_cookie_is_not_in_the_database(sessions, database):
    secret = sessions.begin(1)
    with database.reading() as connection:
        assert secret not in str(connection.execute(select(SESSION)).all())
    for wrong in (None, "", secret[:-1], secret + "x", "\x00", "ü"):
        assert sessions.find(wrong) is None


def test_a_person_has_few_sessions_and_the_oldest_makes_room(sessions, clock):
    secrets = []
    for _ in range(14):
        clock.now_s += 1
        secrets.append(sessions.begin(1))
    assert [it for it in secrets if sessions.find(it)] == secrets[-10:]


def test_a_session_that_was_ended_is_over(sessions):
    secret = sessions.begin(1)
    sessions.end(sessions.find(secret))
    assert sessions.find(secret) is None
