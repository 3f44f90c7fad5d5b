"""The true joint space of phantom joints, and how near the measured one comes to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge.anatomy import Limb
from edge.model import Laterality, SpacePart
from edge.pipeline.space.shapes import SHAPES
from edge.pipeline.space.sites import Sites
from edge.pipeline.space.widths import StoredFilm, measure_spaces
from phantom import anatomy
from phantom.bones import JointPlan, Look, build_joint
from phantom.film import render_film
from phantom.geometry import JointGrade
from phantom.joint_space import true_space
from phantom.skeleton import sample_limb
from phantom.style import STYLES

LOOK = Look(STYLES["eval"], 1.0, 1.0, 1.0, 1.0, 1.0, 200, 0.3, 0.0, False)
PLAN = JointPlan("MCP3", anatomy.MCP, (0.0, 0.0), (0.0, -1.0), 7.2, 7.7)


def parts(narrowing, erosion=(0, 0), seed=1):
    return build_joint(np.random.default_rng(seed), PLAN, JointGrade(erosion, narrowing), LOOK)


def test_the_true_width_falls_with_the_narrowing_grade():
    means = [
        np.mean([parts(grade, seed=seed).model.true_space.mean for seed in range(12)])
        for grade in range(4)
    ]
    assert np.all(np.diff(means) < -0.15)


def test_a_healthy_joint_is_as_wide_as_its_profile_lines():
    model = parts(0).model
    # Profile lines run along the axis; the normal of a curved joint line is a little shorter.
    assert model.true_space.mean == pytest.approx(float(model.space_mm.mean()), abs=0.08)
    assert model.true_space.minimum <= model.true_space.mean
    assert model.true_space.part is SpacePart.MIDDLE


def test_a_fused_joint_has_no_true_width():
    fused = [model for seed in range(8) if (model := parts(4, seed=seed).model).fused]
    assert fused
    assert all(model.true_space is None for model in fused)


def test_what_an_erosion_took_is_no_part_of_the_true_width():
    whole = parts(0)
    centre, axis = PLAN.centre, PLAN.axis
    half = np.array([[0.0, 3.6, 3.5, 1.0, 0.3]], np.float32)
    bitten = replace(whole.head, bites=half)
    found = true_space(bitten, whole.base, centre, axis)
    assert found.towards is None or found.away is None
    gone = replace(whole.head, bites=np.array([[0.0, 0.0, 30.0, 1.0, 0.3]], np.float32))
    assert true_space(gone, whole.base, centre, axis) is None


@pytest.mark.parametrize("limb", list(Limb))
def test_measured_widths_lie_within_a_tenth_of_a_millimetre_of_the_phantoms_truth(limb):
    rng = np.random.default_rng(41)
    model = sample_limb(rng, limb, Laterality.LEFT, "real", "eval")
    film = render_film(model, rng, "eval")
    to_film = np.linalg.inv(film.affine[:, :2])
    axes = np.array([to_film @ np.array(joint.axis) for joint in model.joints])
    sites = Sites(
        names=limb.joints,
        shapes=tuple(SHAPES[limb][name] for name in limb.joints),
        centres=np.array([joint.centre for joint in film.joints]),
        distal=axes / np.linalg.norm(axes, axis=1, keepdims=True),
        thumbwards=np.ones(len(limb.joints)),
        mm_per_px=film.mm_per_px,
    )
    spaces = measure_spaces(film.pixels, sites, limb, StoredFilm(np.eye(3)))
    errors = [
        spaces[joint.name].mean_px - joint.space.mean_px
        for joint in film.joints
        if joint.space.mean_px is not None and spaces[joint.name].mean_px is not None
    ]
    assert len(errors) >= 0.8 * len(limb.joints)
    assert np.std(errors) * film.mm_per_px <= 0.1
    assert abs(np.mean(errors)) * film.mm_per_px <= 0.1
