"""Sends rows, studies and the appliance's state over one connection at a time.

Layer: delivery; publishes over the `Link`, reads and writes the outbox, reads pictures.
"""

from __future__ import annotations

import errno
import logging
import math
import time
from typing import TYPE_CHECKING

from pydantic import ValidationError

from edge.contract.payloads import json_of
from edge.delivery.acceptance import Acceptance
from edge.delivery.flights import HALF_SENT, Cleared, Flight, Flights, Plain
from edge.delivery.link import Failure, LinkError
from edge.delivery.old_topics import OldTopics
from edge.delivery.refusals import STATE, STUDY
from edge.delivery.studies import StudyRow
from edge.errors import place_of
from edge.journal.kinds import MQTT
from edge.journal.rows import Row
from edge.outputs.packet import Extras, Sending, packet_of
from edge.outputs.table import holds_file_name, lanes_of, needs_receipt

if TYPE_CHECKING:
    from pathlib import Path

    from edge.contract.ids import DeviceName
    from edge.delivery.link import Answered, Connected, Link
    from edge.delivery.outbox import Outbox
    from edge.delivery.settings import DeliverySettings
    from edge.delivery.standing import DeliveryAlerts, Latencies
    from edge.journal.names import Names
    from edge.outputs.settings import JoiningSettings

log = logging.getLogger(__name__)

IN_FLIGHT = 32
_PLACES_KEPT = 8
"""Of the broker's window, for state, study and answers."""
_PACKET_OVERHEAD_BYTES = 1024
"""Allowed for topic and properties when a payload is compared with the broker's limit."""
_PASSING = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}
"""Errors of reading a file that do not last."""


class Outgoing:
    """What is sent, and the broker's acknowledgements; on the sender's thread."""

    def __init__(
        self,
        outbox: Outbox,
        names: Names,
        device: DeviceName,
        pictures: Path,
        settings: DeliverySettings,
        alerts: DeliveryAlerts,
        latencies: Latencies,
        joining: JoiningSettings,
    ) -> None:
        self._outbox = outbox
        self._names = names
        self._device = device
        self._settings = settings
        self._alerts = alerts
        self._latencies = latencies
        self._sending = Sending(names.of, pictures, settings.historical_s, joining.mqtt_result)
        self._in_studies = joining.mqtt_study
        self.flights = Flights()
        self._acceptance = Acceptance(outbox, pictures, alerts)
        self._proved = False
        """Whether the broker has acknowledged anything on this connection."""
        self._sent_s = 0.0

    def begin(self, link: Link, limits: Connected) -> None:
        """Begin a connection."""
        self._limits = limits
        self._proved = False
        self.flights.clear()
        self._acceptance.reconnected()
        self._outbox.reopen()
        self.old_topics = OldTopics(self._names, self._outbox)
        self._link = link

    def release(self) -> None:
        """Drop the reference to the connection, so that its sockets are closed."""
        del self._link

    def ended(self, error: LinkError) -> bool:
        """Draw conclusions from a connection's end; whether rows were in flight."""
        in_flight = self.flights.rows()
        if in_flight and error.failure is not Failure.UNACKNOWLEDGED:
            # A broker that had answered nothing yet may end a connection for reasons of its own.
            since_sent_s = time.monotonic() - self._sent_s if self._proved else math.inf
            self._acceptance.connection_ended(in_flight, since_sent_s, error)
        return bool(in_flight)

    def send_rows(self) -> None:
        """Send the rows for which there are places."""
        window = max(1, min(IN_FLIGHT, self._limits.window - _PLACES_KEPT))
        if self._acceptance.careful:
            # Alone, and once the broker has answered: only then is the row the cause of an end.
            window = 1 if self._proved else 0
        free = window - len(self.flights)
        if free <= 0:
            return
        sent: list[Row] = []
        try:
            sent.extend(row for row in self._choose(window, free) if self._send(row))
        finally:
            # Those that were sent before one failed are counted all the same.
            if sent:
                self._outbox.note_sent(sent)

    def _choose(self, window: int, free: int) -> list[Row]:
        in_flight = self.flights.rows().keys()
        resting = self._acceptance.resting(time.monotonic())
        chosen: list[Row] = []
        kinds: list[str] = []
        for lane, own in lanes_of(MQTT).items():
            if not self._acceptance.is_paused(lane):
                kinds += own
            elif self._acceptance.may_send(lane):
                oldest = {it.row: it for it in self._outbox.next_rows(2, in_flight, own, resting)}
                if oldest:
                    chosen.append(self._acceptance.probe(lane, oldest))
                else:
                    self._acceptance.nothing_waits(lane)
        # No dashboard answers these: they must not take every place.
        left = max(1, window // 2) - self.flights.without_receipt()
        if left <= 0:
            kinds = [kind for kind in kinds if needs_receipt(kind)]
        for row in self._outbox.next_rows(free - len(chosen), in_flight, kinds, resting):
            left -= not needs_receipt(row.kind)
            if needs_receipt(row.kind) or left >= 0:
                chosen.append(row)
        return chosen[:free]

    def _send(self, row: Row) -> bool:
        """Send one row, or set it aside; whether it was sent."""
        if not row.sound:
            self._outbox.endings.score_again(row)
            self._acceptance.forget(row)
            log.error("job %d: %s is damaged in the journal: scored again", row.job, row.kind)
            return False
        try:
            packet = packet_of(row, self._sending)
        except (OSError, ValidationError) as error:
            if isinstance(error, OSError) and error.errno in _PASSING:
                raise
            self._set_unmade_aside(row, error)
            return False
        if packet.latency_ms is not None:
            self._latencies.note(packet.latency_ms)
        limit = self._limits.packet_limit
        if limit is not None and len(packet.payload) + _PACKET_OVERHEAD_BYTES > limit:
            self._acceptance.set_aside(row, "larger_than_broker_limit")
            return False
        self._sent_s = time.monotonic()
        flight = Flight(row, len(packet.payload), self._sent_s)
        self._publish(packet.topic, packet.payload, packet.extras, flight)
        log.info("job %d: %s sent", row.job, row.kind)
        return True

    def _set_unmade_aside(self, row: Row, error: OSError | ValidationError) -> None:
        """End a row of which no packet can be made."""
        missing = holds_file_name(row.kind) and isinstance(error, FileNotFoundError)
        if missing and row.sendings:
            self._acceptance.forget(row)
            self._outbox.endings.drop_file(row.row)
            return
        log.warning("job %d: message cannot be made: %s", row.job, place_of(error))
        self._acceptance.set_aside(row, "unreadable")

    def _publish(
        self, topic: str, payload: bytes, extras: Extras, flight: Flight, *, retain: bool = False
    ) -> None:
        try:
            number = self._link.publish(topic, payload, extras, qos=1, retain=retain)
        except LinkError:
            # The broker may have ended the connection at the first bytes of this very message.
            self.flights.add(HALF_SENT, flight)
            raise
        self.flights.add(number, flight)

    def publish_plain(
        self, kind: str, topic: str, payload: bytes, extras: Extras, *, retain: bool
    ) -> None:
        """Publish a message that is in no table and must be acknowledged."""
        flight = Flight(Plain(kind), len(payload), time.monotonic())
        self._publish(topic, payload, extras, flight, retain=retain)

    def send_study(self) -> None:
        """Send the next study, one at a time."""
        if self.flights.has(StudyRow) or not self.may_send(STUDY):
            return
        found = self._outbox.studies.next(self._settings.study_ttl_s, self._in_studies)
        if found is None:
            self._acceptance.nothing_waits(STUDY)
            return
        self._acceptance.probe_single(STUDY)
        payload = b"" if found.message is None else json_of(found.message)
        flight = Flight(found, len(payload), time.monotonic())
        extras = Extras(expiry_s=int(self._settings.study_ttl_s))
        topic = self._device.topic("study", found.study)
        self._publish(topic, payload, extras, flight, retain=True)

    def may_send(self, lane: str) -> bool:
        """Whether a lane is open, or its probe is due."""
        return self._acceptance.may_send(lane)

    def is_paused(self, lane: str) -> bool:
        """Whether the broker refuses a lane at present."""
        return self._acceptance.is_paused(lane)

    def publish_state(self, topic: str, payload: bytes) -> None:
        """Publish the appliance's state; where its lane is paused this is the probe."""
        self._acceptance.probe_single(STATE)
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
        """Take in the broker's answer; returns the row that it acknowledged, if any."""
        flight = self.flights.answered(event.mid, time.monotonic())
        if flight is None:
            # QoS 0, or a dashboard has answered before the broker did.
            return None
        what = flight.what
        self._proved = True
        self._alerts.clear_alert("no_acknowledgement")
        if isinstance(what, Row):
            accepted = self._acceptance.answered(what, flight.size_bytes, event.refusal)
            return what.row if accepted else None
        if isinstance(what, StudyRow):
            if not event.refusal:
                self._outbox.studies.published(what)
            self._acceptance.single_answered(STUDY, event.refusal)
        elif what == Plain("state"):
            self._acceptance.single_answered(STATE, event.refusal)
        elif isinstance(what, Cleared):
            self._clearing_answered(what, event.refusal)
        elif event.refusal:
            log.warning("broker: an answer to a command was refused: %s", event.refusal)
        return None

    def _clearing_answered(self, cleared: Cleared, refusal: str) -> None:
        if refusal:
            self._alerts.raise_alert(
                "old_topics",
                f"the broker refuses to clear topics of {cleared.name} ({refusal}); "
                "fix: let the appliance write there, or clear its retained topics by hand",
            )
        self.old_topics.answered(cleared.name, refused=bool(refusal))

    def receipts(self, given: list[tuple[str, str]]) -> int:
        """Take in receipts; returns how many are for nothing that was sent."""
        unknown = self._outbox.endings.receipts(given)
        freed = self.flights.take_answered({result_id for result_id, _ in given})
        for row in freed:
            self._acceptance.answered_by_dashboard(row)
        if freed:
            self._outbox.endings.acknowledged([row.row for row in freed])
        return unknown

    def check(self) -> None:
        """Expire studies, update alerts, check the deadlines of acknowledgements.

        Raises `LinkError` where the broker does not acknowledge what it has.
        """
        self._outbox.studies.expire(self._settings.study_wait_s)
        self._alerts.update_waiting(self._outbox.counts, self._settings.alert_s)
        self._acceptance.clear_empty_lanes()
        now_s = time.monotonic()
        if not self._link.is_flushed():
            self.flights.touch(now_s)
        overdue = self.flights.overdue(now_s)
        if overdue:
            detail = f"the broker does not acknowledge: {overdue} messages wait for it"
            self._alerts.raise_alert(
                "no_acknowledgement", f"{detail}; the connection is made again"
            )
            raise LinkError(Failure.UNACKNOWLEDGED, detail)
