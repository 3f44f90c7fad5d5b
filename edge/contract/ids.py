"""Names of devices and ids of results.

Layer: contract; pure functions.

The namespace and the canonical string of a result id are part of the MQTT contract and never
change: a dashboard recognises a repeated result by its id.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

RESULT_NAMESPACE = uuid.UUID("6f1c2d0e-5b0a-5c1e-9d0c-7e1f5a3b9c42")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def is_topic_word(word: str) -> bool:
    """Whether a site's, room's or device's name may be used in a topic.

    Letters, digits, ``.``, ``_`` and ``-``, at most 64, the first a letter or digit: no
    wildcard, slash or NUL can get in.
    """
    return _WORD.fullmatch(word) is not None


@dataclass(frozen=True)
class DeviceName:
    """Name of an appliance. Every part satisfies `is_topic_word`."""

    site: str
    room: str
    device: str

    def __str__(self) -> str:
        return f"{self.site}/{self.room}/{self.device}"

    @classmethod
    def parse(cls, text: str) -> DeviceName | None:
        """Parse what ``str`` gave; None for anything else."""
        parts = text.split("/")
        return cls(*parts) if len(parts) == 3 and all(map(is_topic_word, parts)) else None

    def topic(self, *parts: str) -> str:
        """Topic below this device, e.g. ``sharpedge/<site>/<room>/<device>/result``."""
        return "/".join(("sharpedge", self.site, self.room, self.device, *parts))


@dataclass(frozen=True)
class ResultKey:
    """Fields from which a result's id is computed.

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


def output_id(result_id: str, kind: str) -> str:
    """Id of a further output of a result that has receipts of its own: a UUIDv5, as text.

    Parameters
    ----------
    result_id
        Id of the limb's message.
    kind
        Kind of the output, e.g. ``csv``.
    """
    return str(uuid.uuid5(RESULT_NAMESPACE, f"{result_id}|{kind}"))
