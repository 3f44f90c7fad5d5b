"""Asks on a terminal for what the command line did not state.

Layer: sharpedge; reads the terminal.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from edge.contract.ids import is_topic_word

if TYPE_CHECKING:
    from collections.abc import Callable


class Asker:
    """Gives a stated value, else asks, else takes the default.

    ``silent`` asks nothing; so does a standard input that is no terminal.
    """

    def __init__(self, *, silent: bool) -> None:
        self._asks = not silent and sys.stdin is not None and sys.stdin.isatty()

    def text(
        self, stated: str | None, question: str, default: str,
        check: Callable[[str], str] = lambda _text: "",
    ) -> str:  # fmt: skip
        """Ask for a line; ``check`` gives what is wrong with it, empty where nothing is."""
        if stated is not None:
            return stated
        while self._asks:
            found = str(typer.prompt(question, default=default)).strip()
            wrong = check(found)
            if not wrong:
                return found
            typer.echo(wrong)
        return default

    def choice(self, stated: str | None, question: str, choices: tuple[str, ...]) -> str:
        """Ask for one of several words; the first is the default."""
        listed = ", ".join(choices)

        def check(text: str) -> str:
            return "" if text in choices else f"one of: {listed}"

        return self.text(stated, f"{question} ({listed})", choices[0], check)


def word_fault(text: str) -> str:
    """Say why a text cannot be a word of a topic."""
    return "" if is_topic_word(text) else "letters, digits, '.', '_' and '-' only"


def name_fault(text: str) -> str:
    """Say why a text cannot be the name or address of a machine."""
    return "" if text and not any(it.isspace() for it in text) else "a name or an address"


def port_fault(text: str) -> str:
    """Say why a text cannot be a port."""
    return "" if text.isdecimal() and 0 < int(text) < 1 << 16 else "a number from 1 to 65535"
