"""What a PACS answered to a document: stored, busy, or refused.

Layer: delivery; pure.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from edge.enums import StrEnum

_SUCCESS = 0x0000
DUPLICATE_INSTANCE = 0x0111
"""The PACS has this instance, from an earlier sending whose answer was lost."""
_WARNINGS = frozenset({0x0001, 0x0107, 0x0116, DUPLICATE_INSTANCE})
_RESOURCE_LIMITATION = 0x0213
_NOT_AUTHORISED = 0x0124


class Verdict(StrEnum):
    """What follows from an answer."""

    STORED = "stored"
    WARNED = "warned"
    """Stored, with a remark."""
    BUSY = "busy"
    """The PACS takes nothing at present."""
    REFUSED = "refused"
    """The PACS does not take this document."""


class Answer(NamedTuple):
    """An answer; ``why`` is empty where the document was stored without a remark."""

    verdict: Verdict
    why: str = ""


CLASS_REFUSED: Final = Answer(Verdict.REFUSED, "class_not_accepted")
"""The PACS accepts no presentation context of the document's class."""

NOT_ENCODED: Final = Answer(Verdict.REFUSED, "no_implicit_form")
"""The PACS takes implicit VR alone, and elements of the film have no such form."""


def answer_of(status: int) -> Answer:
    """Read the status of a C-STORE response (PS3.4, table B.2-1, and PS3.7, annex C)."""
    code = f"status_{status:04x}"
    if status == _SUCCESS:
        return Answer(Verdict.STORED)
    if status in _WARNINGS or status & 0xF000 == 0xB000:
        return Answer(Verdict.WARNED, code)
    if status & 0xFF00 == 0xA700 or status in {_RESOURCE_LIMITATION, _NOT_AUTHORISED}:
        return Answer(Verdict.BUSY, code)
    return Answer(Verdict.REFUSED, code)
