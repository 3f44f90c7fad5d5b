"""Who may see the page: its token, sessions, and the pace of attempts.

Layer: sharpedge; reads or makes one file of mode 0600.
"""

from __future__ import annotations

import secrets
import stat
import time
from dataclasses import dataclass, field
from hmac import compare_digest
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import ConfigError
from edge.system.files import write_whole
from edge.system.paths import data_root

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICE_STATE = Path("/var/lib/sharpedge-page")
"""State folder of `sharpedge-page.service`."""
TOKEN_NAME = "page.token"  # noqa: S105 - the name of its file
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without those that are taken for each other."""
_GROUPS, _GROUP = 5, 4
_IDLE_S = 12 * 3600.0
_SESSIONS = 64
_ATTEMPTS, _WINDOW_S = 10, 60.0


def page_token(folder: Path) -> str:
    """Load the token of ``folder``, or make it at the first start.

    Raises `ConfigError` where the file cannot be used or others may read it.
    """
    path = folder / TOKEN_NAME
    try:
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            groups = (_word() for _ in range(_GROUPS))
            write_whole(path, "-".join(groups).encode() + b"\n", durable=True, mode=0o600)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ConfigError(f"{path}: others may read it; fix: chmod 600 it")
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a token"
        raise ConfigError(f"{path}: cannot be used ({why}); fix: run as the page's user") from error
    if len(plain(token)) < _GROUPS * _GROUP:
        raise ConfigError(f"{path}: is too short; fix: delete it, the next start makes another")
    return token


def find_token(folder: Path | None) -> str:
    """Load the token of a page that was started before: of ``folder``, else the service's or ours.

    None is made: it would be another one than the page's. Raises `ConfigError`.
    """
    folders = (SERVICE_STATE, data_root()) if folder is None else (folder,)
    for place in folders:
        try:
            there = (place / TOKEN_NAME).exists()
        except OSError as error:
            raise ConfigError(
                f"{place}: cannot be looked into ({error.strerror}); fix: run this as root"
            ) from error
        if there:
            return page_token(place)
    places = ", ".join(map(str, folders))
    raise ConfigError(
        f"no page was started with its token in {places}; fix: start it, or name --state"
    )


def plain(token: str) -> str:
    """A token as it is compared: capitals, without what people put between the groups."""
    return "".join(it for it in token.upper() if it.isascii() and it.isalnum())


def _word() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(_GROUP))


@dataclass
class Session:
    """A person who signed in; ``said`` is what the next page tells."""

    name: str
    seen_s: float
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    said: str = ""


class SignIn:
    """Sessions of one process; ``clock`` gives monotonic seconds."""

    def __init__(self, token: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._token = plain(token).encode()
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._failed_s: list[float] = []

    def may_try(self) -> bool:
        """Whether another attempt is allowed now: few fail in a minute, from wherever."""
        now_s = self._clock()
        self._failed_s = [it for it in self._failed_s if now_s - it < _WINDOW_S]
        return len(self._failed_s) < _ATTEMPTS

    def begin(self, name: str, token: str) -> str | None:
        """Begin a session; returns its secret, None where the token is another."""
        if not compare_digest(plain(token).encode(), self._token):
            self._failed_s.append(self._clock())
            return None
        self._forget_idle()
        while len(self._sessions) >= _SESSIONS:
            del self._sessions[min(self._sessions, key=lambda it: self._sessions[it].seen_s)]
        secret = secrets.token_urlsafe(32)
        self._sessions[secret] = Session(name, self._clock())
        return secret

    def session(self, secret: str | None) -> Session | None:
        """The session of a cookie; None where there is none any more."""
        self._forget_idle()
        found = self._sessions.get(secret or "")
        if found is not None:
            found.seen_s = self._clock()
        return found

    def end(self, secret: str | None) -> None:
        """End a session."""
        self._sessions.pop(secret or "", None)

    def _forget_idle(self) -> None:
        now_s = self._clock()
        self._sessions = {k: v for k, v in self._sessions.items() if now_s - v.seen_s < _IDLE_S}
