"""A folder of painted films with its truth."""

from __future__ import annotations

import cv2
import pytest
from healthy_films import healthy

from edge.anatomy import Limb
from edge.model import LimbResult
from training.errors import TrainingError
from training.synthetic.paint_folder import paint_folder


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
