"""Fills an appliance's journal with results that wait, as an outage of the broker leaves it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time

from stand_in import VERSIONS

from edge.anatomy import Limb
from edge.contract.ids import DeviceName, ResultKey
from edge.contract.payloads import ClosedSource, Ledger
from edge.journal.journal import Journal
from edge.journal.kinds import RESULT
from edge.journal.outcomes import Outcomes
from edge.journal.records import Finish, Parcel
from edge.journal.states import State
from edge.journal.store import Store
from edge.model import Laterality, LateralitySource, LimbResult, Signature, Status
from edge.outputs.message import StoredMessage
from edge.system.clock import Anchor
from edge.system.device_key import derived_key, device_key

DEVICE = DeviceName("clinic", "xr1", "box1")


def fill(appliance, count, *, first=0, age_s=3600.0, flags=(), transaction=None):
    """Put results ``first`` to ``count`` into the outbox, ``age_s`` old; gives ids in order.

    ``transaction`` joins all of them in one.
    """
    appliance.state.mkdir(exist_ok=True)
    store = Store(
        appliance.state / "journal.sqlite", derived_key(device_key(appliance.state), "journal")
    )
    # Only here: a real outage writes each of these rows durably.
    store.db.execute("PRAGMA synchronous=OFF")
    journal = Journal(store)
    closed = time.time() - age_s
    with transaction(store) if transaction else contextlib.nullcontext():
        ids = [_one(appliance, journal, number, closed, age_s, flags)
               for number in range(first, count)]  # fmt: skip
    store.close()
    return ids


def _one(appliance, journal, number, closed, age_s, flags):
    sha = hashlib.sha256(b"%d" % number).hexdigest()
    path = os.fsencode(appliance.drop / f"gone{number}.jpg")
    job = journal.claim(path, sha, Signature(1, number, 10, 1)).job
    result_id = ResultKey(DEVICE, sha, 0, "e" * 64).result_id()
    stored = StoredMessage(
        topic="result",
        anchor=Anchor.at(time.monotonic() - age_s, closed),
        body=LimbResult(
            file=f"film-{job}.jpg", limb_index=0, status=Status.SCORED, limb=Limb.HAND,
            laterality=Laterality.LEFT, laterality_source=LateralitySource.DICOM,
            flags=tuple(flags), versions=VERSIONS,
        ),
        job=job,
        film_sha256=sha,
        study="0" * 32,
        patient=None,
        supersedes=None,
        ledger=Ledger(
            closed=closed, closed_source=ClosedSource.CLOSE_EVENT, picked_up=closed,
            queued=closed, clock_synchronised=True,
        ),
    )  # fmt: skip
    parcel = Parcel(RESULT, result_id, 0, "scored:", stored.model_dump_json().encode())
    Outcomes(journal.store).finish(job, Finish(State.QUEUED, None, (parcel,)))
    return result_id
