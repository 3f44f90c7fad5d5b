"""Two hundred results of all kinds under all kinds of names, the same in every run."""

from __future__ import annotations

import uuid
from dataclasses import replace
from random import Random
from typing import Any, NamedTuple

from dicom_films import NAMES, a_film, every_kind

from edge.anatomy import has_narrowing
from edge.model import Laterality, SrClass, Status
from edge.outputs.dicom_source import read_source
from edge.totals import limb_subtotals

COUNT = 200


class Made(NamedTuple):
    """One result, the name of its patient's kind, and the class of its report."""

    number: int
    kind: str
    name: str
    sr_class: SrClass
    report: Any

    @property
    def stem(self):
        words = f"{self.number:03d}-{self.name}-{self.kind}-{self.sr_class}"
        return words.replace(" ", "_")


def sources():
    """The film of a patient of each name."""
    return {name: read_source(a_film(name, size=(2000, 1600))) for name in NAMES}


def many(count=COUNT):
    """Results: every kind under every name (72), in both classes, with grades of their own."""
    kinds, names = list(every_kind().items()), list(NAMES)
    for number in range(count):
        kind, report = kinds[number % len(kinds)]
        classes = list(SrClass)
        sr_class = classes[number // (len(kinds) * len(names)) % len(classes)]
        result_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"document {number}"))
        varied = replace(report, result=_varied(report.result, Random(number)), result_id=result_id)
        yield Made(number, kind, names[number % len(names)], sr_class, varied)


def _varied(result, rng):
    """A scored result with other grades, and another side."""
    if result.status is not Status.SCORED:
        return result
    joints = tuple(_graded(joint, result.limb, rng) for joint in result.joints)
    return result.model_copy(
        update={
            "joints": joints,
            "subtotals": limb_subtotals(result.limb, joints),
            "laterality": rng.choice(list(Laterality)),
        }
    )


def _graded(joint, limb, rng):
    grades = {}
    if joint.erosion is not None:
        grades["erosion"] = rng.randint(0, limb.erosion_maximum)
        grades["erosion_expected"] = rng.uniform(0, limb.erosion_maximum)
    if joint.narrowing is not None:
        assert has_narrowing(limb, joint.name or joint.name_candidate)
        grades["narrowing"] = rng.randint(0, 4)
    return joint.model_copy(update=grades)
