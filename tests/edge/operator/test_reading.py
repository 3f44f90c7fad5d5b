"""What the journal tells an operator."""

from __future__ import annotations

import sqlite3

import pytest
from held_films import Films
from hypothesis import given
from hypothesis import strategies as st
from journal_films import KEY

from edge.errors import Reason
from edge.journal import orders
from edge.model import Laterality, LateralitySource, OperatorStatement
from edge.operator.reading import JournalView, ReadOnlyChain, shown_name


@pytest.fixture
def films(tmp_path):
    it = Films(tmp_path)
    yield it
    it.close()


@pytest.fixture
def view(films):
    chain = ReadOnlyChain(films.state / "journal.sqlite", KEY)
    yield JournalView(chain, films.places)
    chain.db.close()


def test_held_films_come_oldest_first_with_what_was_found(films, view):
    first, second = films.held("a.jpg"), films.held("b.jpg", Reason.OBLIQUE_VIEW)
    films.add("c.jpg")
    held = view.held()
    assert [it.job for it in held] == [first, second]
    assert (held[0].side, held[0].side_source) == (Laterality.RIGHT, LateralitySource.GEOMETRY)
    assert held[0].age_s >= 0
    assert view.held_reasons() == {"side_not_known": 1, "oblique_view": 1}


def test_a_held_film_whose_message_was_changed_is_listed_without_what_it_said(films, view):
    job = films.held()
    with films.store.transaction() as db:
        db.execute("UPDATE outbox SET payload = replace(payload, '\"hand\"', '\"foot\"')")
    (film,) = view.held()
    assert (film.job, film.limb, film.side) == (job, None, None)


def test_a_held_film_whose_message_belongs_to_an_earlier_job_shows_what_it_said(films, view):
    """The same bytes again: the journal keeps one message under one id."""
    first = films.held("a.jpg")
    with films.store.transaction() as db:
        db.execute(
            "INSERT INTO job (path, sha256, device, inode, size, mtime_ns, state, since, reason) "
            "SELECT x'2f782f622e6a7067', sha256, device, inode + 1, size, mtime_ns, state, since, "
            "reason FROM job WHERE number = ?",
            (first,),
        )
    again = view.held()[-1]
    assert again.job != first
    assert (again.file, again.limb) == ("b.jpg", view.held()[0].limb)
    assert again.limb is not None


def test_results_come_newest_first_and_say_how_they_are_delivered(films, view):
    films.add("a.jpg", side=Laterality.LEFT)
    films.add("b.jpg")
    with films.store.transaction() as db:
        db.execute("UPDATE outbox SET state = 'closed' WHERE row = 1")
    newest, oldest = view.results()
    assert (newest.file, newest.delivery) == ("b.jpg", "waits")
    assert (oldest.file, oldest.delivery, oldest.side) == ("a.jpg", "delivered", "L")
    assert newest.machine_ms == pytest.approx(200, abs=50)


def test_a_rejected_film_comes_with_its_advice(films, view):
    films.add("c.jpg", reason=Reason.CORRUPT)
    (film,) = view.rejected()
    assert (film.file, film.advice) == ("c.jpg", "export the film again")


def test_decisions_of_the_chain_name_who_what_and_when(films, view):
    one, two = films.held("a.jpg"), films.held("b.jpg")
    done = orders.release(films.store, one, OperatorStatement(None, Laterality.LEFT), "anna")
    orders.dismiss(films.store, two, "ben")
    orders.retry(films.store, two)
    assert [(it.job, it.operator, it.what) for it in view.decisions()] == [
        (two, "ben", "dismissed"),
        (done.new_job, "anna", "released as L"),
    ]


def test_the_connection_cannot_write(view):
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        view._db.execute("DELETE FROM job")


@given(name=st.binary(min_size=1).filter(lambda it: b"/" not in it))
def test_a_file_name_is_shown_on_one_line_that_ends_no_terminal(name):
    shown = shown_name(b"/drop/" + name)
    assert shown.isprintable()
