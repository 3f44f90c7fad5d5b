"""The removal of received films, and its alerts."""

from __future__ import annotations

import hashlib

import pytest
from journal_films import journal, store

from edge.daemon.alerts import Alerts
from edge.daemon.inbox import InboxFiles
from edge.intake.take import signature_of
from edge.intake.watch import CLAIMED
from edge.journal.states import State, move

__all__ = ["journal", "store"]


class Thread:
    """Runs the tasks of the inbox's thread at once."""

    def do(self, task):
        task()


@pytest.fixture
def inbox(tmp_path):
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def alerts():
    return Alerts(lambda: None)


@pytest.fixture
def files(journal, alerts, inbox):
    return InboxFiles(journal, Thread(), alerts, inbox)


def put(journal, inbox, name, state):

    path = inbox / name
    path.write_bytes(name.encode())
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    job = journal.claim(str(path).encode(), sha256, signature_of(path.stat())).job
    with journal.store.transaction():
        move(journal.store, job, state)
    return job


def names(inbox):
    return sorted(path.name for path in inbox.iterdir())


def test_films_at_their_end_go_and_others_stay(journal, files, inbox):
    put(journal, inbox, "a.dcm", State.RECEIPTED)
    put(journal, inbox, "b.dcm", State.HELD)
    put(journal, inbox, "c.dcm", State.DUPLICATE)
    (inbox / "d.dcm").write_bytes(b"not taken yet")
    (inbox / ".instances.sqlite").write_bytes(b"")
    files.turn()
    files.turn()
    assert names(inbox) == [".instances.sqlite", "b.dcm", "d.dcm"]


def test_another_file_under_the_name_of_a_film_stays(journal, files, inbox):
    put(journal, inbox, "a.dcm", State.RECEIPTED)
    (inbox / "a.dcm").unlink()
    (inbox / "a.dcm").write_bytes(b"another")
    files.turn()
    assert names(inbox) == ["a.dcm"]


def test_a_removal_that_a_crash_interrupted_is_finished(journal, files, inbox):
    job = put(journal, inbox, "a.dcm", State.RECEIPTED)
    (inbox / "a.dcm").rename(inbox / f"{CLAIMED.decode()}{job:08d}")
    files.turn()
    assert names(inbox) == []


def test_many_films_are_gone_through_in_turns(journal, files, inbox, monkeypatch):
    monkeypatch.setattr("edge.daemon.inbox._A_TURN", 2)
    for number in range(4):
        put(journal, inbox, f"{number}.dcm", State.HELD)
    put(journal, inbox, "9.dcm", State.RECEIPTED)
    for _ in range(3):
        files.turn()
    assert names(inbox) == ["0.dcm", "1.dcm", "2.dcm", "3.dcm"]


def test_a_file_that_cannot_be_removed_alerts_and_is_tried_later(
    journal, files, inbox, alerts, monkeypatch
):
    put(journal, inbox, "a.dcm", State.RECEIPTED)
    monkeypatch.setattr("edge.daemon.parting.part_with", lambda *_: "read_only")
    files.turn()
    files.turn()
    assert [alert.code for alert in alerts.active()] == ["inbox_files"]
    assert names(inbox) == ["a.dcm"]
