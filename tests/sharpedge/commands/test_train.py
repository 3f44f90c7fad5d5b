"""The command ``train demo``: options that a recipe does not take."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from sharpedge.cli import app

pytest.importorskip("torch")
pytestmark = pytest.mark.training


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--recipe", "heads", "--start-share", "0.5", "--samples", "9"),
            "--samples, --start-share: the recipe heads trains no trunk of a limb",
        ),
        (("--start-share", "0.5"), "demo does not begin from the committed scorers"),
    ],
)
def test_options_that_a_recipe_does_not_take_are_a_message(tmp_path, words, said):
    done = CliRunner().invoke(app, ["train", "demo", "--runs", str(tmp_path / "runs"), *words])
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())
    assert not (tmp_path / "runs" / "crops").exists()
