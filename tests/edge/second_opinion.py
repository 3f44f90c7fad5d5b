"""A worker's factory whose second engines grade every joint one higher."""

from __future__ import annotations

from dataclasses import replace

from stand_in import LimbOutcome, StandIn

from edge.errors import EngineError
from edge.worker.factory import Made
from edge.worker.second_opinion import Rechecker


class Higher(StandIn):
    def score(self, data, file_name, operator=None, on_stage=None):
        if b"broken=1" in data:
            raise EngineError("device lost", engine="hand-score", fix="restart")
        film = super().score(data, file_name, operator, on_stage)
        return replace(film, limbs=tuple(_raised(limb) for limb in film.limbs))


def _raised(limb):
    joints = tuple(
        joint.model_copy(update={"erosion": None if joint.erosion is None else joint.erosion + 1})
        for joint in limb.result.joints
    )
    return LimbOutcome(limb.result.model_copy(update={"joints": joints}))


def build(_config):
    return Made(StandIn(), "0" * 64, rechecker=Rechecker(Higher(), 1))
