"""The simulated limb: any window is a piece of the film, and a grade is what one can see."""

from __future__ import annotations

import numpy as np
import pytest

from edge.anatomy import joint_box_side_px, shape_template
from edge.model import Laterality, Limb
from phantom import JointGrade, render_region, sample_limb
from phantom.attenuation import render_affine, window_affine
from phantom.damage import AREA_SHARES
from phantom.statistics import REAL_COUNTS, sample_grades, sample_patient

PX_MM = 0.3


def limb_of(limb, grades, seed=5, side=Laterality.LEFT, **options):
    return sample_limb(np.random.default_rng(seed), limb, side, grades, "eval", **options)


def healthy(limb):
    return {name: JointGrade((0, 0), 0) for name in limb.joints}


def with_grade(limb, joint, sides, narrowing):
    return {**healthy(limb), joint: JointGrade(sides, narrowing)}


def window_of(model, joint, size=80):
    x, y = model.joint(joint).centre
    half = size * PX_MM / 2
    return render_affine(model, window_affine(model, x - half, y - half, PX_MM), (size, size))


@pytest.mark.parametrize("limb", list(Limb))
def test_a_window_shows_the_very_pixels_of_the_large_region(limb):
    model = limb_of(limb, "flat")
    whole = render_region(model, -60, -60, 120, 120, PX_MM)
    part = render_region(model, -60 + 100 * PX_MM, -60 + 60 * PX_MM, 40, 40, PX_MM)
    rows, columns = part.bone.shape
    cut = (slice(60, 60 + rows), slice(100, 100 + columns))
    # Tables are looked up to the nearest step: a rounding may fall to either side of it.
    difference = np.abs(part.bone - whole.bone[cut])
    assert np.quantile(difference, 0.999) < 1e-3
    assert difference.max() < 0.03
    # Soft tissue is interpolated from a coarser grid, whose phase follows the window.
    assert np.abs(part.tissue_mm - whole.tissue_mm[cut]).mean() < 0.05


def test_a_right_limb_is_the_mirror_image_of_a_left_one():
    left = limb_of(Limb.HAND, healthy(Limb.HAND))
    right = limb_of(Limb.HAND, healthy(Limb.HAND), side=Laterality.RIGHT)
    a = render_region(left, -50, -50, 100.2, 100, 0.6).bone
    b = render_region(right, -49.6, -50, 100.2, 100, 0.6).bone
    assert np.abs(a[:, ::-1] - b).mean() < 0.02 * a.mean()


def test_the_same_seed_gives_the_same_limb():
    a, b = (render_region(limb_of(Limb.FOOT, "flat"), -50, -50, 90, 90, 0.5) for _ in range(2))
    assert np.array_equal(a.bone, b.bone)
    assert np.array_equal(a.soft, b.soft)


def test_a_limb_built_round_one_joint_has_that_joint_with_its_grade():
    model = limb_of(Limb.HAND, with_grade(Limb.HAND, "MCP3", (3, 0), 2), near="MCP3")
    assert model.joint("MCP3").grade == JointGrade((3, 0), 2)
    assert len(model.bones) < len(limb_of(Limb.HAND, "flat").bones)


@pytest.mark.parametrize(
    ("limb", "joint"), [(Limb.HAND, "PIP3"), (Limb.HAND, "MCP2"), (Limb.FOOT, "MTP4")]
)
def test_joint_space_narrows_with_the_grade(limb, joint):
    means = []
    for grade in range(4):
        spaces = [
            float(
                limb_of(limb, with_grade(limb, joint, (0, 0), grade), seed)
                .joint(joint)
                .space_mm.mean()
                / limb_of(limb, healthy(limb), seed).joint(joint).promised_norm_mm
            )
            for seed in range(8)
        ]
        means.append(np.mean(spaces))
    assert means[0] > means[1] > means[2] > means[3]


def test_a_fused_joint_has_no_dark_band_and_a_normal_one_has():
    fused = next(
        model
        for seed in range(30)
        if (model := limb_of(Limb.HAND, with_grade(Limb.HAND, "MCP3", (0, 0), 4), seed))
        .joint("MCP3")
        .fused
    )
    normal = next(
        model
        for seed in range(30)
        if (model := limb_of(Limb.HAND, healthy(Limb.HAND), seed)).joint("MCP3").overlap_mm == 0
    )

    def darkest(model):
        bone = window_of(model, "MCP3").bone
        return float(bone[30:50, 38:42].mean(axis=1).min() / np.median(bone[bone > 0.02]))

    assert darkest(normal) < 0.25
    assert darkest(fused) > 0.6


@pytest.mark.parametrize("grade", [1, 2, 3, 4, 5])
def test_erosion_takes_the_area_of_its_grade_out_of_the_bone(grade):
    low, high = AREA_SHARES[grade]
    shares = [
        limb_of(Limb.FOOT, with_grade(Limb.FOOT, "MTP5", (grade, 0), 0), seed)
        .joint("MTP5")
        .bite_shares
        for seed in range(6)
    ]
    for proximal, distal in shares:
        assert 0.9 * low < proximal < 1.1 * high
        assert distal == 0


def test_erosion_of_grade_three_and_more_passes_the_midline():
    for grade in (3, 4, 5):
        for seed in range(6):
            grades = with_grade(Limb.HAND, "MCP2", (grade, 0), 0)
            assert limb_of(Limb.HAND, grades, seed).joint("MCP2").bite_reach[0] > 0.5


def test_an_erosion_removes_bone_from_the_picture():
    before = window_of(limb_of(Limb.HAND, healthy(Limb.HAND)), "PIP2").bone.sum()
    after = window_of(
        limb_of(Limb.HAND, with_grade(Limb.HAND, "PIP2", (5, 0), 0)), "PIP2"
    ).bone.sum()
    assert after < 0.93 * before


@pytest.mark.parametrize("limb", list(Limb))
def test_flat_grades_are_even_for_every_scorer(limb):
    rng = np.random.default_rng(1)
    grades = [g for _ in range(400) for g in sample_grades(rng, limb, "flat").values()]
    erosion = np.bincount([g.erosion for g in grades], minlength=limb.erosion_maximum + 1)
    assert erosion.min() > 0.75 * erosion.mean()
    narrowing = np.bincount([g.narrowing for g in grades if g.narrowing is not None])
    assert narrowing.min() > 0.8 * narrowing.mean()


def test_real_grades_follow_the_cohort_and_mostly_are_healthy():
    rng = np.random.default_rng(2)
    values = [
        g.narrowing for _ in range(300) for g in sample_grades(rng, Limb.FOOT, "real").values()
    ]
    counts = REAL_COUNTS[Limb.FOOT, "narrowing"]
    assert np.mean(np.array(values) == 0) == pytest.approx(counts[0] / sum(counts), abs=0.08)


def test_the_two_sides_of_a_patient_resemble_each_other():
    rng = np.random.default_rng(3)
    left, right = [], []
    for _ in range(150):
        patient = sample_patient(rng, "flat")
        for joint in Limb.FOOT.joints:
            left.append(patient.grades[Limb.FOOT, Laterality.LEFT][joint].erosion)
            right.append(patient.grades[Limb.FOOT, Laterality.RIGHT][joint].erosion)
    assert 0.55 < np.corrcoef(left, right)[0, 1] < 0.8


def test_the_thumb_has_no_narrowing_grade():
    grades = sample_grades(np.random.default_rng(4), Limb.HAND, "flat")
    assert grades["IP1"].narrowing is None
    assert all(grades[name].narrowing is not None for name in Limb.HAND.joints if name != "IP1")


@pytest.mark.parametrize("limb", list(Limb))
def test_joint_centres_lie_like_the_template(limb):
    template = shape_template(limb).mean
    model = limb_of(limb, "flat", seed=9)
    points = np.array([model.joint(name).centre for name in limb.joints])
    points -= points.mean(axis=0)
    points /= np.sqrt((points**2).sum(axis=1).mean())
    assert np.abs(points - template).max() < 0.3


def test_box_side_follows_the_joint_class():
    assert joint_box_side_px(Limb.HAND, "PIP3", 100) == pytest.approx(43)
    assert joint_box_side_px(Limb.HAND, "MCP1", 100) == pytest.approx(53)
    assert joint_box_side_px(Limb.FOOT, "IP1", 100) == pytest.approx(32)
    assert joint_box_side_px(Limb.FOOT, "MTP3", 100) == pytest.approx(22)
