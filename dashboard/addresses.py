"""What addresses mean: this machine or not, encrypted or not.

Layer: dashboard; reads nothing.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def as_name(host: str) -> str:
    """A host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


def is_private(url: str) -> bool:
    """Whether nobody between can read what is sent to a URL: https, or http on this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and not any(it in url for it in " \"'<>\\#")
    known = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    return plain and known and bool(host) and "@" not in parts.netloc
