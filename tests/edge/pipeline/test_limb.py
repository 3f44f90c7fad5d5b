from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge.anatomy import JointClass, Limb, joint_box_side_px, joint_class, shape_template
from edge.model import Detection
from edge.pipeline.find import first_look, name_detections, second_look
from edge.pipeline.limb import lay_out
from edge.pipeline.namings import Prior
from edge.pipeline.settings import PipelineSettings
from edge.pipeline.template import apply, unit_px

SETTINGS = PipelineSettings()


def laid_points(limb, zoom, shift):
    return shape_template(limb).mean * zoom + np.asarray(shift)


def detections_at(limb, points, *, without=(), confidence=0.9):
    unit = unit_px(limb, limb.joints, points)
    found = []
    for name, (x, y) in zip(limb.joints, points, strict=True):
        if name not in without:
            side = joint_box_side_px(limb, name, unit)
            box = (x - side / 2, y - side / 2, side, side)
            found.append(Detection(joint_class(name), confidence, box))
    return found


@pytest.mark.parametrize(
    ("limb", "missed"),
    [(Limb.FOOT, ("IP1",)), (Limb.FOOT, ("MTP1",)), (Limb.HAND, ("PIP3", "IP1"))],
)
def test_frame_holds_the_joint_that_the_first_look_missed(limb, missed):
    points = laid_points(limb, 90, (600, 500))
    sighting = name_detections(limb, detections_at(limb, points, without=missed))
    assert sighting is not None
    framed = lay_out(np.zeros((1400, 1200), np.uint8), sighting, SETTINGS)
    whole = name_detections(limb, detections_at(limb, points))
    assert whole is not None
    wanted = apply(
        lay_out(np.zeros((1400, 1200), np.uint8), whole, SETTINGS).laid.to_canvas, points
    )
    got = apply(framed.laid.to_canvas, points)
    unit = unit_px(limb, limb.joints, wanted)
    assert np.abs(got - wanted).max() < 0.25 * unit


def test_ghost_between_the_knuckles_does_not_push_a_knuckle_out(monkeypatch):
    points = laid_points(Limb.HAND, 90, (600, 500))
    true = detections_at(Limb.HAND, points)
    weak = true.index(next(d for d, n in zip(true, Limb.HAND.joints, strict=True) if n == "MCP5"))
    true[weak] = Detection(JointClass.MCP, 0.4, true[weak].box)
    mcp2, mcp3 = (np.array(true[Limb.HAND.joints.index(n)].box) for n in ("MCP2", "MCP3"))
    ghost = Detection(JointClass.MCP, 0.7, tuple((mcp2 + mcp3) / 2))
    found = sorted([*true, ghost], key=lambda d: -d.confidence)
    monkeypatch.setattr("edge.pipeline.find.detect", lambda *_: found)
    look = first_look(None, Limb.HAND, np.zeros((800, 600), np.uint8), SETTINGS, once=True)
    (sighting,) = look.sightings
    named = dict(sighting.named())
    assert set(named) == set(Limb.HAND.joints)
    assert named["MCP5"] == true[weak]
    assert ghost not in named.values()


def small_limb_seen_only(monkeypatch, wide):
    """A first look with a detector that sees a hand in pictures at most ``wide`` pixels wide."""
    points = laid_points(Limb.HAND, 40, (620, 500))
    film = np.zeros((800, 1000), np.uint8)
    corner = points.min(axis=0).round().astype(int)
    film[corner[1], corner[0]] = 255
    monkeypatch.setattr("edge.pipeline.find.equalise", lambda picture, *_: picture)

    def detect(_engine, _limb, picture, *_):
        marks = np.argwhere(picture == 255)
        if picture.shape[1] > wide or not len(marks):
            return []
        shift = corner - marks[0][::-1]
        inside = points - shift
        held = ((inside > 0) & (inside < picture.shape[::-1])).all()
        return detections_at(Limb.HAND, inside) if held else []

    monkeypatch.setattr("edge.pipeline.find.detect", detect)
    return points, first_look(None, Limb.HAND, film, SETTINGS)


@pytest.mark.parametrize("wide", [1000, 600])
def test_small_limb_is_found_where_it_lies_through_a_window(monkeypatch, wide):
    points, look = small_limb_seen_only(monkeypatch, wide)
    (sighting,) = look.sightings
    assert [name for name, _ in sighting.named()] == list(Limb.HAND.joints)
    assert np.abs(sighting.points() - points).max() < 1.5


def test_certain_limb_beside_an_uncertain_one_is_not_lost_in_the_crowd(monkeypatch):
    """Side by side both are seen half by half; together their joints make no sense."""
    plain = laid_points(Limb.HAND, 60, (250, 400))
    posed = plain * (1, 0.55) + (0, 180)
    film = np.zeros((800, 1000), np.uint8)
    film[0, 0] = 255
    monkeypatch.setattr("edge.pipeline.find.equalise", lambda picture, *_: picture)

    def detect(_engine, _limb, picture, *_):
        if picture.shape[1] == film.shape[1]:
            afar = [plain, posed + np.array([500, 0])]
            return [d for part in afar for d in detections_at(Limb.HAND, part, confidence=0.55)]
        return detections_at(Limb.HAND, plain if picture[0, 0] == 255 else posed)

    monkeypatch.setattr("edge.pipeline.find.detect", detect)
    look = first_look(None, Limb.HAND, film, SETTINGS)
    first, second = look.sightings
    assert (first.identity.certain, second.identity.certain) == (True, False)
    assert np.abs(first.points() - plain).max() < 1.5
    assert second.points()[:, 0].min() > 500


def second_look_at(monkeypatch, limb, close, whole):
    """The second look when the detector gives these joints (on the canvas) close up and afar."""
    canvas = np.zeros((1500, 1200), np.uint8)
    points = laid_points(limb, 90, (600, 700))
    mark = points.round().astype(int)[0]
    canvas[mark[1], mark[0]] = 255

    def detect(_engine, _limb, picture, *_):
        y, x = np.argwhere(picture == 255)[0]
        shift = mark - (x, y)
        found = whole if picture.shape == canvas.shape else close
        return [
            replace(d, box=(d.box[0] - shift[0], d.box[1] - shift[1], *d.box[2:])) for d in found
        ]

    monkeypatch.setattr("edge.pipeline.find.detect", detect)
    near = name_detections(limb, detections_at(limb, points))
    return second_look(None, limb, canvas, near, Prior(0.0, 10.0), SETTINGS)


def test_close_up_is_enough_where_it_shows_every_joint(monkeypatch):
    points = laid_points(Limb.FOOT, 90, (600, 700))
    found = second_look_at(monkeypatch, Limb.FOOT, detections_at(Limb.FOOT, points), [])
    assert found.identity.certain
    for (name, detection), place in zip(found.named(), points, strict=True):
        assert detection.centre == pytest.approx(place), name


def test_joint_that_is_missed_close_up_is_found_on_the_whole_canvas(monkeypatch):
    points = laid_points(Limb.HAND, 90, (600, 700))
    fewer = detections_at(Limb.HAND, points, without=("PIP4",))
    found = second_look_at(monkeypatch, Limb.HAND, fewer, detections_at(Limb.HAND, points))
    assert len(found.named()) == 10
    assert second_look_at(monkeypatch, Limb.HAND, [], fewer).named()


def test_two_looks_that_place_a_name_differently_make_no_name_certain(monkeypatch):
    points = laid_points(Limb.FOOT, 90, (600, 700))
    whole = detections_at(Limb.FOOT, points, without=("MTP2",))
    same = second_look_at(monkeypatch, Limb.FOOT, whole, whole)
    moved = points.copy()
    moved[Limb.FOOT.joints.index("MTP1")] += (0, 0.3 * 90)
    close = detections_at(Limb.FOOT, moved, without=("MTP2",))
    other = second_look_at(monkeypatch, Limb.FOOT, close, whole)
    assert len(same.named()) == len(other.named()) == 5
    assert same.identity.certain
    assert not other.identity.certain
