"""No statement that runs often reads a whole table."""

from __future__ import annotations

import pytest
from query_plans import scans

from edge.daemon.housekeeping import Inspection
from edge.journal.kinds import REJECT, RESULT
from edge.journal.orders import set_aside, take_back
from edge.journal.states import State
from edge.model import Signature

ALLOWED = {
    # Counted for the topic health, every half minute, over one small index.
    "SELECT state, COUNT(*) AS n FROM job GROUP BY state",
    # Read from its newest row, or its oldest; a limit ends it.
    "SELECT row, mac FROM event ORDER BY row DESC LIMIT 1",
}


@pytest.fixture
def statements(make_box):
    """Every statement of a box that does all that it does each second or on each film."""
    box = make_box(study_wait_s=5.0, alert_s=5.0)
    seen = []
    box.store.db.set_trace_callback(seen.append)
    for number in range(6):
        box.film(number, REJECT if number % 3 == 0 else RESULT, picture=True, study=True)
    box.run(3)
    box.broker.refuses = lambda _topic: "Not authorized"
    box.film(7)
    box.run(10)
    box.broker.refuses = lambda _topic: ""
    box.run(20, box.answer_new())
    box.connect()
    box.run(3)
    box.outbox.counts.depth()
    box.outbox.endings.set_aside(8, "unreadable")
    box.run(1)
    for message in set_aside(box.store):
        take_back(box.store, message)
    journal = box.journal
    claim = journal.claim(b"/new", "f" * 64, Signature(1, 99, 1, 1))
    journal.begin_try(claim.job)
    journal.note_death(claim.job, "worker_died")
    journal.give_back(claim.job)
    journal.claim(b"/new", "f" * 64, Signature(1, 99, 1, 1))
    journal.set_aside(claim.job, "test")
    for step in (journal.next_order, journal.look_again, journal.ended_originals, journal.counts):
        step()
    journal.unfinished()
    journal.note_original(1, "moved")
    inspection = Inspection(box.store)
    while not inspection.resting:
        assert inspection.turn(1.0) == []
    box.names.refuse_other_device()
    box.store.db.set_trace_callback(None)
    assert State.RECEIPTED in journal.counts()
    return box.store.db, list(dict.fromkeys(seen))


def test_every_statement_of_every_second_and_of_every_film_uses_an_index(statements):
    db, seen = statements
    asked = [it for it in seen if it.split()[0] in {"SELECT", "UPDATE", "DELETE", "INSERT"}]
    assert len(asked) > 60
    faults = {it: scans(db, it) for it in asked if it not in ALLOWED and scans(db, it)}
    assert faults == {}


def test_the_test_sees_a_scan(make_box):
    box = make_box()
    assert scans(box.store.db, "SELECT * FROM outbox WHERE last_sent > 5")
    assert scans(box.store.db, "SELECT COUNT(*) FROM outbox WHERE created > 5")
    assert not scans(box.store.db, "SELECT * FROM outbox WHERE row = 5")
