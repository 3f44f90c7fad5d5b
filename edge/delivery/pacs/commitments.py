"""Which documents the PACS was asked to commit to, and when it is asked again.

Layer: delivery; pure state: times are given, and are monotonic seconds.

A document that the PACS has stored waits for its commitment. Without a report it is asked for
again, after `ASKS` times the document is stored again, and each such round waits twice as long.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

ASKS = 3
_MOST_ROUNDS = 5
_REMEMBERED = 2000
"""Transactions whose late report still counts."""
NO_SUCH_INSTANCE = 0x0112
"""Failure reason with which a PACS says that it does not have a document."""


class Reference(NamedTuple):
    """A document that is asked about."""

    row: int
    sop_class: str
    sop_instance: str


class Report(NamedTuple):
    """A PACS's report: instances that it commits to, and those that it does not, with reasons."""

    transaction: str
    committed: frozenset[str]
    failed: dict[str, int]


@dataclass
class _Asked:
    due_s: float
    asks: int = 0
    rounds: int = 0
    why: str = ""


class Outcome(NamedTuple):
    """What follows from a report: rows that are committed to, and the reasons of those that not."""

    committed: tuple[int, ...]
    failed: dict[int, int]


class Commitments:
    """Documents by row; ``wait_s`` is how long a report is waited for at first."""

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self._asked: dict[int, _Asked] = {}
        self._transactions: OrderedDict[str, dict[str, int]] = OrderedDict()

    def wait_of(self, rounds: int) -> float:
        """Seconds for which a report is waited for in a round; 0 is the first."""
        return self._wait_s * (1 << min(rounds, _MOST_ROUNDS))

    def stored(self, row: int, now_s: float) -> None:
        """Note that the PACS has stored a document: it is asked about at once."""
        it = self._asked.setdefault(row, _Asked(now_s))
        it.due_s, it.asks = now_s, 0

    def due(self, now_s: float) -> list[int]:
        """Rows that are to be asked about, oldest first."""
        return sorted(row for row, it in self._asked.items() if it.due_s <= now_s)

    def exhausted(self, row: int) -> bool:
        """Whether a row that is due was asked about often enough: it is to be stored again."""
        return self._asked[row].asks >= ASKS

    def asked(self, transaction: str, references: list[Reference], now_s: float) -> None:
        """Note that the PACS was asked."""
        self._transactions[transaction] = {it.sop_instance: it.row for it in references}
        while len(self._transactions) > _REMEMBERED:
            self._transactions.popitem(last=False)
        for reference in references:
            it = self._asked.get(reference.row)
            if it is not None:
                it.asks += 1
                it.due_s = now_s + self.wait_of(it.rounds)

    def put_off(self, rows: list[int], until_s: float) -> None:
        """Have rows asked about later: the PACS could not be asked, which does not count."""
        for row in rows:
            it = self._asked.get(row)
            if it is not None:
                it.asks = max(0, it.asks - 1)
                it.due_s = until_s

    def reported(self, report: Report, now_s: float) -> Outcome:
        """Take in a report; of an unknown transaction nothing counts.

        A document that the PACS does not have is stored again at once, any other one is asked
        about again.
        """
        known = self._transactions.get(report.transaction, {})
        committed, failed = [], {}
        for instance, row in known.items():
            it = self._asked.get(row)
            if it is None:
                continue
            if instance in report.failed:
                reason = failed[row] = report.failed[instance]
                it.why = f"reason {reason:04x}"
                it.due_s = now_s + self.wait_of(it.rounds)
                if reason == NO_SUCH_INSTANCE:
                    it.asks, it.due_s = ASKS, now_s
            elif instance in report.committed:
                committed.append(row)
                del self._asked[row]
        return Outcome(tuple(committed), failed)

    def rows_of(self, transaction: str) -> list[int]:
        """Rows that a transaction asked about."""
        return list(self._transactions.get(transaction, {}).values())

    def next_round(self, row: int) -> int:
        """Note that a document is stored again; how often it was before."""
        it = self._asked[row]
        it.rounds += 1
        it.asks = 0
        it.due_s = float("inf")
        return it.rounds

    def gone(self, row: int) -> None:
        """Forget a document that does not wait any more."""
        self._asked.pop(row, None)

    def unanswered(self) -> int:
        """How many documents were asked about more than once, or whose commitment failed."""
        return sum(it.asks > 1 or it.rounds > 0 or bool(it.why) for it in self._asked.values())

    def why(self) -> str:
        """Reason that the PACS gave last; empty where it gave none."""
        return next((it.why for it in self._asked.values() if it.why), "")
