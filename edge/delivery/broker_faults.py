"""What a failed connection to the broker means for a person: place, cause, fix.

Layer: delivery; text only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edge.delivery.link import Failure

if TYPE_CHECKING:
    from edge.delivery.link import LinkError
    from edge.delivery.settings import BrokerSettings

_FIXES = {
    Failure.UNREACHABLE: "start the broker, or correct broker.host and broker.port",
    Failure.PROTOCOL: 'set broker.protocol = "auto"',
    Failure.REFUSED: "set broker.username and broker.password_file as the broker knows them",
    Failure.TAKEN_OVER: "give each box its own site.device",
    Failure.SECRETS: "correct the file; it is read again at the next attempt",
    Failure.UNACKNOWLEDGED: "read the broker's log",
    Failure.SILENT: "look whether another program listens on this port, or the broker is busy",
}


def broker_fault(broker: BrokerSettings, error: LinkError) -> str:
    """Say where the broker was looked for, why it is not reached, and what to do."""
    # "[Errno 111] Connection refused": the number says nothing to a person.
    cause = re.sub(r"^\[Errno -?\d+\] ", "", error.detail)
    return f"{broker.host}:{broker.port}: {error.failure}: {cause}; fix: {_fix(broker, error)}"


def _fix(broker: BrokerSettings, error: LinkError) -> str:
    if error.failure is Failure.ENDED and broker.ca_file is None:
        return "if this port expects TLS, set broker.ca_file; sharpedge doctor finds out"
    if "SSL" in error.detail or "certificate" in error.detail.lower():
        return "sharpedge doctor names the certificate or the port that is wrong"
    return _FIXES.get(error.failure, "sharpedge doctor finds out")
