"""Reads messages that arrive: receipts, commands, and retained messages of the appliance itself.

Layer: delivery; on the sender's thread; writes orders and findings into the journal.

Nothing that arrives is trusted: a receipt or command that is retained, malformed, too long or for
something else is counted and dropped.
"""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from edge.contract.payloads import (
    AnswerMessage,
    HealthMessage,
    Presence,
    ReceiptMessage,
    StateMessage,
)
from edge.contract.topics import CHANNELS
from edge.delivery.commands import (
    NotACommandError,
    account_of,
    carry_out,
    command_in,
    decide,
    decision_in,
)
from edge.journal.chain import Head
from edge.journal.published import published_row_is_missing
from edge.outputs.packet import Extras
from edge.outputs.table import OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from edge.contract.ids import DeviceName
    from edge.contract.payloads import Command
    from edge.delivery.link import Arrived
    from edge.delivery.standing import DeliveryAlerts
    from edge.journal.store import Store

log = logging.getLogger(__name__)

_Own = TypeVar("_Own", StateMessage, HealthMessage)

_RECEIPT_BYTES = 4096
"""No receipt is longer."""
_TOPIC_BYTES = 512
_ANSWERS_A_SECOND = 10
"""Limit of answers to malformed commands."""
_OWN_TOPICS = frozenset(it.topic.split("/")[0] for it in CHANNELS) - {"answer"}


class Incoming:
    """Reads the messages of one connection.

    Parameters
    ----------
    session
        Number of this start of the appliance.
    names
        Names of messages that wait: their receipts and commands arrive below these.
    """

    def __init__(
        self,
        device: DeviceName,
        session: int,
        names: Collection[DeviceName],
        store: Store,
        pictures: Path,
        alerts: DeliveryAlerts,
    ) -> None:
        self._device = device
        self._session = session
        self._store = store
        self._pictures = pictures
        self._alerts = alerts
        self._receipts = {it.topic("receipt") for it in (device, *names)}
        self._commands = {it.topic("command"): it for it in (*names, device)}
        self._decisions = {it.topic("operator"): it for it in (*names, device)}
        self._dropped = 0
        self._answers = _ANSWERS_A_SECOND
        self._answers_at_s = time.monotonic()

    def is_receipt(self, event: Arrived) -> bool:
        """Whether a message arrived on a topic for receipts."""
        return event.topic in self._receipts

    def is_command(self, event: Arrived) -> bool:
        """Whether a message arrived on a topic for commands."""
        return event.topic in self._commands

    def is_decision(self, event: Arrived) -> bool:
        """Whether a message arrived on a topic for operators' decisions."""
        return event.topic.rpartition("/")[0] in self._decisions

    def take_dropped(self) -> int:
        """How many receipts and commands were dropped since the last call."""
        dropped, self._dropped = self._dropped, 0
        return dropped

    def read_receipt(self, event: Arrived) -> list[tuple[str, str]]:
        """Id and dashboard of a receipt; empty where the message is none."""
        if not event.retained and len(event.payload) <= _RECEIPT_BYTES:
            with contextlib.suppress(ValidationError):
                receipt = ReceiptMessage.model_validate_json(event.payload)
                # A receipt with the correlation data of another message is for neither.
                if event.correlation in {None, b"", receipt.id.encode()}:
                    return [(receipt.id, receipt.receiver)]
        self._dropped += 1
        log.warning("a receipt was dropped: retained, malformed, or with another's correlation")
        return []

    def answer_command(
        self, event: Arrived, publish_again: Callable[[], None], pass_on: Callable[[Command], None]
    ) -> tuple[str, bytes, Extras] | None:
        """Carry out a command; returns topic, payload and properties of the answer, if any."""

        def carried_out() -> AnswerMessage:
            command = command_in(event)
            log.info("command: %s", command.command)
            return carry_out(command, self._store, self._pictures, publish_again, pass_on)

        return self._answered(event, carried_out, self._commands)

    def answer_decision(self, event: Arrived) -> tuple[str, bytes, Extras] | None:
        """Carry out an operator's decision; returns as `answer_command`."""

        def carried_out() -> AnswerMessage:
            decision = decision_in(event)
            answer = decide(decision, account_of(event), self._store)
            log.info("operator: %s: %s", decision.command, "done" if answer.done else "refused")
            return answer

        return self._answered(event, carried_out, self._decisions)

    def _answered(
        self,
        event: Arrived,
        carried_out: Callable[[], AnswerMessage],
        names: Mapping[str, DeviceName],
    ) -> tuple[str, bytes, Extras] | None:
        if event.retained:
            self._dropped += 1
            log.warning("a command was dropped: it is retained")
            return None
        try:
            answer = carried_out()
        except NotACommandError as error:
            self._dropped += 1
            log.warning("a command was dropped: %s", error)
            if not self._may_answer():
                return None
            answer = AnswerMessage(command=None, done=False, detail=str(error))
        name = names.get(event.topic) or names[event.topic.rpartition("/")[0]]
        extras = Extras(correlation=event.correlation)
        return _answer_topic(event, name), answer.model_dump_json().encode(), extras

    def _may_answer(self) -> bool:
        now_s = time.monotonic()
        if now_s - self._answers_at_s >= 1.0:
            self._answers, self._answers_at_s = _ANSWERS_A_SECOND, now_s
        self._answers -= 1
        return self._answers >= 0

    def check_published_head(self, event: Arrived) -> None:
        """Compare the journal with the head in a retained message of the appliance."""
        published: StateMessage | HealthMessage | None = (
            _read(StateMessage, event.payload)
            if event.topic == self._device.topic("state")
            else _read(HealthMessage, event.payload)
        )
        if published is None or not published.journal_row:
            return
        head = Head(published.journal_row, published.journal_head)
        if published_row_is_missing(self._store, head, first_start=self._session == 1):
            detail = f"row {published.journal_row} was published and is not in the journal"
            self._alerts.raise_alert(
                "journal_cut", f"{detail}: an older one was put back? sharpedge audit"
            )

    def contradicts(self, event: Arrived) -> bool:
        """Whether a message on the appliance's topic ``state`` is not its own of this run."""
        if event.topic != self._device.topic("state"):
            return False
        state = _read(StateMessage, event.payload)
        # Cleared, overwritten by another client, or by the late will of an earlier connection.
        return state is None or state.state is Presence.OFFLINE or state.session < self._session


def _answer_topic(event: Arrived, name: DeviceName) -> str:
    """Response topic where it may be used, else the appliance's topic ``answer``.

    It must be below ``sharpedge/`` and no topic that an appliance or a dashboard uses
    otherwise: a client must not make the appliance publish results or commands of another.
    """
    topic = event.response_topic or ""
    parts = topic.split("/")
    plain = not set(topic) & set("+#\0") and len(topic.encode()) <= _TOPIC_BYTES
    used = len(parts) > 4 and parts[4] in _OWN_TOPICS | OUTPUTS.keys()
    if parts[0] == "sharpedge" and len(parts) > 1 and plain and not used:
        return topic
    return name.topic("answer")


def _read(model: type[_Own], payload: bytes) -> _Own | None:
    """Parse a message of the appliance itself; None for anything else."""
    with contextlib.suppress(ValidationError):
        return model.model_validate_json(payload)
    return None
