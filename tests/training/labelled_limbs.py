"""Labelled limbs, results that say what the labels say, and the report on both."""

from datetime import datetime, timezone

import numpy as np

from edge.anatomy import Limb, View, shape_template
from edge.model import Laterality, Versions
from edge.pipeline.template import apply
from training.evaluation.assemble import assemble
from training.evaluation.measure import Measured
from training.evaluation.tables import tabulate
from training.evaluation.truth import (
    Kind,
    LabelledSet,
    Split,
    TruthLimb,
    patient_of,
    placed_truth,
)

MADE = datetime(2026, 1, 2, tzinfo=timezone.utc)
VERSIONS = Versions(software="9.9", engines={"hand-score": "0123456789abcdef"})


def places_of(limb, turn=0.0, scale=200.0):
    """Places of a limb turned clockwise by degrees."""
    angle = np.radians(turn)
    matrix = np.array(
        [
            [np.cos(angle), -np.sin(angle), 900 / scale],
            [np.sin(angle), np.cos(angle), 900 / scale],
            [0, 0, 1],
        ]
    )
    shape = shape_template(limb)
    points = scale * apply(matrix, shape.mean)
    return dict(zip(shape.joints, map(tuple, points.tolist()), strict=True))


def truth_of(file, limb=Limb.HAND, erosion=2, narrowing=1, **places):
    """A labelled limb with one grade in every joint."""
    bare = placed_truth(file, limb, places_of(limb, **places), View.PA)
    joints = tuple(
        joint.model_copy(
            update={
                "erosion": erosion,
                "narrowing": None if (limb, joint.name) == (Limb.HAND, "IP1") else narrowing,
            }
        )
        for joint in bare.joints
    )
    return bare.model_copy(update={"joints": joints, "laterality": Laterality.LEFT})


def limb_of(tmp_path, truth, **known):
    return TruthLimb(
        path=tmp_path / truth.file, patient=patient_of(truth.file), truth=truth, **known
    )


def answered(truth, **changes):
    """A result that says what the truth says, but for ``changes`` to every joint."""
    joints = tuple(
        joint.model_copy(
            update={
                "confidence": 0.9,
                "erosion_expected": None if joint.erosion is None else float(joint.erosion),
                "narrowing_expected": None if joint.narrowing is None else float(joint.narrowing),
                **changes,
            }
        )
        for joint in truth.joints
    )
    return truth.model_copy(update={"joints": joints})


def measure(tmp_path, truths, change=lambda result: result, kind=Kind.PHANTOM, **known):
    limbs = tuple(limb_of(tmp_path, truth, **known) for truth in truths)
    labelled = LabelledSet("a <set>", kind, limbs, fresh=kind is not Kind.REAL)
    measured = [Measured(limb, (change(answered(limb.truth)),), 0) for limb in limbs]
    return labelled, tabulate(measured)


def report_of(labelled, tables, split=Split.PATIENT):
    return assemble(labelled, tables, VERSIONS, split, MADE)
