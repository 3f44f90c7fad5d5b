import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_by_one import cost_of_one, fit_of_one

from edge.anatomy import Limb, joint_class, shape_template
from edge.pipeline.namings import Prior, Seen, neighbours, rate
from edge.pipeline.template import fit

PRIORS = [Prior(), Prior(0.0), Prior(170.0, 15.0, mirrored=True)]


def some_joints(limb, seed):
    """Joints of a random limb in any turn: names, centres, classes, sides of the boxes."""
    rng = np.random.default_rng(seed)
    shape, n_joints = shape_template(limb), len(limb.joints)
    points = shape.mean + 0.1 * rng.standard_normal((n_joints, 2))
    angle = rng.uniform(-np.pi, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = points * (rng.choice([-1.0, 1.0]), 1.0) @ turn.T * rng.uniform(5, 800)
    rows = rng.permutation(n_joints)[: rng.integers(4, n_joints + 1)].tolist()
    sides = rng.choice([np.nan, 0.0, 30.0, 60.0, 90.0], len(rows), p=[0.1, 0.1, 0.3, 0.3, 0.2])
    classes = [joint_class(limb.joints[rng.integers(n_joints)]) for _ in rows]
    return tuple(rows), points[rows] + rng.uniform(0, 3000, 2), classes, sides


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(list(Limb)), st.integers(0, 2**32), st.sampled_from(PRIORS), st.booleans())
def test_namings_rated_together_cost_what_each_costs_alone(limb, seed, prior, mirrored):
    rows, points, classes, sides = some_joints(limb, seed)
    namings = [rows, *sorted(neighbours(rows, len(limb.joints)))[:40]]
    if len(rows) > 4:
        namings.append((-1, *rows[1:]))
    seen = Seen.of(limb, points, classes, sides, prior)
    found = rate(seen, [(naming, mirrored) for naming in namings])
    for naming, candidate in zip(namings, found, strict=True):
        alone = cost_of_one(limb, naming, points, classes, sides, prior, mirrored=mirrored)
        assert candidate.cost == pytest.approx(alone, rel=1e-9, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(Limb)), st.integers(0, 2**32), st.booleans())
def test_a_fit_is_the_whitened_least_squares_fit(limb, seed, mirrored):
    rows, points, _, _ = some_joints(limb, seed)
    to_image, rotation_deg, tension, cost = fit_of_one(limb, rows, points, mirrored=mirrored)
    found = fit(limb, rows, points, mirrored=mirrored)
    assert found.to_image == pytest.approx(to_image, rel=1e-9, abs=1e-6)
    assert found.rotation_deg == pytest.approx(rotation_deg, abs=1e-6)
    assert found.tension == pytest.approx(tension, rel=1e-9)
    assert found.cost == pytest.approx(cost, rel=1e-9, abs=1e-9)


def test_detections_of_one_place_are_rated_by_nothing():
    seen = Seen.of(Limb.HAND, np.ones((4, 2)), [joint_class("PIP2")] * 4, None, Prior())
    with np.errstate(all="ignore"):
        assert rate(seen, [((0, 1, 2, 3), False), ((0, 1, 2, -1), False)]) == [None, None]
