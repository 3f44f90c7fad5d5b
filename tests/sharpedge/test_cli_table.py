"""The table of commands agrees with the commands, and nothing is loaded to list them."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest
import typer

from sharpedge.cli import COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_shows_the_first_sentence_of_each_command_s_own_help(name):
    row = COMMANDS[name]
    module, _, attribute = row.target.partition(":")
    found = getattr(import_module(module), attribute)
    text = found.info.help if isinstance(found, typer.Typer) else found.__doc__
    assert " ".join(text.split("\n\n")[0].split()) == row.help


def test_the_list_of_commands_loads_none():
    code = (
        "import sys\nfrom sharpedge.cli import main\nsys.argv = ['sharpedge', '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([m for m in sys.modules if m.startswith(('sharpedge.commands.', 'numpy'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['sharpedge.commands.options']"
