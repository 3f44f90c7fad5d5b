import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edge.anatomy import JointClass, Limb, joint_box_side_px, joint_class, shape_template
from edge.pipeline.identify import identify
from edge.pipeline.namings import Prior


def population(limb, count, rng):
    shape = shape_template(limb)
    size = len(shape.covariance)
    factor = np.linalg.cholesky(shape.covariance + 1e-9 * np.eye(size))
    return shape.mean + (rng.standard_normal((count, size)) @ factor.T).reshape(count, -1, 2)


def placed(points, rng, *, turn_deg, mirrored):
    angle = np.radians(turn_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    flip = np.array([-1.0 if mirrored else 1.0, 1.0])
    return (points * flip) @ turn.T * rng.uniform(50, 400) + rng.uniform(0, 2000, 2)


@pytest.mark.parametrize(("limb", "missing"), [(Limb.HAND, 0), (Limb.HAND, 2), (Limb.FOOT, 0)])
def test_names_survive_any_turn_mirror_and_missing_joints(limb, missing):
    rng = np.random.default_rng(5)
    right = 0
    for shape in population(limb, 60, rng):
        mirrored = bool(rng.random() < 0.5)
        points = placed(shape, rng, turn_deg=rng.uniform(-180, 180), mirrored=mirrored)
        rows = rng.permutation(len(limb.joints))[missing:]
        identity = identify(limb, points[rows], [joint_class(limb.joints[r]) for r in rows])
        assert identity is not None
        if identity.certain:
            assert identity.rows == tuple(rows)
            assert identity.shape.mirrored == mirrored
        right += identity.rows == tuple(rows)
    assert right >= 59


def test_foot_with_one_joint_missing_is_named_right_or_not_at_all():
    rng = np.random.default_rng(6)
    right = 0
    for shape in population(Limb.FOOT, 100, rng):
        points = placed(shape, rng, turn_deg=rng.uniform(-10, 10), mirrored=False)
        rows = rng.permutation(6)[1:]
        classes = [joint_class(Limb.FOOT.joints[r]) for r in rows]
        identity = identify(Limb.FOOT, points[rows], classes, Prior(0.0, mirrored=False))
        assert identity is not None
        assert not identity.certain or identity.rows == tuple(rows)
        right += identity.rows == tuple(rows)
    assert right >= 97


def test_false_detection_gets_no_name():
    rng = np.random.default_rng(7)
    for shape in population(Limb.HAND, 20, rng):
        points = np.vstack([placed(shape, rng, turn_deg=0, mirrored=False), [[-900.0, 5000.0]]])
        classes = [*(joint_class(name) for name in Limb.HAND.joints), JointClass.PIP]
        identity = identify(Limb.HAND, points, classes)
        assert identity is not None
        assert identity.rows == (*range(10), -1)


def test_wrong_class_does_not_change_the_name():
    rng = np.random.default_rng(8)
    classes = [joint_class(name) for name in Limb.HAND.joints]
    classes[3] = JointClass.MCP
    for shape in population(Limb.HAND, 20, rng):
        identity = identify(Limb.HAND, placed(shape, rng, turn_deg=90, mirrored=True), classes)
        assert identity is not None
        assert identity.rows == tuple(range(10))


@pytest.mark.parametrize("limb", list(Limb))
def test_random_points_are_hardly_ever_certain(limb):
    rng = np.random.default_rng(9)
    certain = 0
    for _ in range(60):
        points = rng.uniform(0, 1000, (len(limb.joints), 2))
        identity = identify(limb, points, [joint_class(name) for name in limb.joints])
        assert identity is not None
        certain += identity.certain
    assert certain <= 1


def test_three_points_cannot_be_named():
    assert identify(Limb.HAND, np.zeros((3, 2)), [JointClass.PIP] * 3) is None


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_size_of_the_first_joint_tells_a_foot_from_its_mirror_image(mirrored):
    shape = shape_template(Limb.FOOT)
    names = tuple(name for name in shape.joints if name.startswith("MTP"))
    rows = [shape.joints.index(name) for name in names]
    points = 200 * shape.mean[rows] * (-1.0 if mirrored else 1.0, 1.0)
    classes = [joint_class(name) for name in names]
    sides = np.array([joint_box_side_px(Limb.FOOT, name, 400.0) for name in names])
    blind = identify(Limb.FOOT, points, classes)
    seeing = identify(Limb.FOOT, points, classes, sides=sides)
    assert seeing.names == names
    assert seeing.margin > blind.margin + 2
    # Boxes that say the opposite must shake it: the names are not certain any more.
    assert not identify(Limb.FOOT, points, classes, sides=sides[::-1]).certain


def checked(limb, points, classes, prior=None, sides=None):
    """A naming of any detections holds what its description promises."""
    identity = identify(limb, np.asarray(points, np.float64), classes, prior, sides)
    if identity is None:
        return None
    rows = [row for row in identity.rows if row >= 0]
    assert len(identity.rows) == len(points)
    assert len(rows) == len(set(rows)) >= 4
    assert max(rows) < len(limb.joints)
    assert np.isfinite(identity.cost)
    assert np.isfinite(identity.shape.to_image).all()
    assert all(
        row < 0 or np.isfinite(point).all()
        for row, point in zip(identity.rows, points, strict=True)
    )
    return identity


COORDINATES = st.one_of(
    st.sampled_from([0.0, 1.0, 100.0, -1e-300, 1e300, np.nan, np.inf, -np.inf]),
    st.floats(-2000, 2000),
    st.integers(0, 4).map(float),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(list(Limb)),
    st.lists(st.tuples(COORDINATES, COORDINATES), min_size=0, max_size=12),
    st.data(),
)
@example(Limb.HAND, [(5.0, 5.0)] * 10, None)
@example(Limb.FOOT, [(float(i), 2.0 * i) for i in range(6)], None)
@example(Limb.HAND, [(0.0, 0.0), (0.0, 0.0), (1.0, 0.0), (1.0, 0.0), (0.0, 1.0)], None)
def test_any_detections_are_named_or_not_and_never_raise(limb, points, data):
    kinds = [JointClass.PIP, joint_class(limb.joints[-1])]
    classes = [kinds[i % 2] for i in range(len(points))]
    sides = None
    if data is not None and data.draw(st.booleans()):
        side = st.sampled_from([0.0, -1.0, 30.0, np.nan, np.inf])
        sides = np.array(
            data.draw(st.lists(side, min_size=len(points), max_size=len(points))), np.float64
        )
    prior = None if data is None or data.draw(st.booleans()) else Prior(0.0, mirrored=False)
    checked(limb, np.array(points, np.float64).reshape(-1, 2), classes, prior, sides)


@pytest.mark.parametrize("limb", list(Limb))
def test_detections_in_one_place_have_no_name(limb):
    classes = [joint_class(name) for name in limb.joints]
    assert identify(limb, np.full((len(classes), 2), 300.0), classes) is None


@pytest.mark.parametrize("limb", list(Limb))
@pytest.mark.parametrize("extra", [np.nan, np.inf])
def test_a_detection_without_a_place_leaves_the_others_their_names(limb, extra):
    points = np.vstack([shape_template(limb).mean * 100 + 500, [[extra, 4.0]]])
    classes = [*(joint_class(name) for name in limb.joints), JointClass.PIP]
    identity = checked(limb, points, classes)
    assert identity.rows == (*range(len(limb.joints)), -1)
    assert not identity.certain


@pytest.mark.parametrize("limb", list(Limb))
def test_a_joint_that_was_detected_twice_is_named_once(limb):
    points = shape_template(limb).mean * 100 + 500
    twice = np.vstack([points, points[2:3]])
    classes = [joint_class(name) for name in [*limb.joints, limb.joints[2]]]
    identity = checked(limb, twice, classes)
    assert sorted(identity.rows) == [-1, *range(len(limb.joints))]
    assert {identity.rows[2], identity.rows[-1]} == {-1, 2}
