"""Every command that a page shows exists, with the options that the page gives it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from sharpedge.cli import app
from sharpedge.commands.examples import EXAMPLES

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "systemd" / "README.md",
    ROOT / "training" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
# Where a shell expects a command: first, after an operator, a variable or another command's `--`.
PROGRAM = re.compile(r"(?:^\s*|(?:[;&|]|--|\w=\S*)\s+)(?:\S*/)?sharpedge\s+(?P<rest>[^|;&]*)")
APP = typer.main.get_command(app)
MAKE = re.compile(r"^make ([a-z-]+)")


def code_of(page):
    """Blocks, line by line, and spans of code of a page, as (text, whether it is a whole line)."""
    text = page.read_text()
    for block in re.findall(r"^```(?:sh)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            yield line, True
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for span in re.findall(r"`([^`]+)`", prose):
        if "<" not in span:  # a format of text; placeholders of commands are in capitals
            yield " ".join(span.split()), False


def words_of(text):
    """The arguments of each call of our program in a line."""
    for found in PROGRAM.finditer(re.split(r"(?:^|\s)#", text)[0]):
        yield shlex.split(found["rest"].replace("...", ""))


COMMANDS = [
    pytest.param(words, whole, id=f"{page.relative_to(ROOT)}: {' '.join(words)}")
    for page in PAGES
    for text, whole in code_of(page)
    for words in words_of(text)
] + [
    pytest.param(words, True, id=f"help: {line}")
    for lines in EXAMPLES.values()
    for line in lines
    for words in words_of(line)
]


def descend(words):
    """The command that the words name, with its context and the words that are left."""
    command = APP
    context = command.make_context("sharpedge", [], resilient_parsing=True)
    left = list(words)
    while hasattr(command, "commands") and left and not left[0].startswith("-"):
        found = command.get_command(context, left[0])
        assert found is not None, f"no such command: {' '.join(words)}"
        command = found
        context = command.make_context(left.pop(0), [], parent=context, resilient_parsing=True)
    return command, context, left


@pytest.mark.parametrize(("words", "whole"), COMMANDS)
def test_every_documented_command_is_understood(words, whole):
    command, context, left = descend(words)
    if whole and not hasattr(command, "commands"):
        command.make_context(command.name, left, parent=context.parent)
    else:
        # A mention: it may leave out what the command requires.
        command.make_parser(context).parse_args(left)


def test_the_pages_show_commands():
    assert len(COMMANDS) > 60


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_documented_make_target_exists(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {found[1] for text, _ in code_of(page) if (found := MAKE.match(text.strip()))}
    assert named <= targets
