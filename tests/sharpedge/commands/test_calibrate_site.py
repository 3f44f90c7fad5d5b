"""``sharpedge evaluate calibrate-site``: what it refuses before anything is measured."""

import pytest
from typer.testing import CliRunner

from phantom.command import write_patients
from sharpedge.cli import app


def run(*words):
    return CliRunner().invoke(app, ["evaluate", "calibrate-site", *map(str, words)])


@pytest.mark.parametrize(
    "words", [(), ("--apply",), ("films", "--remove"), ("--remove", "--apply")]
)
def test_it_either_measures_a_folder_or_takes_away(words):
    result = run(*words)
    assert result.exit_code == 2
    assert "--remove alone" in result.output


def test_thresholds_of_simulated_films_are_never_stored(tmp_path):
    write_patients(tmp_path, 1, 5, "jpeg", "flat")
    result = run(tmp_path, "--apply", "--engines", tmp_path / "none")
    assert result.exit_code == 2
    assert "says nothing of a site" in result.output
    assert "that your readers have graded" in result.output
