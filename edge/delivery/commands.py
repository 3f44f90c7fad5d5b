"""Commands of dashboards, and their answers.

Layer: delivery; on the sender's thread; writes orders into the journal. Commands about the folder
are passed to the daemon's thread.
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
"""Commands that the daemon's thread carries out."""


class NotACommandError(Exception):
    """A message on the topic ``command`` is no command; the text gives cause and fix."""


def command_in(event: Arrived) -> CommandMessage:
    """Read a command. Raises `NotACommandError`."""
    if len(event.payload) > LONGEST_BYTES:
        raise NotACommandError(f"longer than {LONGEST_BYTES} bytes")
    try:
        return CommandMessage.model_validate_json(event.payload)
    except ValidationError:
        commands = ", ".join(Command)
        message = f'not a command: send {{"command": ...}} with one of {commands}'
        raise NotACommandError(message) from None


def carry_out(
    command: CommandMessage,
    store: Store,
    pictures: Path,
    publish_again: Callable[[], None],
    pass_on: Callable[[Command], None],
) -> AnswerMessage:
    """Carry out a command; the answer says whether that was possible, and why not."""
    if command.command in FOLDERS:
        pass_on(command.command)
    elif command.command is Command.REBIRTH:
        publish_again()
    elif command.id is None:
        detail = f"{command.command} needs an id"
        return AnswerMessage(command=command.command, done=False, detail=detail)
    else:
        try:
            if command.command is Command.PICTURE:
                picture(store, command.id, pictures)
            else:
                replay(store, command.id)
        except JournalError as error:
            return AnswerMessage(command=command.command, done=False, detail=str(error))
    return AnswerMessage(command=command.command, done=True)
