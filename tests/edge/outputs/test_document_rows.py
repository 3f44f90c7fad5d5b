"""Which documents are made, and which earlier report they name."""

from __future__ import annotations

import hashlib
import uuid

import pytest
from box import DEVICE, KEY

from edge.contract.ids import output_id
from edge.contract.payloads import ClosedSource, Ledger
from edge.journal.journal import Journal
from edge.journal.kinds import DICOM_SC, DICOM_SR, PACS, REJECT, RESULT
from edge.journal.outcomes import Outcomes
from edge.journal.records import Finish, Parcel
from edge.journal.states import State
from edge.journal.store import Store
from edge.model import Signature, SrClass, Status
from edge.outputs.document import StoredDocument
from edge.outputs.document_rows import DocumentRows, Given, NotYetError
from edge.outputs.message import StoredMessage
from edge.system.clock import Anchor

UID, SHA = "1.2.3", "a" * 64


class Rows:
    """A journal with results of one limb that replace one another."""

    def __init__(self, folder):
        self.store = Store(folder / "journal.sqlite", KEY)
        self.rows = DocumentRows(self.store, State.RECEIPTED, SrClass.COMPREHENSIVE_3D)
        self.journal, self.outcomes = Journal(self.store), Outcomes(self.store, str(DEVICE))
        self.count = 0

    def result(self, supersedes=None, *, documents=(DICOM_SR,), sr_class="3d", held=False):
        """Record a result; gives its id."""
        from limb_results import a_result

        self.count += 1
        result_id = str(uuid.uuid5(uuid.NAMESPACE_OID, str(self.count)))
        sha = hashlib.sha256(result_id.encode()).hexdigest()
        number = self.count
        job = self.journal.claim(b"/%d" % number, sha, Signature(1, number, 1, 1)).job
        kind = REJECT if held else RESULT
        message = StoredMessage(
            topic=kind, name=str(DEVICE), anchor=Anchor.at(0.0, 1.0),
            body=a_result(status=Status.HELD if held else Status.SCORED), job=job,
            film_sha256=sha, study="0" * 32, patient=None, supersedes=supersedes,
            ledger=Ledger(closed=1.0, closed_source=ClosedSource.CLOSE_EVENT, picked_up=1.0,
                          queued=1.0, clock_synchronised=True),
        )  # fmt: skip
        parcels = [Parcel(kind, result_id, 0, "x:", message.model_dump_json().encode())]
        for one in documents:
            row_id = output_id(result_id, one)
            stored = StoredDocument(
                file=f"{row_id}.dcm", result_id=result_id,
                sr_class=SrClass(sr_class) if one == DICOM_SR else None,
            )  # fmt: skip
            payload = stored.model_dump_json().encode()
            parcels.append(Parcel(one, row_id, 0, "x:", payload, PACS, undrawn=True))
        state = State.HELD if held else State.QUEUED
        self.outcomes.finish(job, Finish(state, None, tuple(parcels)))
        return result_id

    def write(self, result_id):
        for row in self.rows.wanted(self.job_of(result_id)):
            assert self.rows.written(row, UID, UID, SHA)

    def job_of(self, result_id):
        found = self.store.db.execute("SELECT job FROM outbox WHERE id = ?", (result_id,))
        return found.fetchone()["job"]

    def store_at_pacs(self, result_id):
        self.write(result_id)
        self.store.db.execute(
            "UPDATE outbox SET state = 'waiting', sendings = 1 WHERE id = ?",
            (output_id(result_id, DICOM_SR),),
        )

    def predecessor(self, result_id):
        return self.rows.predecessor(self.rows.message(result_id))


@pytest.fixture
def it(tmp_path):
    found = Rows(tmp_path)
    yield found
    found.store.close()


def test_a_first_result_replaces_none(it):
    assert it.predecessor(it.result()) is None


@pytest.mark.parametrize("sr_class", ["3d", "2d"])
def test_a_report_that_the_pacs_has_is_named_with_the_class_that_it_was_sent_as(it, sr_class):
    it.rows = DocumentRows(it.store, State.RECEIPTED, SrClass(sr_class))
    first = it.result(held=True)
    it.store_at_pacs(first)
    assert it.predecessor(it.result(first)) == Given(first, SrClass(sr_class))


def test_a_report_that_is_still_to_be_sent_is_waited_for(it):
    first = it.result()
    second = it.result(first)
    with pytest.raises(NotYetError):
        it.predecessor(second)
    it.write(first)
    with pytest.raises(NotYetError):
        it.predecessor(second)
    it.store_at_pacs(first)
    assert it.predecessor(second) == Given(first, SrClass.COMPREHENSIVE_3D)


@pytest.mark.parametrize("state", ["set_aside", "closed"])
def test_a_report_that_the_pacs_was_never_given_is_not_named(it, state):
    first = it.result()
    for row in it.rows.wanted(it.job_of(first)):
        it.rows.end(row, state, "no_dicom_source")
    assert it.predecessor(it.result(first)) is None


def test_the_chain_is_followed_past_results_without_a_report(it):
    first = it.result()
    it.store_at_pacs(first)
    second = it.result(first, documents=())
    third = it.result(second, documents=(DICOM_SC,))
    assert it.predecessor(it.result(third)) == Given(first, SrClass.COMPREHENSIVE_3D)


def test_a_chain_that_a_fault_made_a_ring_of_ends(it):
    first = it.result("11111111-1111-5111-8111-111111111111", documents=())
    assert it.predecessor(it.result(first, documents=())) is None


def test_a_report_that_was_not_sent_is_made_in_the_class_that_the_site_wants_now(it):
    first = it.result(sr_class="2d")
    (row,) = it.rows.wanted(it.job_of(first))
    assert row.stored.sr_class is SrClass.COMPREHENSIVE_3D
    it.store.db.execute("UPDATE outbox SET sendings = 1 WHERE row = ?", (row.row,))
    (row,) = it.rows.wanted(it.job_of(first))
    assert row.stored.sr_class is SrClass.COMPREHENSIVE


def test_what_the_child_tells_is_checked_before_it_is_stored(it):
    (row,) = it.rows.wanted(it.job_of(it.result()))
    for told in (("../x", UID, SHA), (UID, "a\0", SHA), (UID, UID, "short"), ("", UID, SHA)):
        assert not it.rows.written(row, *told)
    assert it.rows.written(row, UID, UID, SHA)
    found = it.store.db.execute("SELECT state, payload FROM outbox WHERE row = ?", (row.row,))
    state, payload = found.fetchone()
    assert state == "queued"
    assert StoredDocument.model_validate_json(payload).sha256 == SHA


def test_a_damaged_row_or_message_is_left_for_the_repair(it):
    result_id = it.result()
    it.store.db.execute("UPDATE outbox SET payload = x'00' WHERE kind = 'result'")
    with pytest.raises(NotYetError):
        it.rows.message(result_id)
    it.store.db.execute("UPDATE outbox SET payload = x'00' WHERE destination = 'pacs'")
    with pytest.raises(NotYetError):
        it.rows.wanted(it.job_of(result_id))


def test_a_row_holds_nothing_of_a_patient(it):
    it.write(it.result())
    found = it.store.db.execute("SELECT payload FROM outbox WHERE destination = 'pacs'")
    stored = StoredDocument.model_validate_json(found.fetchone()["payload"])
    assert set(stored.model_dump()) == {
        "file", "result_id", "sr_class", "sop_class", "sop_instance", "sha256",
    }  # fmt: skip
