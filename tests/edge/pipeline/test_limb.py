from __future__ import annotations

import numpy as np
import pytest

from edge.model import Detection, JointClass, Limb, joint_class
from edge.pipeline.limb import lay_out
from edge.pipeline.look import first_look, name_detections
from edge.pipeline.settings import PipelineSettings
from edge.pipeline.shape import apply, unit_px
from edge.shape import joint_box_side_px, shape_template

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
    monkeypatch.setattr("edge.pipeline.look.detect", lambda *_: found)
    look = first_look(None, Limb.HAND, np.zeros((800, 600), np.uint8), SETTINGS, once=True)
    (sighting,) = look.sightings
    named = dict(sighting.named())
    assert set(named) == set(Limb.HAND.joints)
    assert named["MCP5"] == true[weak]
    assert ghost not in named.values()
