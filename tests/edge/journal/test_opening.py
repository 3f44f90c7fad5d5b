"""Opening the journal at a start."""

from __future__ import annotations

from box import KEY

from edge.journal.store import Store


def test_the_start_asks_for_time_while_it_works(make_box):
    box = make_box()
    box.film(1)
    asked = []
    store = Store(box.path, KEY, busy=lambda: asked.append(1))
    store.db.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000) "
        "SELECT SUM(i) FROM n"
    ).fetchone()
    assert asked
    store.end_opening()
    store.close()
