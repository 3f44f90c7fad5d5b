"""Which documents rest after the PACS refused them, and when one is set aside.

Layer: delivery; pure state: times are given, and are monotonic seconds.

A refused document rests, so that it does not block the next. Where the PACS has stored another one
since, the document itself is the cause, and it is set aside after `TRIES`. Where the PACS refuses
everything, its settings may be the cause: a document is then set aside after `MANY_TRIES`, and one
that only ended associations never.
"""

from __future__ import annotations

from dataclasses import dataclass

TRIES = 5
MANY_TRIES = 12
"""With the default pauses about a quarter of an hour."""
_ENDS = 3
"""Associations that a document may end before it rests."""
_ENDED_PAUSES = 4
_BUSY = 3
"""Answers without resources after which the next document is tried too."""


@dataclass
class _Refused:
    """One document: how often it was refused, and ended an association without an answer."""

    refusals: int = 0
    ends: int = 0
    busy: int = 0
    rests_until_s: float = 0.0
    others_stored: bool = False

    @property
    def tries(self) -> int:
        return self.refusals + self.ends


class Growing:
    """A pause in seconds that grows from the first to the longest."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s, self._longest_s = first_s, longest_s

    def after(self, failures: int) -> float:
        """Pause after so many failures in a row, at least one."""
        return float(min(self._longest_s, self._first_s * 2.0 ** min(30, max(0, failures - 1))))


class Patience:
    """Documents by row."""

    def __init__(self, pauses: Growing) -> None:
        self._pauses = pauses
        self._refused: dict[int, _Refused] = {}

    def resting(self, now_s: float) -> set[int]:
        """Rows that are not due."""
        return {row for row, it in self._refused.items() if it.rests_until_s > now_s}

    def refused(self, row: int, now_s: float) -> bool:
        """Take in a refusal; whether the document is to be set aside."""
        it = self._refused.setdefault(row, _Refused())
        it.refusals += 1
        it.rests_until_s = now_s + self._pauses.after(it.tries)
        return (it.others_stored and it.tries >= TRIES) or it.refusals >= MANY_TRIES

    def is_often_busy(self, row: int) -> bool:
        """Count that the PACS was out of resources for a document; whether it was so often."""
        it = self._refused.setdefault(row, _Refused())
        it.busy += 1
        return it.busy > _BUSY

    def ended(self, row: int, now_s: float) -> bool:
        """Take in an association that ended in a document; whether it is to be set aside."""
        it = self._refused.setdefault(row, _Refused())
        it.ends += 1
        if it.tries >= _ENDS:
            # Longer than the pause of the way itself: the next document is tried first.
            it.rests_until_s = now_s + _ENDED_PAUSES * self._pauses.after(it.tries)
        return it.others_stored and it.tries >= TRIES

    def stored(self, row: int) -> None:
        """Note that the PACS stored a document."""
        self.gone(row)
        for it in self._refused.values():
            it.others_stored = True

    def rest(self, row: int, until_s: float) -> None:
        """Have a document rest that is to be stored again."""
        self._refused.setdefault(row, _Refused()).rests_until_s = until_s

    def gone(self, row: int) -> None:
        """Forget a document that is not sent any more."""
        self._refused.pop(row, None)
