"""The counts of the topic health are made beside the sender."""

from __future__ import annotations

import sqlite3
import threading

import pytest
from journal_films import SHA, finish, signature

from edge.delivery.figures import Figures


def counted(figures):
    done = threading.Event()
    figures.ask(done.set)
    assert done.wait(10)
    return figures.take()


def test_rows_and_films_are_counted_once(journal, tmp_path):
    job = journal.claim(b"/a.jpg", SHA, signature()).job
    finish(journal, job)
    figures = Figures(tmp_path / "journal.sqlite")
    found = counted(figures)
    assert (found.depth.rows, found.depth.set_aside) == (1, 0)
    assert found.jobs == {"queued": 1}
    assert figures.take() is None


def test_a_flipped_bit_in_a_state_raises_nothing(journal, tmp_path):
    journal.claim(b"/a.jpg", SHA, signature())
    journal.store.db.execute("UPDATE job SET state = CAST(x'ff41' AS TEXT)")
    assert list(counted(Figures(tmp_path / "journal.sqlite")).jobs.values()) == [1]


def test_a_journal_that_is_gone_is_told_to_the_caller_and_not_made_anew(tmp_path):
    with pytest.raises(sqlite3.OperationalError):
        counted(Figures(tmp_path / "journal.sqlite"))
    assert list(tmp_path.iterdir()) == []
