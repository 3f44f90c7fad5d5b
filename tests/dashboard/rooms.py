"""Messages of simulated rooms, as they come from the broker."""

from __future__ import annotations

import random

from dashboard.intake.parse import parse
from dashboard.simulated import SimulatedFilm, hexadecimal
from edge.contract.ids import DeviceName
from edge.contract.vocabulary import Laterality, Limb

ROOM = DeviceName("clinic", "xray1", "box1")
OTHER = DeviceName("clinic", "xray2", "box2")
AT_S = 1_790_000_000.0
JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffd9")


def film(sequence=1, device=ROOM, **changes):
    values = {
        "limb": Limb.HAND, "side": Laterality.LEFT, "study": hexadecimal("study", 1),
        "patient": hexadecimal("patient", 1), "at_s": AT_S + sequence,
    }  # fmt: skip
    return SimulatedFilm(device, sequence, **{**values, **changes})


def result(sequence=1, device=ROOM, *, supersedes=None, **changes):
    made = film(sequence, device, **changes).result(random.Random(sequence))
    return made.model_copy(update={"supersedes": supersedes})


def arrived(message, device=ROOM, kind=None):
    """A message of the contract, parsed as it came on the topic of ``device``."""
    kind = kind or {"ResultMessage": "result", "RejectMessage": "reject", "StateMessage": "state",
                    "HealthMessage": "health", "AnswerMessage": "answer"}.get(
                        type(message).__name__)  # fmt: skip
    parts = (kind,) if kind else ("study", message.study)
    return parse(device.topic(*parts), message.model_dump_json().encode(), None, 1 << 20)


def jpeg(result_id, placed=None):
    """A JPEG of one pixel with the comments of a labelled picture."""
    comments = [f"sharpedge result {result_id}; simulated"]
    comments += [f"sharpedge placed {placed}"] if placed else []
    segments = b"".join(
        b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text.encode() for text in comments
    )
    return JPEG[:2] + segments + JPEG[2:]
