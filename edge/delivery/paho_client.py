"""paho's client with fixes for malformed and unforeseen packets of brokers.

Layer: delivery; a subclass of paho's client.
"""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 - in a class body
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode

from edge.system.lookup import connect

if TYPE_CHECKING:
    import socket

PACKET_TOO_LARGE = 0x95
_PUBACK_CODES = frozenset({0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99})
"""Reason codes that MQTT 5 allows in the answer to a publish."""
_UNSPECIFIED = 0x80


class Client(mqtt.Client):
    """paho's client, whose thread reports its end.

    Bytes that are no MQTT of the expected version raise inside paho's loop and would leave a client
    that seems to be connected.
    """

    on_crash: Callable[[str], None] = staticmethod(lambda _why: None)
    unforeseen: tuple[int, int] = (0, 0)
    """Number of the latest publish whose answer MQTT 5 does not allow, and its reason code."""

    def _handle_pubackcomp(self, cmd: Any) -> MQTTErrorCode:
        packet = self._in_packet["packet"]
        if len(packet) > 2 and packet[2] not in _PUBACK_CODES:
            # Mosquitto's "packet too large" is one; paho's loop would raise on it.
            self.unforeseen = (int.from_bytes(packet[:2], "big"), packet[2])
            packet[2] = _UNSPECIFIED
        return super()._handle_pubackcomp(cmd)

    def _create_socket_connection(self) -> socket.socket:
        # With a limit for the lookup of the name; without the proxies and bind addresses that paho
        # knows and this client never sets.
        return connect(self._host, self._port, self.connect_timeout)

    def _ssl_wrap_socket(self, tcp_sock: Any) -> Any:
        # As paho does it, but closed where the handshake fails.
        if self._ssl_context is None:
            raise ValueError("no TLS context")
        sock = self._ssl_context.wrap_socket(
            tcp_sock, server_hostname=self._host, do_handshake_on_connect=False
        )
        try:
            sock.settimeout(self.connect_timeout)
            sock.do_handshake()
        except BaseException:
            sock.close()
            raise
        return sock

    def loop_forever(
        self, timeout: float = 1.0, retry_first_connection: bool = False
    ) -> MQTTErrorCode:
        """As paho does it; an exception is reported and ends the connection."""
        try:
            return super().loop_forever(timeout, retry_first_connection)
        except Exception as error:  # noqa: BLE001 - whatever it was, the connection is over
            self.on_crash(type(error).__name__)
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
