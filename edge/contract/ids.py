"""Delivery: names that leave the house: topics, result ids, pseudonyms. Pure functions.

The namespace and the canonical string of a result id are part of the MQTT contract and must
never change: a dashboard tells a retry from a new result by them.
"""

from __future__ import annotations

import hmac
import re
import uuid
from dataclasses import dataclass

from edge.system.device_key import derived_key

RESULT_NAMESPACE = uuid.UUID("6f1c2d0e-5b0a-5c1e-9d0c-7e1f5a3b9c42")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def is_topic_word(word: str) -> bool:
    """Whether a site's, room's or device's name may stand in a topic.

    Letters, digits, ``.``, ``_`` and ``-``, at most 64, the first a letter or digit: no
    wildcard, slash or NUL can get in.
    """
    return _WORD.fullmatch(word) is not None


@dataclass(frozen=True)
class DeviceName:
    """Where an appliance stands. Every word satisfies `is_topic_word`."""

    site: str
    room: str
    device: str

    def __str__(self) -> str:
        return f"{self.site}/{self.room}/{self.device}"

    @classmethod
    def parse(cls, text: str) -> DeviceName | None:
        """Read what ``str`` gave; None for anything else."""
        words = text.split("/")
        return cls(*words) if len(words) == 3 and all(map(is_topic_word, words)) else None

    def topic(self, *parts: str) -> str:
        """Topic below this device, e.g. ``sharpedge/<site>/<room>/<device>/result``."""
        return "/".join(("sharpedge", self.site, self.room, self.device, *parts))


@dataclass(frozen=True)
class ResultKey:
    """What a result's id is made of.

    ``revision`` is 0, and counts up only where the same film and engines gave another outcome
    than before (the site changed a setting).
    """

    device: DeviceName
    film_sha256: str
    limb_index: int
    engines: str
    operator_limb: str = ""
    operator_side: str = ""
    revision: int = 0

    def canonical(self) -> str:
        """Build the string that is hashed: fields joined by ``|``, the revision only above 0."""
        fields = [
            str(self.device),
            self.film_sha256,
            str(self.limb_index),
            self.engines,
            self.operator_limb,
            self.operator_side,
        ]
        if self.revision:
            fields.append(f"r{self.revision}")
        return "|".join(fields)

    def result_id(self) -> str:
        """UUIDv5, as text: the same for the same key on every machine and after every restart."""
        return str(uuid.uuid5(RESULT_NAMESPACE, self.canonical()))


def pseudonym(device_key: bytes, kind: str, value: str) -> str:
    """Keyed hash (32 hex digits) that stands for a study or patient outside this machine."""
    key = derived_key(device_key, "pseudonym")
    return hmac.new(key, f"{kind}\0{value}".encode(), "sha256").hexdigest()[:32]
