"""The receiver: a C-STORE SCP that runs until a signal.

Layer: receive; listens on one port and writes into the inbox.
"""

from __future__ import annotations

import logging
import signal
import sqlite3
import ssl
import threading
import time
import warnings
from typing import TYPE_CHECKING, NamedTuple

from pynetdicom import AE, _config, evt

from edge.errors import ConfigError, place_of
from edge.model import DISCLAIMER
from edge.receive.bounds import BoundedServer, Bounds
from edge.receive.contexts import supported
from edge.receive.figures import FigureFile
from edge.receive.inbox import Inbox
from edge.receive.instances import FILE, Instances
from edge.receive.store import Rate, Status, Store
from edge.system.notify import Notifier

if TYPE_CHECKING:
    from pathlib import Path

    from pynetdicom.events import Event

    from edge.receive.settings import DicomSettings

log = logging.getLogger(__name__)

EXIT_STOPPED = 0
EXIT_FAILED = 1
_STOP_S = 5.0
"""Time for the object in hand at a stop."""
_LONGEST_P_DATA = 1 << 16
_FIGURES_S = 2.0


class Rejections:
    """The handler of associations that were rejected: tells of each, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, event: Event) -> None:
        """Tell of one."""
        self.count += 1
        log.warning(
            "an association of AE title %s was rejected: not in dicom.callers, or it called "
            "another title, or there were too many",
            ascii(event.assoc.requestor.ae_title),
        )


class Serving(NamedTuple):
    """A receiver that accepts associations; ``port`` is the one that it listens on."""

    server: BoundedServer
    inbox: Inbox
    instances: Instances
    store: Store
    port: int
    rejections: Rejections

    def stop(self) -> None:
        """Accept nothing more; end the associations."""
        self.server.shutdown()
        associations = self.server.active_associations
        for association in associations:
            association.abort(block=False)
        end_s = time.monotonic() + _STOP_S
        for association in associations:
            association.join(max(0.0, end_s - time.monotonic()))
        self.server.bounds.close_ended()
        self.instances.close()
        self.inbox.close()


def run(settings: DicomSettings, folder: Path, *, limit_mib: int, remember_days: float) -> int:
    """Receive films into ``folder`` until SIGTERM or SIGINT.

    Parameters
    ----------
    settings
        The section ``[dicom]``, whose port is given.
    folder
        The inbox.
    limit_mib
        Longest file that the appliance reads.
    remember_days
        How long the bytes of an instance are known.

    Returns
    -------
    int
        0 after a stop that was asked for. Raises `ConfigError` where it cannot start.
    """
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    serving = start(settings, folder, limit_mib=limit_mib, remember_days=remember_days)
    notifier = Notifier()
    encrypted = "TLS" if settings.certificate_file else "no TLS"
    log.info(
        "receiver: %s at %s:%d, %s, %d callers; %s",
        settings.ae_title, settings.host, serving.port, encrypted, len(settings.callers),
        DISCLAIMER,
    )  # fmt: skip
    notifier.send(READY="1", STATUS="waiting for associations")
    figures = FigureFile(folder, time.time())
    while not stopped.wait(_FIGURES_S):
        # A copy: associations go on counting.
        answers = {int(status): count for status, count in dict(serving.store.answers).items()}
        figures.write(answers, serving.rejections.count)
    notifier.send(STOPPING="1")
    serving.stop()
    log.info("receiver ended: %d films stored", serving.store.answers[Status.STORED])
    return EXIT_STOPPED


def start(
    settings: DicomSettings, folder: Path, *, limit_mib: int, remember_days: float
) -> Serving:
    """Start to accept associations, on threads. Raises `ConfigError`; see `run`."""
    _keep_quiet()
    context = _tls(settings)
    inbox = Inbox(folder, settings.min_free_mib)
    try:
        removed = inbox.clean()
        if removed:
            log.info("%d unfinished files of an earlier run are removed", removed)
        try:
            instances = Instances(folder / FILE)
            instances.forget_older(remember_days)
        except sqlite3.Error as error:
            raise ConfigError(
                f"{folder / FILE}: cannot be used ({error}); fix: free the disk, or let the "
                "receiver write there"
            ) from error
        store = Store(inbox, instances, Rate(settings.films_per_minute))
        largest_mib = min(settings.largest_mib, limit_mib)
        bounds = Bounds(largest_mib << 20, settings.network_s, settings.object_s)
        rejections = Rejections()
        server = _server(settings, context, bounds, store, rejections)
    except BaseException:
        inbox.close()
        raise
    threading.Thread(target=server.serve_forever, name="receiver", daemon=True).start()
    return Serving(server, inbox, instances, store, server.server_address[1], rejections)


def _server(
    settings: DicomSettings,
    context: ssl.SSLContext | None,
    bounds: Bounds,
    store: Store,
    rejections: Rejections,
) -> BoundedServer:
    entity = AE(settings.ae_title)
    entity.supported_contexts = supported()
    entity.require_called_aet = True
    entity.require_calling_aet = list(settings.callers)
    entity.maximum_associations = settings.associations
    entity.maximum_pdu_size = _LONGEST_P_DATA
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = settings.network_s

    def stored(event: Event) -> int:
        try:
            return store(event)
        finally:
            bounds.answered(event)

    handlers = [
        (evt.EVT_CONN_OPEN, bounds.on_open),
        (evt.EVT_PDU_RECV, bounds.on_pdu),
        (evt.EVT_DIMSE_RECV, bounds.on_message),
        (evt.EVT_C_ECHO, lambda _event: 0x0000),
        (evt.EVT_C_STORE, stored),
        (evt.EVT_REJECTED, rejections),
    ]
    try:
        server = entity.make_server(
            (settings.host, settings.port),
            ssl_context=context,
            evt_handlers=handlers,  # type: ignore[arg-type]
            server_class=BoundedServer,
        )
    except OSError as error:
        raise ConfigError(
            f"dicom.host, dicom.port: {settings.host}:{settings.port} cannot be listened on "
            f"({error.strerror}); fix: another port, or, below 1024, the right to use it"
        ) from error
    assert isinstance(server, BoundedServer)  # noqa: S101 - it was asked for
    server.bounds = bounds
    entity._servers.append(server)  # noqa: SLF001 - its shutdown removes it from there
    return server


def _tls(settings: DicomSettings) -> ssl.SSLContext | None:
    if settings.certificate_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.certificate_file, settings.key_file)
        if settings.ca_file is not None:
            context.load_verify_locations(settings.ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"dicom.certificate_file, key_file, ca_file: cannot be used ({error.strerror}); "
            "fix: PEM files that the receiver may read, the key without a pass phrase"
        ) from error
    return context


def _keep_quiet() -> None:
    """Keep what peers send out of the log: pynetdicom and pydicom quote it."""
    _config.LOG_HANDLER_LEVEL = "none"
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module=r"pydicom\.|pynetdicom\.")
    threading.excepthook = _tell_fault


def _tell_fault(fault: threading.ExceptHookArgs) -> None:
    if fault.exc_value is not None:
        log.error("an association ended by a fault: %s", place_of(fault.exc_value))
