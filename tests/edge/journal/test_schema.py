"""Upgrades of journals that earlier releases wrote."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from box import KEY
from journal_films import open_outbox

from edge.daemon.repair import open_sound
from edge.journal.kinds import REJECT, RESULT
from edge.journal.orders import find_job, release
from edge.journal.schema import is_ours
from edge.journal.states import State
from edge.journal.store import JournalError, Store
from edge.model import Laterality, OperatorStatement

EARLIER = {"schema_0_1.sql": 2, "schema_3.sql": 3}
"""Texts of earlier schemas as SQLite keeps them, letter by letter, and their numbers."""


def as_written_by(text, path):
    """Replace the journal by the same one as an earlier release would have written it."""
    old = path.with_name("old.sqlite")
    with contextlib.closing(sqlite3.connect(old, isolation_level=None)) as db:
        db.executescript((Path(__file__).parent / text).read_text())
        db.execute(f"PRAGMA user_version = {EARLIER[text]}")
        db.execute("ATTACH ? AS new", (str(path),))
        tables = "SELECT name FROM main.sqlite_master WHERE type = 'table'"
        for (table,) in db.execute(tables).fetchall():
            if table.startswith("sqlite_"):
                continue
            columns = ", ".join(it[1] for it in db.execute(f"PRAGMA main.table_info({table})"))
            db.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM new.{table}")  # noqa: S608
    for part in path.parent.glob(f"{path.name}*"):
        part.unlink()
    old.rename(path)


@pytest.fixture(params=EARLIER)
def upgraded(request, make_box):
    """A box with a full outbox and held films, upgraded, and the ids of its messages."""
    box = make_box()
    ids = [box.film(number, REJECT if number % 3 == 0 else RESULT, picture=True, study=True)
           for number in range(12)]  # fmt: skip
    box.run(2)
    query = "SELECT row FROM outbox WHERE id = ? AND kind = 'result'"
    (row,) = box.store.db.execute(query, (ids[1],)).fetchone()
    box.outbox.endings.set_aside(row, "Not authorized")
    box.film(99)
    assert box.journal.counts()[State.HELD] == 4
    box.close()
    as_written_by(request.param, box.path)
    store, text = open_sound(box.path, KEY, expected=True)
    assert text == ""
    assert is_ours(store.db)
    assert store.verify() is None
    store.close()
    box.start()
    box.broker.taken = []
    return box, ids


def test_everything_in_a_journal_of_an_earlier_release_is_delivered(upgraded):
    box, ids = upgraded
    box.run(30, box.answer_new())
    assert len(box.broker.sequences()) == 12
    bodies = {payload for _, payload, _ in box.broker.topic("image")}
    assert {f"picture of {it}".encode() for it in ids if it != ids[1]} <= bodies
    assert box.outbox.counts.depth().rows == 0
    assert box.outbox.counts.latest_set_aside()[0] == 1
    assert box.journal.counts() == {State.HELD: 4, State.RECEIPTED: 8, State.SET_ASIDE: 1}


def test_a_held_film_of_an_earlier_release_can_be_released(upgraded):
    box, ids = upgraded
    job = find_job(box.store, ids[3])
    order = release(box.store, job, OperatorStatement(laterality=Laterality.LEFT))
    assert box.journal.next_order().job == order.new_job


def test_rows_of_an_earlier_release_leave_over_mqtt_and_a_changed_destination_shows(upgraded):
    box, _ = upgraded
    rows = box.outbox.next_rows(99, ())
    assert rows
    assert all(row.sound for row in rows)
    box.store.db.execute("UPDATE outbox SET destination = 'elsewhere'")
    assert box.outbox.next_rows(99, ()) == []
    assert not box.outbox.row(rows[0].row).sound


def test_a_journal_of_a_later_release_is_refused_with_the_ways_out(tmp_path):
    path = tmp_path / "later.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="install that release again; or move the journal away"):
        Store(path, KEY)


def test_a_journal_of_the_first_release_is_taken_over_with_its_outbox(tmp_path):
    from edge.journal import schema

    path = tmp_path / "old.sqlite"
    with sqlite3.connect(path) as db:
        for statement in schema.UPGRADES[0]:
            db.execute(statement)
        db.execute("PRAGMA user_version = 1")
        db.execute(
            "INSERT INTO outbox (id, kind, job, limb_index, outcome, payload, created, state) "
            "VALUES ('x', 'result', 1, 0, 'scored:', x'7b7d', 1, 'queued')"
        )
    db.close()
    it = Store(path, KEY)
    (row,) = open_outbox(it).next_rows(1, ())
    assert row.sound
    it.db.execute("UPDATE outbox SET payload = x'7b7e'")
    (row,) = open_outbox(it).next_rows(1, ())
    assert not row.sound
    it.close()
