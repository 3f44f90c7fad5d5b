"""The daemon's part of delivery to a PACS: what is made, what is sent, its alerts.

Layer: daemon; starts the PACS thread, and the process that makes documents at its first task.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from edge.daemon.documents import Documents
from edge.delivery.counts import Counts
from edge.delivery.endings import delivered_by
from edge.delivery.pacs.files import DocumentFiles
from edge.delivery.pacs.sender import PacsSender
from edge.delivery.pacs.settings import DocumentKind, Transport
from edge.errors import ConfigError
from edge.journal.kinds import DICOM_SC, DICOM_SR, PACS
from edge.outputs.document_rows import DocumentRows
from edge.worker.document_handle import DocumentMaker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.config import Config
    from edge.daemon.alerts import Alerts
    from edge.daemon.taking import Taking
    from edge.delivery.pacs.settings import PacsSettings
    from edge.journal.journal import Journal
    from edge.journal.places import Places
    from edge.outputs.film import FilmInWork

_ALERTS = (
    "pacs", "pacs_commitment", "pacs_hangs", "pacs_listener", "pacs_outbox", "pacs_set_aside",
    "pacs_undelivered",
)  # fmt: skip
_KINDS = {DocumentKind.SR: DICOM_SR, DocumentKind.PICTURE: DICOM_SC}


class PacsPart:
    """What the loop asks of delivery to a PACS; its parts are None where it is off."""

    def __init__(
        self, alerts: Alerts, sender: PacsSender | None = None, documents: Documents | None = None
    ) -> None:
        self._alerts = alerts
        self._sender = sender
        self._documents = documents

    @property
    def waits_on(self) -> tuple[int, int] | None:
        """Descriptor and `select.poll` events to wait for; None without any."""
        return None if self._documents is None else self._documents.waits_on

    def start(self) -> None:
        """Begin to deliver."""
        if self._sender is not None:
            self._sender.start()

    def stop(self, within_s: float) -> None:
        """End; what is not made or not delivered goes on after the next start."""
        if self._documents is not None:
            self._documents.stop()
        if self._sender is not None:
            self._sender.stop(within_s)

    def recorded(self, film: FilmInWork) -> None:
        """Note a film whose outcome is recorded."""
        if self._documents is not None:
            self._documents.recorded(film)

    def forgive(self, lost_s: float) -> None:
        """Do not count seconds in which nothing ran."""
        if self._documents is not None:
            self._documents.forgive(lost_s)

    def turn(self, *, scoring: bool) -> None:
        """Have documents made; see `Documents.turn`."""
        if self._documents is None or self._sender is None:
            return
        for job in self._sender.take_wanted():
            self._documents.want(job)
        self._documents.turn(scoring=scoring)

    def tell(self) -> None:
        """Raise and clear the alerts of the PACS thread."""
        if self._sender is not None:
            active = {alert.code: alert.detail for alert in self._sender.alerts()}
            for code in _ALERTS:
                self._alerts.update(code, active.get(code))


def pacs_of(
    config: Config,
    root: Path,
    key: bytes,
    places: Places,
    journal: Journal,
    taking: Taking,
    alerts: Alerts,
    wake: Callable[[], None],
) -> PacsPart:
    """Make delivery to the PACS as the site has set it.

    Parameters
    ----------
    key
        The journal's chain key.
    wake
        Wakes the daemon's loop.

    Raises
    ------
    ConfigError
        Where it is switched on and its libraries are missing.
    """
    if config.pacs.enabled:
        _require(config.pacs)
    elif not _has_rows(journal):
        # Of an earlier run: they hold what names patients, and no row needs them.
        DocumentFiles(places.pacs).sweep(lambda _name: False, unfinished_s=0.0)
        return PacsPart(alerts)
    delivered = delivered_by(config.delivery.mode)
    sender = PacsSender(
        config.pacs,
        journal=root / "journal.sqlite",
        key=key,
        folder=places.pacs,
        delivered=delivered,
        alert_s=config.delivery.alert_s,
        wake_daemon=wake,
    )
    if not config.pacs.enabled:
        return PacsPart(alerts, sender)

    def film_bytes(job: int) -> bytes | None:
        order = journal.order_of(job)
        return None if order is None else taking.bytes_of(order)

    rows = DocumentRows(journal.store, delivered, config.pacs.sr_class)
    documents = Documents(rows, DocumentMaker(config), alerts, film_bytes, sender.wake)
    return PacsPart(alerts, sender, documents)


def _has_rows(journal: Journal) -> bool:
    """Whether an earlier run has left documents that are not delivered."""
    depth = Counts(journal.store.db, PACS).depth()
    return bool(depth.rows or depth.set_aside)


def documents_of(settings: PacsSettings) -> tuple[str, ...]:
    """Kinds of outbox rows that are made for the PACS."""
    return tuple(kind for document, kind in _KINDS.items() if settings.wants(document))


def _require(settings: PacsSettings) -> None:
    dicom = settings.transport is Transport.DICOM
    needed = ("highdicom", "pynetdicom" if dicom else "urllib3")
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"pacs.enabled: {' and '.join(missing)} not installed; "
            "fix: pip install 'sharpedge[dicom]', or set pacs.enabled = false"
        )
