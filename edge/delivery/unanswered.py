"""Rows that the broker has and no dashboard has answered: what is sent again, and when.

Layer: delivery; pure state: times are given, and are monotonic seconds. A row is sent again

- after ``resend_s`` without an answer, then after twice as long, up to 32 times;
- at once where a dashboard has answered a later sending: brokers keep the order, so that its
  answer shows that the earlier ones were lost;
- every few seconds, where it is the oldest one and no dashboard answers at all, more rarely the
  longer none does: the answer of a dashboard that is back releases the other rows.

While no dashboard answers, repeats are rare.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection

REPEATS_A_PASS = 32
_DOUBLINGS = 5
_ASK_S = 5.0
"""Least interval of repeats of the oldest row while no dashboard has answered for long."""
_ASK_SHARE = 0.1
"""That interval as a share of the time since a dashboard answered: waits grow by as much."""
_LONGEST_ASK_S = 60.0
_REORDER_S = 1.0
_QUIET_S = 2.0
_LISTENING_S = 30.0
"""A dashboard that has answered within this time is taken to be there."""
_PASSED_OVER = 5
"""Repeats of a row that a dashboard passes over although it answers others."""
_TOKENS_A_SECOND = 1.0
_REMEMBERED = 20_000


class _Sent(NamedTuple):
    """A sending: its time, how many there were, and the dashboards that have answered."""

    at_s: float
    sendings: int
    answered: frozenset[str]


class Repeat(NamedTuple):
    """A row to be sent again; ``asks`` where it only asks whether a dashboard is there."""

    row: int
    asks: bool = False


class Unanswered:
    """Rows by number.

    Parameters
    ----------
    receivers
        Dashboards that must all answer; empty: any one.
    resend_s
        Seconds until the first repeat.
    now_s
        Monotonic time.
    """

    def __init__(self, receivers: Collection[str], resend_s: float, now_s: float) -> None:
        self._receivers = frozenset(receivers)
        self._resend_s = resend_s
        self._silent_since_s = now_s
        self._answered_s: dict[str, float] = {}
        """By dashboard, when it answered last."""
        self._tokens, self._tokens_at_s = float(REPEATS_A_PASS), now_s
        self._forget()

    def _forget(self) -> None:
        self._sent: dict[int, _Sent] = {}
        """In the order of the sendings."""
        self._timers: list[tuple[float, int, float]] = []
        self._oldest: list[int] = []
        self._released: list[int] = []
        self._newest_s: dict[str, float] = {}
        """By dashboard, when the latest sending went out that it has answered."""
        self._has_answers = False
        self._passed_over: dict[int, int] = {}

    def reconnected(self, now_s: float) -> None:
        """Forget all rows: on a new connection all of them are sent again."""
        self._forget()
        self._tokens, self._tokens_at_s = float(REPEATS_A_PASS), now_s

    def __contains__(self, row: int) -> bool:
        return row in self._sent

    def __len__(self) -> int:
        return len(self._sent)

    def sent(self, row: int, sendings: int, answered: Collection[str], now_s: float) -> bool:
        """Note that the broker has a row; False where there are too many to remember it."""
        if len(self._sent) >= _REMEMBERED:
            return False
        if not self._sent and sendings == 1:
            self._silent_since_s = now_s
        self._sent.pop(row, None)
        self._sent[row] = _Sent(now_s, sendings, frozenset(answered))
        doublings = min(_DOUBLINGS, max(0, sendings - 1))
        heapq.heappush(self._timers, (now_s + self._resend_s * (1 << doublings), row, now_s))
        heapq.heappush(self._oldest, row)
        return True

    def answered(self, row: int, receiver: str, now_s: float) -> None:
        """Note a dashboard's answer to a row, whether it still waits or not."""
        if now_s - self._silent_since_s > max(_QUIET_S, self._resend_s):
            # It may have been away: rows that it passes over are counted from now on.
            self._passed_over.clear()
        self._silent_since_s = now_s
        self._answered_s[receiver] = now_s
        sent = self._sent.get(row)
        if sent is None:
            return
        self._newest_s[receiver] = max(sent.at_s, self._newest_s.get(receiver, sent.at_s))
        self._sent[row] = sent._replace(answered=sent.answered | {receiver})
        self._has_answers = True

    def closed(self, row: int) -> None:
        """Note that a row has reached its end."""
        self._sent.pop(row, None)
        self._passed_over.pop(row, None)

    def is_listening(self, answered: Collection[str], now_s: float) -> bool:
        """Whether a dashboard is connected that a row still waits for."""
        wanted = self._receivers - set(answered) if self._receivers else self._answered_s.keys()
        long_ago_s = now_s - _LISTENING_S
        return any(self._answered_s.get(name, long_ago_s) > long_ago_s for name in wanted)

    def spend_token(self, now_s: float) -> bool:
        """Take a token for a repeat without a dashboard's answer; False where there is none."""
        gained = (now_s - self._tokens_at_s) * _TOKENS_A_SECOND
        self._tokens = min(float(REPEATS_A_PASS), self._tokens + gained)
        self._tokens_at_s = now_s
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def repeats(self, limit: int, now_s: float) -> list[Repeat]:
        """Take the rows that are to be sent again now, oldest first, at most ``limit``."""
        self._release()
        chosen = [heapq.heappop(self._released) for _ in range(min(limit, len(self._released)))]
        while len(chosen) < limit and (row := self._timed_out(now_s)) is not None:
            chosen.append(row)
        repeats = [Repeat(row) for row in sorted(set(chosen))]
        if (
            not repeats
            and limit
            and (oldest := self._first()) is not None
            and self._asks(self._sent[oldest], now_s)
        ):
            repeats = [Repeat(oldest, asks=True)]
        for repeat in repeats:
            self._sent.pop(repeat.row, None)
        return repeats

    def _release(self) -> None:
        """Find rows that a dashboard has passed over: it has answered a later sending."""
        if not self._has_answers:
            return
        self._has_answers = False
        latest_s = max(self._newest_s.values()) - _REORDER_S
        found = []
        for row, sent in self._sent.items():
            if sent.at_s >= latest_s:
                break
            passed = {
                name for name, at_s in self._newest_s.items() if at_s > sent.at_s + _REORDER_S
            }
            wanted = passed & self._receivers if self._receivers else passed
            if wanted - sent.answered and self._passed_over.get(row, 0) < _PASSED_OVER:
                found.append(row)
        for row in found:
            self._passed_over[row] = self._passed_over.get(row, 0) + 1
            del self._sent[row]
            heapq.heappush(self._released, row)

    def _timed_out(self, now_s: float) -> int | None:
        """Take the row that has been due for the longest, where it is to be sent again."""
        while self._timers:
            due_s, row, at_s = self._timers[0]
            sent = self._sent.get(row)
            if sent is not None and sent.at_s == at_s:
                if due_s >= now_s and self._resend_s > 0:
                    return None
                if not self.is_listening(sent.answered, now_s) and not self.spend_token(now_s):
                    return None
                heapq.heappop(self._timers)
                del self._sent[row]
                return row
            heapq.heappop(self._timers)
        return None

    def _first(self) -> int | None:
        while self._oldest and self._oldest[0] not in self._sent:
            heapq.heappop(self._oldest)
        return self._oldest[0] if self._oldest else None

    def _asks(self, oldest: _Sent, now_s: float) -> bool:
        """Whether the oldest row asks if a dashboard is there.

        Again and again where none has answered for long; once where one answered, fell silent, and
        has passed over what was sent before: its answer then brings the rest.
        """
        silent_s = now_s - self._silent_since_s
        pause_s = min(max(_ASK_S, _ASK_SHARE * silent_s), _LONGEST_ASK_S)
        if silent_s > self._resend_s and now_s - oldest.at_s > pause_s:
            return True
        passed_over = oldest.at_s < self._silent_since_s
        return bool(self._newest_s) and passed_over and silent_s > _QUIET_S
