"""Delivery: what a dashboard may ask of the appliance, and what is answered.

Runs on the sender's thread; what concerns the folder is handed on to the daemon's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from edge.delivery.contract import AnswerMessage, Command, CommandMessage
from edge.delivery.orders import replay
from edge.delivery.store import JournalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.delivery.link import Arrived
    from edge.delivery.store import Store

LONGEST_BYTES = 4096
FOLDERS = frozenset({Command.PAUSE, Command.RESUME, Command.RESCAN})
"""Commands that the daemon's own thread carries out."""


def command_in(event: Arrived) -> CommandMessage | None:
    """Read a command; None for what is retained, too long or malformed."""
    if event.retained or len(event.payload) > LONGEST_BYTES:
        return None
    try:
        return CommandMessage.model_validate_json(event.payload)
    except ValidationError:
        return None


def carry_out(
    wish: CommandMessage,
    store: Store,
    rebirth: Callable[[], None],
    hand_on: Callable[[Command], None],
) -> AnswerMessage:
    """Do what a command asks, or say why it cannot be done."""
    if wish.command in FOLDERS:
        hand_on(wish.command)
    elif wish.command is Command.REBIRTH:
        rebirth()
    elif wish.id is None:
        return AnswerMessage(command=wish.command, done=False, detail="replay needs an id")
    else:
        try:
            replay(store, wish.id)
        except JournalError as error:
            return AnswerMessage(command=wish.command, done=False, detail=str(error))
    return AnswerMessage(command=wish.command, done=True)
