"""Delivery: sends rows and studies over one connection at a time and draws the conclusions.

Part of `sender`, on its thread. It decides what goes out next, what the broker's answers mean, and
what becomes of a message that the broker does not take.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import time
from typing import TYPE_CHECKING

from pydantic import ValidationError

from edge.delivery.flights import HALF_SENT, Cleared, Flight, Flights, Plain
from edge.delivery.link import TOO_LARGE, Failure, LinkError
from edge.delivery.old_topics import OldTopics
from edge.delivery.paho_client import PACKET_TOO_LARGE
from edge.delivery.refusals import KINDS, Lane, Refusals, lane_of
from edge.delivery.refused_lanes import RefusedLanes
from edge.delivery.studies import StudyRow
from edge.delivery.suspects import Suspects
from edge.errors import place_of
from edge.journal.journal import Kind
from edge.journal.rows import Row
from edge.outputs.message import Extras, packet_of

if TYPE_CHECKING:
    from pathlib import Path

    from edge.contract.ids import DeviceName
    from edge.delivery.link import Answered, Connected, Link
    from edge.delivery.outbox import Outbox
    from edge.delivery.settings import DeliverySettings
    from edge.delivery.standing import Latencies, Raised
    from edge.journal.names import Names

log = logging.getLogger(__name__)

IN_FLIGHT = 32
_PLACES_KEPT = 8
"""Of the broker's window, for state, study and answers."""
_PACKET_OVERHEAD_BYTES = 1024
"""Kept free for topic and properties when a payload is held against the broker's limit."""
_PASSING = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}
"""Why a picture cannot be read now, and can later."""
_ENDS_REFUSING = frozenset({0x80, 0x83, 0x87, 0x89, 0x90, 0x93, 0x96, 0x97, 0x99})
"""Reason codes with which a broker ends the connection because of what it was sent."""
_ENDS_CONNECTION = "the broker ends the connection"


class Shipping:
    """See the module.

    Parameters
    ----------
    raised
        Alerts of the sender.
    """

    def __init__(
        self,
        outbox: Outbox,
        names: Names,
        device: DeviceName,
        pictures: Path,
        settings: DeliverySettings,
        raised: Raised,
        latencies: Latencies,
    ) -> None:
        self._outbox = outbox
        self._names = names
        self._device = device
        self._pictures = pictures
        self._settings = settings
        self._raised = raised
        self._latencies = latencies
        self.flights = Flights()
        self._suspects = Suspects()
        self._refusals = Refusals()
        self._refused = RefusedLanes(outbox.store, raised)
        self._known: dict[Lane, int] = {}
        """By lane, the row that the broker took last."""
        self._ends: dict[int, int] = {}
        """By row that ended the connection alone, its bytes."""
        self._proved = False
        """Whether the broker has acknowledged anything on this connection."""
        self._sent_s = 0.0

    def begin(self, link: Link, limits: Connected) -> None:
        """A connection was made."""
        self._limits = limits
        self._proved = False
        self.flights.clear()
        self._refusals.reconnected(time.monotonic())
        self._outbox.reopen()
        self.old_topics = OldTopics(self._names, self._outbox)
        self._link = link

    def release(self) -> None:
        """Let the connection go, so that its sockets are closed."""
        del self._link

    def ended(self, error: LinkError) -> bool:
        """Draw conclusions from a connection's end; whether rows were in flight."""
        flying = self.flights.rows()
        if error.failure is Failure.UNACKNOWLEDGED or not flying:
            return bool(flying)
        now_s = time.monotonic()
        sizes = {number: it.size_bytes for number, it in flying.items()}
        # A broker that had answered nothing yet may end a connection for reasons of its own.
        since_sent_s = now_s - self._sent_s if self._proved else math.inf
        too_large = error.code == PACKET_TOO_LARGE
        guilty = self._suspects.ended(sizes, since_sent_s, too_large=too_large)
        if len(flying) != 1:
            return True
        ((number, flight),) = flying.items()
        row = flight.what
        assert isinstance(row, Row)  # noqa: S101 - rows() gives no others
        if guilty is not None and too_large:
            self._set_aside(row, "larger_than_broker_limit")
        elif guilty is not None:
            self._ends[number] = flight.size_bytes
            self._refuse(row, _ENDS_CONNECTION, sure=True)
        elif error.code in _ENDS_REFUSING:
            self._refuse(row, error.detail)
        return True

    def send_rows(self) -> None:
        """Send what may go now."""
        window = max(1, min(IN_FLIGHT, self._limits.window - _PLACES_KEPT))
        if self._suspects.careful:
            # Sent alone, and where the broker is known to answer: only then does an end blame it.
            window = 1 if self._proved else 0
        free = window - len(self.flights)
        if free <= 0:
            return
        sent: list[Row] = []
        try:
            sent.extend(row for row in self._choose(window, free) if self._send(row))
        finally:
            # Those that went before one failed are counted all the same.
            if sent:
                self._outbox.note_sent(sent)

    def _choose(self, window: int, free: int) -> list[Row]:
        now_s = time.monotonic()
        flying = self.flights.rows().keys()
        resting = self._refusals.resting(now_s)
        chosen: list[Row] = []
        kinds: list[Kind] = []
        for lane, own in KINDS.items():
            if not self._refusals.is_paused(lane):
                kinds += own
            elif self._refusals.probe_is_due(lane, now_s):
                oldest = {it.row: it for it in self._outbox.next_rows(2, flying, own, resting)}
                if oldest:
                    chosen.append(self._probe(lane, oldest))
                else:
                    self._refusals.ended(lane)
        pictures = max(1, window // 2) - self.flights.pictures()
        if pictures <= 0:
            # Pictures are answered by no dashboard: they must not take every place.
            kinds = [kind for kind in kinds if kind is not Kind.IMAGE]
        for row in self._outbox.next_rows(free - len(chosen), flying, kinds, resting):
            pictures -= row.kind is Kind.IMAGE
            if row.kind is not Kind.IMAGE or pictures >= 0:
                chosen.append(row)
        return chosen[:free]

    def _probe(self, lane: Lane, oldest: dict[int, Row]) -> Row:
        known = self._outbox.row(self._known[lane]) if lane in self._known else None
        if known is not None and known.kind is Kind.IMAGE and not self._is_kept(known):
            known = None
        rows = oldest if known is None else {**oldest, known.row: known}
        number = self._refusals.choose(lane, oldest, None if known is None else known.row)
        return rows[number]

    def _is_kept(self, picture: Row) -> bool:
        return (self._pictures / os.fsdecode(picture.payload)).is_file()

    def _send(self, row: Row) -> bool:
        """Send one row, or set it aside; whether it was sent."""
        if not row.sound:
            self._outbox.score_again(row)
            self._gone(row)
            log.error("job %d: %s is damaged in the journal: scored again", row.job, row.kind)
            return False
        try:
            packet = packet_of(row, self._names.of, self._pictures, self._settings.historical_s)
        except (OSError, ValidationError) as error:
            if isinstance(error, OSError) and error.errno in _PASSING:
                raise
            self._unmade(row, error)
            return False
        if packet.latency_ms is not None:
            self._latencies.note(packet.latency_ms)
        limit = self._limits.packet_limit
        if limit is not None and len(packet.payload) + _PACKET_OVERHEAD_BYTES > limit:
            self._set_aside(row, "larger_than_broker_limit")
            return False
        self._sent_s = time.monotonic()
        flight = Flight(row, len(packet.payload), self._sent_s)
        self._publish(packet.topic, packet.payload, packet.extras, flight)
        log.info("job %d: %s sent", row.job, row.kind)
        return True

    def _unmade(self, row: Row, error: OSError | ValidationError) -> None:
        if row.kind is Kind.IMAGE and row.sendings and isinstance(error, FileNotFoundError):
            self._gone(row)
            self._outbox.drop_picture(row.row)
            return
        log.warning("job %d: message cannot be made: %s", row.job, place_of(error))
        self._set_aside(row, "unreadable")

    def _publish(
        self, topic: str, payload: bytes, extras: Extras, flight: Flight, *, retain: bool = False
    ) -> None:
        try:
            number = self._link.publish(topic, payload, extras, qos=1, retain=retain)
        except LinkError:
            # The broker may have hung up at the first bytes of this very message.
            self.flights.add(HALF_SENT, flight)
            raise
        self.flights.add(number, flight)

    def publish_plain(
        self, word: str, topic: str, payload: bytes, extras: Extras, *, retain: bool
    ) -> None:
        """Publish a message that is in no table and must be acknowledged."""
        flight = Flight(Plain(word), len(payload), time.monotonic())
        self._publish(topic, payload, extras, flight, retain=retain)

    def send_study(self) -> None:
        """Send the next study, one at a time."""
        if self.flights.has(StudyRow) or not self.may_send(Lane.STUDY):
            return
        found = self._outbox.next_study(self._settings.study_ttl_s)
        if found is None:
            self._refusals.ended(Lane.STUDY)
            return
        if self._refusals.is_paused(Lane.STUDY):
            self._refusals.choose(Lane.STUDY, (0,))
        payload = b"" if found.message is None else found.message.model_dump_json().encode()
        flight = Flight(found, len(payload), time.monotonic())
        extras = Extras(expiry_s=int(self._settings.study_ttl_s))
        self._publish(
            self._device.topic("study", found.study), payload, extras, flight, retain=True
        )

    def may_send(self, lane: Lane) -> bool:
        """Whether a lane is open, or its probe is due."""
        paused = self._refusals.is_paused(lane)
        return not paused or self._refusals.probe_is_due(lane, time.monotonic())

    def is_paused(self, lane: Lane) -> bool:
        """Whether the broker refuses a lane at present."""
        return self._refusals.is_paused(lane)

    def publish_state(self, topic: str, payload: bytes) -> None:
        """Publish the appliance's state; where its lane is paused this is the probe."""
        if self._refusals.is_paused(Lane.STATE):
            self._refusals.choose(Lane.STATE, (0,))
        self.publish_plain("state", topic, payload, Extras(), retain=True)

    def clear_old_topics(self) -> None:
        """Clear retained topics of former names while places are free."""
        while self.old_topics.left and len(self.flights) < IN_FLIGHT // 2:
            found = self.old_topics.next()
            if found is None:
                return
            name, topic = found
            self.clear(name, topic)

    def clear(self, name: DeviceName, topic: str) -> None:
        """Clear one retained topic of a former name."""
        flight = Flight(Cleared(name), 0, time.monotonic())
        self.old_topics.sent(name)
        self._publish(topic, b"", Extras(), flight, retain=True)

    def answered(self, event: Answered) -> int | None:
        """Take in the broker's answer; gives the row that it acknowledged, if any."""
        flight = self.flights.answered(event.mid, time.monotonic())
        if flight is None:
            # A figure without acknowledgement, or what a dashboard has answered before the broker.
            return None
        what = flight.what
        self._proved = True
        self._raised.end("no_acknowledgement")
        if isinstance(what, Row):
            return self._row_answered(what, flight.size_bytes, event.refusal)
        if isinstance(what, StudyRow):
            if not event.refusal:
                self._outbox.study_published(what)
            self._lane_answered(Lane.STUDY, event.refusal)
        elif what == Plain("state"):
            self._lane_answered(Lane.STATE, event.refusal)
        elif isinstance(what, Cleared):
            if event.refusal:
                self._raised.say(
                    "old_topics",
                    f"the broker refuses to clear topics of {what.name} ({event.refusal}); "
                    "fix: let the appliance write there, or clear its retained topics by hand",
                )
            self.old_topics.answered(what.name, refused=bool(event.refusal))
        elif event.refusal:
            log.warning("broker: an answer to a command was refused: %s", event.refusal)
        return None

    def _row_answered(self, row: Row, size_bytes: int, refusal: str) -> int | None:
        lane = lane_of(row.kind)
        if not refusal:
            self._suspects.taken(row.row, size_bytes)
            self._ends.pop(row.row, None)
            self._known[lane] = row.row
            apart = self._refusals.taken(lane, row.row, time.monotonic())
            if apart is not None:
                self._blame_size(apart)
            self._tell(lane)
            return row.row
        self._suspects.cleared((row.row,))
        if refusal == TOO_LARGE:
            self._set_aside(row, "larger_than_broker_limit")
        else:
            self._refuse(row, refusal)
        return None

    def _blame_size(self, number: int) -> None:
        """Set aside a message that ends the connection, where the broker has taken only smaller.

        It takes others of the same kind, so that nothing but the size is left as the cause.
        """
        size_bytes = self._ends.pop(number, 0)
        row = self._outbox.row(number)
        if row is not None and self._suspects.is_large(size_bytes):
            self._set_aside(row, "larger_than_broker_limit")

    def _lane_answered(self, lane: Lane, refusal: str) -> None:
        if refusal:
            self._refusals.refused(lane, 0, refusal, time.monotonic())
        else:
            self._refusals.taken(lane, 0, time.monotonic())
        self._tell(lane)

    def receipts(self, given: list[tuple[str, str]]) -> int:
        """Take in receipts; returns how many are for nothing that was sent."""
        unknown = self._outbox.receipts(given)
        freed = self.flights.take_answered({result_id for result_id, _ in given})
        if freed:
            now_s = time.monotonic()
            for number in freed:
                self._suspects.cleared((number,))
                self._refusals.taken(Lane.RESULT, number, now_s)
            self._outbox.acknowledged(freed)
        return unknown

    def _refuse(self, row: Row, why: str, *, sure: bool = False) -> None:
        lane = lane_of(row.kind)
        apart = self._refusals.refused(lane, row.row, why, time.monotonic(), sure=sure)
        self._outbox.refused(row.row)
        if apart:
            self._blame_size(row.row)
        self._tell(lane)

    def _tell(self, lane: Lane) -> None:
        refused = self._refusals.is_refused(lane)
        self._refused.tell(lane, self._refusals.why(lane) if refused else None)

    def _set_aside(self, row: Row, why: str) -> None:
        self._gone(row)
        self._outbox.set_aside(row.row, why)
        log.error("job %d: %s set aside: %s", row.job, row.kind, why)

    def _gone(self, row: Row) -> None:
        self._suspects.cleared((row.row,))
        self._refusals.gone(lane_of(row.kind), row.row)

    def look_after(self) -> None:
        """Do what time brings about.

        Raises `LinkError` where the broker does not acknowledge what it has.
        """
        self._outbox.expire_studies(self._settings.study_wait_s)
        self._tell_of_waiting()
        for lane in self._refused.lanes():
            if not self._refusals.is_refused(lane) and self._is_empty(lane):
                self._tell(lane)
        now_s = time.monotonic()
        if not self._link.is_flushed():
            self.flights.touch(now_s)
        overdue = self.flights.overdue(now_s)
        if overdue:
            detail = f"the broker does not acknowledge: {overdue} messages wait for it"
            self._raised.say("no_acknowledgement", f"{detail}; the connection is made again")
            raise LinkError(Failure.UNACKNOWLEDGED, detail)

    def _is_empty(self, lane: Lane) -> bool:
        kinds = KINDS.get(lane)
        return kinds is not None and not self._outbox.next_rows(1, (), kinds)

    def _tell_of_waiting(self) -> None:
        if self._outbox.oldest_s() > self._settings.alert_s:
            self._raised.say("undelivered", "results wait in the outbox longer than alert_s")
        else:
            self._raised.end("undelivered")
        aside = self._outbox.latest_set_aside()
        if aside is None:
            self._raised.end("message_set_aside")
        else:
            count, latest = aside
            self._raised.say(
                "message_set_aside",
                f"{count} messages are set aside, the latest: {latest}; "
                "fix: sharpedge retry lists them",
            )
