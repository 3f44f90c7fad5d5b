"""Parses what arrives by the contract; what does not satisfy it becomes a `Bad`.

Layer: dashboard; pure. A device's name is that of the topic, to which the broker's access list
keeps each device; a payload that names another one is not believed.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from edge.contract.ids import DeviceName
from edge.contract.payloads import (
    AnswerMessage,
    HealthMessage,
    RejectMessage,
    ResultMessage,
    StateMessage,
    StudyMessage,
)

if TYPE_CHECKING:
    from edge.contract.vocabulary import Record

PAYLOAD_BYTES = 1 << 20
"""No JSON of the contract is longer."""
_HEAD_BYTES = 8192
_RESULT = re.compile(rb"\xff\xfe..sharpedge result ([0-9a-f-]{36})", re.DOTALL)
_PLACED = re.compile(rb"\xff\xfe..sharpedge placed ((?:-?[0-9.e+-]+ ?){6})", re.DOTALL)
_MODELS: dict[str, type[Record]] = {
    "result": ResultMessage,
    "reject": RejectMessage,
    "state": StateMessage,
    "health": HealthMessage,
    "study": StudyMessage,
    "answer": AnswerMessage,
}
_NOT_OURS = frozenset({"receipt", "command", "operator"})
"""Topics on which dashboards and operators publish."""
_SMALL, _LARGE = 10_000, 2**53
_LATEST_S = 253_370_764_800.0
"""The year 9999: later times have no date."""
_OF_ONE_SENDING = ("sending", "historical")


@dataclass(frozen=True)
class LimbArrived:
    """A result or reject. ``digest`` is that of its content, whichever sending it is."""

    device: DeviceName
    kind: str
    message: ResultMessage | RejectMessage
    payload: str
    digest: str


@dataclass(frozen=True)
class PictureArrived:
    """A labelled picture; ``placed`` leads from film to picture, six numbers, where it says so."""

    device: DeviceName
    id: str
    jpeg: bytes
    placed: str | None


@dataclass(frozen=True)
class FactArrived:
    """State, health or study: the latest counts. ``retained``: the broker had kept it."""

    device: DeviceName
    message: StateMessage | HealthMessage | StudyMessage
    payload: str
    retained: bool = False


@dataclass(frozen=True)
class Answered:
    """A device's answer to a command."""

    device: DeviceName
    message: AnswerMessage
    correlation: str | None


@dataclass(frozen=True)
class Bad:
    """What does not satisfy the contract; nothing of its contents is kept."""

    topic: str
    what: str
    bytes: int


Parsed = LimbArrived | PictureArrived | FactArrived | Answered | Bad


def parse(
    topic: str,
    payload: bytes,
    correlation: bytes | None,
    picture_bytes: int,
    *,
    retained: bool = False,
) -> Parsed | None:
    """Parse one message.

    Parameters
    ----------
    topic, payload
        As they arrived.
    correlation
        Correlation data of MQTT 5.
    picture_bytes
        Longest picture that is kept.
    retained
        Whether the broker had kept it, so that it says nothing about now.

    Returns
    -------
    Parsed or None
        None for what asks for nothing: a cleared topic, and topics on which dashboards publish.
    """
    shown = topic[:200]
    parts = topic.split("/")
    device = DeviceName.parse("/".join(parts[1:4])) if len(parts) > 4 else None
    if device is None or parts[0] != "sharpedge":
        return Bad(shown, "no topic of an appliance", len(payload))
    kind, rest = parts[4], parts[5:]
    if kind in _NOT_OURS:
        return None
    if (kind not in _MODELS and kind != "image") or len(rest) != (kind == "study"):
        return Bad(shown, "a topic that the contract does not know", len(payload))
    if kind == "image":
        return _picture(device, shown, payload, picture_bytes)
    if not payload:
        return None
    if len(payload) > PAYLOAD_BYTES:
        return Bad(shown, f"more than {PAYLOAD_BYTES} bytes", len(payload))
    try:
        message = _MODELS[kind].model_validate_json(payload)
    except ValidationError as error:
        return Bad(shown, _why(error), len(payload))
    except (ValueError, RecursionError):
        return Bad(shown, "no JSON", len(payload))
    if _names_another(message, device, rest):
        return Bad(shown, "its payload names another device or study than its topic", len(payload))
    text = payload.decode("utf-8")
    if isinstance(message, (ResultMessage, RejectMessage)):
        if not _is_in_range(message):
            return Bad(shown, "a number that is out of range", len(payload))
        return LimbArrived(device, kind, message, text, _digest(text))
    if isinstance(message, AnswerMessage):
        return Answered(device, message, _text(correlation))
    assert isinstance(message, (StateMessage, HealthMessage, StudyMessage))  # noqa: S101
    return FactArrived(device, message, text, retained)


def _picture(device: DeviceName, shown: str, payload: bytes, longest: int) -> Parsed:
    head = payload[:_HEAD_BYTES]
    found = _RESULT.search(head)
    if not payload.startswith(b"\xff\xd8\xff") or found is None:
        return Bad(shown, "no JPEG with the comment of a result", len(payload))
    if len(payload) > longest:
        return Bad(shown, f"a picture of more than {longest} bytes", len(payload))
    placed = _PLACED.search(head)
    return PictureArrived(
        device, found[1].decode(), payload, placed[1].decode().strip() if placed else None
    )


def _names_another(message: Record, device: DeviceName, rest: list[str]) -> bool:
    if isinstance(message, (ResultMessage, RejectMessage, StateMessage)):
        return DeviceName(message.site, message.room, message.device) != device
    return isinstance(message, StudyMessage) and [message.study] != rest


def _is_in_range(message: ResultMessage | RejectMessage) -> bool:
    """Whether its numbers fit columns of a database and a calendar."""
    sums = message.subtotals
    scores = () if sums is None else (sums.erosion.score or 0, sums.narrowing.score or 0)
    small = (message.n_scored, message.n_expected, *scores)
    ledger = message.ledger
    return (
        all(0 <= it <= _SMALL for it in small)
        and message.sequence <= _LARGE
        and message.job <= _LARGE
        and all(0 <= it <= _LATEST_S for it in (ledger.closed, ledger.queued))
    )


def _digest(payload: str) -> str:
    """Hash of what all sendings of a message share."""
    body: dict[str, Any] = json.loads(payload)
    for key in _OF_ONE_SENDING:
        body.pop(key, None)
    body["ledger"] = {k: v for k, v in body["ledger"].items() if k != "sent"}
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _why(error: ValidationError) -> str:
    """Say where a payload departs from the contract, never what stands there."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    place = ".".join(str(part)[:40] for part in first["loc"][:6])
    return f"{place or 'payload'}: {first['type']}"[:200]


def _text(correlation: bytes | None) -> str | None:
    return correlation.decode("ascii", "replace")[:64] if correlation else None
