"""The topics of the MQTT contract, with payload, quality of service and direction.

Layer: contract; a table of payload models.
"""

from __future__ import annotations

from typing import NamedTuple

from edge.contract.payloads import (
    AnswerMessage,
    CommandMessage,
    HealthMessage,
    OperatorMessage,
    ReceiptMessage,
    RejectMessage,
    ResultMessage,
    StateMessage,
    StudyMessage,
)
from edge.model import Record  # noqa: TC001 - in a class body


class Channel(NamedTuple):
    """One topic below ``sharpedge/<site>/<room>/<device>/``."""

    topic: str
    model: type[Record] | None
    content_type: str
    qos: int
    retained: bool
    sent_by_device: bool
    what: str
    receipt: bool = False
    """Whether a dashboard answers on ``receipt`` that it stored the message."""

    @property
    def name(self) -> str:
        """First word of the topic."""
        return self.topic.split("/")[0]


CHANNELS = (
    Channel("state", StateMessage, "application/json", 1, True, True, "birth, will and condition"),
    Channel(
        "result", ResultMessage, "application/json", 1, False, True, "one scored limb", receipt=True
    ),
    Channel(
        "reject",
        RejectMessage,
        "application/json",
        1,
        False,
        True,
        "one limb not scored",
        receipt=True,
    ),
    Channel("image", None, "image/jpeg", 1, False, True, "labelled picture of a result"),
    Channel("study/{study}", StudyMessage, "application/json", 1, True, True, "a patient's set"),
    Channel("health", HealthMessage, "application/json", 0, True, True, "figures of the device"),
    Channel("receipt", ReceiptMessage, "application/json", 1, False, False, "a result is stored"),
    Channel("command", CommandMessage, "application/json", 1, False, False, "a wish"),
    Channel(
        "operator/{account}",
        OperatorMessage,
        "application/json",
        1,
        False,
        False,
        "a person's decision about a film",
    ),
    Channel("answer", AnswerMessage, "application/json", 1, False, True, "what became of a wish"),
)
