"""Delivery: what a dashboard may ask of the appliance, and what is answered.

Runs on the sender's thread; what concerns the folder is handed on to the daemon's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from edge.contract.payloads import AnswerMessage, Command, CommandMessage
from edge.journal.orders import picture, replay
from edge.journal.store import JournalError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.delivery.link import Arrived
    from edge.journal.store import Store

LONGEST_BYTES = 4096
FOLDERS = frozenset({Command.PAUSE, Command.RESUME, Command.RESCAN})
"""Commands that the daemon's own thread carries out."""


class NotACommandError(Exception):
    """A message on the topic ``command`` is none; the text says why, and what is one."""


def command_in(event: Arrived) -> CommandMessage:
    """Read a command. Raises `NotACommandError`."""
    if len(event.payload) > LONGEST_BYTES:
        raise NotACommandError(f"longer than {LONGEST_BYTES} bytes")
    try:
        return CommandMessage.model_validate_json(event.payload)
    except ValidationError:
        words = ", ".join(Command)
        message = f'not a command: send {{"command": ...}} with one of {words}'
        raise NotACommandError(message) from None


def carry_out(
    wish: CommandMessage,
    store: Store,
    pictures: Path,
    rebirth: Callable[[], None],
    hand_on: Callable[[Command], None],
) -> AnswerMessage:
    """Do what a command asks, or say why it cannot be done."""
    if wish.command in FOLDERS:
        hand_on(wish.command)
    elif wish.command is Command.REBIRTH:
        rebirth()
    elif wish.id is None:
        detail = f"{wish.command} needs an id"
        return AnswerMessage(command=wish.command, done=False, detail=detail)
    else:
        try:
            if wish.command is Command.PICTURE:
                picture(store, wish.id, pictures)
            else:
                replay(store, wish.id)
        except JournalError as error:
            return AnswerMessage(command=wish.command, done=False, detail=str(error))
    return AnswerMessage(command=wish.command, done=True)
