"""Training the reader of markers: classes under turns, resuming, and what it is measured on."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from drawn_markers import plain_film, with_text

torch = pytest.importorskip("torch")

from edge.pipeline.marker.network import MarkerNetwork, shipped_network  # noqa: E402
from export.importers.compact import load_compact  # noqa: E402
from training.datasets.labelled_films import is_validation  # noqa: E402
from training.errors import TrainingError  # noqa: E402
from training.models.marker import MarkerModule  # noqa: E402
from training.synthetic.marker_glyphs import find_faces  # noqa: E402
from training.tasks.marker import (  # noqa: E402
    MarkerRecipe,
    films_to_learn_from,
    train_marker,
    varied,
)
from training.tasks.marker_films import measure_films  # noqa: E402

pytestmark = pytest.mark.training

HEAD = "film,body,letter,mirrored,turn_deg,cut,x_px,y_px,width_px,height_px\n"
SMALL = MarkerRecipe(windows=2, samples=512, batch=64)


@pytest.fixture
def folder(tmp_path):
    names = [f"a{number}.jpg" for number in range(12)]
    for name in names:
        cv2.imwrite(str(tmp_path / name), plain_film((500, 450)))
    labels = tmp_path / "markers.csv"
    labels.write_text(HEAD + "a1.jpg,hand,R,0,0,0,10,10,20,30\n")
    return tmp_path, labels, names


def test_films_with_a_marker_and_one_in_six_are_kept_out(folder):
    films, labels, names = folder
    learnt = {path.name for path in films_to_learn_from([films], labels)}
    assert learnt == {name for name in names if name != "a1.jpg" and not is_validation(name)}
    with pytest.raises(TrainingError, match="no film to draw"):
        films_to_learn_from([films / "nowhere"], labels)


def test_a_crop_that_is_turned_or_mirrored_changes_class_and_turn():
    crop = np.zeros((1, 2, 32, 32), np.uint8)
    crop[..., 4:28, 8:12] = crop[..., 24:28, 8:24] = 255  # an upright L
    seen = {}
    for seed in range(60):
        found, classes, turns = varied(
            crop, np.array([3]), np.array([0.0]), np.random.default_rng(seed)
        )
        foot = found[0, 0, :, :].round().astype(bool)
        seen[int(classes[0]), round(float(turns[0])) % 360] = foot
    assert len(seen) == 8
    upright = crop[0, 0] > 0
    assert (seen[3, 0] == upright).all()
    assert (seen[4, 0] == upright[:, ::-1]).all()
    # Clockwise by a quarter: what was above is at the right.
    assert (seen[3, 90] == np.rot90(upright, -1)).all()


def test_training_resumes_and_writes_weights_that_read_as_the_trained_network(folder):
    try:
        find_faces()
    except TrainingError as error:
        pytest.skip(str(error))
    films, labels, _ = folder
    runs, out = films / "runs", films / "marker.npz"
    figures = train_marker([films], labels, runs, out, SMALL, lambda _: None)
    assert set(figures) >= {"right", "wrong_letters", "real_films"}
    lines = (runs / "network" / "log.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["seen"] == SMALL.samples
    again = train_marker([films], labels, runs, out, SMALL, lambda _: None)
    assert (runs / "network" / "log.jsonl").read_text().splitlines() == lines
    assert again["loss"] == figures["loss"]
    arrays, record = load_compact(out)
    assert record["recipe"]["samples"] == SMALL.samples
    crops = np.random.default_rng(1).random((4, 2, 32, 32), np.float32)
    MarkerNetwork(arrays).read(crops)
    with pytest.raises(TrainingError, match="other values"):
        train_marker([films], labels, runs, out, MarkerRecipe(windows=3), lambda _: None)


def test_folded_weights_compute_what_the_module_does():
    torch.manual_seed(1)
    module = MarkerModule().train()
    crops = torch.rand(16, 2, 32, 32)
    module(crops)
    module.eval()
    with torch.no_grad():
        wanted = module(crops)[0].softmax(1).numpy()
    found = MarkerNetwork(module.arrays()).read(crops.numpy()).probabilities
    assert found == pytest.approx(wanted, abs=1e-4)


def test_what_is_read_is_counted_against_the_labels(tmp_path):
    film = with_text(plain_film(), "R", (300, 260), 44)
    cv2.imwrite(str(tmp_path / "b1.jpg"), film)
    labels = tmp_path / "markers.csv"
    labels.write_text(HEAD + "b1.jpg,hand,R,0,0,0,284,238,32,44\n")
    right = measure_films(shipped_network(), [tmp_path], labels)
    assert (right["letters"], right["read"], right["wrong"]) == (8, 8, 0)
    labels.write_text(HEAD + "b1.jpg,hand,L,0,0,0,284,238,32,44\n")
    wrong = measure_films(shipped_network(), [tmp_path], labels)
    assert (wrong["read"], wrong["wrong"], wrong["files"]) == (8, 8, ["b1.jpg"])
