"""Messages that the broker refuses: which lane pauses, and when it is tried again.

Layer: delivery; pure state: times are given, and are monotonic seconds.

A lane holds the messages that pause together: the outputs of `edge.outputs.table` by their lane,
`STUDY` and `STATE`. A refusal pauses the message's lane. Then one message, the probe, is sent after
one second, after two, up to every 30 s; when the broker accepts the oldest message the rest follow
in their order. Where the broker refuses the oldest although it accepts others, a message that it
had accepted before shows it: that one is sent, accepted, and the oldest is refused once more. The
oldest is then tried on its own, and the others are sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_FIRST_S = 1.0
_LONGEST_S = 30.0
_PATIENT = 3
"""Refusals of the oldest message before one that was accepted earlier is tried."""
_VERY_PATIENT = 10
"""The same before the next oldest is tried, where none was accepted earlier: some minutes."""


STUDY = "study"
STATE = "state"
"""Lanes of the messages that are no rows of the outbox."""


@dataclass
class _Pause:
    why: str
    delay_s: float
    at_s: float
    tries: int = 0
    probe: int | None = None
    oldest: int | None = None
    takes_others: bool = False
    """Whether the broker accepted another message since it refused the oldest."""


@dataclass
class _Alone:
    """A message that the broker refuses while it accepts others of its lane."""

    lane: str
    at_s: float


class Refusals:
    """Paused lanes. Numbers of messages are unique within their lane."""

    def __init__(self) -> None:
        self._pauses: dict[str, _Pause] = {}
        self._alone: dict[int, _Alone] = {}

    def reconnected(self, now_s: float) -> None:
        """Begin a new connection: a probe that was in flight is lost, and another is due soon."""
        for pause in self._pauses.values():
            if pause.probe is not None:
                pause.probe = None
                pause.at_s = min(pause.at_s, now_s + _FIRST_S)

    def is_paused(self, lane: str) -> bool:
        """Whether only a probe may be sent."""
        return lane in self._pauses

    def is_refused(self, lane: str) -> bool:
        """Whether the broker refuses the lane, or single messages of it."""
        return lane in self._pauses or any(it.lane == lane for it in self._alone.values())

    def probe_is_due(self, lane: str, now_s: float) -> bool:
        """Whether a probe of a paused lane is to be sent now."""
        pause = self._pauses[lane]
        return pause.probe is None and now_s >= pause.at_s

    def choose(self, lane: str, oldest: Collection[int], known: int | None = None) -> int:
        """Choose the probe of a paused lane, which is sent next.

        ``oldest`` are the oldest messages, at least one. The broker accepted ``known`` before.
        """
        pause = self._pauses[lane]
        numbers = sorted(oldest)
        pause.oldest = pause.probe = numbers[0]
        in_turn = pause.tries % 2 == 1 and not pause.takes_others
        if in_turn and known is not None and pause.tries >= _PATIENT:
            pause.probe = known
        elif in_turn and len(numbers) > 1 and pause.tries >= _VERY_PATIENT:
            pause.probe = numbers[1]
        return pause.probe

    def refused(
        self, lane: str, number: int, why: str, now_s: float, *, sure: bool = False
    ) -> bool:
        """Take in a refusal; whether it is now known that the message itself causes it.

        ``sure``: another message is tried at the next probe.
        """
        if number in self._alone:
            self._alone[number].at_s = now_s + _LONGEST_S
            return True
        pause = self._pauses.get(lane)
        if pause is None:
            pause = self._pauses[lane] = _Pause(why, _FIRST_S, now_s + _FIRST_S)
            sure = sure or any(it.lane == lane for it in self._alone.values())
        elif pause.probe == number:
            pause.probe, pause.why = None, why
            if pause.takes_others and number == pause.oldest:
                self._let_apart(lane, number, now_s)
                return True
            pause.tries += 1
            pause.delay_s = min(_LONGEST_S, pause.delay_s * 2)
            pause.at_s = now_s + pause.delay_s
        if sure:
            pause.tries = max(pause.tries | 1, _PATIENT)
        return False

    def taken(self, lane: str, number: int, now_s: float) -> int | None:
        """Take in an acknowledgement; returns the message that is refused on its own, if any."""
        self._alone.pop(number, None)
        pause = self._pauses.get(lane)
        if pause is None or pause.probe != number:
            return None
        oldest = pause.oldest
        if oldest is None or oldest == number:
            del self._pauses[lane]
            return None
        pause.probe = None
        if pause.tries >= _VERY_PATIENT:
            self._let_apart(lane, oldest, now_s)
            return oldest
        # It may accept everything again: first the oldest, so that the order is kept.
        pause.takes_others, pause.at_s = True, now_s
        return None

    def _let_apart(self, lane: str, number: int, now_s: float) -> None:
        self._alone[number] = _Alone(lane, now_s + _LONGEST_S)
        del self._pauses[lane]

    def gone(self, lane: str, number: int) -> None:
        """Forget a message that will not be answered: it was set aside, or delivered otherwise."""
        self._alone.pop(number, None)
        pause = self._pauses.get(lane)
        if pause is not None and pause.probe == number:
            pause.probe = None

    def ended(self, lane: str) -> None:
        """Forget the refusals of a lane in which no message waits."""
        self._pauses.pop(lane, None)
        self._alone = {n: it for n, it in self._alone.items() if it.lane != lane}

    def resting(self, now_s: float) -> set[int]:
        """Messages that are refused on their own and not due yet."""
        return {number for number, it in self._alone.items() if it.at_s > now_s}

    def why(self, lane: str) -> str:
        """Reason that the broker gave last for a paused lane; empty where it gave none."""
        pause = self._pauses.get(lane)
        return pause.why if pause else ""
