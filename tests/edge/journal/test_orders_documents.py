"""Orders of a person about documents for the PACS that are set aside."""

from __future__ import annotations

import pytest

from edge.journal.journal import Journal
from edge.journal.kinds import DICOM_SR, PACS, REJECT, RESULT
from edge.journal.orders import dismiss, release, set_aside, take_back
from edge.journal.outcomes import Outcomes
from edge.journal.records import Finish, Parcel
from edge.journal.states import State, move
from edge.model import Laterality, OperatorStatement, Signature


def film(store, *, held=False):
    """A film whose result is delivered, or that is held, and whose report was set aside."""
    journal = Journal(store)
    job = journal.claim(b"/a", "a" * 64, Signature(1, 1, 1, 1)).job
    parcels = (
        Parcel(REJECT if held else RESULT, "1", 0, "", b"{}"),
        Parcel(DICOM_SR, "2", 0, "", b"{}", PACS),
    )
    Outcomes(store).finish(job, Finish(State.HELD if held else State.QUEUED, None, parcels))
    with store.transaction():
        store.db.execute("UPDATE outbox SET state = 'closed' WHERE id = '1'")
        store.db.execute("UPDATE outbox SET state = 'set_aside', why = 'x' WHERE id = '2'")
        if not held:
            move(store, job, State.SET_ASIDE)
    return job


def state(store, job):
    return store.db.execute("SELECT state FROM job WHERE number = ?", (job,)).fetchone()[0]


def row(store):
    return store.db.execute("SELECT state FROM outbox WHERE id = '2'").fetchone()[0]


def test_a_document_is_taken_back_with_its_film(store):
    job = film(store)
    (message,) = set_aside(store)
    take_back(store, message)
    assert (row(store), state(store, job)) == ("queued", "queued")


@pytest.mark.parametrize("released", [False, True])
def test_a_film_that_is_held_or_goes_on_as_another_job_stays_what_it_is(store, released):
    job = film(store, held=True)
    if released:
        release(store, job, OperatorStatement(None, Laterality.LEFT))
    before = state(store, job)
    (message,) = set_aside(store)
    take_back(store, message)
    assert (row(store), state(store, job)) == ("queued", before)


def test_a_document_that_is_dismissed_is_closed_with_its_film(store):
    job = film(store)
    dismiss(store, job, "jo")
    assert (row(store), state(store, job)) == ("closed", "dismissed")
