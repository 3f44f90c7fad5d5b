"""Readers' grades as a data set that the training package reads."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import cv2
import pytest
from appliance import ROOT
from clinic import Clinic, post
from rooms import arrived, result

from dashboard.errors import DashboardError
from dashboard.output.dataset import write_dataset
from edge.contract.vocabulary import JointScore, limb_subtotals
from training.datasets.check import check_dataset
from training.datasets.reading import read_dataset


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """A simulated film's file, in a folder below another."""
    from phantom.command import patient_film, patient_grades

    made = patient_film(patient_grades(31, 1, "flat"), 31, 1, 0, "eval")
    path = tmp_path_factory.mktemp("films") / "deep" / "IMG0001.png"
    path.parent.mkdir()
    cv2.imwrite(str(path), made.film.pixels)
    return path


def corrected(clinic, path):
    """A result of a film, on which a reader has read every joint and changed one."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    made = result(1)
    joints = tuple(JointScore(**{**dict(it), "box": None, "centre": None}) for it in made.joints)
    changes = {
        "film_sha256": digest, "file": "film-1.png", "joints": joints,
        "subtotals": limb_subtotals(made.limb, joints),
    }  # fmt: skip
    made = made.model_copy(update=changes)
    clinic.keep(arrived(made))
    client = clinic.client("reader")
    post(client, "/film/1/grades", **{"erosion-PIP2": "5", "confirm": "1"})
    return made, client


def test_readers_grades_and_their_films_are_a_data_set_that_can_be_trained_on(
    database, phantom, tmp_path
):
    clinic = Clinic(database)
    made, _ = corrected(clinic, phantom)
    out = tmp_path / "out"
    assert write_dataset(database, phantom.parents[1], out) == (1, 1)
    dataset = read_dataset(out)
    checked = check_dataset(dataset, lambda _done, _total: None)
    assert [fault for fault in checked.faults if fault.stops] == []
    (one,) = dataset.films
    assert one.patient == made.patient
    grades = {joint.name: joint.erosion for joint in one.joints}
    assert grades["PIP2"] == 5
    assert grades == {**{it.name: it.erosion for it in made.joints}, "PIP2": 5}
    command = [sys.executable, "-m", "sharpedge.cli", "train", "data", "check", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_joint_that_no_reader_read_is_left_out(database):
    clinic = Clinic(database)
    made = result(1)
    clinic.keep(arrived(made))
    client = clinic.client("reader")
    post(client, "/film/1/grades", **{"erosion-MCP2": "5"})
    (line,) = client.get("/truth.jsonl").text.splitlines()
    body = json.loads(line)
    assert [it["name"] for it in body["joints"]] == ["MCP2"]
    assert body["joints"][0]["reader"] == "reader R"
    assert body["joints"][0]["machine_erosion"] == made.joints[6].erosion
    assert body["notice"] == "research use only, not a medical device"


def test_a_result_that_was_replaced_is_in_no_data_set(database):
    clinic = Clinic(database)
    clinic.keep(arrived(result(1)))
    client = clinic.client("reader")
    post(client, "/film/1/grades", confirm="1")
    clinic.keep(arrived(result(2, supersedes=result(1).id)))
    assert client.get("/truth.jsonl").text == ""


def test_a_folder_that_is_not_empty_and_a_missing_film_are_told(database, phantom, tmp_path):
    clinic = Clinic(database)
    corrected(clinic, phantom)
    (tmp_path / "films").mkdir()
    assert write_dataset(database, tmp_path / "films", tmp_path / "out") == (0, 1)
    with pytest.raises(DashboardError, match="not empty"):
        write_dataset(database, tmp_path, tmp_path / "out")
