"""Checks of the DICOM receiver: port, echo, callers, inbox; nothing where there is none.

Layer: sharpedge; opens an association with the receiver of this machine, stores nothing.
"""

from __future__ import annotations

import logging
import shutil
import socket
import ssl
from collections import Counter
from importlib.util import find_spec
from typing import TYPE_CHECKING

from edge.journal.places import Places
from sharpedge.doctor.account import owner_of
from sharpedge.doctor.finding import Finding, failed, ok, skipped, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.receive.settings import DicomSettings
    from sharpedge.doctor.box import Box

LIBRARY = "receiver, library"
PORT = "receiver, port"
ECHO = "receiver, echo"
CALLERS = "receiver, callers"
INBOX = "receiver, inbox"
UNIT = "sharpedge-receive.service"
_LIMIT_S = 5.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where it may listen
_ALERTS = ("CERTIFICATE", "ALERT", "HANDSHAKE")


def check_receiver(box: Box) -> Iterator[Finding]:
    """Check the receiver of a site that has one."""
    it = box.config.dicom
    if not it.port:
        return
    if find_spec("pynetdicom") is None:
        yield failed(LIBRARY, "pynetdicom is not installed", "the receiver does not start",
                     "pip install 'sharpedge[dicom]'")  # fmt: skip
        return
    yield _callers(it)
    yield from _inbox(box)
    port = _port(it)
    yield port
    if not port.fix:
        yield _echo(it)


def _address(it: DicomSettings) -> str:
    return _EVERYWHERE.get(it.host, it.host)


def _callers(it: DicomSettings) -> Finding:
    counts = Counter(title.upper() for title in it.callers)
    twice = sorted(title for title, count in counts.items() if count > 1)
    if twice:
        return warning(
            CALLERS, f"{', '.join(twice)}: stands there more than once",
            "AE titles are compared with their case: one of them is a slip",
            "keep the one that the modality shows",
        )  # fmt: skip
    if it.ae_title in it.callers:
        return warning(
            CALLERS, f"{it.ae_title}: our own title is among those that may send",
            "a modality under our title is a slip there, or here", "correct dicom.callers",
        )  # fmt: skip
    return ok(CALLERS, f"{len(it.callers)} may send: {', '.join(it.callers)}")


def _inbox(box: Box) -> Iterator[Finding]:
    folder, who = Places.below(box.state).inbox, box.service.name
    if not folder.is_dir():
        yield failed(INBOX, f"{folder}: does not exist", "neither appliance nor receiver has run",
                     "start the appliance, which makes it")  # fmt: skip
        return
    if box.service.may(folder, "rwx") is False:
        yield failed(INBOX, f"{folder}: {who} may not write there", owner_of(folder),
                     f"chown {who}: {folder} && chmod 750 {folder}")  # fmt: skip
        return
    free_mib = shutil.disk_usage(folder).free >> 20
    least = box.config.dicom.min_free_mib
    if free_mib < least:
        yield failed(
            INBOX, f"{folder}: {free_mib} MiB are free",
            f"films are refused below dicom.min_free_mib = {least}",
            "free the disk of the state folder",
        )  # fmt: skip
        return
    yield ok(INBOX, f"{folder}: {free_mib} MiB free, films are refused below {least}")


def _port(it: DicomSettings) -> Finding:
    place = f"{_address(it)}:{it.port}"
    try:
        socket.create_connection((_address(it), it.port), _LIMIT_S).close()
    except ConnectionRefusedError:
        return failed(
            PORT, f"{place}: the connection is refused", "no receiver listens",
            f"systemctl enable --now {UNIT}; journalctl -u {UNIT} -n 20 gives the cause",
        )  # fmt: skip
    except OSError as error:
        return failed(
            PORT, f"{place}: cannot be reached", error.strerror or str(error),
            "set dicom.host to an address of this machine",
        )  # fmt: skip
    return ok(PORT, f"{place}: open")


def _echo(it: DicomSettings) -> Finding:
    """Ask for a C-ECHO as the first caller does."""
    from pynetdicom import AE  # noqa: PLC0415 - an extra

    from edge.receive.contexts import VERIFICATION  # noqa: PLC0415 - as above

    # It would tell of each failure on standard error.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
    context = _tls(it)
    if isinstance(context, Finding):
        return context
    title = it.callers[0]
    entity = AE(title)
    entity.add_requested_context(VERIFICATION)
    entity.connection_timeout = entity.acse_timeout = _LIMIT_S
    entity.dimse_timeout = entity.network_timeout = _LIMIT_S
    found = entity.associate(
        _address(it), it.port, ae_title=it.ae_title,
        tls_args=None if context is None else (context, it.host),
    )  # fmt: skip
    try:
        if found.is_rejected:
            return failed(
                ECHO, f"the receiver rejects {title}, the first of dicom.callers",
                "it was started with other settings, or serves as many as it may",
                f"systemctl restart {UNIT}",
            )  # fmt: skip
        if not found.is_established:
            return failed(
                ECHO, "no DICOM is spoken at this port",
                "another program listens there, or the receiver runs with other TLS settings",
                f"systemctl restart {UNIT}, or set another dicom.port",
            )  # fmt: skip
        status = found.send_c_echo().get("Status")
    finally:
        if found.is_established:
            found.release()
        wrapped = found.dul.socket
        if wrapped is not None and wrapped.socket is not None:
            wrapped.socket.close()
    if status != 0:
        return failed(ECHO, "the receiver does not answer an echo", f"status {status}",
                      f"systemctl restart {UNIT}")  # fmt: skip
    return ok(ECHO, f"{it.ae_title} answers {title}")


def _tls(it: DicomSettings) -> ssl.SSLContext | Finding | None:
    """A context that the receiver takes; a finding where none can be made here."""
    if it.certificate_file is None or it.key_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        if it.ca_file is not None:
            # Peers must show a certificate; the receiver's own may be of the same authority.
            context.load_cert_chain(it.certificate_file, it.key_file)
        with (
            socket.create_connection((_address(it), it.port), _LIMIT_S) as plain,
            context.wrap_socket(plain, server_hostname=it.host) as stream,
        ):
            # With TLS 1.3 the receiver refuses our certificate after the handshake.
            stream.settimeout(0.5)
            _hears_refusal(stream)
    except ssl.SSLError as error:
        if it.ca_file is not None and any(word in (error.reason or "") for word in _ALERTS):
            return skipped(ECHO, "the receiver asks for a modality's certificate, and there is "
                           "none here; send an echo from there")  # fmt: skip
        return failed(
            ECHO, "the TLS handshake fails", (error.reason or str(error)).replace("_", " ").lower(),
            f"systemctl restart {UNIT}; the receiver may run with other settings",
        )  # fmt: skip
    except OSError as error:
        return failed(
            ECHO, "the TLS handshake fails", error.strerror or str(error),
            "see the lines on dicom.*_file",
        )  # fmt: skip
    return context


def _hears_refusal(stream: ssl.SSLSocket) -> None:
    """Wait whether the receiver ends the connection. Raises `ssl.SSLError` where it does."""
    try:
        stream.recv(1)
    except TimeoutError:
        return
