"""Whether another client uses the same client id.

Layer: delivery; pure state: times are given.
"""

from __future__ import annotations

_SHORT_S = 30.0
_FLAPS = 3
_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 10.0
"""Each of two clients then works for as long; one that is alone connects within 15 s."""


class Rivalry:
    """Distinguishes another client with our client id from a broker that is restarted.

    With another client the broker accepts our connection at the first attempt, and it soon ends
    again.
    """

    def __init__(self) -> None:
        self._flaps = 0
        self._pauses = 0

    @property
    def suspected(self) -> bool:
        """Whether connections have ended as another client ends them."""
        return self._flaps >= _FLAPS

    def failed(self) -> None:
        """Note that an attempt to connect failed: the broker was away, which explains the ends."""
        self._flaps = self._pauses = 0

    def ended(self, lasted_s: float, *, taken_over: bool) -> float:
        """Take in the end of a connection; returns the pause in seconds before the next one.

        The pause lets one of the two clients work.
        """
        if lasted_s > 2 * max(_SHORT_S, self._pause_s):
            self._flaps = self._pauses = 0
        if taken_over:
            self._flaps = _FLAPS
        elif lasted_s < _SHORT_S:
            self._flaps += 1
        if not self.suspected:
            return 0.0
        self._pauses += 1
        return self._pause_s

    @property
    def _pause_s(self) -> float:
        if not self._pauses:
            return 0.0
        return float(min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (self._pauses - 1)))
