"""The first two steps to any server: an address for its name, and a port that is open.

Layer: sharpedge; asks the name service, opens connections and closes them.
"""

from __future__ import annotations

from typing import NamedTuple

from edge.system.lookup import NameLookupError, connect, look_up
from sharpedge.doctor.finding import Finding, failed, ok


class Place(NamedTuple):
    """Where a server is looked for; ``key`` names the setting."""

    host: str
    port: int
    key: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def check_name(check: str, place: Place, limit_s: float) -> Finding:
    """Look the name up."""
    try:
        found = look_up(place.host, place.port, limit_s)
    except NameLookupError as error:
        return failed(
            check, f"{place.host}: no address is known for it", str(error),
            f"correct {place.key}, or name the address; /etc/resolv.conf names the name servers",
        )  # fmt: skip
    addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
    return ok(check, f"{place.host}: {', '.join(addresses)}")


def check_port(check: str, place: Place, limit_s: float, start: str) -> Finding:
    """Connect and close; ``start`` is what to do where no program listens."""
    try:
        connect(place.host, place.port, limit_s).close()
    except ConnectionRefusedError:
        return failed(check, f"{place}: the connection is refused",
                      "no program listens on this port", start)  # fmt: skip
    except TimeoutError:
        return failed(
            check, f"{place}: no answer within {limit_s:g} s",
            "a firewall drops the packets, or the machine is off",
            f"open TCP port {place.port} between both machines; on this one the unit's "
            "IPAddressAllow",
        )  # fmt: skip
    except OSError as error:
        return failed(check, f"{place}: cannot be reached", error.strerror or str(error),
                      "check the address, the cable and the route")  # fmt: skip
    return ok(check, f"{place}: open")
