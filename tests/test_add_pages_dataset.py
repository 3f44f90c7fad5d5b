"""``docs/add-dataset.md``: a reader's layout is found, checked, chosen, measured and split."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from edge.anatomy import Limb
from edge.model import Laterality
from phantom import render_film, sample_limb
from sharpedge.cli import app
from training.datasets import readers
from training.datasets.reading import read_dataset
from training.datasets.split import Part, split_of
from training.datasets.truth import Code
from training.errors import TrainingError
from training.evaluation.sets import read_set

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "add-dataset.md").read_text("utf-8")
MODULE, ROW = "training/datasets/joint_rows.py", "in READERS, training/datasets/readers.py"
OWN_NAME = "joint_rows_of_the_page"


def block(head):
    """Code of the page under its first line, a comment."""
    (code,) = re.findall(
        rf"^```python\n# {re.escape(head)}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL
    )
    return code.replace("training.datasets.joint_rows", OWN_NAME)


@pytest.fixture
def added(tmp_path, monkeypatch):
    home = tmp_path / "modules"
    home.mkdir()
    (home / f"{OWN_NAME}.py").write_text(block(MODULE), "utf-8")
    monkeypatch.syspath_prepend(home)
    for name, row in eval("{" + block(ROW) + "}", vars(readers)).items():  # noqa: S307 - our page
        monkeypatch.setitem(readers.READERS, name, row)


@pytest.fixture
def folder(tmp_path):
    """Hands of four patients with their places and grades in the page's table."""
    out = tmp_path / "films"
    out.mkdir()
    lines = ["film,joint,erosion,narrowing,x,y"]
    for patient in range(4):
        rng = np.random.default_rng(patient)
        film = render_film(
            sample_limb(rng, Limb.HAND, Laterality.LEFT, "flat"), rng, long_side_px=700
        )
        name = f"P{patient}-LH.png"
        cv2.imwrite(str(out / name), film.pixels)
        lines += [
            f"{name},{joint.name},{joint.erosion},"
            f"{'' if joint.narrowing is None else joint.narrowing},{joint.centre[0]},"
            f"{joint.centre[1]}"
            for joint in film.joints
            if joint.centre is not None
        ]
    (out / "joints.csv").write_text("\n".join(lines) + "\n")
    return out


def sharpedge(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.usefixtures("added")
def test_it_is_found_and_read(folder):
    dataset = read_dataset(folder)
    assert dataset.layouts == ("joint-rows",)
    assert dataset.patients == ("P0", "P1", "P2", "P3")
    rows = (folder / "joints.csv").read_text().splitlines()[1:]
    assert sum(len(film.joints) for film in dataset.films) == len(rows)
    first = rows[0].split(",")
    joint = next(j for j in dataset.films[0].joints if j.name == first[1])
    assert (str(joint.erosion), joint.centre[0]) == (first[2], float(first[4]))


@pytest.mark.usefixtures("added")
def test_the_commands_check_it_and_offer_it(folder):
    done = sharpedge("train", "data", "check", folder, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert (found["layouts"], found["films"], found["trainable"]) == (["joint-rows"], 4, True)
    assert sharpedge("train", "data", "check", folder, "--layout", "joint-rows").exit_code == 0
    for command in (("train", "data", "check"), ("evaluate", "report")):
        assert "joint-rows" in sharpedge(*command, "--help").output


def test_without_the_row_it_is_unknown(folder):
    done = sharpedge("train", "data", "check", folder, "--layout", "joint-rows")
    assert done.exit_code == 2
    assert "joint-rows" in done.output
    assert "joint-rows" not in sharpedge("train", "data", "check", "--help").output


@pytest.mark.usefixtures("added")
def test_wrong_rows_are_faults_with_their_line(folder):
    table = folder / "joints.csv"
    rows = table.read_text().splitlines()
    rows[1] = rows[1].replace(f",{rows[1].split(',')[2]},", ",9,", 1)
    rows += ["P0-LH.png,MTP9,0,0,1,1", "none.png,MCP2,0,0,1,1"]
    table.write_text("\n".join(rows))
    faults = {fault.code: fault.where for fault in read_dataset(folder).faults}
    assert faults[Code.IMPOSSIBLE_SCORE] == "joints.csv:2"
    assert faults[Code.NOT_UNDERSTOOD] == f"joints.csv:{len(rows) - 1}"
    assert faults[Code.FILM_MISSING] == f"joints.csv:{len(rows)}"


@pytest.mark.usefixtures("added")
def test_dataset_toml_may_name_it_and_two_tables_are_refused(folder):
    (folder / "dataset.toml").write_text('layout = "joint-rows"\n')
    assert read_dataset(folder).layouts == ("joint-rows",)
    (folder / "more").mkdir()
    (folder / "more" / "joints.csv").write_text("film,joint\n")
    with pytest.raises(TrainingError, match="several tables"):
        read_dataset(folder)
    (folder / "dataset.toml").write_text('layout = "unheard"\n')
    with pytest.raises(TrainingError, match=r"Input should be 'ra2', .* or 'joint-rows'"):
        read_dataset(folder)


@pytest.mark.usefixtures("added")
def test_trainings_and_the_evaluation_take_it(folder, tmp_path):
    parts = split_of(read_dataset(folder), tmp_path / "runs")
    assert set(parts.values()) == set(Part)
    labelled = read_set(folder)
    assert labelled.notes == ("read as joint-rows",)
    assert len(labelled.limbs) == 4
    assert all(limb.truth.joints for limb in labelled.limbs)
