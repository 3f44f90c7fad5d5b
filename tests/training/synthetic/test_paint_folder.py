"""A folder of painted films with its truth."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.anatomy import Limb
from edge.model import Laterality, LimbResult
from phantom import JointGrade, render_film, sample_limb
from training.datasets.labelled_films import LabelledFilm
from training.errors import TrainingError
from training.synthetic.paint_folder import paint_folder


def healthy(limb, seed=3, long_side_px=1600):
    """A simulated film without any damage, and the limb that it shows."""
    rng = np.random.default_rng(seed)
    grades = {name: JointGrade((0, 0), 0) for name in limb.joints}
    model = sample_limb(rng, limb, Laterality.LEFT, grades)
    drawn = render_film(model, rng, long_side_px=long_side_px)
    film = LabelledFilm(
        film="drawn",
        limb=limb,
        pixels=drawn.pixels,
        scale=1.0,
        names=tuple(joint.name for joint in drawn.joints),
        points=np.array([joint.centre for joint in drawn.joints]),
        unit=drawn.unit_px,
    )
    return film, model, drawn


@pytest.fixture(scope="module", params=list(Limb))
def film(request):
    return healthy(request.param)


def test_a_folder_is_painted_with_its_truth_and_a_seed_repeats_it(tmp_path):
    films = tmp_path / "films"
    films.mkdir()
    rows = ["film,limb,limb_no,view,thumb_or_hallux_side,immature,issues,joint,x_px,y_px"]
    for limb in Limb:
        labelled, _, _ = healthy(limb)
        cv2.imwrite(str(films / f"IMG-{limb}.jpg"), labelled.pixels)
        rows += [
            f"IMG-{limb}.jpg,{limb},0,pa,right,0,,{name},{x},{y}"
            for name, (x, y) in zip(labelled.names, labelled.points, strict=True)
        ]
    labels = tmp_path / "joints.csv"
    labels.write_text("\n".join(rows) + "\n")
    said = []
    assert paint_folder(films, labels, 5, tmp_path / "a", said.append) == 2
    assert paint_folder(films, labels, 5, tmp_path / "b", said.append) == 2
    assert paint_folder(films, labels, 6, tmp_path / "c", said.append) == 2
    truth = [
        LimbResult.model_validate_json(line)
        for line in (tmp_path / "a" / "truth.jsonl").read_text().splitlines()
    ]
    assert [one.limb for one in truth] == list(Limb)
    assert all(joint.erosion is not None for one in truth for joint in one.joints)
    for one in truth:
        a, b, c = ((tmp_path / run / one.file).read_bytes() for run in "abc")
        assert a == b
        assert a != c
    assert "1 of 1 labelled" in said[0]


def test_a_folder_without_labelled_films_says_so(tmp_path):
    labels = tmp_path / "joints.csv"
    labels.write_text(
        "film,limb,limb_no,view,thumb_or_hallux_side,immature,issues,joint,x_px,y_px\n"
        "IMG1.jpg,hand,0,pa,left,0,,PIP2,1,1\n"
    )
    with pytest.raises(TrainingError, match="none of the films"):
        paint_folder(tmp_path, labels, 1, tmp_path / "out", print)
