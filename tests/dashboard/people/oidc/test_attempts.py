"""A sign-in that was begun ends once, in its browser, within ten minutes."""

from __future__ import annotations

from sqlalchemy import select

from dashboard.people.oidc import attempts
from dashboard.people.oidc.provider import Attempt
from dashboard.store.tables import SIGN_IN

ONE = Attempt("state", "nonce", "verifier")


def test_it_is_taken_once_by_the_cookie_and_the_state_together(any_database):
    secret = attempts.keep(any_database, ONE)
    for wrong in ((secret, "other"), ("other", "state"), ("", ""), (secret, "\0"), ("", "state")):
        assert attempts.take(any_database, *wrong) is None
    assert attempts.take(any_database, secret, "state") == ONE
    assert attempts.take(any_database, secret, "state") is None


def test_it_is_over_after_ten_minutes(database):
    secret = attempts.keep(database, ONE, lambda: 1000.0)
    assert attempts.take(database, secret, "state", lambda: 1601.0) is None


def test_what_is_kept_has_an_end_and_holds_no_cookie(database, monkeypatch):
    monkeypatch.setattr(attempts, "_MOST", 3)
    secrets = [attempts.keep(database, ONE, lambda it=it: 1000.0 + it) for it in range(5)]
    with database.reading() as connection:
        rows = connection.execute(select(SIGN_IN)).all()
    # Those that wait are not pushed out by later ones.
    assert [secret is None for secret in secrets] == [False] * 3 + [True] * 2
    assert len(rows) == 3
    assert not any(secret in str(rows) for secret in secrets[:3])
    assert attempts.take(database, secrets[0], "state", lambda: 1010.0) == ONE
    attempts.keep(database, ONE, lambda: 9000.0)
    with database.reading() as connection:
        assert len(connection.execute(select(SIGN_IN)).all()) == 1
