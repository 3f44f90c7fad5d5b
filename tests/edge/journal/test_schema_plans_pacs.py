"""No statement of delivery to a PACS reads a whole table."""

from __future__ import annotations

import pytest
from pacs_peers import PacsBox
from query_plans import scans

from edge.delivery.pacs.queue import PacsQueue
from edge.journal.film_end import end_film
from edge.journal.states import State
from edge.model import SrClass
from edge.outputs.document import StoredDocument
from edge.outputs.document_rows import DocumentRows


@pytest.fixture
def box(tmp_path):
    it = PacsBox(tmp_path)
    yield it
    it.close()


def test_every_statement_of_each_turn_and_of_each_document_uses_an_index(box):
    for number in range(3):
        box.film(number)
    seen = []
    box.store.db.set_trace_callback(seen.append)
    queue, rows = (
        PacsQueue(box.store, State.RECEIPTED),
        DocumentRows(box.store, State.RECEIPTED, SrClass.COMPREHENSIVE_3D),
    )
    (first, second, third, *_) = queue.next_rows(10, {99})
    queue.stored(first, "", closes=False)
    queue.stored(second, "status_b000", closes=True)
    assert queue.waiting() == [first.row]
    queue.store_again(first.row, "no_report")
    queue.committed([first.row], "1.2.3")
    queue.lost(third, StoredDocument.model_validate_json(third.payload))
    assert rows.jobs() == [third.job]
    (wanted,) = rows.wanted(third.job)
    rows.end(wanted, "set_aside", "not_made")
    queue.is_open(third.result_id)
    queue.counts.depth()
    queue.counts.latest_set_aside()
    queue.set_all_aside("pacs_disabled")
    with box.store.transaction():
        end_film(box.store, 1, State.RECEIPTED)
    box.store.db.set_trace_callback(None)
    asked = [it for it in dict.fromkeys(seen) if it.split()[0] in {"SELECT", "UPDATE"}]
    assert len(asked) > 20
    found = {it: scans(box.store.db, it) for it in asked}
    newest = "SELECT row, mac FROM event ORDER BY row DESC LIMIT 1"
    assert {it: steps for it, steps in found.items() if steps and it != newest} == {}
