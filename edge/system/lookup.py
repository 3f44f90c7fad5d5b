"""Connects to a host by name within a limit: the system's own lookup of names has none.

Layer: system; asks the name service on a thread, which outlives a lookup that does not end.
"""

from __future__ import annotations

import errno
import socket
import threading
import time
from typing import Any

_Entry = tuple[int, int, int, str, tuple[Any, ...]]
_KEPT_S = 120.0
"""How long the answer of a lookup is kept that came after its limit, for the next attempt."""


class NameLookupError(OSError):
    """No address was found for a name."""


class _Lookup:
    """One lookup, on a thread of its own."""

    def __init__(self, host: str, port: int) -> None:
        self._at = host, port
        self._over = threading.Event()
        self._found: list[_Entry] = []
        self._error: Exception | None = None
        self._ended_s = float("inf")
        threading.Thread(target=self._run, name="lookup", daemon=True).start()

    @property
    def is_old(self) -> bool:
        """Whether it ended too long ago."""
        return time.monotonic() - self._ended_s > _KEPT_S

    def result(self, limit_s: float) -> list[_Entry]:
        """Wait for the addresses. Raises `TimeoutError`, or what the lookup raised."""
        if not self._over.wait(limit_s):
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._found

    def _run(self) -> None:
        try:
            self._found = [*socket.getaddrinfo(*self._at, type=socket.SOCK_STREAM)]
        except (OSError, UnicodeError) as error:
            self._error = error
        finally:
            self._ended_s = time.monotonic()
            self._over.set()


_turn = threading.Lock()
_under_way: dict[tuple[str, int], _Lookup] = {}
"""Lookups whose answer nobody has had: one that hangs is waited for again, none is begun beside it.
"""


def look_up(host: str, port: int, limit_s: float) -> list[_Entry]:
    """Look up the addresses of a host, as `socket.getaddrinfo` gives them.

    Raises
    ------
    NameLookupError
        Where there is none, or the name service does not answer within ``limit_s``.
    """
    key = host, port
    with _turn:
        it = _under_way.get(key)
        if it is None or it.is_old:
            it = _under_way[key] = _Lookup(host, port)
    try:
        found = it.result(limit_s)
    except TimeoutError:
        why = f"no answer of the name service within {limit_s:g} s"
        raise NameLookupError(errno.ETIMEDOUT, why) from None
    except (OSError, UnicodeError) as error:
        _forget(key, it)
        why = getattr(error, "strerror", None) or "it is no valid name"
        raise NameLookupError(getattr(error, "errno", None) or errno.EINVAL, why) from error
    _forget(key, it)
    return found


def _forget(key: tuple[str, int], lookup: _Lookup) -> None:
    with _turn:
        if _under_way.get(key) is lookup:
            del _under_way[key]


def connect(host: str, port: int, limit_s: float) -> socket.socket:
    """Connect to the first address of a host that answers; ``limit_s`` for the name and each.

    The socket has this limit too. Raises `NameLookupError`, and `OSError` where none answers.
    """
    last: OSError | None = None
    for family, kind, protocol, _, address in look_up(host, port, limit_s):
        made = None
        try:
            # Raises where this machine lacks the family of the address.
            made = socket.socket(family, kind, protocol)
            made.settimeout(limit_s)
            made.connect(address)
        except OSError as error:
            if made is not None:
                made.close()
            if last is None or error.errno != errno.EAFNOSUPPORT:
                last = error
        else:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return made
    raise last or NameLookupError(errno.EADDRNOTAVAIL, "it has no address")
