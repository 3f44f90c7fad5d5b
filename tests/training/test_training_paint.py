"""Damage painted on joints: measured on simulated films, whose truth is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="the training tests need torch: make test-train")

from edge.model import Laterality, Limb, LimbResult
from edge.pipeline.settings import PipelineSettings
from phantom import JointGrade, render_film, sample_limb
from training.datasets.labelled_films import LabelledFilm
from training.errors import TrainingError
from training.synthetic.crops import UNKNOWN, read_crops
from training.synthetic.joint_measurement import measure_joint
from training.synthetic.paint import paint_joint
from training.synthetic.paint_folder import paint_folder
from training.synthetic.painted_crops import paint_crop_shards, painted_crops
from training.synthetic.painted_films import draw_grades, paint_film, sharp_films

pytestmark = pytest.mark.training


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


def test_a_joints_axis_and_width_are_measured(film):
    labelled, model, drawn = film
    off, widths = [], []
    for name in labelled.names:
        joint = measure_joint(labelled, name)
        truth = model.joint(name)
        to_film = np.linalg.inv(drawn.affine[:, :2])
        x, y = to_film @ truth.axis
        off.append(abs(np.degrees(np.angle(np.exp(1j * (joint.angle - np.arctan2(x, -y)))))))
        widths.append(joint.half_px * drawn.mm_per_px / truth.half_width_mm)
    assert np.median(off) < 6
    assert max(off) < 25
    assert 0.85 < np.median(widths) < 1.15


def test_a_healthy_grade_changes_nothing(film):
    labelled, _, _ = film
    name = labelled.names[1]
    pixels = labelled.pixels.astype(np.float32)
    centre = paint_joint(
        pixels, measure_joint(labelled, name), JointGrade((0, 0), 0), np.random.default_rng(1)
    )
    assert np.abs(pixels - labelled.pixels).max() < 1e-2
    assert np.hypot(*(centre - labelled.points[1])) < 0.1 * labelled.unit


@pytest.mark.parametrize("side", [0, 1])
def test_a_bite_grows_with_its_grade_and_stays_at_its_joint(film, side):
    labelled, _, _ = film
    name = labelled.names[2]
    joint = measure_joint(labelled, name)
    lost = []
    for grade in range(1, 6):
        sides = (grade, 0) if side == 0 else (0, grade)
        pixels = labelled.pixels.astype(np.float32)
        paint_joint(pixels, joint, JointGrade(sides, 0), np.random.default_rng(grade))
        change = labelled.pixels - pixels
        rows, columns = np.nonzero(np.abs(change) > 20)
        away = np.hypot(columns - joint.centre[0], rows - joint.centre[1])
        assert away.max() < 3 * joint.half_px
        lost.append(float(np.maximum(change, 0).sum()))
    assert lost == sorted(lost)
    assert lost[-1] > 5 * lost[0]


def test_a_narrower_joint_has_less_dark_between_its_bones():
    labelled, _, _ = healthy(Limb.HAND, seed=5)
    name = "MCP3"
    joint = measure_joint(labelled, name)
    means = []
    for grade in (0, 2, 3):
        pixels = labelled.pixels.astype(np.float32)
        paint_joint(pixels, joint, JointGrade((0, 0), grade), np.random.default_rng(11))
        x, y = (round(v) for v in joint.centre)
        reach = round(0.35 * joint.half_px)
        means.append(float(pixels[y - reach : y + reach, x - reach : x + reach].mean()))
    assert means == sorted(means)


def test_a_luxated_joint_lies_between_its_bones():
    labelled, _, _ = healthy(Limb.HAND, seed=5)
    joint = measure_joint(labelled, "PIP3")
    moved = set()
    for seed in range(12):
        pixels = labelled.pixels.astype(np.float32)
        centre = paint_joint(pixels, joint, JointGrade((0, 0), 4), np.random.default_rng(seed))
        moved.add(round(float(np.hypot(*np.subtract(centre, joint.centre))) / joint.half_px, 1))
    assert min(moved) < 0.1
    assert 0.6 < max(moved) < 1.1


def test_paintings_repeat_by_seed():
    labelled, _, _ = healthy(Limb.FOOT)
    [sharp] = sharp_films([labelled])
    one, two = (
        paint_film(
            sharp,
            draw_grades(np.random.default_rng(4), Limb.FOOT, labelled.names),
            np.random.default_rng(5),
        )
        for _ in range(2)
    )
    assert np.array_equal(one.pixels, two.pixels)
    assert not np.array_equal(one.pixels, labelled.pixels)


def test_a_childs_film_and_a_coarse_one_are_not_painted():
    labelled, _, _ = healthy(Limb.HAND)
    assert len(sharp_films([labelled])) == 1
    least = PipelineSettings().hand.unit_unscored_px
    coarse, _, _ = healthy(Limb.HAND, long_side_px=round(1600 * least / labelled.unit * 0.9))
    assert sharp_films([coarse]) == []
    assert sharp_films([LabelledFilm(**{**vars(labelled), "immature": True})]) == []


def test_a_shelf_of_paintings_holds_both_limbs_and_their_grades(tmp_path):
    paintings = dict.fromkeys(Limb, 2)
    films = sharp_films([healthy(limb)[0] for limb in Limb])
    paint_crop_shards(tmp_path, films, 1, paintings, 32, 1, "painted", varied=True)
    crops = read_crops(tmp_path, "painted")
    assert len(crops) == 2 * 10 + 2 * 6
    hands = crops.limb == list(Limb).index(Limb.HAND)
    assert hands.sum() == 20
    assert crops.erosion[hands].max() <= Limb.HAND.erosion_maximum
    assert (crops.narrowing == UNKNOWN).sum() == 2
    before = (tmp_path / "crops-painted-0000.npz").read_bytes()
    paint_crop_shards(tmp_path, films, 1, paintings, 32, 2, "painted", varied=True)
    assert (tmp_path / "crops-painted-0000.npz").read_bytes() == before
    other = painted_crops(films, 2, 32, 9, varied=False)
    assert not np.array_equal(other.pixels[:10], crops.pixels[:10])


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
