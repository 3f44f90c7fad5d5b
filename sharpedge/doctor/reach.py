"""Finds out whether a broker can be reached: name, port, TLS or plain, CONNACK.

Layer: sharpedge; opens sockets to the broker.
"""

from __future__ import annotations

import contextlib
import os
import queue
import ssl
import time
from typing import TYPE_CHECKING

from edge.delivery.link import Connected, Event, Failure, Link, LinkError, open_link
from edge.delivery.settings import Protocol
from edge.system.lookup import connect
from sharpedge.doctor.certificates import SOON_DAYS
from sharpedge.doctor.finding import Finding, failed, ok, warning
from sharpedge.doctor.place import Place, check_name, check_port

if TYPE_CHECKING:
    import socket
    from collections.abc import Generator, Mapping

    from edge.delivery.settings import BrokerSettings

NAME = "broker, name"
PORT = "broker, port"
TLS = "broker, TLS"
CONNACK = "broker, answer"

_CONNECT = bytes.fromhex("100f00044d5154540502000a0000026464")
"""CONNECT of MQTT 5 with a clean start, client id ``dd``: any broker answers it with something."""
_CONNACK_BYTE = 0x20
_ALERT_BYTE = 0x15
_EXPIRED, _HOSTNAME, _ADDRESS = 10, 62, 64


def place(broker: BrokerSettings) -> str:
    """Host and port of the broker."""
    return f"{broker.host}:{broker.port}"


def check_reach(
    broker: BrokerSettings, client_id: str
) -> Generator[Finding, None, Protocol | None]:
    """Check each step to an accepted connection; the first that fails is the last one yielded.

    The generator returns the version of MQTT that was accepted, None where nothing was.
    """
    for step in (_name, _port, _tls if broker.ca_file else _plain):
        finding = step(broker)
        yield finding
        if finding.fix:
            return None
    finding, protocol = _connack(broker, client_id)
    yield finding
    return protocol


def _name(broker: BrokerSettings) -> Finding:
    return check_name(NAME, Place(broker.host, broker.port, "broker.host"), broker.connect_s)


def _open(broker: BrokerSettings) -> socket.socket:
    return connect(broker.host, broker.port, broker.connect_s)


def _port(broker: BrokerSettings) -> Finding:
    return check_port(
        PORT, Place(broker.host, broker.port, "broker.port"), broker.connect_s,
        "start the broker (systemctl start mosquitto), or correct broker.port "
        "(usual: 1883, with TLS 8883)",
    )  # fmt: skip


def _first_answer(stream: socket.socket, broker: BrokerSettings) -> int | None:
    """First byte that the broker answers a CONNECT with; None where it gives none."""
    try:
        stream.settimeout(broker.connect_s)
        stream.sendall(_CONNECT)
        answer = stream.recv(1)
    except OSError:
        return None
    return answer[0] if answer else None


def _speaks_plain(broker: BrokerSettings) -> bool:
    with contextlib.suppress(OSError), _open(broker) as stream:
        return _first_answer(stream, broker) == _CONNACK_BYTE
    return False


def _speaks_tls(broker: BrokerSettings) -> bool:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with _open(broker) as stream, context.wrap_socket(stream):
            return True
    except OSError as error:
        # Whoever sends an alert speaks TLS.
        return isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or "")


def _plain(broker: BrokerSettings) -> Finding:
    with contextlib.suppress(OSError), _open(broker) as stream:
        answer = _first_answer(stream, broker)
        if answer == _CONNACK_BYTE:
            return ok(TLS, "none: messages travel in the clear" + _where(broker))
    if _speaks_tls(broker):
        return failed(
            TLS, f"{place(broker)}: expects TLS, and broker.ca_file is not set",
            "the port belongs to a listener with certificates",
            'set broker.ca_file = "/etc/sharpedge/ca.pem", or name the port without TLS '
            "(usual: 1883)",
        )  # fmt: skip
    return failed(
        TLS, f"{place(broker)}: does not answer MQTT", "another program listens on this port",
        "correct broker.port (usual: 1883, with TLS 8883)",
    )  # fmt: skip


def _where(broker: BrokerSettings) -> str:
    loopback = broker.host in {"localhost", "127.0.0.1", "::1"}
    return ", on this machine only" if loopback else ""


def _tls(broker: BrokerSettings) -> Finding:
    try:
        context = ssl.create_default_context(cafile=os.fspath(broker.ca_file or ""))
        if broker.certificate_file is not None:
            context.load_cert_chain(broker.certificate_file, broker.key_file)
    except OSError as error:
        return failed(TLS, "the files of [broker] cannot be used", str(error),
                      "see the lines on broker.*_file")  # fmt: skip
    try:
        with (
            _open(broker) as plain,
            context.wrap_socket(plain, server_hostname=broker.host) as stream,
        ):
            version = stream.version()
            certificate = stream.getpeercert() or {}
            # With TLS 1.3 a broker refuses our certificate after the handshake.
            stream.settimeout(broker.connect_s)
            if not _hears(stream):
                return _wants_certificate(broker, "it ends the connection after the handshake")
    except ssl.SSLCertVerificationError as error:
        return _untrusted(broker, error)
    except OSError as error:
        return _no_tls(broker, error)
    return _brokers_end(broker, f"{version}, the broker's certificate is trusted", certificate)


def _brokers_end(broker: BrokerSettings, what: str, certificate: Mapping[str, object]) -> Finding:
    """Warn where the broker's certificate ends soon."""
    ends = certificate.get("notAfter")
    if not isinstance(ends, str):
        return ok(TLS, what)
    ends_s = ssl.cert_time_to_seconds(ends)
    left_days = (ends_s - time.time()) / 86400
    day = time.strftime("%Y-%m-%d", time.gmtime(ends_s))
    if left_days < SOON_DAYS:
        return warning(
            TLS, f"{place(broker)}: its certificate ends on {day}, in {left_days:.0f} days",
            "results are not delivered after that", "renew the broker's certificate",
        )  # fmt: skip
    return ok(TLS, f"{what} until {day}")


def _hears(stream: ssl.SSLSocket) -> bool:
    """Whether the broker answers a CONNECT, with whatever, once TLS is set up."""
    try:
        stream.sendall(_CONNECT)
        return bool(stream.recv(1))
    except OSError:
        return False


def _wants_certificate(broker: BrokerSettings, why: str) -> Finding:
    ours = broker.certificate_file
    if ours is None:
        what, fix = (
            "asks for a certificate of ours",
            "a pair that the broker's authority has signed",
        )
    else:
        what, fix = f"refuses our certificate {ours}", "a pair that its authority has signed"
    return failed(
        TLS, f"{place(broker)}: {what}", why,
        f"set broker.certificate_file and broker.key_file to {fix}",
    )  # fmt: skip


def _untrusted(broker: BrokerSettings, error: ssl.SSLCertVerificationError) -> Finding:
    what = f"{place(broker)}: its certificate is not accepted"
    why = error.verify_message
    if error.verify_code == _EXPIRED:
        fix = "renew the broker's certificate; check this machine's clock: timedatectl"
    elif error.verify_code in {_HOSTNAME, _ADDRESS}:
        fix = (
            f"make the broker's certificate with {broker.host} among its subjectAltName, "
            "or set broker.host to a name that it holds"
        )
    else:
        fix = "set broker.ca_file to the certificate of the authority that signed the broker's"
    return failed(TLS, what, why, fix)


def _no_tls(broker: BrokerSettings, error: OSError) -> Finding:
    reason = getattr(error, "reason", None) or error.strerror or str(error)
    if "ALERT" in reason or "CERTIFICATE" in reason:
        return _wants_certificate(broker, reason.replace("_", " ").lower())
    if _speaks_plain(broker):
        return failed(
            TLS, f"{place(broker)}: speaks MQTT without TLS, and broker.ca_file is set",
            "the port belongs to a listener without certificates",
            "name the port with TLS (usual: 8883), or remove broker.ca_file",
        )  # fmt: skip
    return failed(TLS, f"{place(broker)}: the TLS handshake fails", reason,
                  "correct broker.port (usual with TLS: 8883)")  # fmt: skip


def _connack(broker: BrokerSettings, client_id: str) -> tuple[Finding, Protocol | None]:
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def make(protocol: Protocol) -> Link:
        return Link(broker, client_id, protocol, will=None, subscriptions=(), events=events)

    try:
        link, accepted = open_link(make, broker.protocol)
    except LinkError as error:
        return _refused(broker, error), None
    link.close()
    text = f"accepted, MQTT {link.protocol}{_limits(accepted)}"
    return ok(CONNACK, text), Protocol(link.protocol)


def _limits(accepted: Connected) -> str:
    size = "none stated" if accepted.packet_limit is None else f"{accepted.packet_limit} bytes"
    return f"; largest message: {size}; at once: {accepted.window}"


def _refused(broker: BrokerSettings, error: LinkError) -> Finding:
    what = f"{place(broker)}: refuses the connection"
    if error.failure is Failure.REFUSED:
        user = broker.username or ("the certificate's name" if broker.certificate_file else "none")
        return failed(
            CONNACK, what, f"{error.detail} (user: {user})",
            "set broker.username and broker.password_file as the broker knows them, or let the "
            "broker's configuration accept this client",
        )  # fmt: skip
    if error.failure is Failure.PROTOCOL:
        return failed(CONNACK, what, error.detail, 'set broker.protocol = "auto"')
    return failed(CONNACK, what, f"{error.failure}: {error.detail}",
                  "read the broker's log: journalctl -u mosquitto")  # fmt: skip
