"""Pseudonyms of studies and patients.

Layer: contract; pure functions over a key that is given.
"""

from __future__ import annotations

import hmac

from edge.system.device_key import derived_key


def pseudonym(device_key: bytes, kind: str, value: str) -> str:
    """Keyed hash (32 hex digits) that stands for a study or patient outside this machine."""
    key = derived_key(device_key, "pseudonym")
    return hmac.new(key, f"{kind}\0{value}".encode(), "sha256").hexdigest()[:32]
