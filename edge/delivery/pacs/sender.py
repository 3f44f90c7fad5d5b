"""The PACS sender: the thread that delivers documents, and what the daemon sees of it.

Layer: delivery; opens its own connection to the journal. What carries the documents is imported
when the thread starts, where the site has switched it on.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

from edge.contract.payloads import Alert
from edge.delivery.pacs.carrier import PacsError
from edge.delivery.pacs.delivery import PacsDelivery
from edge.delivery.pacs.faults import hang_fault
from edge.delivery.pacs.files import DocumentFiles
from edge.delivery.pacs.queue import PacsQueue
from edge.delivery.pacs.settings import Transport
from edge.delivery.pacs.steps import Steps
from edge.delivery.standing import DeliveryAlerts
from edge.errors import place_of
from edge.journal.store import Store, suspect_mark

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.delivery.pacs.carrier import Carrier
    from edge.delivery.pacs.commitments import Report
    from edge.delivery.pacs.settings import PacsSettings
    from edge.journal.states import State

log = logging.getLogger(__name__)

_TURN_S = 0.25
_CHECK_S = 1.0
_SWEEP_S = 60.0
_FAULT_S = 5.0
_LISTEN_AGAIN_S = 30.0


class PacsSender:
    """The thread; everything public may be called from the daemon's main thread.

    Parameters
    ----------
    folder
        The folder of documents.
    delivered
        State of a film that is delivered.
    alert_s
        A document that has waited for longer raises an alert.
    wake_daemon
        Called where a document must be made again; its job is then in ``wanted``.
    """

    def __init__(
        self,
        settings: PacsSettings,
        *,
        journal: Path,
        key: bytes,
        folder: Path,
        delivered: State,
        alert_s: float,
        wake_daemon: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._key = key
        self._files = DocumentFiles(folder)
        self._delivered = delivered
        self._alert_s = alert_s
        self._wake_daemon = wake_daemon
        self._alerts = DeliveryAlerts()
        self._reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._wanted: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._carrier: Carrier | None = None
        self._steps = Steps(settings)
        self._check_at_s = self._sweep_at_s = self._listen_at_s = 0.0
        self._thread = threading.Thread(target=self._run, name="pacs", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def wake(self) -> None:
        """Have the outbox read now: it has a new row."""
        self._woken.set()

    def alerts(self) -> tuple[Alert, ...]:
        """Active alerts, and one where the thread itself hangs, which cannot raise it then."""
        active, step = self._alerts.active(), self._steps.hanging()
        if step is None:
            return active
        detail = hang_fault(self._settings, step, self._steps.limit_s)
        return (*active, Alert(code="pacs_hangs", detail=detail))

    def take_wanted(self) -> list[int]:
        """Jobs whose documents must be made again, since the last call."""
        return [self._wanted.get() for _ in range(self._wanted.qsize())]

    def stop(self, within_s: float) -> None:
        """End; what is not delivered goes on after the next start."""
        self._stopping.set()
        self._woken.set()
        if self._carrier is not None:
            self._carrier.cut()
        self._thread.join(within_s)

    def _run(self) -> None:
        """Deliver until the daemon stops; nothing that goes wrong here ends the daemon."""
        while not self._stopping.is_set():
            self._steps.begin("opening the journal")
            try:
                self._work()
            except (sqlite3.OperationalError, OSError) as error:
                text = error.strerror if isinstance(error, OSError) else str(error)
                log.warning("PACS: the journal or the folder cannot be used: %s", text)
                self._alerts.raise_alert("pacs_outbox", f"delivery to the PACS pauses: {text}")
            except Exception as error:  # noqa: BLE001 - logged, and begun again
                if isinstance(error, sqlite3.DatabaseError):
                    suspect_mark(self._journal).touch()
                log.error("PACS: delivery stopped by a fault: %s", place_of(error))  # noqa: TRY400
                self._alerts.raise_alert(
                    "pacs_outbox", f"delivery to the PACS pauses after a fault: {place_of(error)}"
                )
            self._steps.begin("waiting after a fault")
            self._stopping.wait(_FAULT_S)

    def _work(self) -> None:
        store = Store(self._journal, self._key)
        try:
            rows = PacsQueue(store, self._delivered)
            if not self._settings.enabled:
                self._leave(rows)
                return
            self._carrier = carrier_of(self._settings, self._take_report)
            self._listen_at_s = 0.0
            try:
                self._serve(rows, self._carrier)
            finally:
                self._steps.begin("ending the connections")
                self._carrier.stop()
        finally:
            store.close()

    def _leave(self, rows: PacsQueue) -> None:
        """Set aside what an earlier run left for a PACS that is switched off now."""
        while not self._stopping.is_set():
            self._steps.begin("setting aside what waits")
            count = rows.set_all_aside("pacs_disabled")
            if count:
                log.error("PACS: %d documents are set aside: pacs.enabled is false", count)
            self._check(rows)
            self._stopping.wait(_CHECK_S)

    def _serve(self, rows: PacsQueue, carrier: Carrier) -> None:
        log.info("PACS: documents go to %s", self._settings.place)
        delivery = PacsDelivery(
            self._settings, rows, self._files, carrier, self._alerts, self._reports,
            self._want_again, self._steps,
        )  # fmt: skip
        while not self._stopping.is_set():
            self._steps.begin("listening for reports")
            self._listen(carrier)
            self._steps.begin("looking at what waits")
            self._check(rows)
            delivery.turn(self._stopping.is_set)
            self._alerts.clear_alert("pacs_outbox")
            self._woken.wait(_TURN_S)
            self._woken.clear()

    def _listen(self, carrier: Carrier) -> None:
        if time.monotonic() < self._listen_at_s:
            return
        self._listen_at_s = time.monotonic() + _LISTEN_AGAIN_S
        try:
            carrier.listen()
        except PacsError as error:
            self._alerts.raise_alert(
                "pacs_listener",
                f"reports of the PACS do not arrive: {error.detail}; fix: another "
                "pacs.commitment_port, or correct pacs.commitment_host",
            )
        else:
            self._alerts.clear_alert("pacs_listener")

    def _check(self, rows: PacsQueue) -> None:
        """Update the alerts of what waits, and remove files that are not needed."""
        now_s = time.monotonic()
        if now_s >= self._sweep_at_s:
            self._sweep_at_s = now_s + _SWEEP_S
            self._files.sweep(rows.is_open)
        if now_s < self._check_at_s:
            return
        self._check_at_s = now_s + _CHECK_S
        if rows.counts.oldest_s() > self._alert_s:
            self._alerts.raise_alert(
                "pacs_undelivered",
                f"documents wait for the PACS for more than {self._alert_s:g} s "
                "(delivery.alert_s); fix: see the other alerts, or the PACS's log",
            )
        else:
            self._alerts.clear_alert("pacs_undelivered")
        aside = rows.counts.latest_set_aside()
        if aside is None:
            self._alerts.clear_alert("pacs_set_aside")
        else:
            count, latest = aside
            self._alerts.raise_alert(
                "pacs_set_aside",
                f"{count} documents are set aside, the latest: {latest}; "
                "fix: sharpedge retry lists them",
            )

    def _take_report(self, report: Report) -> None:
        self._reports.put(report)
        self._woken.set()

    def _want_again(self, job: int) -> None:
        self._wanted.put(job)
        self._wake_daemon()


def carrier_of(settings: PacsSettings, take_report: Callable[[Report], None]) -> Carrier:
    """Make the way to the PACS that the site has set."""
    if settings.transport is Transport.STOW:
        from edge.delivery.pacs.stow import StowCarrier  # noqa: PLC0415 - who has it on needs it

        return StowCarrier(settings)
    from edge.delivery.pacs.dicom import DicomCarrier  # noqa: PLC0415 - as above

    return DicomCarrier(settings, take_report)
