"""Verification of a large journal while the appliance runs."""

from __future__ import annotations

import pytest
from box import KEY

from edge.daemon import inspection, repair
from edge.daemon.inspection import Inspection
from edge.daemon.repair import open_sound


@pytest.fixture
def large(make_box, monkeypatch):
    """A journal that counts as large, delivered and stopped."""
    box = make_box()
    for number in range(60):
        box.film(number, study=True)
    box.run(10, box.answer_new())
    monkeypatch.setattr(repair, "_WHOLE_EVENTS", 50)
    monkeypatch.setattr(inspection, "_ROWS", 20)
    monkeypatch.setattr(inspection, "_FILMS", 5)
    return box


TAMPERINGS = {
    "UPDATE event SET detail = '{}' WHERE row = 3": "journal_chain",
    "DELETE FROM event WHERE row = 3": "journal_chain",
    "UPDATE job SET state = 'queued' WHERE number = 2": "journal_mended",
    "UPDATE job SET sha256 = 'x' WHERE number = 2": "journal_mended",
    "DELETE FROM job WHERE number = 2": "journal_mended",
    "UPDATE outbox SET payload = x'7b7d' WHERE job = 2": "journal_mended",
    "UPDATE outbox SET job = 'x' WHERE job = 2": "journal_mended",
    "UPDATE outbox SET job = 5000 WHERE job = 2": "journal_mended",
    "UPDATE outbox SET kind = 'what' WHERE job = 2": "journal_mended",
    "UPDATE study SET body = '{}x' WHERE study = (SELECT MIN(study) FROM study)": "journal_mended",
}


@pytest.mark.parametrize("statement", TAMPERINGS)
def test_what_was_changed_long_ago_is_found_while_idle(large, statement):
    large.store.db.execute(statement)
    store, text = open_sound(large.path, KEY, expected=True)
    # The start looks at the end only: what it reports has nothing to do with row 3 or film 2.
    assert text == ""
    it, found, turns = Inspection(store), [], 0
    while not it.resting:
        found += it.turn(-1.0)
        turns += 1
    assert TAMPERINGS[statement] in {fault.code for fault in found}, found
    assert turns > 10
    store.close()


def test_a_sound_large_journal_gives_no_finding_and_is_left_as_it_is(large):
    store, text = open_sound(large.path, KEY, expected=True)
    head, it = store.head(), Inspection(store)
    assert text == ""
    while not it.resting:
        assert it.turn(-1.0) == []
    assert store.head() == head
    assert it.turn(1.0) == []
    store.close()


def test_films_that_come_while_it_looks_are_no_findings(large):
    store, _ = open_sound(large.path, KEY, expected=True)
    it, number = Inspection(store), 1000
    while not it.resting:
        assert it.turn(-1.0) == []
        if number < 1020:
            large.film(number, study=True)
            large.run(0.4, large.answer_new())
            number += 1
    store.close()


def test_the_start_reads_the_end_of_a_large_journal_only(large):
    large.store.mark_clean()
    for number in range(100, 103):
        large.film(number)
    counted = []
    store, _ = open_sound(large.path, KEY, expected=True)
    store.db.set_trace_callback(counted.append)
    follow, rows = store.follow, []

    def following(before, last):
        rows.append(before.row)
        return follow(before, last)

    store.follow = following
    assert store.verify_end(20_000) is None
    assert rows[0] > 300
    store.close()


@pytest.mark.parametrize("value", ["5:x:y", "-3:a:b", "²:a:b", "9" * 40 + ":a:b", "", "x"])
def test_a_clean_mark_that_was_changed_is_not_believed(large, value):
    large.store.db.execute("INSERT OR REPLACE INTO meta VALUES ('clean', ?)", (value,))
    large.store.db.execute("UPDATE event SET detail = '{}' WHERE row = 3")
    assert large.store.verify_end(1_000_000).row == 3
