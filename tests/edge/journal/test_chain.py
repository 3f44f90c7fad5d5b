"""Verification of the chained log."""

from __future__ import annotations

from journal_films import SHA, signature

from edge.journal.store import Store


def test_an_edited_a_removed_and_a_cut_row_show(store, journal):
    for number in range(5):
        journal.claim(b"%d" % number, f"{number}" * 64, signature())
    head = store.head()
    assert store.verify() is None
    store.db.execute("UPDATE event SET detail = '{}' WHERE row = 2")
    assert store.verify().row == 2
    store.db.execute("DELETE FROM event WHERE row = 2")
    assert store.verify().expected_row == 2
    store.db.execute("DELETE FROM event WHERE row >= 2")
    assert (store.verify().row, store.verify().expected_row) == (1, head.row)
    store.db.execute("DELETE FROM event")
    assert store.verify().expected_row == head.row
    store.db.execute("DELETE FROM meta WHERE key = 'head'")
    assert store.head() != head


def test_a_checkpoint_starts_the_chain_and_an_edited_one_shows(store, journal):
    for number in range(5):
        journal.claim(b"%d" % number, f"{number}" * 64, signature())
    with store.transaction():
        store.db.execute("INSERT INTO carried VALUES (1, 'acked', ?)", (SHA,))
        store.cut(3)
    assert store.verify() is None
    assert [event.row for event in store.events()] == [4, 5, 6]
    journal.claim(b"9", "9" * 64, signature())
    assert store.verify() is None
    store.db.execute("UPDATE carried SET state = 'dismissed'")
    assert store.verify() is not None
    store.db.execute("UPDATE carried SET state = 'acked'")
    assert store.verify() is None
    cut = store.db.execute("SELECT value FROM meta WHERE key = 'cut'").fetchone()[0]
    store.db.execute("UPDATE meta SET value = ? WHERE key = 'cut'", (cut.replace("3:", "4:", 1),))
    assert store.verify() is not None


def test_a_chain_does_not_hold_under_another_key(tmp_path, journal):
    journal.start_session()
    other = Store(tmp_path / "journal.sqlite", b"x" * 32)
    assert other.verify().row == 1
    other.close()
