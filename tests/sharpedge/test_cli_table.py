"""The table of commands agrees with the commands, and nothing is loaded to list them."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module

import pytest
import typer

from sharpedge.cli import COMMANDS, GROUPS


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
    assert done.stdout.splitlines()[-1] == (
        "['sharpedge.commands.examples', 'sharpedge.commands.options']"
    )


def test_every_command_is_in_one_group_of_the_list():
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(COMMANDS)


def sharpedge(*words, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "sharpedge.cli", *words], capture_output=True, text=True,
        check=False, env={**os.environ, **environment},
    )  # fmt: skip
    return done.stdout


def test_h_is_help_of_the_program_and_of_a_command():
    assert sharpedge("-h") == sharpedge("--help")
    assert "Examples:" in sharpedge("score", "-h")
    assert sharpedge("engines", "list", "-h") == sharpedge("engines", "list", "--help")


def test_a_shell_completes_commands_and_options():
    asked = {"_SHARPEDGE_COMPLETE": "complete_bash", "COMP_CWORD": "1"}
    found = sharpedge(COMP_WORDS="sharpedge do", **asked).split()
    assert found == ["doctor"]
    found = sharpedge(COMP_WORDS="sharpedge score --js", **(asked | {"COMP_CWORD": "2"})).split()
    assert found == ["--json"]
