"""Naming measured from a table of landmarks; needs no torch."""

import csv

import numpy as np
import pytest

from edge.anatomy import Limb, shape_template
from training.errors import TrainingError
from training.evaluation.measure_identity import (
    COLUMNS,
    Trial,
    _disturb,
    name_all,
    read_landmarks,
    summed,
)


def measure_identity(table, trial):
    return summed(name_all(read_landmarks(table), trial))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Thirty hands and thirty feet whose joints vary as the cohort's do."""
    rng = np.random.default_rng(8)
    path = tmp_path_factory.mktemp("points") / "points.csv"
    with path.open("w", newline="", encoding="utf-8") as handle:
        out = csv.writer(handle)
        out.writerow(COLUMNS)
        for limb in Limb:
            shape = shape_template(limb)
            for i in range(30):
                offset = rng.multivariate_normal(np.zeros(shape.mean.size), shape.covariance)
                places = 200 * (shape.mean + offset.reshape(-1, 2)) + 600
                for joint, (x, y) in zip(shape.joints, places, strict=True):
                    out.writerow((f"{limb}{i}", limb, 1200, 1500, joint, round(x, 2), round(y, 2)))
    return path


def test_whole_limbs_are_named_in_any_turn_and_mirrored(table):
    hand, foot = measure_identity(table, Trial(turn_deg=180, mirror=True))
    assert (hand.limb, hand.images, hand.right) == (Limb.HAND, 30, 1.0)
    assert (foot.limb, foot.images, foot.right) == (Limb.FOOT, 30, 1.0)
    assert hand.wrong_certain == foot.wrong_certain == 0


def test_a_missing_joint_is_mostly_borne_and_never_printed_wrong(table):
    hand, foot = measure_identity(table, Trial(drop=1))
    assert hand.right >= 0.96
    assert foot.right >= 0.9
    assert hand.wrong_certain == 0


def test_noise_beyond_all_reason_is_not_certain(table):
    hand, _ = measure_identity(table, Trial(noise=0.6))
    assert hand.certain < 0.2


def test_the_seed_repeats_a_measurement(table):
    once, again = (measure_identity(table, Trial(drop=2, noise=0.1, seed=3)) for _ in range(2))
    assert once == again


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("image,limb,joint,x,y\na,paw,MCP2,1,1\n", "line 2"),
        ("image,limb,joint,x,y\na,hand,MCP2,one,1\n", "line 2"),
        ("image,limb,x,y\na,hand,1,1\n", "line 2: 'joint'"),
        ("image,limb,joint,x,y\na,hand,DIP2,1,1\n", "no joint that is scored"),
    ],
)
def test_a_table_that_cannot_be_read_names_its_line(tmp_path, text, says):
    path = tmp_path / "points.csv"
    path.write_text(text)
    with pytest.raises(TrainingError, match=says):
        measure_identity(path, Trial())


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TrainingError, match="cannot be read"):
        measure_identity(tmp_path / "none.csv", Trial())


def sided(path, limb, flip):
    """Twelve images of one limb and side, the thumb or hallux at the left where flipped."""
    rng = np.random.default_rng(5)
    with path.open("w", newline="", encoding="utf-8") as handle:
        out = csv.writer(handle)
        out.writerow(COLUMNS)
        shape = shape_template(Limb.FOOT if limb.endswith("F") else Limb.HAND)
        for i in range(12):
            offset = rng.multivariate_normal(np.zeros(shape.mean.size), shape.covariance)
            places = 200 * (shape.mean + offset.reshape(-1, 2)) * (flip, 1) + 600
            for joint, (x, y) in zip(shape.joints, places, strict=True):
                out.writerow((f"X{i}", limb, 1200, 1500, joint, round(x, 2), round(y, 2)))
    return path


def test_a_stated_side_helps_where_it_is_right_and_harms_where_it_is_wrong(tmp_path):
    trial = Trial(drop=1)
    (left,) = measure_identity(sided(tmp_path / "l.csv", "LF", 1), trial)
    (right,) = measure_identity(sided(tmp_path / "r.csv", "RF", -1), trial)
    (unknown,) = measure_identity(sided(tmp_path / "u.csv", "foot", 1), trial)
    (wrong,) = measure_identity(sided(tmp_path / "w.csv", "RF", 1), trial)
    assert left.right == right.right >= unknown.right
    assert left.certain == right.certain >= unknown.certain
    assert wrong.right < left.right


def test_noise_of_a_foot_is_a_share_of_half_its_width(tmp_path):
    path = sided(tmp_path / "l.csv", "LF", 1)
    (image, *_) = read_landmarks(path)
    quiet, noisy = (
        _disturb(image, Trial(noise=noise, turn_deg=0), np.random.default_rng(1))[1]
        for noise in (0.0, 0.1)
    )
    at = dict(zip(image.names, image.points, strict=True))
    half = np.hypot(*(at["MTP1"] - at["MTP5"])) / 2
    draws = np.random.default_rng(1)
    draws.permutation(6)
    draws.uniform(0, 0)
    np.testing.assert_allclose(noisy - quiet, draws.normal(0, 0.1 * half, (6, 2)))
