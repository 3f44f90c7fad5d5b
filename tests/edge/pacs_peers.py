"""PACS of the tests' own (pynetdicom), and a box with documents that are to be sent to them."""

from __future__ import annotations

import hashlib
import queue
import socket
import threading
import time
import uuid
from contextlib import contextmanager
from functools import cache

from appliance import free_port, until
from dicom_films import MOMENT, a_film
from limb_results import a_result
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel
from pynetdicom.sop_class import StorageCommitmentPushModelInstance as Instance

from edge.contract.ids import output_id
from edge.delivery.pacs.delivery import PacsDelivery
from edge.delivery.pacs.files import DocumentFiles
from edge.delivery.pacs.queue import PacsQueue
from edge.delivery.pacs.sender import carrier_of
from edge.delivery.pacs.settings import PacsSettings
from edge.delivery.pacs.steps import Steps
from edge.delivery.standing import DeliveryAlerts
from edge.journal.journal import Journal
from edge.journal.kinds import DICOM_SC, DICOM_SR, PACS, RESULT
from edge.journal.outcomes import Outcomes
from edge.journal.records import Finish, Parcel
from edge.journal.states import State
from edge.journal.store import Store
from edge.model import Signature, SrClass
from edge.outputs.dicom_sc import SOP_CLASS as CAPTURE
from edge.outputs.dicom_sc import sc_of
from edge.outputs.dicom_source import read_source
from edge.outputs.dicom_sr import SOP_CLASSES, sr_of
from edge.outputs.document import StoredDocument
from edge.outputs.report import LimbReport, uid_of

KEY = b"k" * 32
REPORT = SOP_CLASSES[SrClass.COMPREHENSIVE_3D]
CLASSES = {DICOM_SR: REPORT, DICOM_SC: CAPTURE}


class Pacs:
    """A PACS; what it does is set by its attributes, which a test may change at any time.

    ``answer`` gives the status of a C-STORE by its number and instance. ``reports`` is how it
    commits: ``same`` association, ``own`` one, ``early`` (before the answer to the request) or
    ``never``. ``fails`` gives failure reasons by instance. ``hang_s`` delays each answer.
    """

    def __init__(
        self, *, classes=(REPORT, CAPTURE), commitment=True, tls=None, port=None, syntax=None
    ):
        self.port = port or free_port()
        self.stored, self.asked, self.proposed, self.answers = [], [], [], []
        self.answer = lambda _number, _uid: 0x0000
        self.reports, self.report_port = "same", 0
        self.fails = lambda _uid: None
        self.hang_s = 0.0
        self.aborts = lambda _uid: False
        self._requests = 0
        self._threads = []
        entity = AE("TESTPACS")
        for one in classes:
            entity.add_supported_context(one, syntax)
        if commitment:
            entity.add_supported_context(StorageCommitmentPushModel)
        entity.require_called_aet = True
        entity.require_calling_aet = ["SHARPEDGE"]
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 10
        self._server = entity.start_server(
            ("127.0.0.1", self.port), block=False, ssl_context=tls,
            evt_handlers=[
                (evt.EVT_C_STORE, self._on_store),
                (evt.EVT_N_ACTION, self._on_action),
                (evt.EVT_REQUESTED, self._on_requested),
            ],
        )  # fmt: skip

    def stop(self):
        for one in list(self._server.active_associations):
            one.abort()
        self._server.shutdown()
        for thread in self._threads:
            thread.join(5)

    def _on_requested(self, event):
        self.proposed.append(
            {
                str(it.abstract_syntax)
                for it in event.assoc.requestor.primitive.presentation_context_definition_list
            }
        )

    def _on_store(self, event):
        self._requests += 1
        uid = str(event.request.AffectedSOPInstanceUID)
        time.sleep(self.hang_s)
        if self.aborts(uid):
            event.assoc.abort()
            return 0x0000
        status = self.answer(self._requests, uid)
        if status == 0 or status & 0xF000 == 0xB000:
            self.stored.append((uid, event.encoded_dataset(include_meta=False)))
        return status

    def _on_action(self, event):
        wanted = event.action_information
        pairs = [(str(it.ReferencedSOPClassUID), str(it.ReferencedSOPInstanceUID))
                 for it in wanted.ReferencedSOPSequence]  # fmt: skip
        self.asked.append([uid for _, uid in pairs])
        report = self._report(str(wanted.TransactionUID), pairs)
        if self.reports == "early":
            found, _ = event.assoc.send_n_event_report(
                report, 1, StorageCommitmentPushModel, Instance, msg_id=9
            )
            self.answers.append(found.get("Status"))
        elif self.reports in {"same", "own"}:
            thread = threading.Thread(target=self._later, args=(event.assoc, report), daemon=True)
            self._threads.append(thread)
            thread.start()
        return 0x0000, None

    def _report(self, transaction, pairs):
        done, failed = [], []
        have = {uid for uid, _ in self.stored}
        for sop_class, uid in pairs:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
            reason = self.fails(uid) or (None if uid in have else 0x0112)
            if reason is None:
                done.append(item)
            else:
                item.FailureReason = reason
                failed.append(item)
        found = Dataset()
        found.TransactionUID = transaction
        if done:
            found.ReferencedSOPSequence = done
        if failed:
            found.FailedSOPSequence = failed
        return found

    def _later(self, association, report):
        time.sleep(0.1)
        kind = 2 if "FailedSOPSequence" in report else 1
        if self.reports == "same":
            if association.is_established:
                found, _ = association.send_n_event_report(
                    report, kind, StorageCommitmentPushModel, Instance, msg_id=9
                )
                self.answers.append(found.get("Status"))
            return
        self.answers.append(send_report(self.report_port, report, kind))

    def uids(self):
        return [uid for uid, _ in self.stored]


def send_report(port, report, kind=1, title="TESTPACS"):
    """Send a report on an association of the PACS's own; returns the status of the answer."""
    from pynetdicom import build_role

    entity = AE(title)
    entity.add_requested_context(StorageCommitmentPushModel)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 5
    opened = []
    it = entity.associate(
        "127.0.0.1", port, ae_title="SHARPEDGE",
        ext_neg=[build_role(StorageCommitmentPushModel, scu_role=True, scp_role=True)],
        evt_handlers=[(evt.EVT_CONN_OPEN, lambda e: opened.append(e.assoc.dul.socket.socket))],
    )  # fmt: skip
    status = None
    if it.is_established:
        found, _ = it.send_n_event_report(
            report, kind, StorageCommitmentPushModel, Instance, msg_id=9
        )
        status = found.get("Status")
        it.release()
    if it.ident is not None:
        it.join(2)
    for one in opened:
        one.close()
    return status


@contextmanager
def bare_peer(serve, port=0):
    """A TCP server whose connections ``serve`` gets, each on a thread."""
    listening = socket.create_server(("127.0.0.1", port))
    listening.settimeout(0.2)
    over, connections = threading.Event(), []

    def accept():
        while not over.is_set():
            try:
                connection, _ = listening.accept()
            except TimeoutError:
                continue
            connections.append(connection)
            connection.settimeout(20)
            threading.Thread(target=_quietly, args=(serve, connection), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        over.set()
        thread.join()
        for one in connections:
            one.close()
        listening.close()


def _quietly(serve, connection):
    try:
        serve(connection)
    except OSError:
        return


@cache
def _source():
    return read_source(a_film())


@cache
def _picture():
    import cv2
    import numpy as np

    return cv2.imencode(".jpg", np.full((40, 60, 3), 90, np.uint8))[1].tobytes()


@cache
def document(kind, result_id):
    """Bytes of a document."""
    report = LimbReport(a_result(), result_id, MOMENT)
    return sr_of(report, _source()) if kind == DICOM_SR else sc_of(report, _source(), _picture())


class PacsBox:
    """A journal with documents, and delivery without the thread; `run` lets it work."""

    def __init__(self, folder, pacs_port=1, **settings):
        self.folder = folder / "pacs"
        self.folder.mkdir(exist_ok=True)
        self.store = Store(folder / "journal.sqlite", KEY)
        self.store.db.execute("PRAGMA synchronous=OFF")
        self.journal = Journal(self.store)
        self.outcomes = Outcomes(self.store, "clinic/xr1/box1")
        self.settings = PacsSettings(**{
            "enabled": True, "port": pacs_port, "called_ae_title": "TESTPACS", "connect_s": 1.0,
            "answer_s": 1.0, "retry_s": 0.05, "longest_retry_s": 0.2, "commitment_s": 0.6,
        } | settings)  # fmt: skip
        self.files = DocumentFiles(self.folder)
        self.alerts = DeliveryAlerts()
        self.reports = queue.SimpleQueue()
        self.again = []
        self.carrier = None

    def start(self):
        self.rows = PacsQueue(self.store, State.RECEIPTED)
        self.carrier = carrier_of(self.settings, self.reports.put)
        self.carrier.listen()
        self.delivery = PacsDelivery(
            self.settings, self.rows, self.files, self.carrier, self.alerts, self.reports,
            self.again.append, Steps(self.settings),
        )  # fmt: skip
        return self

    def stop(self):
        if self.carrier is not None:
            self.carrier.stop()
            self.carrier = None

    def close(self):
        self.stop()
        self.store.close()

    def film(self, number, kinds=(DICOM_SR, DICOM_SC)):
        """A film with a delivered result, and documents to be sent; gives their UIDs."""
        result_id = str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))
        sha = hashlib.sha256(str(number).encode()).hexdigest()
        job = self.journal.claim(b"/%d" % number, sha, Signature(1, number, 1, 1)).job
        parcels = [Parcel(RESULT, result_id, 0, "scored:", b"{}")]
        uids = []
        for kind in kinds:
            row_id = output_id(result_id, kind)
            data = document(kind, result_id)
            uids.append(uid_of(result_id, "sr" if kind == DICOM_SR else "sc"))
            stored = StoredDocument(
                file=f"{row_id}.dcm", result_id=result_id, sop_class=CLASSES[kind],
                sop_instance=uids[-1], sha256=hashlib.sha256(data).hexdigest(),
                sr_class=SrClass.COMPREHENSIVE_3D if kind == DICOM_SR else None,
            )  # fmt: skip
            (self.folder / stored.file).write_bytes(data)
            parcels.append(
                Parcel(kind, row_id, 0, "scored:", stored.model_dump_json().encode(), PACS)
            )
        self.outcomes.finish(job, Finish(State.QUEUED, None, tuple(parcels)))
        return uids

    def deliver_result(self, job=1):
        """End a film's result as a dashboard's receipt does."""
        from edge.contract.payloads import DeliveryMode
        from edge.delivery.outbox import Outbox

        outbox = Outbox(self.store, DeliveryMode.RECEIPT, (), 30)
        row = self.store.db.execute(
            "SELECT row FROM outbox WHERE job = ? AND kind = 'result'", (job,)
        ).fetchone()["row"]
        outbox.endings.acknowledged([row])
        result_id = outbox.row(row).result_id
        self.store.db.execute("UPDATE outbox SET sendings = 1 WHERE row = ?", (row,))
        outbox.endings.receipts([(result_id, "ward")])

    def states(self):
        found = self.store.db.execute(
            "SELECT state FROM outbox WHERE destination = 'pacs' ORDER BY row"
        )
        return [it["state"] for it in found]

    def why(self):
        found = self.store.db.execute(
            "SELECT why FROM outbox WHERE destination = 'pacs' AND state = 'set_aside'"
        )
        return [it["why"] for it in found]

    def film_state(self, job=1):
        return self.store.db.execute(
            "SELECT state FROM job WHERE number = ?", (job,)
        ).fetchone()["state"]  # fmt: skip

    def alert(self, code):
        return next((it.detail for it in self.alerts.active() if it.code == code), "")

    def run(self, done, timeout_s=20):
        """Work until something is true."""

        def turn():
            self.delivery.turn(lambda: False)
            time.sleep(0.02)
            return done()

        return until(turn, timeout_s, what=f"states {self.states()}: the end")

    def work(self, seconds):
        """Work for some time."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self.delivery.turn(lambda: False)
            time.sleep(0.02)

    def run_until_closed(self, timeout_s=20):
        self.run(lambda: set(self.states()) == {"closed"}, timeout_s)
