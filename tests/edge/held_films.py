"""A state folder with held and scored films, and an operator socket that serves it."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path

from appliance import until
from journal_films import DEVICE, KEY, signature
from stand_in import VERSIONS

from edge.anatomy import Limb
from edge.contract.ids import ResultKey
from edge.contract.payloads import Alert, ClosedSource, Latency, Ledger
from edge.errors import REASONS, Reason
from edge.journal.copies import keep_copy
from edge.journal.journal import Journal
from edge.journal.kinds import REJECT, RESULT
from edge.journal.outcomes import Outcomes
from edge.journal.places import Places
from edge.journal.records import Finish, Parcel
from edge.journal.states import State
from edge.journal.store import Store
from edge.model import Laterality, LateralitySource, LimbResult, Status
from edge.operator.client import ask
from edge.operator.protocol import Ask, Live, Request
from edge.operator.requests import Requests
from edge.operator.server import OperatorServer
from edge.outputs.message import StoredMessage
from edge.system.clock import Anchor

LIVE = Live(
    presence="online",
    session=1,
    uptime_s=60.0,
    folder="/drop",
    folder_waiting=2,
    in_work=0,
    alerts=(Alert(code="disk_low", detail="free disk is below min_free_mib"),),
    versions=VERSIONS,
    broker="127.0.0.1:1883",
    connected=False,
    latency=Latency(count=3, p50_ms=200.0, p99_ms=300.0),
)


class Films:
    """Writes films into a journal as the daemon does."""

    def __init__(self, state):
        self.state = state
        self.places = Places.below(state)
        self.places.make()
        self.store = Store(state / "journal.sqlite", KEY)
        self.journal = Journal(self.store)

    def close(self):
        self.store.close()

    def add(self, name, *, reason=None, side=None, source=None, limb=Limb.HAND, data=b"film"):
        """A film that was held or rejected for a reason, or scored; returns its job."""
        sha = f"{abs(hash(name)):064x}"[-64:]
        path = b"/drop/" + (name if isinstance(name, bytes) else name.encode())
        job = self.journal.claim(path, sha, signature()).job
        status = Status.SCORED if reason is None else REASONS[reason].status
        body = LimbResult(
            file=f"film-{job}.jpg", limb_index=0, status=status, limb=limb, laterality=side,
            laterality_source=source, reason=reason and str(reason), versions=VERSIONS,
        )  # fmt: skip
        now = time.time()
        ledger = Ledger(
            closed=now - 1, closed_source=ClosedSource.CLOSE_EVENT, picked_up=now - 0.2,
            queued=now, clock_synchronised=True,
        )  # fmt: skip
        kind = RESULT if reason is None else REJECT
        stored = StoredMessage(
            topic=kind, anchor=Anchor.at(0, now), body=body, job=job, film_sha256=sha,
            study="0" * 32, patient=None, supersedes=None, ledger=ledger,
        )  # fmt: skip
        result_id = ResultKey(DEVICE, sha, 0, "e" * 64).result_id()
        parcel = Parcel(kind, result_id, 0, str(status), stored.model_dump_json().encode())
        states = {Status.HELD: State.HELD, Status.REJECTED: State.QUARANTINED}
        end = Finish(states.get(status, State.QUEUED), reason and str(reason), (parcel,))
        Outcomes(self.store).finish(job, end)
        if reason is not None:
            keep_copy(self.places.quarantine, job, path, str(reason), data)
        return job

    def held(self, name="IMG0001.jpg", reason=Reason.SIDE_NOT_KNOWN):
        return self.add(
            name, reason=reason, side=Laterality.RIGHT, source=LateralitySource.GEOMETRY
        )

    def states(self):
        return {it["number"]: it["state"] for it in self.store.db.execute("SELECT * FROM job")}

    def said_by(self, job):
        """The names of the operators in the chain's rows of a job."""
        events = self.store.events_of_jobs(job, job)
        return [it.detail["operator"] for it in events if "operator" in it.detail]


def listens(path):
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        return True
    return False


class Desk:
    """The socket at ``path`` over films; ``lines`` and ``orders`` are what the daemon is told."""

    def __init__(self, folder, live=lambda: LIVE, group="no-such-group", whois_days=0.0):
        self.state = folder / "state"
        self.state.mkdir()
        self.films = Films(self.state)
        self.path = self.state / "operator.sock"
        self.lines, self.orders = [], []
        self.server = OperatorServer(
            self.path,
            group,
            lambda: Requests(
                self.state, KEY, DEVICE, live, lambda: self.orders.append(1), whois_days
            ),
            self.lines.append,
        )
        self.server.start()

    def ask(self, ask_for=Ask.STATUS, **fields):
        """Ask, once the socket is there."""
        self.wait()
        return ask(self.path, Request(ask=ask_for, **fields), 10.0)

    def wait(self):
        """Wait for the socket to take connections."""
        until(lambda: listens(self.path), what="the operator socket")

    def close(self):
        self.server.stop(10)
        self.films.close()


def raw(desk, data, *, close_after=True, timeout_s=10.0):
    """What comes back for bytes that may be anything."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(timeout_s)
        sock.connect(str(desk if isinstance(desk, Path) else desk.path))
        try:
            sock.sendall(data)
            if close_after:
                sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        found = b""
        try:
            while piece := sock.recv(1 << 16):
                found += piece
        except OSError:
            pass
        return found
