"""One message that nobody foresaw stops no other."""

from __future__ import annotations

import threading

import pytest
from rooms import ROOM, result
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from dashboard.intake import writer as module
from dashboard.intake.writer import Raw, Writer
from dashboard.settings import DatabaseSettings
from dashboard.store.tables import DEVICE, MESSAGE, PROBLEM


@pytest.fixture
def run(database):
    """Put messages and wait until all are answered; gives ids of receipts."""

    def put(*messages):
        receipts, answered = [], threading.Semaphore(0)
        it = Writer(database, DatabaseSettings(), lambda: None)
        for message in messages:
            payload = message if isinstance(message, bytes) else message.model_dump_json().encode()
            it.put(Raw(ROOM.topic("result"), payload, None, False,
                       lambda _topic, result_id: receipts.append(result_id),
                       answered.release, put.asked.append))  # fmt: skip
        it.start()
        for _ in messages:
            assert answered.acquire(timeout=20)
        it.stop()
        return receipts

    put.asked = []
    return put


def rows(database, table):
    with database.reading() as connection:
        return connection.execute(select(table)).all()


def test_a_fault_of_ours_stops_no_other_message(run, database, monkeypatch):
    parse = module.parse

    def faulty(topic, payload, *rest, **more):
        if b"poison" in payload:
            raise RuntimeError("not foreseen")
        return parse(topic, payload, *rest, **more)

    monkeypatch.setattr(module, "parse", faulty)
    assert run(result(1), b"poison", result(2)) == [result(1).id, result(2).id]
    assert [it.what for it in rows(database, PROBLEM)] == ["a fault of the dashboard"]


def test_what_the_database_does_not_take_stops_no_other_message(run, database, monkeypatch):
    save = module.save

    def faulty(connection, arrived, *rest):
        if any(getattr(it, "message", None) and it.message.sequence == 2 for it in arrived):
            raise OverflowError
        return save(connection, arrived, *rest)

    monkeypatch.setattr(module, "save", faulty)
    assert run(result(1), result(2), result(3)) == [result(1).id, result(3).id]
    assert len(rows(database, MESSAGE)) == 2
    assert "OverflowError" in rows(database, PROBLEM)[0].what


def test_a_database_that_is_away_is_waited_for_and_nothing_is_answered_before(
    run, database, monkeypatch
):
    save, failed = module.save, []

    def away(connection, arrived, *rest):
        if len(failed) < 2:
            failed.append(1)
            raise OperationalError("", {}, Exception("locked"))
        return save(connection, arrived, *rest)

    monkeypatch.setattr(module, "save", away)
    monkeypatch.setattr(module, "_RETRY_S", 0.01)
    assert run(result(1)) == [result(1).id]
    assert len(rows(database, MESSAGE)) == 1
    assert len(failed) == 2


def test_text_that_no_database_can_hold_is_stored_or_told(run, database):
    body = result(1).model_dump_json().replace("film.jpg", "\\u0000\\ud83d\\ude00.jpg").encode()
    run(body)
    assert len(rows(database, MESSAGE)) + len(rows(database, PROBLEM)) == 1


def test_a_device_whose_state_has_not_come_is_asked_for_it(run, database):
    """Some brokers give a retained state to no wildcard."""
    run(result(1))
    assert run.asked == [ROOM]
    with database.writing() as connection:
        connection.execute(update(DEVICE).values(state="{}"))
    run(result(2))
    assert run.asked == [ROOM]
