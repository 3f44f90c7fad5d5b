"""Listens for reports that the PACS sends on an association of its own.

Layer: delivery; listens on one port, while the section ``[pacs]`` names one.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

from pynetdicom import AE, evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    Verification,
)

from edge.delivery.pacs.carrier import Failure, PacsError
from edge.receive.bounds import BoundedServer, Bounds
from edge.system.lookup import look_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from pynetdicom.events import Event

    from edge.delivery.pacs.settings import PacsSettings

log = logging.getLogger(__name__)

_LONGEST_BYTES = 4 << 20
_ASSOCIATIONS = 4
_STOP_S = 1.0


class Listener:
    """A server for reports; raises `PacsError` where it cannot listen."""

    def __init__(
        self, settings: PacsSettings, on_report: Callable[[Event], tuple[int, None]]
    ) -> None:
        entity = AE(settings.calling_ae_title)
        entity.supported_contexts = [build_context(Verification)]
        entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        entity.require_called_aet = True
        entity.require_calling_aet = [settings.called_ae_title]
        entity.maximum_associations = _ASSOCIATIONS
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = settings.answer_s
        bounds = Bounds(_LONGEST_BYTES, settings.answer_s, settings.answer_s)
        handlers: list[Any] = [
            (evt.EVT_CONN_OPEN, bounds.on_open),
            (evt.EVT_PDU_RECV, bounds.on_pdu),
            (evt.EVT_DIMSE_RECV, bounds.on_message),
            (evt.EVT_C_ECHO, lambda _event: 0x0000),
            (evt.EVT_N_EVENT_REPORT, on_report),
        ]
        try:
            server = entity.make_server(
                (_address(settings), settings.commitment_port),
                ssl_context=_server_context(settings),
                evt_handlers=handlers,
                server_class=BoundedServer,
            )
        except OSError as error:
            raise PacsError(
                Failure.UNREACHABLE,
                f"{settings.commitment_host}:{settings.commitment_port} cannot be listened on "
                f"({error.strerror})",
            ) from error
        assert isinstance(server, BoundedServer)  # noqa: S101 - it was asked for
        server.bounds = bounds
        entity._servers.append(server)  # noqa: SLF001 - its shutdown removes it from there
        self._server = server
        self.port = int(server.server_address[1])
        threading.Thread(target=server.serve_forever, name="pacs-reports", daemon=True).start()
        log.info("PACS: reports are listened for at %s:%d", settings.commitment_host, self.port)

    def stop(self) -> None:
        """Accept nothing more; end the associations."""
        self._server.shutdown()
        associations = self._server.active_associations
        for association in associations:
            association.abort(block=False)
        end_s = time.monotonic() + _STOP_S
        for association in associations:
            association.join(max(0.0, end_s - time.monotonic()))
        self._server.bounds.close_ended()


def _address(settings: PacsSettings) -> str:
    """Address to listen on, IPv4 where there is one. Raises `NameLookupError`."""
    found = look_up(settings.commitment_host, settings.commitment_port, settings.connect_s)
    return str(min(found, key=lambda entry: entry[0] != socket.AF_INET)[4][0])


def _server_context(settings: PacsSettings) -> ssl.SSLContext | None:
    """TLS with our certificate, where the site has set one; the PACS must show its own."""
    if settings.certificate_file is None or settings.key_file is None:
        return None
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(settings.certificate_file, settings.key_file)
        context.load_verify_locations(settings.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ValueError) as error:
        raise PacsError(Failure.SECRETS, f"key or certificate: {error}") from error
    return context
