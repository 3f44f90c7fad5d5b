"""The question what a pseudonym stands for: who may ask, and that each question is recorded."""

from __future__ import annotations

import os
import pwd
import sqlite3

import pytest

from edge.operator.client import OperatorError
from edge.operator.protocol import Ask
from edge.outputs.whois import FILE, Known, Whois

ME = pwd.getpwuid(os.getuid()).pw_name
PSEUDONYM, OTHER = "a" * 32, "b" * 32
KNOWN = Known(kind="patient", stands_for="P-77")


def questions(desk):
    events = desk.films.store.events(desk.films.store.head().row)
    return [it.detail for it in events if it.kind == "whois"]


@pytest.fixture
def asked(make_desk):
    """A desk that answers for 30 days."""
    desk = make_desk(whois_days=30.0)
    table = Whois(desk.state / FILE, 30.0)
    table.note([(PSEUDONYM, KNOWN)])
    table.close()
    return desk


def test_a_known_pseudonym_is_answered_and_the_question_recorded_with_who_asked(asked):
    answer = asked.ask(Ask.WHOIS, pseudonym=PSEUDONYM).answer
    assert answer.known == KNOWN
    assert questions(asked) == [
        {"pseudonym": PSEUDONYM, "known": True, "asked_by": ME, "uid": os.getuid()}
    ]
    assert asked.films.store.verify() is None


def test_one_that_is_not_known_is_answered_plainly_and_recorded(asked):
    answer = asked.ask(Ask.WHOIS, pseudonym=OTHER).answer
    assert (answer.ok, answer.known) == (True, None)
    assert [it["known"] for it in questions(asked)] == [False]


def test_nothing_is_said_where_it_is_off(make_desk):
    desk = make_desk()
    table = Whois(desk.state / FILE, 30.0)
    table.note([(PSEUDONYM, KNOWN)])
    table.close()
    with pytest.raises(OperatorError, match=r"fix: set joining\.whois_days"):
        desk.ask(Ask.WHOIS, pseudonym=PSEUDONYM)


def test_nothing_is_said_that_cannot_be_recorded(asked):
    asked.ask(Ask.WHOIS, pseudonym=OTHER)
    path = asked.state / "journal.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE event RENAME TO away")
    db.close()
    try:
        with pytest.raises(OperatorError) as told:
            asked.ask(Ask.WHOIS, pseudonym=PSEUDONYM)
        assert "P-77" not in str(told.value)
    finally:
        with sqlite3.connect(path) as db:
            db.execute("ALTER TABLE away RENAME TO event")
        db.close()


def test_a_question_does_not_count_as_a_decision(asked):
    for _ in range(10):
        asked.ask(Ask.WHOIS, pseudonym=PSEUDONYM)
    assert asked.ask().answer.status.decisions == ()
    assert "P-77" not in asked.ask().answer.model_dump_json()


def test_what_is_no_pseudonym_is_no_request(asked):
    with pytest.raises(ValueError, match="pseudonym"):
        asked.ask(Ask.WHOIS, pseudonym="../" * 10)
