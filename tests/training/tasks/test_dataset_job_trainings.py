"""The documented way from a folder and a table to a scored film, with its commands alone."""

import importlib.util
import json
import shutil

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("torch")

from edge.system.paths import engines_home
from sharpedge.cli import app

pytestmark = [pytest.mark.training, pytest.mark.timeout(1200)]


@pytest.fixture
def sharpedge(tmp_path, monkeypatch):
    """Run a documented command line in a folder of its own; its output, whatever the status."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHARPEDGE_HOME", str(tmp_path / "home"))

    def run(line, status=0):
        found = CliRunner().invoke(app, line.split())
        assert found.exit_code == status, f"{line}\n{found.output}\n{found.exception!r}"
        assert "research use only" in found.output.lower()
        return found.output

    return run


def test_from_a_table_and_films_to_a_scored_film(sharpedge, tmp_path):
    sharpedge("phantom --patients 3 --seed 5 --grades flat --layout ra2 --out cohort")
    # A researcher has films and grades; outlines are made, and boxes drawn on hands alone.
    shutil.rmtree(tmp_path / "cohort" / "masks")
    assert "fit to be trained on" in sharpedge("train data check cohort")
    own = "cohort --runs runs --limb hand"
    assert "4 outlines" in sharpedge(f"train mask {own} --sheets")
    assert cv2.imread("runs/mask-hand/sheet-001.png") is not None
    listed = tmp_path / "runs" / "mask-hand" / "outlines.txt"
    (tmp_path / "marked.txt").write_text(listed.read_text().replace("keep\t1\t", "reject\t1\t"))
    said = sharpedge(f"train mask {own} --epochs 1 --reject marked.txt")
    assert "3 outlines kept, 1 rejected" in said
    cfg = engines_home() / "cfg" / "yolov3-quarter.cfg"
    sharpedge(f"train detector {own} --cfg {cfg} --from-shipped --samples 16")
    scored = sharpedge(f"train scorers {own}")
    assert "phantom_balanced_exact" in scored
    # The same command again finds its work done.
    before = (tmp_path / "runs/scorers-hand/erosion/checkpoint.pt").stat().st_mtime_ns
    again = sharpedge(f"train scorers {own}")
    assert json.loads(again[again.index("{\n") : again.rindex("}") + 1]) == json.loads(
        scored[scored.index("{\n") : scored.rindex("}") + 1]
    )
    assert (tmp_path / "runs/scorers-hand/erosion/checkpoint.pt").stat().st_mtime_ns == before
    assert "other values of gate" in sharpedge_error(f"train scorers {own} --gate")

    recipes = " ".join(f"runs/engines/hand-{role}.toml" for role in ("mask", "detect", "score"))
    sharpedge(f"export {recipes} --out built")
    if importlib.util.find_spec("openvino"):
        (tmp_path / "judged").mkdir()
        shutil.copy(tmp_path / "cohort" / "P0001-LH.jpg", tmp_path / "judged")
        sharpedge(f"build {recipes} --backend openvino --films judged --out built")
    said = sharpedge("evaluate report cohort --engines built")
    assert "phantom figures" in said
    line = CliRunner().invoke(app, ["score", "cohort/P0001-LH.jpg", "--engines", "built", "--json"])
    result = json.loads(line.output.splitlines()[0])
    assert (result["limb"], result["laterality"]) == ("hand", "L")
    # A scorer of so short a training may doubt its grades: the limb is then held for that.
    assert (result["status"], result["reason"]) in {("scored", None), ("held", "grades_doubtful")}
    assert [joint["name"] for joint in result["joints"]].count(None) == 0
    assert set(result["versions"]["engines"]) == {"hand-detect", "hand-mask", "hand-score"}
    grades = [joint["erosion"] for joint in result["joints"]]
    reasons = {joint["erosion_reason"] for joint in result["joints"]} - {None}
    assert any(grade is not None for grade in grades) or reasons <= {"doubtful", "held"}


def sharpedge_error(line):
    found = CliRunner().invoke(app, line.split())
    assert found.exit_code == 2
    return found.output


def test_ready_made_crops_of_hands_train_their_scorers(sharpedge, tmp_path):
    rng = np.random.default_rng(0)
    erosion, narrowing = {}, {}
    for patient in range(4):
        hand = f"c{patient}_L"
        folder = tmp_path / "ram" / "train" / hand
        folder.mkdir(parents=True)
        for stem in ("MCP-T", "MCP-I", "MCP-M", "PIP-I", "PIP-R", "IP"):
            grade = int(rng.integers(0, 3))
            pixels = rng.integers(0, 100 + 50 * grade, (70, 64), np.uint8)
            cv2.imwrite(str(folder / f"{stem}.bmp"), pixels)
            erosion.setdefault(f"{hand}.bmp", {})[f"BE_{stem}"] = grade
            if stem != "IP":
                narrowing.setdefault(f"{hand}.bmp", {})[f"JSN_{stem}"] = grade
    for name, table in (("be", erosion), ("jsn", narrowing)):
        path = tmp_path / "ram" / "train" / f"_annotation_{name}_scores.json"
        path.write_text(json.dumps(table))
    assert "read as ram-h1200" in sharpedge("train data check ram")
    said = sharpedge(
        "train scorers ram --runs runs --epochs 2 --gate --class-weights --split paper"
    )
    assert "one patient's joints stand on both sides" in said
    assert "n_learnt" in said
    assert (tmp_path / "runs" / "engines" / "hand-score.toml").is_file()


def test_a_set_with_faults_is_not_trained_on(sharpedge, tmp_path):
    sharpedge("phantom --patients 3 --seed 6 --layout ra2 --out cohort")
    table = tmp_path / "cohort" / "scores.csv"
    rows = table.read_text().splitlines()
    cells = rows[1].split(",")
    cells[5] = "7"
    table.write_text("\n".join([rows[0], ",".join(cells), *rows[2:]]))
    sharpedge("train data check cohort", status=1)
    for command in ("train scorers cohort", "train mask cohort"):
        assert "sharpedge train data check" in sharpedge_error(command)
