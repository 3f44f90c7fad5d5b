from __future__ import annotations

import pytest

from edge.journal.film_end import end_film, film_waits_for
from edge.journal.outcomes import Outcomes
from edge.journal.records import Finish, Parcel
from edge.journal.states import State
from edge.model import Signature


@pytest.mark.parametrize(
    ("kind", "destination", "waits"),
    [("result", "mqtt", True), ("reject", "mqtt", False), ("image", "mqtt", False),
     ("csv", "mqtt", False), ("dicom_sr", "pacs", True), ("dicom_sc", "pacs", True)],
)  # fmt: skip
def test_a_film_waits_for_its_results_and_for_all_that_goes_elsewhere(kind, destination, waits):
    assert film_waits_for(kind, destination) is waits


@pytest.mark.parametrize(
    ("states", "end"),
    [
        (("closed", "closed"), State.RECEIPTED), (("closed", "queued"), State.QUEUED),
        (("closed", "waiting"), State.QUEUED), (("closed", "undrawn"), State.QUEUED),
        (("queued", "closed"), State.QUEUED), (("closed", "set_aside"), State.SET_ASIDE),
        (("set_aside", "waiting"), State.QUEUED),
    ],
)  # fmt: skip
def test_a_film_ends_when_no_destination_has_an_open_row(journal, states, end):
    job = journal.claim(b"/a", "a" * 64, Signature(1, 1, 1, 1)).job
    parcels = (Parcel("result", "1", 0, "", b"{}"), Parcel("dicom_sr", "2", 0, "", b"", "pacs"))
    Outcomes(journal.store).finish(job, Finish(State.QUEUED, None, parcels))
    for row, state in enumerate(states, 1):
        journal.store.db.execute("UPDATE outbox SET state = ? WHERE row = ?", (state, row))
    with journal.store.transaction():
        end_film(journal.store, job, State.RECEIPTED)
    found = journal.store.db.execute("SELECT state FROM job WHERE number = ?", (job,)).fetchone()
    assert found["state"] == end
