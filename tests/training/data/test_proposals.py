import cv2
import numpy as np
import pytest

from edge.engine.loader import load_engines
from edge.pipeline.settings import PipelineSettings
from edge.scoring.film_scorer import FilmScorer
from edge.system.paths import built_engines, engines_home
from export.exporter import export_recipes
from phantom.command import patient_film, patient_grades
from training.data.proposals import AGREE, Refusal, propose, propose_folder, write_labels
from training.datasets.labelled_films import LabelledFilm, labelled_films, read_labelled
from training.errors import TrainingError


@pytest.fixture(scope="module")
def scorer():
    list(export_recipes(sorted(engines_home().glob("*.toml")), built_engines()))
    engines = load_engines(built_engines(), threads=1)
    return FilmScorer(engines, PipelineSettings(accept_side_from_geometry=True))


@pytest.fixture(scope="module")
def hand():
    return patient_film(patient_grades(41, 1, "healthy"), 41, 1, 0, "eval", mirrored=False).film


def proposals(scorer, folder):
    return list(propose(scorer, sorted(folder.iterdir()), lambda *_: None))


def test_proposed_joints_lie_where_the_truth_is_and_read_back_as_labels(scorer, hand, tmp_path):
    films = tmp_path / "films"
    films.mkdir()
    cv2.imwrite(str(films / "a.jpg"), hand.pixels)
    (found,) = proposals(scorer, films)
    assert not isinstance(found, Refusal)
    truth = {joint.name: joint.centre for joint in hand.joints}
    assert set(found.names) == set(truth)
    for name, point in zip(found.names, found.points, strict=True):
        assert np.hypot(*(point - truth[name])) < 0.2 * hand.unit_px
    write_labels(tmp_path / "proposed.csv", [found])
    (read,) = read_labelled(tmp_path / "proposed.csv", films, hand.limb, 10_000)
    assert read.names == found.names
    assert read.points == pytest.approx(found.points, abs=0.06)
    assert AGREE[hand.limb] < 0.2


def test_film_without_a_limb_or_with_labels_gets_none(hand, tmp_path):
    folder, known, out = tmp_path / "films", tmp_path / "known.csv", tmp_path / "out.csv"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.jpg"), hand.pixels)
    cv2.imwrite(str(folder / "b.jpg"), hand.pixels)
    cv2.imwrite(str(folder / "nothing.png"), np.full((600, 500), 40, np.uint8))
    places = np.array([joint.centre for joint in hand.joints])
    names = tuple(joint.name for joint in hand.joints)
    write_labels(known, [LabelledFilm("a.jpg", hand.limb, hand.pixels, 1.0, names, places, 1.0)])
    found = propose_folder(folder, out, known, None, lambda *_: None)
    assert found == (1, {"limbs": 1})
    assert labelled_films(out) == {"b.jpg"}


def test_damaged_film_is_named(scorer, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff not a film")
    with pytest.raises(TrainingError, match=r"broken\.jpg"):
        proposals(scorer, tmp_path)
