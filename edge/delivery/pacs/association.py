"""One association with the PACS over pynetdicom, with a deadline on every step.

Layer: delivery; opens a socket to the PACS, reads the site's certificates.

pynetdicom waits without a limit where a peer stops in the middle of a PDU, or does not read.
`Deadline` ends the connection then, and whoever waits goes on.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

from pynetdicom import AE, _config, evt
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.pdu_primitives import A_ASSOCIATE

from edge.delivery.pacs.carrier import Failure, PacsError
from edge.receive.bounds import PduReader, cut
from edge.system.lookup import NameLookupError, connect, look_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pynetdicom.association import Association
    from pynetdicom.events import Event
    from pynetdicom.presentation import PresentationContext

    from edge.delivery.pacs.settings import PacsSettings

_LONGEST_P_DATA = 1 << 16
_JOIN_S = 2.0
_SLACK_S = 2.0
"""Beyond pynetdicom's own limit, before the connection is cut."""


def quiet() -> None:
    """Have pynetdicom write no logs of its own, which hold what peers and data sets say."""
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
    _config.LOG_HANDLER_LEVEL = "none"
    # A document goes out as it lies in its file.
    _config.STORE_SEND_CHUNKED_DATASET = True


class Deadline:
    """Cuts the connection of an association when a step takes too long."""

    def __init__(self) -> None:
        self._association: Association | None = None
        self._cut = False

    def watch(self, association: Association) -> None:
        """Name the association whose connection is cut."""
        self._association = association

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Cut the connection where the block takes longer."""
        timer = threading.Timer(seconds, self.cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def cut(self) -> None:
        """Cut it now; any thread."""
        self._cut = True
        found = self._association
        wrapped = None if found is None else found.dul.socket
        if wrapped is not None and wrapped.socket is not None:
            cut(wrapped.socket)

    @property
    def was_cut(self) -> bool:
        """Whether the connection was cut by us."""
        return self._cut


class _Entity(AE):
    """An application entity whose connection can be cut before it is made, and closed after."""

    def __init__(self, ae_title: str, deadline: Deadline) -> None:
        super().__init__(ae_title)
        self._deadline = deadline
        self.sockets: list[socket.socket] = []

    def _create_socket(self, assoc: Association, address: Any, tls_args: Any) -> Any:
        made = super()._create_socket(assoc, address, tls_args)
        if made.socket is not None:
            self.sockets.append(made.socket)
        self._deadline.watch(assoc)
        return made


class PacsAssociation:
    """An association that the PACS has accepted; made by `associate`."""

    def __init__(
        self, settings: PacsSettings, association: Association, deadline: Deadline
    ) -> None:
        self._settings = settings
        self._deadline = deadline
        self.association = association
        wrapped = association.dul.socket
        self._socket = None if wrapped is None else wrapped.socket

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent."""
        return bool(self.association.is_established)

    def accepts(self, sop_class: str, syntax: str | None = None) -> bool:
        """Whether the PACS accepted a context of a class, with this transfer syntax or any."""
        return any(
            it.abstract_syntax == sop_class and (syntax is None or syntax in it.transfer_syntax)
            for it in self.association.accepted_contexts
        )

    def request(self, send: Callable[[], Any]) -> int:
        """Send a request and wait; returns the status of the response. Raises `PacsError`."""
        began_s = time.monotonic()
        try:
            with self._deadline.within(self._settings.answer_s + _SLACK_S):
                found = send()
        except (RuntimeError, ValueError, OSError, AttributeError) as error:
            raise PacsError(Failure.ENDED, "the association was ended") from error
        status = getattr(found, "Status", None)
        if isinstance(status, int):
            return status
        if time.monotonic() - began_s >= self._settings.answer_s or self._deadline.was_cut:
            raise PacsError(Failure.SILENT, "no answer within pacs.answer_s")
        raise PacsError(Failure.ENDED, "the association was ended without an answer")

    def end(self, *, abort: bool = False) -> None:
        """Release the association, or abort it, and close its connection; raises nothing."""
        with contextlib.suppress(Exception), self._deadline.within(self._settings.connect_s):
            if abort or not self.association.is_established:
                self.association.abort()
            else:
                self.association.release()
        self._close()

    def cut(self) -> None:
        """End the connection at once; any thread."""
        self._deadline.cut()

    def _close(self) -> None:
        """Close the connection, which pynetdicom leaves open at some ends."""
        self._deadline.cut()
        _finish(self.association, self._socket)


def associate(
    settings: PacsSettings,
    contexts: Sequence[PresentationContext],
    deadline: Deadline,
    on_report: Callable[[Event], tuple[int, None]] | None = None,
) -> PacsAssociation:
    """Open an association. Raises `PacsError`.

    Parameters
    ----------
    on_report
        Handler of N-EVENT-REPORT requests that arrive on it; called on another thread.
    """
    context = client_context(settings)
    addresses = _addresses(settings)
    for address in addresses:
        try:
            return _associate(settings, address, context, contexts, deadline, on_report)
        except PacsError as error:  # noqa: PERF203 - few addresses
            if error.failure is not Failure.UNREACHABLE:
                raise
    # The cause of one address: to ask for each would take as long again for each.
    cause = _cause_of(settings, addresses[-1]) if addresses else "the name has no address"
    raise PacsError(Failure.UNREACHABLE, cause)


def _associate(
    settings: PacsSettings,
    address: str | tuple[str, int, int],
    context: ssl.SSLContext | None,
    contexts: Sequence[PresentationContext],
    deadline: Deadline,
    on_report: Callable[[Event], tuple[int, None]] | None,
) -> PacsAssociation:
    entity = _Entity(settings.calling_ae_title, deadline)
    entity.connection_timeout = entity.acse_timeout = settings.connect_s
    entity.dimse_timeout = settings.answer_s
    # Waiting for a report is no silence: who waits ends the association.
    entity.network_timeout = None
    opened: list[socket.socket] = []

    def on_open(event: Event) -> None:
        wrapped = event.assoc.dul.socket
        if wrapped is not None and wrapped.socket is not None:
            opened.append(wrapped.socket)
            # pynetdicom makes its socket itself and offers no place for another class.
            wrapped.recv = PduReader(wrapped, settings.answer_s, "pacs.answer_s")  # type: ignore[assignment]

    handlers: list[Any] = [(evt.EVT_CONN_OPEN, on_open)]
    if on_report is not None:
        handlers.append((evt.EVT_N_EVENT_REPORT, on_report))
    began_s = time.monotonic()
    with deadline.within(3 * settings.connect_s + _SLACK_S):
        found = entity.associate(
            address,
            settings.port,
            contexts=list(contexts),
            ae_title=settings.called_ae_title,
            max_pdu=_LONGEST_P_DATA,
            tls_args=None if context is None else (context, settings.host),
            evt_handlers=handlers,
        )
    if found.is_established:
        _serve_reports_first(found)
        return PacsAssociation(settings, found, deadline)
    deadline.cut()
    _finish(found, *entity.sockets, *opened)
    raise _why_not(settings, found, bool(opened), time.monotonic() - began_s)


def _finish(association: Association, *sockets: socket.socket | None) -> None:
    """Wait for the threads of an association that was ended, and close its connection."""
    for thread in (association, association.dul):
        # One that was not established was never started.
        if thread.ident is not None:
            thread.join(_JOIN_S)
    for one in sockets:
        if one is not None:
            with contextlib.suppress(OSError):
                one.close()


def _why_not(
    settings: PacsSettings, association: Association, connected: bool, took_s: float
) -> PacsError:
    """Why an association was not established."""
    answer = association.acceptor.primitive
    if association.is_rejected and isinstance(answer, A_ASSOCIATE):
        return PacsError(Failure.REJECTED, f"it rejects the association: {answer.reason_str}")
    if isinstance(answer, A_ASSOCIATE) and answer.result == 0:
        return PacsError(Failure.NOT_OFFERED, "it accepts no presentation context")
    if not connected:
        return PacsError(Failure.UNREACHABLE, "the connection was not made")
    if took_s >= settings.connect_s:
        return PacsError(Failure.SILENT, "it does not answer the association request")
    return PacsError(Failure.ENDED, "it ended the connection before the association was made")


def _cause_of(settings: PacsSettings, address: str | tuple[str, int, int]) -> str:
    """Why no connection could be made, which pynetdicom only logs."""
    what = "it does not answer"
    host = address if isinstance(address, str) else address[0]
    try:
        with connect(host, settings.port, settings.connect_s) as plain:
            what = "its TLS does not answer"
            context = client_context(settings)
            if context is not None:
                with context.wrap_socket(plain, server_hostname=settings.host):
                    pass
    except TimeoutError:
        return f"{what} within pacs.connect_s"
    except OSError as error:
        return getattr(error, "reason", None) or error.strerror or str(error)
    return "the connection was not made"


def _addresses(settings: PacsSettings) -> list[str | tuple[str, int, int]]:
    """Addresses of the PACS, as pynetdicom takes them."""
    try:
        found = look_up(settings.host, settings.port, settings.connect_s)
    except NameLookupError as error:
        raise PacsError(Failure.UNRESOLVED, error.strerror or "unknown name") from error
    addresses: list[str | tuple[str, int, int]] = []
    for family, *_, at in found:
        if family == socket.AF_INET:
            addresses.append(str(at[0]))
        elif family == socket.AF_INET6 and len(at) == 4:
            addresses.append((str(at[0]), int(at[2]), int(at[3])))
    return list(dict.fromkeys(addresses))


def client_context(settings: PacsSettings) -> ssl.SSLContext | None:
    """TLS as the site has set it; None without. Raises `PacsError`."""
    if settings.ca_file is None:
        return None
    try:
        context = ssl.create_default_context(cafile=str(settings.ca_file))
        if settings.certificate_file is not None and settings.key_file is not None:
            context.load_cert_chain(settings.certificate_file, settings.key_file)
    except (OSError, ValueError) as error:
        raise PacsError(Failure.SECRETS, f"key or certificate: {error}") from error
    return context


def _serve_reports_first(association: Association) -> None:
    """Answer reports that arrive while a response is waited for; pynetdicom would abort."""
    plain = association.dimse.get_msg

    def get_msg(block: bool = False) -> Any:
        found = plain(block)
        while block and isinstance(found[1], N_EVENT_REPORT) and found[1].is_valid_request:
            association._serve_request(found[1], found[0])  # noqa: SLF001 - offers no other way
            found = plain(block)
        return found

    association.dimse.get_msg = get_msg  # type: ignore[method-assign]
