"""Delivery: reads what dashboards, and the broker's memory, say to the appliance.

Part of `sender`, on its thread. Nothing that comes in is trusted: what is retained, malformed, too
long or not ours is counted and dropped.
"""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from edge.contract.payloads import (
    CHANNELS,
    AnswerMessage,
    HealthMessage,
    Presence,
    ReceiptMessage,
    StateMessage,
)
from edge.delivery.commands import NotACommandError, carry_out, command_in
from edge.journal.chain import Head
from edge.outputs.message import Extras

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from edge.contract.ids import DeviceName
    from edge.contract.payloads import Command
    from edge.delivery.link import Arrived
    from edge.delivery.outbox import Outbox
    from edge.delivery.standing import Raised

log = logging.getLogger(__name__)

_Told = TypeVar("_Told", StateMessage, HealthMessage)

_RECEIPT_BYTES = 4096
"""No receipt is longer."""
_TOPIC_BYTES = 512
_ANSWERS_A_SECOND = 10
"""Answers to what is no command: a flood of junk is not answered with a flood."""
_OWN_WORDS = frozenset(it.topic.split("/")[0] for it in CHANNELS) - {"answer"}


class Hearing:
    """What comes in on one connection.

    Parameters
    ----------
    names
        Names of messages that wait: receipts and commands for them come below those.
    """

    def __init__(
        self,
        device: DeviceName,
        names: Collection[DeviceName],
        outbox: Outbox,
        pictures: Path,
        raised: Raised,
    ) -> None:
        self._device = device
        self._outbox = outbox
        self._pictures = pictures
        self._raised = raised
        self._receipts = {it.topic("receipt") for it in (device, *names)}
        self._commands = {it.topic("command"): it for it in (*names, device)}
        self._dropped = 0
        self._answers = _ANSWERS_A_SECOND
        self._answers_at_s = time.monotonic()

    def is_receipt(self, event: Arrived) -> bool:
        """Whether a message came on a topic for receipts."""
        return event.topic in self._receipts

    def is_command(self, event: Arrived) -> bool:
        """Whether a message came on a topic for commands."""
        return event.topic in self._commands

    def take_dropped(self) -> int:
        """How many receipts and commands were dropped since this was asked last."""
        dropped, self._dropped = self._dropped, 0
        return dropped

    def receipt_in(self, event: Arrived) -> list[tuple[str, str]]:
        """Read a receipt; nothing where it is none."""
        if not event.retained and len(event.payload) <= _RECEIPT_BYTES:
            with contextlib.suppress(ValidationError):
                receipt = ReceiptMessage.model_validate_json(event.payload)
                # One that names two results names none.
                if event.correlation in {None, b"", receipt.id.encode()}:
                    return [(receipt.id, receipt.receiver)]
        self._dropped += 1
        log.warning("a receipt was dropped: retained, malformed, or with another's correlation")
        return []

    def obey(
        self, event: Arrived, rebirth: Callable[[], None], hand_on: Callable[[Command], None]
    ) -> tuple[str, bytes, Extras] | None:
        """Carry out a command; gives topic, payload and properties of the answer, if any."""
        if event.retained:
            self._dropped += 1
            log.warning("a command was dropped: it is retained")
            return None
        try:
            wish = command_in(event)
        except NotACommandError as error:
            self._dropped += 1
            log.warning("a command was dropped: %s", error)
            if not self._may_answer():
                return None
            answer = AnswerMessage(command=None, done=False, detail=str(error))
        else:
            log.info("command: %s", wish.command)
            answer = carry_out(wish, self._outbox.store, self._pictures, rebirth, hand_on)
        extras = Extras(correlation=event.correlation)
        return self._answer_topic(event), answer.model_dump_json().encode(), extras

    def _may_answer(self) -> bool:
        now_s = time.monotonic()
        if now_s - self._answers_at_s >= 1.0:
            self._answers, self._answers_at_s = _ANSWERS_A_SECOND, now_s
        self._answers -= 1
        return self._answers >= 0

    def _answer_topic(self, event: Arrived) -> str:
        """Response topic where we may write to it, else our own topic for answers.

        It must lie below ``sharpedge/`` and be no topic that an appliance or a dashboard uses
        otherwise: nobody makes us publish in the name of another, or give orders to one.
        """
        topic = event.response_topic or ""
        words = topic.split("/")
        plain = not set(topic) & set("+#\0") and len(topic.encode()) <= _TOPIC_BYTES
        used = len(words) > 4 and words[4] in _OWN_WORDS
        if words[0] == "sharpedge" and len(words) > 1 and plain and not used:
            return topic
        return self._commands[event.topic].topic("answer")

    def compare(self, event: Arrived, *, first_start: bool) -> None:
        """Hold the journal against the head that was published before this connection."""
        told: StateMessage | HealthMessage | None = (
            _read(StateMessage, event.payload)
            if event.topic == self._device.topic("state")
            else _read(HealthMessage, event.payload)
        )
        # What a journal finds at its first start another one had published.
        if told is None or not told.journal_row:
            return
        head = Head(told.journal_row, told.journal_head)
        if self._outbox.note_published(head, first_start=first_start):
            detail = f"row {told.journal_row} was published and is not in the journal"
            self._raised.say("journal_cut", f"{detail}: an older one was put back? sharpedge audit")

    def contradicts(self, event: Arrived, session: int) -> bool:
        """Whether a message on our topic ``state`` is not what we say of ourselves."""
        if event.topic != self._device.topic("state"):
            return False
        state = _read(StateMessage, event.payload)
        # Cleared, overwritten by another client, or by the late will of an earlier connection.
        return state is None or state.state is Presence.OFFLINE or state.session < session


def _read(model: type[_Told], payload: bytes) -> _Told | None:
    """Read a message of our own kind; None for anything else."""
    with contextlib.suppress(ValidationError):
        return model.model_validate_json(payload)
    return None
