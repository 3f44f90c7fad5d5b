"""The power-on self-test: one shipped film, scored at each start and compared with a record.

The record is made from the FP32 graphs when they are exported, and signed under the device's key:
what a film must give follows from the weights, so it cannot be shipped. It is used only while
graphs and pipeline are those that it was made with.

Layer: scoring; reads the shipped film and one file beside the engines, ``self-test.record``.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from edge.engine.key import device_key
from edge.model import Record, Status
from edge.scoring.reference_film import FILM_NAME, golden_film
from edge.system.files import write_whole

if TYPE_CHECKING:
    from edge.engine.loader import EngineSet
    from edge.model import LimbResult
    from edge.scoring.film_scorer import FilmScorer

log = logging.getLogger(__name__)

RECORD_NAME = "self-test.record"
EXPECTED_TOLERANCE = 0.25
"""Of an expected value. Engines that were accepted differ by .05 on equal crops; a detector's pixel
adds to that. Damage moves grades by whole steps."""
PLACE_TOLERANCE_PX = 8.0
_FIX = "sharpedge export; then, if it repeats, sharpedge engines list"
_NOT_RUN = "self-test: not run, no record of this version; fix: sharpedge export"


class JointRecord(Record):
    """One joint of the film: where it lies (px of the film) and its two expected values."""

    centre: tuple[float, float]
    erosion: float
    narrowing: float | None


class SelfTestRecord(Record):
    """What the film gave with the FP32 graphs."""

    graphs: dict[str, str]
    code: str
    joints: dict[str, JointRecord]
    hmac: str = Field(default="", description="HMAC-SHA256 under the device's key")


def write_record(folder: Path, scorer: FilmScorer, engines: EngineSet) -> bool:
    """Score the film with FP32 ``engines`` and write the record into their folder.

    Returns whether there is one: with engines that cannot score a hand there is none.
    """
    result = _scored(scorer)
    path = folder / RECORD_NAME
    if result is None:
        path.unlink(missing_ok=True)
        return False
    record = SelfTestRecord(graphs=_graphs(engines), code=code_hash(), joints=_joints(result))
    signed = record.model_copy(update={"hmac": _mac(record)})
    write_whole(path, (signed.model_dump_json(indent=1) + "\n").encode(), durable=True)
    return True


def self_test(folder: Path, scorer: FilmScorer, engines: EngineSet) -> str:
    """Score the film and compare; returns what does not fit and the fix, empty where all does.

    Empty too where no record fits these graphs and this software, as after an upgrade: that is
    logged. A record that was changed is a mismatch. Raises `edge.errors.EngineError` where an
    engine fails.
    """
    try:
        record = SelfTestRecord.model_validate_json((folder / RECORD_NAME).read_bytes())
    except OSError:
        log.warning(_NOT_RUN)
        return ""
    except ValidationError:
        return f"the record of the self-test cannot be read (fix: {_FIX})"
    if not hmac.compare_digest(record.hmac, _mac(record)):
        return f"the record of the self-test was changed (fix: {_FIX})"
    if record.graphs != _graphs(engines) or record.code != code_hash():
        log.warning(_NOT_RUN)
        return ""
    result = _scored(scorer)
    wrong = "the film was not scored" if result is None else _mismatch(record, _joints(result))
    return f"{wrong} (fix: {_FIX})" if wrong else ""


def _scored(scorer: FilmScorer) -> LimbResult | None:
    limbs = scorer.score(golden_film(), FILM_NAME).limbs
    results = [limb.result for limb in limbs if limb.result.status is Status.SCORED]
    return results[0] if results and results[0].n_scored else None


def _joints(result: LimbResult) -> dict[str, JointRecord]:
    return {
        str(joint.name or joint.name_candidate): JointRecord(
            centre=joint.centre,
            erosion=joint.erosion_expected,
            narrowing=joint.narrowing_expected,
        )
        for joint in result.joints
        if joint.centre is not None and joint.erosion_expected is not None
    }


def _mismatch(record: SelfTestRecord, found: dict[str, JointRecord]) -> str:
    if record.joints.keys() != found.keys():
        return f"joints {sorted(found)} were scored, {sorted(record.joints)} were expected"
    for name, wanted in record.joints.items():
        given = found[name]
        far_px = max(abs(a - b) for a, b in zip(wanted.centre, given.centre, strict=True))
        if far_px > PLACE_TOLERANCE_PX:
            return f"{name} lies {far_px:.0f} px from where it was"
        for kind, a, b in (
            ("erosion", wanted.erosion, given.erosion),
            ("narrowing", wanted.narrowing, given.narrowing),
        ):
            if (a is None) != (b is None):
                return f"{name} {kind}: {b} instead of {a}"
            # A value that is no number is no small difference.
            if a is not None and b is not None and not abs(a - b) <= EXPECTED_TOLERANCE:
                return f"{name} {kind}: {b:.3f} instead of {a:.3f}"
    return ""


def _graphs(engines: EngineSet) -> dict[str, str]:
    graphs = {}
    for engine in engines.engines.values():
        graphs[engine.name] = str(engine.passport.get("graph_sha256") or engine.sha256)
    return graphs


def code_files() -> list[Path]:
    """Source files between a film and its grades."""
    package = Path(__file__).parents[1]
    folders = ("imaging", "pipeline", "scoring")
    return sorted(path for folder in folders for path in package.glob(f"{folder}/*.py"))


def code_hash() -> str:
    """Hash of the shipped film and of the code between a film and its grades."""
    total = hashlib.sha256(golden_film())
    for path in code_files():
        total.update(path.read_bytes())
    return total.hexdigest()


def _mac(record: SelfTestRecord) -> str:
    fields = json.dumps(record.model_dump(mode="json", exclude={"hmac"}), sort_keys=True)
    return hmac.new(device_key(), b"self-test\0" + fields.encode(), hashlib.sha256).hexdigest()
