"""Whether a labelled set is external: no installed engine learnt from any of its films.

Layer: training.evaluation; reads the films' bytes and the passports of loaded engines.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from training.evaluation.truth import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.engine.loader import EngineSet
    from training.evaluation.truth import LabelledSet

_RECORDS = ("real_films", "films")
"""Names under which trainings record the SHA-256 of each film that they learnt from."""


def learnt_films(engines: EngineSet) -> frozenset[str] | None:
    """SHA-256 of every film that the passports of ``engines`` name as learnt from.

    ``None`` where a passport names no films at all: then nobody knows what it learnt from.
    """
    found: set[str] = set()
    for engine in engines.engines.values():
        training = cast("Mapping[str, Any]", engine.passport.get("training") or {})
        records = [training[name] for name in _RECORDS if name in training]
        if not records:
            return None
        for record in records:
            found |= set(record.values())
    return frozenset(found)


def whole_if_external(labelled: LabelledSet, learnt: frozenset[str] | None) -> LabelledSet:
    """The set, marked to be measured whole where none of its films was learnt from."""
    if labelled.fresh or labelled.kind is not Kind.REAL or learnt is None:
        return labelled
    paths = {limb.path for limb in labelled.limbs}
    for path in paths:
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() in learnt:
            return labelled
    patients = len({limb.patient for limb in labelled.limbs})
    note = (
        f"no installed engine learnt from any of these {len(paths)} films (passports name what was "
        f"learnt from): the set is external, and all {patients} patients are measured"
    )
    return replace(labelled, fresh=True, notes=(*labelled.notes, note))
