"""Films with one message each in a journal, for tests of journal and delivery."""

from __future__ import annotations

import pytest

from edge.contract.ids import DeviceName, ResultKey
from edge.contract.payloads import DeliveryMode
from edge.delivery.outbox import Outbox
from edge.journal.journal import Journal
from edge.journal.kinds import REJECT, RESULT
from edge.journal.outcomes import Outcomes
from edge.journal.records import Finish, Parcel
from edge.journal.states import State
from edge.journal.store import Store
from edge.model import Signature

KEY = b"k" * 32
DEVICE = DeviceName("clinic", "xr1", "box1")
SHA = "a" * 64


@pytest.fixture
def store(tmp_path):
    it = Store(tmp_path / "journal.sqlite", KEY)
    yield it
    it.close()


@pytest.fixture
def journal(store):
    return Journal(store)


def signature(inode=1, mtime_ns=1):
    return Signature(1, inode, 10, mtime_ns)


def key_of(sha=SHA):
    return lambda revision: ResultKey(DEVICE, sha, 0, "e" * 64, revision=revision)


def finish(journal, job, *, sha=SHA, state=State.QUEUED, reason=None):
    outcome = f"{'scored' if state is State.QUEUED else state}:{reason or ''}"
    found = Outcomes(journal.store).resolve(key_of(sha), outcome)
    kind = RESULT if state is State.QUEUED else REJECT
    parcel = Parcel(kind, found.result_id, 0, outcome, b"{}")
    return Outcomes(journal.store).finish(job, Finish(state, reason, (parcel,))), found


def state_of(journal, job):
    found = journal.store.db.execute("SELECT state FROM job WHERE number = ?", (job,)).fetchone()
    return State(found["state"])


def open_outbox(store, mode=DeliveryMode.RECEIPT, receivers=()):
    return Outbox(store, mode, receivers, resend_s=0.0)
