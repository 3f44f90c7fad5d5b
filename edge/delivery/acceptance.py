"""Which messages the broker accepts: what it means when it refuses one or ends the connection.

Layer: delivery; part of `edge.delivery.outgoing`; sets outbox rows aside and updates alerts.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING

from edge.delivery.link import TOO_LARGE
from edge.delivery.paho_client import PACKET_TOO_LARGE
from edge.delivery.refusals import Refusals
from edge.delivery.refused_lanes import RefusedLanes
from edge.delivery.suspects import Suspects
from edge.journal.kinds import MQTT
from edge.outputs.table import OUTPUTS, holds_file_name, lanes_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge.delivery.link import LinkError
    from edge.delivery.outbox import Outbox
    from edge.delivery.standing import DeliveryAlerts
    from edge.journal.rows import Row

log = logging.getLogger(__name__)

_ENDS_REFUSING = frozenset({0x80, 0x83, 0x87, 0x89, 0x90, 0x93, 0x96, 0x97, 0x99})
"""Reason codes with which a broker ends the connection because of what it was sent."""
_ENDS_CONNECTION = "the broker ends the connection"


class Acceptance:
    """Messages that are suspected, refused or too large, over all connections of one run."""

    def __init__(self, outbox: Outbox, pictures: Path, alerts: DeliveryAlerts) -> None:
        self._outbox = outbox
        self._pictures = pictures
        self._suspects = Suspects()
        self._refusals = Refusals()
        self._refused_lanes = RefusedLanes(outbox.store, alerts)
        self._known: dict[str, int] = {}
        """By lane, the row that the broker accepted last."""
        self._ends: dict[int, int] = {}
        """By row that ended the connection alone, its bytes."""

    @property
    def careful(self) -> bool:
        """Whether messages must be sent one at a time."""
        return self._suspects.careful

    def reconnected(self) -> None:
        """Begin a new connection."""
        self._refusals.reconnected(time.monotonic())

    def connection_ended(
        self, in_flight: Mapping[int, tuple[Row, int]], since_sent_s: float, error: LinkError
    ) -> None:
        """Draw conclusions from a connection's end.

        Parameters
        ----------
        in_flight
            Rows that were not acknowledged, by number, each with its bytes.
        since_sent_s
            Seconds from the last sending to the end.
        """
        too_large = error.code == PACKET_TOO_LARGE
        sizes = {number: size_bytes for number, (_, size_bytes) in in_flight.items()}
        cause = self._suspects.ended(sizes, since_sent_s, too_large=too_large)
        if len(in_flight) != 1:
            return
        ((number, (row, size_bytes)),) = in_flight.items()
        if cause is not None and too_large:
            self.set_aside(row, "larger_than_broker_limit")
        elif cause is not None:
            self._ends[number] = size_bytes
            self._refuse(row, _ENDS_CONNECTION, sure=True)
        elif error.code in _ENDS_REFUSING:
            self._refuse(row, error.detail)

    def resting(self, now_s: float) -> set[int]:
        """Rows that are refused on their own and not due yet."""
        return self._refusals.resting(now_s)

    def is_paused(self, lane: str) -> bool:
        """Whether the broker refuses a lane at present."""
        return self._refusals.is_paused(lane)

    def may_send(self, lane: str) -> bool:
        """Whether a lane is open, or its probe is due."""
        paused = self._refusals.is_paused(lane)
        return not paused or self._refusals.probe_is_due(lane, time.monotonic())

    def probe(self, lane: str, oldest: dict[int, Row]) -> Row:
        """Choose the probe of a paused lane among its oldest rows and one accepted before."""
        known = self._outbox.row(self._known[lane]) if lane in self._known else None
        if known is not None and holds_file_name(known.kind) and not self._is_kept(known):
            known = None
        rows = oldest if known is None else {**oldest, known.row: known}
        number = self._refusals.choose(lane, oldest, None if known is None else known.row)
        return rows[number]

    def _is_kept(self, row: Row) -> bool:
        return (self._pictures / os.fsdecode(row.payload)).is_file()

    def probe_single(self, lane: str) -> None:
        """Note that a lane's only message is sent; where the lane is paused it is the probe."""
        if self._refusals.is_paused(lane):
            self._refusals.choose(lane, (0,))

    def nothing_waits(self, lane: str) -> None:
        """Note that no message of a lane waits."""
        self._refusals.ended(lane)

    def answered(self, row: Row, size_bytes: int, refusal: str) -> bool:
        """Take in the broker's answer to a row; whether it accepted it."""
        lane = OUTPUTS[row.kind].lane
        if not refusal:
            self._suspects.taken(row.row, size_bytes)
            self._ends.pop(row.row, None)
            self._known[lane] = row.row
            apart = self._refusals.taken(lane, row.row, time.monotonic())
            if apart is not None:
                self._check_size(apart)
            self._update(lane)
            return True
        self._suspects.cleared((row.row,))
        if refusal == TOO_LARGE:
            self.set_aside(row, "larger_than_broker_limit")
        else:
            self._refuse(row, refusal)
        return False

    def single_answered(self, lane: str, refusal: str) -> None:
        """Take in the broker's answer to the only message of a lane."""
        if refusal:
            self._refusals.refused(lane, 0, refusal, time.monotonic())
        else:
            self._refusals.taken(lane, 0, time.monotonic())
        self._update(lane)

    def answered_by_dashboard(self, row: Row) -> None:
        """Note that a dashboard has a row: the broker had accepted it."""
        self._suspects.cleared((row.row,))
        self._refusals.taken(OUTPUTS[row.kind].lane, row.row, time.monotonic())

    def set_aside(self, row: Row, why: str) -> None:
        """Stop sending a row."""
        self.forget(row)
        self._outbox.endings.set_aside(row.row, why)
        log.error("job %d: %s set aside: %s", row.job, row.kind, why)

    def forget(self, row: Row) -> None:
        """Note that a row is not sent any more."""
        self._suspects.cleared((row.row,))
        self._refusals.gone(OUTPUTS[row.kind].lane, row.row)

    def clear_empty_lanes(self) -> None:
        """Clear the alerts of refused lanes in which nothing waits."""
        lanes = lanes_of(MQTT)
        for lane in self._refused_lanes.lanes():
            empty = lane in lanes and not self._outbox.next_rows(1, (), lanes[lane])
            if empty and not self._refusals.is_refused(lane):
                self._update(lane)

    def _check_size(self, number: int) -> None:
        """Set a row aside that ends the connection, where the broker has accepted only smaller.

        The broker accepts others of the same lane, so that only the size is left as the cause.
        """
        size_bytes = self._ends.pop(number, 0)
        row = self._outbox.row(number)
        if row is not None and self._suspects.is_large(size_bytes):
            self.set_aside(row, "larger_than_broker_limit")

    def _refuse(self, row: Row, why: str, *, sure: bool = False) -> None:
        lane = OUTPUTS[row.kind].lane
        apart = self._refusals.refused(lane, row.row, why, time.monotonic(), sure=sure)
        self._outbox.repeats.refused(row.row)
        if apart:
            self._check_size(row.row)
        self._update(lane)

    def _update(self, lane: str) -> None:
        refused = self._refusals.is_refused(lane)
        self._refused_lanes.update(lane, self._refusals.why(lane) if refused else None)
