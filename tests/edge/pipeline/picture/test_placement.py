"""Labels lie beside their joints and hide nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limb_results import FILM, a_result, joint_places

from edge.anatomy import Limb
from edge.pipeline.picture.lettering import Plate
from edge.pipeline.picture.placement import Subject, leader, place_labels
from edge.pipeline.picture.words import label_lines

REASONS = (None, None, None, "doubtful", "occluded", "unfamiliar")


def placed(subjects, area, **options):
    """Rectangles of the labels, each of which must have a place."""
    corners = place_labels(subjects, area, **options)
    assert None not in corners
    return [
        (x, y, x + it.size[0], y + it.size[1]) for (x, y), it in zip(corners, subjects, strict=True)
    ]


def overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def holds(rectangle, point):
    return rectangle[0] <= point[0] <= rectangle[2] and rectangle[1] <= point[1] <= rectangle[3]


def assert_nothing_is_hidden(labels, subjects, area):
    for i, one in enumerate(labels):
        assert one[0] >= 0
        assert one[1] >= 0
        assert one[2] <= area[0]
        assert one[3] <= area[1]
        assert not any(overlap(one, other) for other in labels[i + 1 :])
        assert not any(holds(one, it.centre) for it in subjects)


def crossing(first, second):
    """Whether two lines cross between their ends."""
    (a, b), (c, d) = (np.array(line) for line in (first, second))

    def turn(p, q, r):
        return np.sign((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]))

    return turn(a, b, c) * turn(a, b, d) < 0 and turn(c, d, a) * turn(c, d, b) < 0


def subjects_of(result, zoom, text_px):
    found = []
    for joint in result.joints:
        x, y = (zoom * value for value in joint.centre)
        half = zoom * joint.box[2] / 2
        size = Plate(label_lines(joint), text_px, (0, 0, 0)).size
        found.append(Subject((x - half, y - half, x + half, y + half), (x, y), size))
    return found


def film_subjects(seed):
    """Labels of a film whose joints lie as a cohort's do, some of them without a grade."""
    rng = np.random.default_rng(seed)
    limb = Limb.HAND if seed % 2 else Limb.FOOT
    places = joint_places(limb, FILM, rng, spread=1.0)
    if seed % 4 < 2:
        places[:, 0] = FILM[0] - places[:, 0]
    grades = {}
    for name in limb.joints:
        why = REASONS[rng.integers(len(REASONS))]
        if why is not None:
            grades[name] = {
                "erosion": None, "erosion_reason": why, "narrowing": None, "narrowing_reason": why,
            }  # fmt: skip
    result = a_result(limb, places=places, grades=grades)
    return subjects_of(result, 0.6, int(rng.integers(14, 21))), (FILM[0] * 0.6, FILM[1] * 0.6)


@pytest.mark.parametrize("seed", range(200))
def test_on_200_films_no_label_hides_a_label_a_joint_or_runs_over_the_edge(seed):
    subjects, area = film_subjects(seed)
    labels = placed(subjects, area)
    assert_nothing_is_hidden(labels, subjects, area)
    lines = [leader(label, it.box) for label, it in zip(labels, subjects, strict=True)]
    lines = [line for line in lines if line is not None]
    for i, line in enumerate(lines):
        assert not any(crossing(line, other) for other in lines[i + 1 :])


def test_a_label_lies_nearer_to_its_own_joint_than_to_another():
    misleading = labels = 0
    for seed in range(200):
        subjects, area = film_subjects(seed)
        for index, label in enumerate(placed(subjects, area)):
            middle = np.array([label[0] + label[2], label[1] + label[3]]) / 2
            apart = [np.hypot(*(middle - np.array(it.centre))) for it in subjects]
            labels += 1
            misleading += int(np.argmin(apart)) != index
    assert labels > 1500
    assert misleading / labels < 0.02, (misleading, labels)


points = st.tuples(st.integers(0, 799), st.integers(0, 999))


@st.composite
def joint_sets(draw):
    found = []
    for x, y in draw(st.lists(points, min_size=1, max_size=12)):
        half = draw(st.integers(8, 90))
        size = (draw(st.integers(30, 150)), draw(st.integers(18, 80)))
        found.append(Subject((x - half, y - half, x + half, y + half), (x, y), size))
    return found


@given(joint_sets())
@settings(max_examples=150, deadline=None)
def test_wherever_joints_lie_no_label_hides_anything(subjects):
    assert_nothing_is_hidden(placed(subjects, (800, 1000)), subjects, (800, 1000))


def test_labels_keep_off_what_is_taken():
    subject = Subject((80, 80, 120, 120), (100, 100), (60, 40))
    (free,) = placed([subject], (300, 300))
    taken = (0, 0, 300, 150)
    (label,) = placed([subject], (300, 300), taken=[taken])
    assert overlap(free, taken)
    assert not overlap(label, taken)


def test_a_label_prefers_the_dark_side():
    grey = np.zeros((30, 30), np.uint8)
    grey[:, :15] = 255
    (label,) = placed([Subject((130, 130, 170, 170), (150, 150), (60, 30))], (300, 300), grey=grey)
    assert label[0] >= 150


def test_a_label_between_two_boxes_belongs_to_neither():
    """It would seem to be the other joint's too."""
    size = (60, 40)
    upper = Subject((100, 100, 160, 160), (130, 130), size)
    lower = Subject((100, 204, 160, 264), (130, 234), size)
    grey = np.full((60, 60), 30, np.uint8)
    grey[27:34, 20:32] = 0  # a little darker between the two
    labels = placed([upper, lower], (300, 360), grey=grey)
    assert not any(top >= 160 and bottom <= 204 for _, top, _, bottom in labels)


def test_where_there_is_no_room_a_label_has_no_place():
    subject = Subject((0, 0, 40, 40), (20, 20), (60, 40))
    assert place_labels([subject], (50, 50)) == [None]
    assert place_labels([], (50, 50)) == []


def test_a_leader_joins_the_nearest_points():
    assert leader((0, 0, 10, 10), (30, 0, 50, 10)) == ((10, 5), (30, 5))
    assert leader((0, 0, 10, 10), (10, 0, 50, 10)) is None
