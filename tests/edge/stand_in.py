"""A tiny real scorer for tests of everything around the pipeline.

It reads the film's bytes: a comment segment of the JPEG says how it behaves.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable  # noqa: TC003 - in a class body
from dataclasses import dataclass, field

from edge.anatomy import Limb, has_narrowing
from edge.errors import REASONS, EngineError, Reason
from edge.model import (
    Identifiers,
    JointScore,
    Laterality,
    LateralitySource,
    LimbResult,
    Status,
    Versions,
)
from edge.totals import limb_subtotals
from edge.worker.factory import Made

VERSIONS = Versions(software="stand-in", engines={"hand-detect": "0123456789abcdef"})


def film_bytes(text: str, *, padding: int = 2000) -> bytes:
    """Smallest thing that is whole as a JPEG, with words for the stand-in."""
    words = f"stand-in {text} ".encode()
    comment = b"\xff\xfe" + (len(words) + 2).to_bytes(2, "big") + words
    return b"\xff\xd8" + comment + b"\x11" * padding + b"\xff\xd9"


@dataclass(frozen=True)
class LimbOutcome:
    result: LimbResult
    overlay: Callable[..., bytes | None] | None = None
    drawing: None = None
    mask_png: bytes | None = None
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def overlay_jpeg(self):
        return None if self.overlay is None else self.overlay(None, None)


@dataclass(frozen=True)
class FilmOutcome:
    limbs: tuple[LimbOutcome, ...]
    stage_ms: dict[str, float] = field(default_factory=dict)
    study_key: str | None = None
    patient_key: str | None = None
    burned_in_annotation: bool = False
    taken: str | None = None
    identifiers: Identifiers | None = None


def draw(words):
    """Draw the labelled picture as the film's words say."""
    time.sleep(float(words.get("drawslow", 0)))
    if "drawcrash" in words:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "drawhang" in words:
        time.sleep(3600)
    if "drawraise" in words:
        raise ValueError(words["drawraise"])
    return None if "drawnone" in words else film_bytes("overlay")


class StandIn:
    versions = VERSIONS

    def score(self, data, file_name, operator=None, on_stage=None):
        tell = on_stage or (lambda _name: None)
        tell("decode")
        renewed = rb"(?:\xff\xfe..bench \d+)?"
        found = re.match(
            rb"\xff\xd8" + renewed + rb"\xff\xfe..stand-in ([^\x11]*)", data, re.DOTALL
        )
        words = dict(re.findall(r"(\w+)=(\S+)", found.group(1).decode())) if found else {}
        if not found or not data.endswith(b"\xff\xd9"):
            reason = Reason.TRUNCATED if found else Reason.NOT_AN_IMAGE
            return FilmOutcome((LimbOutcome(self._refused(file_name, reason)),))
        for stage in ("find", "mask", "detect", "score"):
            tell(stage)
        time.sleep(float(words.get("slow", 0)))
        if "crash" in words:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "kill" in words:
            os.kill(os.getpid(), signal.SIGKILL)
        if "eat" in words:
            bytearray(int(words["eat"]) << 20)
        if "hang" in words:
            time.sleep(3600)
        if "raise" in words:
            raise ValueError(words["raise"])
        if "lost" in words:
            raise EngineError("device lost", engine="hand-detect", fix="restart")
        if "reason" in words and operator is None:
            return FilmOutcome((LimbOutcome(self._refused(file_name, Reason(words["reason"]))),))
        limb = Limb.FOOT if words.get("limb", "LH")[1] == "F" else Limb.HAND
        side = Laterality(words.get("limb", "LH")[0])
        source = LateralitySource.FILENAME
        if operator is not None:
            limb, side = operator.limb or limb, operator.laterality or side
            source = LateralitySource.OPERATOR
        joints = tuple(
            JointScore(
                name=name, erosion=1, narrowing=1 if has_narrowing(limb, name) else None,
                box=(1, 2, 3, 4), centre=(2.5, 4),
            )
            for name in limb.joints
        )  # fmt: skip
        ungraded = "ungraded" in words
        if ungraded:
            joints = tuple(JointScore(name=j.name, erosion_reason="doubtful") for j in joints)
        result = LimbResult(
            file=file_name,
            limb_index=0,
            status=Status.NOT_GRADED if ungraded else Status.SCORED,
            reason="doubtful" if ungraded else None,
            limb=limb,
            laterality=side,
            laterality_source=source,
            joints=joints,
            subtotals=None if ungraded else limb_subtotals(limb, joints),
            n_scored=0 if ungraded else len(joints),
            n_expected=len(joints),
            versions=VERSIONS,
        )
        figures = {"mean": float(words["mean"])} if "mean" in words else {}
        return FilmOutcome(
            (LimbOutcome(result, lambda *_: draw(words), figures=figures),),
            {"decode": 1.0, "mask": 2.0},
            words.get("study"),
            words.get("patient"),
            "burned" in words,
        )

    def _refused(self, file_name, reason):
        return LimbResult(
            file=file_name,
            limb_index=0,
            status=REASONS[reason].status,
            reason=reason,
            advice=REASONS[reason].advice,
            versions=VERSIONS,
        )


def build(_config):
    """Factory named in the configuration of the tests."""
    return Made(StandIn(), "e" * 64)


def build_unfit(_config):
    """Fail the self-test."""
    return Made(StandIn(), "e" * 64, unfit="golden film: MCP2 differs")


def build_degraded(_config):
    """Serve from a lesser back end."""
    return Made(StandIn(), "e" * 64, degraded=("hand-score: stale (fix: sharpedge build)",))


def build_broken(_config):
    """Fail as a missing engine does."""
    raise EngineError("no engine", engine="hand-detect", fix="sharpedge export")


def build_once(config):
    """Fail from the second time on, as when the engines were removed."""
    flag = config.state_folder / "engines-are-gone"
    if flag.exists():
        raise EngineError("no engine", engine="hand-detect", fix="sharpedge export")
    return build(config)


def build_slowly(_config):
    """Take as long as large engines."""
    time.sleep(5)
    return build(_config)


class LargePictures(StandIn):
    def score(self, data, file_name, operator=None, on_stage=None):
        film = super().score(data, file_name, operator, on_stage)
        limbs = tuple(
            LimbOutcome(limb.result, lambda *_: film_bytes("overlay", padding=20_000))
            for limb in film.limbs
        )
        return FilmOutcome(limbs)


def build_with_large_pictures(_config):
    """Give pictures that a small broker does not take."""
    return Made(LargePictures(), "e" * 64)


class NameReader(StandIn):
    """Takes patient, limb and side from the name, as the pipeline does."""

    def score(self, _data, file_name, operator=None, on_stage=None):
        found = re.match(r"(P\d)-([LR][HF])", file_name)
        words = f"patient={found[1]} study={found[1]} limb={found[2]}" if found else "limb=LH"
        return super().score(film_bytes(words), file_name, operator, on_stage)


def build_that_trusts_names(_config):
    """Read identities from file names."""
    return Made(NameReader(), "e" * 64)
