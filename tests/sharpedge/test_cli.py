"""What a script may rely on: exit statuses, streams, one line an error."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from drawn_markers import without_markers

from edge.anatomy import Limb
from edge.engine.loader import load_engines
from edge.engine.passport import Role
from edge.errors import EngineError
from edge.system.paths import built_engines
from phantom.command import write_patients

HEAVY = frozenset(
    ("cv2", "numpy", "onnxruntime", "paho", "pydantic", "pydicom", "torch", "scipy", "skimage")
)
COMMANDS = ("run", "score", "export", "phantom", "demo", "bench", "listen", "train")
_MODULES = """
import sys
from sharpedge.cli import main
try:
    main()
finally:
    sys.stderr.write(" ".join(sys.modules))
"""


def sharpedge(*arguments, **options):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SHARPEDGE_")}
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    return subprocess.run(
        [sys.executable, "-m", "sharpedge.cli", *map(str, arguments)],
        text=True, check=False, timeout=200, env={**kept, **options.pop("env", {})}, **options,
    )  # fmt: skip


def one_line(done, status):
    """The only line on standard error, of a command that ended with a status."""
    assert done.returncode == status, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("sharpedge: ")
    return lines[0]


@pytest.fixture(scope="session")
def engines():
    try:
        return load_engines(built_engines())
    except EngineError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    write_patients(folder, 1, 7)
    return folder


@pytest.fixture
def held(engines, films, tmp_path):
    """A film whose side nobody states."""
    if Limb.HAND not in engines.limbs:
        pytest.skip("no hand detector is built: sharpedge export")
    return without_markers(films / "P0001-LH.jpg", tmp_path / "film.jpg")


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--help"], HEAVY),
        (["--version"], HEAVY),
        ([], HEAVY),
        # Some releases of typer load pydantic themselves to describe a command's arguments.
        (["score", "--help"], HEAVY - {"pydantic"}),
    ],
)
def test_help_loads_nothing_heavy(arguments, heavy):
    done = subprocess.run(
        [sys.executable, "-c", _MODULES, *arguments], capture_output=True, text=True, check=False
    )
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert "typer" in loaded
    assert not loaded & heavy


def test_help_names_every_command_and_the_intended_use():
    done = sharpedge("--help")
    assert done.returncode == 0
    assert all(f"\n  {command}" in done.stdout for command in COMMANDS)
    assert "Research use only, not a medical device" in " ".join(done.stdout.split())
    for command in COMMANDS:
        assert sharpedge(command, "--help").returncode == 0, command


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["score"], ["score", "--nonsense", "."], ["phantom", "--patients", "0"],
     ["phantom", "--style", "best"]],
)  # fmt: skip
def test_wrong_usage_ends_with_2(arguments):
    done = sharpedge(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_path_that_is_not_there_and_a_folder_without_films_end_with_2(tmp_path):
    assert "no such file" in one_line(sharpedge("score", tmp_path / "nothing"), 2)
    assert "no film" in one_line(sharpedge("score", tmp_path), 2)
    assert "--out" in one_line(sharpedge("phantom"), 2)


def test_a_wrong_configuration_ends_with_2_and_names_the_line(tmp_path):
    config = tmp_path / "c.toml"
    config.write_text("[folders]\nwatch = '/d'\nwach = 1\n")
    assert f"{config}:3: folders.wach: unknown key" in one_line(sharpedge("run", "-c", config), 2)


def test_missing_engines_end_with_1_and_the_command_that_fixes_it(films, tmp_path):
    done = sharpedge("score", "--engines", tmp_path, films)
    assert "sharpedge export" in one_line(done, 1)
    assert done.stdout == ""


def test_a_recipe_that_cannot_be_read_ends_with_1(tmp_path):
    done = sharpedge("export", tmp_path / "none.toml", "--out", tmp_path)
    assert "none.toml" in one_line(done, 1)


def test_an_out_folder_that_cannot_be_made_ends_with_1(tmp_path):
    (tmp_path / "file").write_text("")
    done = sharpedge("phantom", "--out", tmp_path / "file" / "below")
    assert "file/below" in one_line(done, 1)


def test_all_scored_ends_with_0(engines, films):
    if engines.get(Role.SCORE, Limb.HAND) is None:
        pytest.skip("no hand scorer is built: sharpedge export")
    done = sharpedge("score", "--json", films / "P0001-LH.jpg")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert (result["status"], result["limb"], result["laterality"]) == ("scored", "hand", "L")


def test_grades_that_only_a_scorer_lacks_for_end_with_1(engines, films):
    if engines.get(Role.SCORE, Limb.HAND) is not None or Limb.HAND not in engines.limbs:
        pytest.skip("scorers are built")
    done = sharpedge("score", films / "P0001-LH.jpg")
    assert "scorers are not installed" in one_line(done, 1)


def test_a_held_film_ends_with_3_and_a_rejected_one_with_4(held, tmp_path):
    done = sharpedge("score", "--json", held)
    assert (done.returncode, done.stderr) == (3, "")
    result = json.loads(done.stdout)
    assert (result["status"], result["reason"]) == ("held", "side_not_known")
    assert [joint["erosion"] for joint in result["joints"]] == [None] * 10
    assert all(joint["box"] and joint["erosion_reason"] == "held" for joint in result["joints"])
    (tmp_path / "empty.jpg").touch()
    done = sharpedge("score", "--json", held, tmp_path / "empty.jpg")
    assert (done.returncode, done.stderr) == (4, "")
    assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == ["held", "rejected"]


def test_an_unreadable_file_is_told_and_the_others_are_still_scored(held, tmp_path):
    (tmp_path / "unreadable.jpg").symlink_to("/proc/self/mem")
    done = sharpedge("score", "--json", tmp_path / "unreadable.jpg", held)
    assert "unreadable.jpg: cannot be read" in one_line(done, 1)
    assert json.loads(done.stdout)["file"] == "film.jpg"


def test_out_gets_the_labelled_picture_and_the_mask(held, tmp_path):
    done = sharpedge("score", held, "--out", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "film_0.jpg", "film_0_mask.png",
    ]  # fmt: skip
    assert str(tmp_path / "out" / "film_0.jpg") in done.stdout
    assert "Research use only" in done.stdout


def test_a_full_disk_behind_standard_output_is_one_line_and_1(held):
    with Path("/dev/full").open("w") as full:
        done = sharpedge("score", held, stdout=full)
    assert "No space left" in one_line(done, 1)


def test_a_closed_standard_output_is_one_line_and_1(held):
    done = sharpedge("score", held, stdout=None, preexec_fn=lambda: os.close(1))
    assert "standard output is closed" in one_line(done, 1)


def test_a_reader_that_goes_away_is_one_line_and_1(held):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        done = sharpedge("score", held, stdout=gone)
    assert "Broken pipe" in one_line(done, 1)


def test_with_every_stream_closed_the_status_still_tells(held, tmp_path):
    def close_all():
        for number in range(3):
            os.close(number)

    done = sharpedge("score", held, stdout=None, stderr=None, preexec_fn=close_all)
    assert done.returncode == 1
    done = sharpedge(
        "phantom", "--out", tmp_path / "p", stdout=None, stderr=None, preexec_fn=close_all
    )
    assert done.returncode == 1
    assert len(list((tmp_path / "p").glob("*.jpg"))) == 4


def test_a_terminal_that_knows_few_letters_gets_escapes(held, tmp_path):
    film = shutil.copy(held, tmp_path / "Łódź.jpg")
    done = sharpedge("score", film, env={"PYTHONIOENCODING": "latin-1"}, errors="replace")
    assert done.returncode == 3
    assert "\\u0141" in done.stdout
    assert "Traceback" not in done.stderr


def test_progress_shows_on_a_terminal_only(tmp_path):
    ours, theirs = pty.openpty()
    done = sharpedge("phantom", "--out", tmp_path / "a", stderr=theirs)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "drawing [" in shown
    assert "4/4" in shown
    assert sharpedge("phantom", "--out", tmp_path / "b").stderr == ""


def test_phantoms_follow_seed_and_style(tmp_path):
    def digest(*options):
        assert sharpedge("phantom", "--out", tmp_path, "--format", "png", *options).returncode == 0
        return (tmp_path / "P0001-LH.png").read_bytes()

    first = digest("--seed", 3)
    assert digest("--seed", 3, "--style", "eval") == first
    assert digest("--seed", 3, "--style", "train") != first
    assert digest("--seed", 4) != first


def test_the_ceiling_table_ends_with_its_verdict():
    done = sharpedge("phantom", "--ceiling", "--seed", 5)
    lines = done.stdout.splitlines()
    assert len(lines) == 6
    assert lines[4] == "ceiling: 4 of 4 scorers reach 95 % exact: passed"
    assert (done.returncode, done.stderr) == (0, "")


def test_a_table_with_a_figure_outside_ends_with_1(monkeypatch):
    from phantom import measure
    from phantom.verdict import check_table

    monkeypatch.setitem(measure.RANGES, "MCP space, mm", (9.0, 10.0, "nobody's hand"))
    monkeypatch.setattr(measure, "LEAST_LIMBS", 1)
    table = check_table(1, 1, "eval")
    assert not table.passed
    assert table.lines[-1].endswith("FAILED")
    assert any("OUTSIDE" in line and line.startswith("MCP") for line in table.lines)
