"""Labelled films: which are read, how they are split, how large their boxes are."""

import csv

import cv2
import numpy as np
import pytest

from edge.anatomy import Limb, shape_template
from training.datasets.labelled_films import (
    LabelledFilm,
    is_validation,
    read_labelled,
    read_proposed,
    shrink,
    split,
)
from training.errors import TrainingError

COLUMNS = (
    "film", "limb", "limb_no", "view", "thumb_or_hallux_side", "immature", "issues", "joint",
    "x_px", "y_px",
)  # fmt: skip


def hand_points(scale=100.0, centre=(300.0, 400.0)):
    return shape_template(Limb.HAND).mean * scale + centre


def write_labels(path, names, limb=Limb.HAND, points=None, issues=""):
    points = hand_points() if points is None else points
    with path.open("w", newline="") as handle:
        out = csv.writer(handle)
        out.writerow(COLUMNS)
        for name in names:
            for joint, (x, y) in zip(limb.joints, points, strict=True):
                out.writerow((name, limb, 0, "pa", "left", 0, issues, joint, x, y))


def write_film(path, size=(800, 600)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full(size, 90, np.uint8))


def film(name, joints=Limb.HAND.joints, points=None, **rest):
    points = hand_points() if points is None else points
    pixels = np.zeros((800, 600), np.uint8)
    return LabelledFilm(name, Limb.HAND, pixels, 1.0, joints, points, unit=100.0, **rest)


def test_a_film_is_on_one_side_of_the_split_whatever_else_is_there():
    films = [film(f"IMG{i:07d}.jpg") for i in range(300)]
    training, validation = split(films)
    assert {f.film for f in training}.isdisjoint(f.film for f in validation)
    assert len(training) + len(validation) == 300
    assert 30 <= len(validation) <= 70
    again, _ = split(films[::-3])
    assert {f.film for f in again} <= {f.film for f in training}


def test_two_limbs_of_one_film_stay_together():
    training, validation = split([film("IMG0000049.jpg"), film("IMG0000049.jpg")])
    assert sorted((len(training), len(validation))) == [0, 2]


def test_the_split_never_changes():
    # These names decide which published films measured the committed weights.
    names = [f"IMG{i:07d}.jpg" for i in range(40)]
    kept = [int(name[3:10]) for name in names if is_validation(name)]
    assert kept == [3, 17, 23, 26, 36]


def test_labels_without_their_film_are_left_out(tmp_path):
    write_labels(tmp_path / "joints.csv", ["IMG1.jpg", "IMG2.jpg"])
    write_film(tmp_path / "films" / "deep" / "IMG2.jpg")
    (found,) = read_labelled(tmp_path / "joints.csv", tmp_path / "films", Limb.HAND)
    assert found.film == "IMG2.jpg"
    np.testing.assert_allclose(found.points, hand_points())


def test_points_and_unit_follow_the_shrunken_film(tmp_path):
    write_labels(tmp_path / "joints.csv", ["IMG2.jpg"])
    write_film(tmp_path / "IMG2.jpg")
    (full,) = read_labelled(tmp_path / "joints.csv", tmp_path, Limb.HAND)
    (half,) = read_labelled(tmp_path / "joints.csv", tmp_path, Limb.HAND, longest_px=400)
    assert half.pixels.shape == (400, 300)
    assert half.scale == 0.5
    np.testing.assert_allclose(half.points, full.points / 2)
    assert half.unit == pytest.approx(full.unit / 2)
    np.testing.assert_allclose(half.boxes, full.boxes / 2)


def test_a_folder_without_the_labelled_films_says_what_to_do(tmp_path):
    write_labels(tmp_path / "joints.csv", ["IMG1.jpg"])
    with pytest.raises(TrainingError, match=r"none of the 1 labelled hand films .*--films"):
        read_labelled(tmp_path / "joints.csv", tmp_path, Limb.HAND)


def test_a_damaged_film_is_named(tmp_path):
    write_labels(tmp_path / "joints.csv", ["IMG1.jpg"])
    (tmp_path / "IMG1.jpg").write_bytes(b"no jpeg")
    with pytest.raises(TrainingError, match=r"IMG1\.jpg: the film cannot be decoded"):
        read_labelled(tmp_path / "joints.csv", tmp_path, Limb.HAND)


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "cannot be read"), ("film,joint\nIMG1.jpg,IP1\n", "the column 'limb' is missing")],
)
def test_labels_that_cannot_be_used_are_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "joints.csv").write_text(text)
    with pytest.raises(TrainingError, match=message):
        read_labelled(tmp_path / "joints.csv", tmp_path, Limb.HAND)


def test_box_sides_are_the_stated_shares_of_the_unit():
    boxes = film("a").boxes
    sides = dict(zip(Limb.HAND.joints, boxes[:, 2], strict=True))
    assert sides["IP1"] == sides["PIP4"] == pytest.approx(43)
    assert sides["MCP1"] == pytest.approx(53)
    np.testing.assert_allclose(boxes[:, :2], hand_points())


def test_clean_is_an_adult_plain_view_without_trouble():
    assert film("a").clean
    assert film("a", issues="bangle").clean
    assert not film("a", issues="ring;cast").clean
    assert not film("a", immature=True).clean
    assert not film("a", view="oblique").clean


def test_shrinking_never_enlarges():
    pixels = np.zeros((30, 20), np.uint8)
    assert shrink(pixels, 100) == (pixels, 1.0)


def test_proposed_labels_are_learnt_from_and_never_measured_on(tmp_path):
    kept = next(f"IMG{i}.jpg" for i in range(99) if is_validation(f"IMG{i}.jpg"))
    other = next(f"IMG{i}.jpg" for i in range(99) if not is_validation(f"IMG{i}.jpg"))
    for name in (kept, other):
        write_film(tmp_path / "films" / name)
    write_labels(tmp_path / "joints.csv", [kept])
    labelled = read_labelled(tmp_path / "joints.csv", tmp_path / "films", Limb.HAND)
    assert read_proposed(tmp_path / "joints.csv", tmp_path / "films", Limb.HAND) == []
    write_labels(tmp_path / "proposed.csv", [kept, other], issues="proposed")
    proposed = read_proposed(tmp_path / "joints.csv", tmp_path / "films", Limb.HAND)
    assert [film.film for film in proposed] == sorted([kept, other])
    assert read_proposed(tmp_path / "joints.csv", tmp_path / "films", Limb.FOOT) == []
    training, validation = split(labelled + proposed)
    assert [film.film for film in validation] == [kept]
    assert [film.film for film in training] == [other]
