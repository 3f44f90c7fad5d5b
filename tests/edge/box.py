"""An outbox that is sent over a broker that is played, on a clock that is ours."""

from __future__ import annotations

import hashlib
import json
import time

from stand_in import VERSIONS

from edge.anatomy import Limb
from edge.contract.ids import DeviceName, ResultKey
from edge.contract.payloads import ClosedSource, DeliveryMode, Ledger
from edge.delivery.link import Answered, Connected, LinkError
from edge.delivery.outbox import Outbox
from edge.delivery.outgoing import Outgoing
from edge.delivery.settings import DeliverySettings
from edge.delivery.standing import DeliveryAlerts, Latencies
from edge.journal.journal import Journal
from edge.journal.kinds import IMAGE, RESULT
from edge.journal.names import Names
from edge.journal.outcomes import Outcomes
from edge.journal.records import Finish, Parcel, StudyChange
from edge.journal.states import State
from edge.journal.store import Store
from edge.model import Laterality, LateralitySource, LimbResult, Signature, Status
from edge.outputs.message import StoredMessage
from edge.outputs.packet import Extras
from edge.outputs.settings import JoiningSettings
from edge.outputs.study import StudyBody
from edge.system.clock import Anchor

KEY = b"k" * 32
DEVICE = DeviceName("clinic", "xr1", "box1")


class PlayedBroker:
    """Takes what is published, or refuses it; ``taken`` are topic, payload and retain.

    ``refuses`` gives the reason why a topic is refused, or nothing; ``acknowledges`` may be off.
    """

    client_id = "played"

    def __init__(self):
        self.taken, self.refused, self.answers = [], [], []
        self.refuses = lambda _topic: ""
        self.acknowledges = True
        self.flushed = True
        self._number = 0

    def publish(self, topic, payload, extras, *, qos, retain):
        assert isinstance(extras, Extras)
        assert qos == 1
        self._number += 1
        why = self.refuses(topic)
        (self.refused if why else self.taken).append((topic, payload, retain))
        if self.acknowledges:
            self.answers.append(Answered(self._number, why))
        return self._number

    def is_flushed(self):
        return self.flushed

    def topic(self, word):
        """What was taken on one of the appliance's topics, in order."""
        return [it for it in self.taken if it[0].split("/")[4] == word]

    def sequences(self):
        """Sequence numbers of the first arrivals of results and rejects."""
        found = {}
        for topic, payload, _ in self.taken:
            if topic.split("/")[4] in {"result", "reject"}:
                body = json.loads(payload)
                found.setdefault(body["id"], body["sequence"])
        return list(found.values())


class Box:
    """One appliance's delivery without threads; ``run`` lets seconds pass."""

    def __init__(self, folder, monkeypatch, *, device=DEVICE, mode="receipt", resend_s=4.0, **more):
        self.now_s = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now_s)
        self.pictures = folder / "pictures"
        self.pictures.mkdir(exist_ok=True)
        self.path, self.device = folder / "journal.sqlite", device
        self.settings = DeliverySettings(mode=mode, resend_s=resend_s, **more)
        self.broker = PlayedBroker()
        self.connections = 0
        self._open = []
        self.start()

    def start(self):
        """Open everything, as a start does."""
        self.store = Store(self.path, KEY)
        self._open.append(self.store)
        # Nothing here outlives a power cut.
        self.store.db.execute("PRAGMA synchronous=OFF")
        self.journal = Journal(self.store)
        self.outcomes = Outcomes(self.store, str(self.device))
        it = self.settings
        self.active = DeliveryAlerts()
        self.outbox = Outbox(self.store, DeliveryMode(it.mode), it.receivers, it.resend_s)
        self.names = Names(self.store, self.device)
        self.outgoing = Outgoing(
            self.outbox, self.names, self.device, self.pictures, it, self.active, Latencies(),
            JoiningSettings(),
        )  # fmt: skip
        self.connect()

    def connect(self, *, packet_limit=None, window=65535):
        self.connections += 1
        self.outgoing.begin(self.broker, Connected(packet_limit, window))

    def close(self):
        for store in self._open:
            store.close()

    def film(self, number, kind=RESULT, *, picture=False, study=False, flags=()):
        """Deposit one film's message; gives its id."""
        sha = hashlib.sha256(b"%d" % number).hexdigest()
        job = self.journal.claim(b"/%d" % number, sha, Signature(1, number, 1, 1)).job
        result_id = ResultKey(self.device, sha, 0, "e" * 64).result_id()
        scored = kind is RESULT
        stored = StoredMessage(
            topic=kind, name=str(self.device), anchor=Anchor.at(0.0, 1.0),
            body=LimbResult(
                file="f.jpg", limb_index=0, status=Status.SCORED if scored else Status.HELD,
                reason=None if scored else "side_not_known", limb=Limb.HAND,
                laterality=Laterality.LEFT, laterality_source=LateralitySource.DICOM,
                flags=tuple(flags), versions=VERSIONS,
            ),
            job=job, film_sha256=sha, study="0" * 32, patient=None, supersedes=None,
            ledger=Ledger(
                closed=1.0, closed_source=ClosedSource.CLOSE_EVENT, picked_up=1.0, queued=1.0,
                clock_synchronised=True,
            ),
        )  # fmt: skip
        parcels = [Parcel(kind, result_id, 0, "x:", stored.model_dump_json().encode())]
        if picture:
            name = f"{result_id}.jpg"
            (self.pictures / name).write_bytes(b"picture of " + result_id.encode())
            parcels.append(Parcel(IMAGE, result_id, 0, "x:", name.encode()))
        body = StudyBody().model_dump_json()
        change = StudyChange(f"{number:032x}", body, complete=False) if study else None
        state = State.QUEUED if scored else State.HELD
        self.outcomes.finish(job, Finish(state, None, tuple(parcels), change))
        return result_id

    def turn(self):
        """One turn of the sender; a connection that it ends is made again."""
        try:
            self.outgoing.clear_old_topics()
            self.outgoing.send_rows()
            self.outbox.repeats.choose_overdue()
            self.outgoing.check()
            self.outgoing.send_study()
        except LinkError as error:
            self.outgoing.ended(error)
            self.connect()
        self.hear()

    def hear(self):
        answers, self.broker.answers = self.broker.answers, []
        rows = [self.outgoing.answered(answer) for answer in answers]
        self.outbox.endings.acknowledged([row for row in rows if row is not None])

    def run(self, seconds, each=lambda: None):
        """Let time pass, a fifth of a second at a time."""
        for _ in range(round(seconds * 5)):
            self.turn()
            each()
            self.now_s += 0.2

    def answer_new(self, receiver="ward"):
        """A dashboard that answers everything that it gets, once for each arrival."""
        seen = 0

        def answer():
            nonlocal seen
            new, seen = self.broker.taken[seen:], len(self.broker.taken)
            bodies = [json.loads(p) for t, p, _ in new if t.split("/")[4] in {"result", "reject"}]
            if bodies:
                self.outgoing.receipts([(body["id"], receiver) for body in bodies])

        return answer

    def alerts(self):
        return {alert.code: alert.detail for alert in self.active.active()}
