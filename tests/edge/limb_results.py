"""Results of limbs for tests of pictures and tables, made without engines."""

from __future__ import annotations

import numpy as np

from edge.anatomy import Limb, has_narrowing, joint_box_side_px, shape_template
from edge.model import JointScore, Laterality, LateralitySource, LimbResult, Status, Versions
from edge.pipeline.template import unit_px
from edge.totals import limb_subtotals

FILM = (1600, 2000)
VERSIONS = Versions(software="0.0.test", engines={"hand-score": "0123456789abcdef"})


def joint_places(limb, size=FILM, rng=None, spread=0.0):
    """Centres [n, 2] as a cohort's lie, on a film of (width, height), varied by the covariance."""
    shape = shape_template(limb)
    places = shape.mean.copy()
    if rng is not None and spread:
        drawn = rng.multivariate_normal(np.zeros(shape.mean.size), shape.covariance)
        places += spread * drawn.reshape(-1, 2)
    scale = 0.3 * min(size)
    places *= scale * 0.75
    return places + np.array([size[0] * 0.5, size[1] * 0.45])


def a_result(limb=Limb.HAND, size=FILM, places=None, grades=None, **changes):
    """A scored limb; ``grades`` are fields of joints by name."""
    places = joint_places(limb, size) if places is None else places
    unit = unit_px(limb, list(limb.joints), places)
    joints = []
    for name, (x, y) in zip(limb.joints, places, strict=True):
        side = joint_box_side_px(limb, name, unit)
        fields = {
            "name": name,
            "box": (x - side / 2, y - side / 2, side, side),
            "centre": (x, y),
            "erosion": 1,
            "narrowing": 2 if has_narrowing(limb, name) else None,
            "narrowing_reason": None if has_narrowing(limb, name) else "not_in_svh",
        }
        joints.append(JointScore(**(fields | (grades or {}).get(name, {}))))
    values = {
        "file": "film-7.jpg",
        "limb_index": 0,
        "status": Status.SCORED,
        "limb": limb,
        "laterality": Laterality.LEFT,
        "laterality_source": LateralitySource.DICOM,
        "transform": [[0.75, 0, 0], [0, 0.75, 0], [0, 0, 1]],
        "joints": tuple(joints),
        "subtotals": limb_subtotals(limb, joints),
        "n_scored": len(joints),
        "n_expected": len(joints),
        "versions": VERSIONS,
    }
    return LimbResult(**(values | changes))
