"""Rows to be sent."""

from __future__ import annotations

from edge.delivery.outbox import Outbox


def test_an_outbox_with_rows_of_unknown_kind_or_state_works(make_box):
    box = make_box()
    for number in range(4):
        box.film(number)
    box.store.db.execute("UPDATE outbox SET kind = 'what' WHERE row = 1")
    box.store.db.execute("UPDATE outbox SET state = 'nonsense' WHERE row = 2")
    assert [row.row for row in Outbox(box.store, box.settings.mode, (), 1.0).next_rows(9, ())] == [
        3, 4,
    ]  # fmt: skip
    assert box.outbox.counts.depth().rows == 4
