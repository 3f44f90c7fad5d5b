"""Commands of dashboards and decisions of operators, and their answers.

Layer: delivery; on the sender's thread; writes orders into the journal. Commands about the folder
are passed to the daemon's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from edge.contract.ids import is_topic_word
from edge.contract.payloads import (
    AnswerMessage,
    Command,
    CommandMessage,
    OperatorCommand,
    OperatorMessage,
)
from edge.errors import fields_of
from edge.journal.orders import dismiss, find_job, named, picture, release, replay, retry
from edge.journal.store import JournalError
from edge.model import OperatorStatement

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.delivery.link import Arrived
    from edge.journal.store import Store

LONGEST_BYTES = 4096
FOLDERS = frozenset({Command.PAUSE, Command.RESUME, Command.RESCAN})
"""Commands that the daemon's thread carries out."""


class NotACommandError(Exception):
    """A message is no command; the text gives cause and fix."""


def command_in(event: Arrived) -> CommandMessage:
    """Read a command. Raises `NotACommandError`."""
    try:
        return CommandMessage.model_validate_json(_short(event))
    except ValidationError as error:
        commands = ", ".join(Command)
        message = (
            f'not a command ({fields_of(error)}): send {{"command": ...}} with one of {commands}; '
            f"{', '.join(OperatorCommand)} go to the topic operator/ACCOUNT"
        )
        raise NotACommandError(message) from None


def decision_in(event: Arrived) -> OperatorMessage:
    """Read an operator's decision. Raises `NotACommandError`."""
    if not is_topic_word(account_of(event)):
        raise NotACommandError("the topic's last word is no account")
    try:
        return OperatorMessage.model_validate_json(_short(event))
    except ValidationError as error:
        message = (
            f"not a decision ({fields_of(error)}): send command "
            f"({', '.join(OperatorCommand)}), id, operator, and for release limb and side"
        )
        raise NotACommandError(message) from None


def _short(event: Arrived) -> bytes:
    if len(event.payload) > LONGEST_BYTES:
        raise NotACommandError(f"longer than {LONGEST_BYTES} bytes")
    return event.payload


def account_of(event: Arrived) -> str:
    """The account to which the broker keeps a topic for decisions."""
    return event.topic.rpartition("/")[2]


def decide(decision: OperatorMessage, account: str, store: Store) -> AnswerMessage:
    """Carry out an operator's decision; the journal names the person and the account.

    ``account`` is the last word of the topic, which the broker lets this account alone write.
    """
    operator = named(decision.operator, account)
    command = decision.command
    try:
        job = find_job(store, decision.id)
        if command is OperatorCommand.RELEASE:
            done = release(store, job, OperatorStatement(decision.limb, decision.side), operator)
        elif command is OperatorCommand.RETRY:
            done = retry(store, job, operator)
        else:
            done = dismiss(store, job, operator)
    except JournalError as error:
        return AnswerMessage(command=command, done=False, detail=str(error))
    after = "" if done.new_job is None else f" goes on as job {done.new_job}"
    return AnswerMessage(command=command, done=True, detail=f"job {done.job}{after}")


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
