"""docs/training.md says what the commands are."""

import re
from pathlib import Path

import pytest
import typer.main

from sharpedge.cli import app
from training.datasets.options import Options
from training.datasets.readers import READERS
from training.datasets.truth import WARNINGS, Code

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "training.md").read_text("utf-8")
LINES = [
    line.strip()
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("sharpedge ")
]


@pytest.mark.parametrize("line", LINES)
def test_every_documented_command_has_the_options_that_it_is_given(line):
    command = typer.main.get_command(app)
    context = command.make_context("sharpedge", [], resilient_parsing=True)
    words = line.split()[1:]
    while hasattr(command, "get_command"):
        command = command.get_command(context, words.pop(0))
    known = {name for parameter in command.params for name in parameter.opts}
    given = {word for word in words if word.startswith("--")}
    assert given <= known, given - known


def test_the_way_is_whole():
    steps = " ".join(LINES)
    for step in ("phantom", "train data check", "train mask", "train detector", "train scorers",
                 "export", "build", "evaluate", "score"):  # fmt: skip
        assert f"sharpedge {step} " in steps


def test_every_fault_every_layout_and_every_option_is_on_the_page():
    rows = {
        code: line.split("|")[2].strip()
        for line in PAGE.splitlines()
        for code in re.findall(r"`(\w+)`", line.split("|")[1] if line.count("|") > 3 else "")
    }
    for code in Code:
        assert rows[code.value] == ("no" if code in WARNINGS else "yes"), code
    for layout in READERS:
        assert f"| `{layout}` |" in PAGE
    for option in Options.model_fields:
        assert re.search(rf"^{option} = ", PAGE, re.MULTILINE), option
