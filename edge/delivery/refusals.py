"""Delivery: messages that the broker refuses: which kind pauses, and when it is tried again.

Pure state: times are given, and are monotonic seconds. A refusal pauses its own kind of message.
Then one message, the oldest, is tried after a second, after two, up to every 30 s; when the broker
takes it the rest follow. Where the broker takes the next message but not the oldest, the refusal
is that message's own: it is tried apart, and the others flow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.delivery.journal import Kind
from edge.model import StrEnum

if TYPE_CHECKING:
    from collections.abc import Collection

_FIRST_S = 1.0
_LONGEST_S = 30.0
_PATIENT = 3
"""Refusals of the oldest message before the next one is tried in turn with it."""


class Lane(StrEnum):
    """Messages that pause together: results and rejects keep their common order."""

    RESULT = "result"
    IMAGE = "image"
    STUDY = "study"
    STATE = "state"


KINDS = {Lane.RESULT: (Kind.RESULT, Kind.REJECT), Lane.IMAGE: (Kind.IMAGE,)}
"""Kinds of the outbox's rows in each lane."""


def lane_of(kind: Kind) -> Lane:
    """Lane of a row of the outbox."""
    return Lane.IMAGE if kind is Kind.IMAGE else Lane.RESULT


@dataclass
class _Pause:
    why: str
    delay_s: float
    at_s: float
    tries: int = 0
    probe: int | None = None
    oldest: int | None = None


@dataclass
class _Alone:
    """A message that the broker refuses while it takes others of its kind."""

    lane: Lane
    at_s: float


class Refusals:
    """What is paused. Messages are told by numbers that are unique within their lane."""

    def __init__(self) -> None:
        self._pauses: dict[Lane, _Pause] = {}
        self._alone: dict[int, _Alone] = {}

    def reconnected(self, now_s: float) -> None:
        """A probe that was in flight is lost with its connection; another is due soon."""
        for pause in self._pauses.values():
            pause.probe = None
            pause.at_s = min(pause.at_s, now_s + _FIRST_S)

    def is_paused(self, lane: Lane) -> bool:
        """Whether only a probe may be sent."""
        return lane in self._pauses

    def is_refused(self, lane: Lane) -> bool:
        """Whether the broker refuses the lane, or single messages of it."""
        return lane in self._pauses or any(it.lane is lane for it in self._alone.values())

    def probe_is_due(self, lane: Lane, now_s: float) -> bool:
        """Whether a probe of a paused lane is to be sent now."""
        pause = self._pauses[lane]
        return pause.probe is None and now_s >= pause.at_s

    def choose(self, lane: Lane, oldest: Collection[int]) -> int:
        """Choose the probe among the oldest messages, at least one, of a lane; it is sent next."""
        pause = self._pauses[lane]
        numbers = sorted(oldest)
        in_turn = pause.tries >= _PATIENT and pause.tries % 2 == 1
        pause.oldest = numbers[0]
        pause.probe = numbers[1 if in_turn and len(numbers) > 1 else 0]
        return pause.probe

    def refused(
        self, lane: Lane, number: int, why: str, now_s: float, *, sure: bool = False
    ) -> None:
        """Take in a refusal; ``sure``: of this message, so that the next one is tried soon."""
        if number in self._alone:
            self._alone[number].at_s = now_s + _LONGEST_S
            return
        pause = self._pauses.get(lane)
        if pause is None:
            pause = self._pauses[lane] = _Pause(why, _FIRST_S, now_s + _FIRST_S)
        elif pause.probe == number:
            pause.probe, pause.why = None, why
            pause.tries += 1
            pause.delay_s = min(_LONGEST_S, pause.delay_s * 2)
            pause.at_s = now_s + pause.delay_s
        if sure:
            pause.tries = max(pause.tries | 1, _PATIENT)

    def taken(self, lane: Lane, number: int, now_s: float) -> bool:
        """Take in an acknowledgement; whether it ended a pause."""
        self._alone.pop(number, None)
        pause = self._pauses.get(lane)
        if pause is None or pause.probe != number:
            return False
        if pause.oldest is not None and pause.oldest != number:
            self._alone[pause.oldest] = _Alone(lane, now_s + _LONGEST_S)
        del self._pauses[lane]
        return True

    def gone(self, lane: Lane, number: int) -> None:
        """A message will not be answered: it was set aside, or delivered another way."""
        self._alone.pop(number, None)
        pause = self._pauses.get(lane)
        if pause is not None and pause.probe == number:
            pause.probe = None

    def ended(self, lane: Lane) -> None:
        """Nothing of the lane waits any more: there is nothing to be refused."""
        self._pauses.pop(lane, None)
        self._alone = {n: it for n, it in self._alone.items() if it.lane is not lane}

    def resting(self, now_s: float) -> set[int]:
        """Messages that are refused alone and not due yet."""
        return {number for number, it in self._alone.items() if it.at_s > now_s}

    def why(self, lane: Lane) -> str:
        """Reason that the broker gave last for a paused lane; empty where none is known."""
        pause = self._pauses.get(lane)
        return pause.why if pause else ""
