"""The SQLite file: releases, counters, write-ahead log."""

from __future__ import annotations

import sqlite3
import threading

import pytest
from journal_films import KEY, SHA, finish, open_outbox, signature

from edge.journal.journal import Journal
from edge.journal.store import JournalError, Store


def test_a_journal_of_a_later_release_is_refused(tmp_path):
    path = tmp_path / "later.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(JournalError, match="later release"):
        Store(path, KEY)


def test_sequence_numbers_ascend_over_restarts(tmp_path, journal):
    finish(journal, journal.claim(b"/a", SHA, signature()).job)
    other = Store(tmp_path / "journal.sqlite", KEY)
    finish(Journal(other), journal.claim(b"/b", "b" * 64, signature(2)).job, sha="b" * 64)
    rows = open_outbox(other).next_rows(10, ())
    assert [row.sequence for row in rows] == [1, 2]
    other.close()


def test_a_long_write_ahead_log_is_given_back_unless_a_reader_pins_it(
    tmp_path, store, journal, monkeypatch
):
    monkeypatch.setattr("edge.journal.store._LONG_LOG", 1000)
    journal.claim(b"/a", SHA, signature())
    log_path = tmp_path / "journal.sqlite-wal"
    reader = sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM job").fetchall()
    journal.claim(b"/b", "b" * 64, signature(2))
    assert not store.shorten_log()
    assert log_path.stat().st_size > 1000
    reader.close()
    assert store.shorten_log()
    assert log_path.stat().st_size == 0


def test_threads_of_one_process_write_in_turn(tmp_path):
    def write():
        own = Store(tmp_path / "journal.sqlite", KEY)
        for _ in range(40):
            with own.transaction():
                own.counter("sequence")
                own.log("test")
        own.close()

    Store(tmp_path / "journal.sqlite", KEY).close()
    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    store = Store(tmp_path / "journal.sqlite", KEY)
    assert store.verify() is None
    with store.transaction():
        assert store.counter("sequence") == 121
    store.close()


def test_a_thread_that_keeps_its_turn_holds_no_other_longer_than_a_locked_file_does(
    store, tmp_path
):
    other = Store(tmp_path / "journal.sqlite", KEY)
    other.db.execute("PRAGMA busy_timeout=50")
    with store.transaction(), pytest.raises(sqlite3.OperationalError), other.transaction():
        pass
    with other.transaction():
        other.log("test")
    other.close()
