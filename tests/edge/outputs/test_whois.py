"""The table of what pseudonyms stand for: private, limited in time, and never in a result's way."""

from __future__ import annotations

import os
import sqlite3
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_films import RecordedFilms
from stand_in import StandIn, film_bytes

from edge.model import Identifiers
from edge.outputs import whois as table
from edge.outputs.message import StoredMessage
from edge.outputs.whois import LONGEST, Known, Whois, as_stated

ONE, OTHER = "1" * 32, "2" * 32
STUDY = Known(kind="study", stands_for="1.2.3", identifiers=Identifiers(accession_number="A-4711"))
DAY_S = 86_400.0


@pytest.fixture
def open_table(tmp_path):
    made = []

    def make(days=30.0, path=None):
        made.append(Whois(path or tmp_path / "whois.sqlite", days))
        return made[-1]

    yield make
    for it in made:
        it.close()


def at(monkeypatch, unix_s, *, clock_is_set=True):
    monkeypatch.setattr(table.time, "time", lambda: unix_s)
    monkeypatch.setattr(table, "wall_clock_is_set", lambda: clock_is_set)


def test_what_was_noted_is_known_after_a_restart_and_nothing_else(open_table):
    open_table().note([(ONE, STUDY)])
    found = open_table().ask(ONE)
    assert found.known == STUDY
    assert abs(found.at_unix_s - time.time()) < 60
    assert open_table().ask(OTHER) is None


def test_only_its_owner_may_read_the_file_whatever_the_umask_and_an_earlier_mode(
    open_table, tmp_path
):
    before = os.umask(0)
    try:
        path = tmp_path / "whois.sqlite"
        path.touch(0o666)
        it = open_table()
        it.note([(ONE, STUDY)])
    finally:
        os.umask(before)
    assert [p.name for p in tmp_path.iterdir()] == ["whois.sqlite"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_nothing_is_kept_where_it_is_off(open_table, tmp_path):
    it = open_table(days=0)
    it.note([(ONE, STUDY)])
    it.tidy()
    assert it.ask(ONE) is None
    assert list(tmp_path.iterdir()) == []


def test_switching_it_off_removes_the_file_at_the_next_start(open_table, tmp_path):
    open_table().note([(ONE, STUDY)])
    open_table(days=0).tidy()
    assert list(tmp_path.iterdir()) == []


def test_an_entry_ends_with_its_time_also_where_nobody_has_tidied(
    open_table, monkeypatch, tmp_path
):
    it = open_table(days=10)
    at(monkeypatch, 1000 * DAY_S)
    it.note([(ONE, STUDY)])
    at(monkeypatch, 1005 * DAY_S)
    it.note([(OTHER, STUDY)])
    at(monkeypatch, 1011 * DAY_S)
    assert it.ask(ONE) is None
    assert it.ask(OTHER) is not None
    it.tidy()
    with sqlite3.connect(tmp_path / "whois.sqlite") as db:
        assert db.execute("SELECT pseudonym FROM known").fetchall() == [(OTHER,)]
    db.close()


def test_a_deleted_entry_leaves_no_bytes_in_the_file(open_table, monkeypatch, tmp_path):
    it = open_table(days=10)
    at(monkeypatch, 1000 * DAY_S)
    it.note([(ONE, STUDY)])
    assert b"A-4711" in (tmp_path / "whois.sqlite").read_bytes()
    at(monkeypatch, 1011 * DAY_S)
    it.tidy()
    assert b"A-4711" not in (tmp_path / "whois.sqlite").read_bytes()


def test_an_entry_of_a_clock_that_was_ahead_ends_too(open_table, monkeypatch):
    it = open_table(days=10)
    at(monkeypatch, 9000 * DAY_S, clock_is_set=False)
    it.note([(ONE, STUDY)])
    at(monkeypatch, 1000 * DAY_S, clock_is_set=False)
    it.tidy()
    at(monkeypatch, 1000 * DAY_S)
    it.tidy()
    at(monkeypatch, 1011 * DAY_S)
    assert it.ask(ONE) is None


def test_a_later_film_of_the_study_begins_its_time_again(open_table, monkeypatch):
    it = open_table(days=10)
    for day in (1000, 1009, 1018):
        at(monkeypatch, day * DAY_S)
        it.note([(ONE, STUDY)])
        it.tidy()
    assert it.ask(ONE).at_unix_s == 1018 * DAY_S


def test_what_cannot_be_written_now_is_written_later(open_table, tmp_path):
    folder = tmp_path / "gone"
    it = open_table(path=folder / "whois.sqlite")
    it.note([(ONE, STUDY)])
    assert "fix:" in it.fault
    folder.mkdir()
    it.tidy()
    assert (it.fault, it.ask(ONE).known) == ("", STUDY)


def test_a_damaged_table_is_begun_again_and_what_is_noted_is_kept(open_table, tmp_path):
    (tmp_path / "whois.sqlite").write_bytes(b"no database at all, and long enough " * 200)
    it = open_table()
    it.note([(ONE, STUDY)])
    it.tidy()
    assert (it.fault, it.ask(ONE).known) == ("", STUDY)


@given(st.text(max_size=400))
def test_a_stated_key_is_bounded_and_can_be_printed(text):
    found = as_stated(text)
    assert len(found) <= LONGEST
    assert found.isprintable()
    assert found == text or not text.isprintable() or len(text) > LONGEST


def test_a_recorded_film_is_known_by_its_study_and_its_patient(tmp_path, open_table):
    it = open_table()
    films = RecordedFilms(tmp_path, whois=it)
    result = StandIn().score(film_bytes("limb=LH"), "film.jpg").limbs[0].result
    joined = Identifiers(accession_number="A-4711", patient_id="P-77")
    films.add(result, time.time(), patient="P-77", study="1.2.3", identifiers=joined)
    films.add(result, time.time())
    payloads = films.store.db.execute("SELECT payload FROM outbox").fetchall()
    first, second = (it.ask(study_of(row[0])) for row in payloads)
    assert first.known == Known(kind="study", stands_for="1.2.3", identifiers=joined)
    assert second.known == Known(kind="film", stands_for="2.jpg")
    patient = it.ask(films.pseudonym("P-77")).known
    assert patient == Known(
        kind="patient", stands_for="P-77", identifiers=Identifiers(patient_id="P-77")
    )
    films.close()


def study_of(payload):
    return StoredMessage.model_validate_json(payload).study
