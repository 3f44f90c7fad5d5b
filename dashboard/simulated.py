"""Simulated messages of appliances, for the demo, the load generator and the tests.

Layer: dashboard; pure. Grades come from a random generator and mean nothing about patients.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.contract.ids import ResultKey
from edge.contract.payloads import (
    Alert,
    ClosedSource,
    DeliveryMode,
    HealthMessage,
    Latency,
    Ledger,
    Presence,
    RejectMessage,
    ResultMessage,
    StateMessage,
)
from edge.contract.vocabulary import (
    LIMBS,
    NARROWING_MAXIMUM,
    REASONS,
    JointScore,
    Laterality,
    LateralitySource,
    Limb,
    Status,
    Versions,
    has_narrowing,
    limb_subtotals,
)

if TYPE_CHECKING:
    import random

    from edge.contract.ids import DeviceName
    from edge.contract.vocabulary import LimbResult, Reason

_ENGINES = "e5" * 32
_VERSIONS: dict[str, Any] = {"software": "0.0.0-simulated", "engines": {"hand-score": "0" * 16}}
_STEP_PX = 160.0


def hexadecimal(*words: object) -> str:
    """32 digits that stand for some words: a pseudonym of a patient or study who never was."""
    return hashlib.sha256("|".join(map(str, words)).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class SimulatedFilm:
    """A film that was never taken: whose, which limb, when, and its number in the device."""

    device: DeviceName
    sequence: int
    limb: Limb
    side: Laterality
    study: str
    patient: str | None
    at_s: float
    latency_s: float = 0.6

    @property
    def sha256(self) -> str:
        """Hash that the film's bytes would have."""
        words = f"{self.device}|{self.sequence}|{self.study}"
        return hashlib.sha256(words.encode()).hexdigest()

    def result(self, chance: random.Random, worst: float = 0.4) -> ResultMessage:
        """A result with grades up to a share ``worst`` of their maximum."""
        joints = tuple(
            _joint(self.limb, name, number, chance, worst)
            for number, name in enumerate(LIMBS[self.limb].joints)
        )
        fields = self._fields(Status.SCORED) | {
            "joints": joints,
            "subtotals": limb_subtotals(self.limb, joints),
            "n_scored": sum(it.erosion is not None for it in joints),
        }
        return ResultMessage.model_validate(fields)

    def of(self, limb: LimbResult, supersedes: str | None = None) -> ResultMessage:
        """The result that a limb's scores give on this film."""
        fields = self._fields(Status.SCORED) | dict(limb) | {"supersedes": supersedes}
        return ResultMessage.model_validate(fields)

    def like(self, other: ResultMessage) -> ResultMessage:
        """A result of this film with the joints and grades of another one of the same limb."""
        own = self._fields(Status.SCORED) | {"versions": other.versions}
        return other.model_copy(update=own)

    def reject(self, reason: Reason) -> RejectMessage:
        """A message that the film is held or rejected."""
        text = REASONS[reason]
        fields = self._fields(text.status) | {
            "reason": str(reason), "advice": text.advice, "laterality": None,
            "laterality_source": None,
        }  # fmt: skip
        return RejectMessage.model_validate(fields)

    def _fields(self, status: Status) -> dict[str, Any]:
        at_s, took_s = self.at_s, self.latency_s
        ledger = Ledger(
            closed=at_s,
            closed_source=ClosedSource.CLOSE_EVENT,
            picked_up=at_s + 0.01 * took_s,
            decoded=at_s + 0.1 * took_s,
            inferred=at_s + 0.98 * took_s,
            queued=at_s + took_s,
            sent=at_s + took_s,
            stage_ms={"decode": 46.0, "find": 110.0, "mask": 140.0, "score": 240.0},
            clock_synchronised=True,
        )
        return {
            "file": "film.jpg", "limb_index": 0, "status": status, "limb": self.limb,
            "laterality": self.side, "laterality_source": LateralitySource.FILENAME,
            "n_expected": len(LIMBS[self.limb].joints), "versions": _VERSIONS,
            "id": ResultKey(self.device, self.sha256, 0, _ENGINES).result_id(),
            "sequence": self.sequence, "site": self.device.site, "room": self.device.room,
            "device": self.device.device, "job": self.sequence, "film_sha256": self.sha256,
            "study": self.study, "patient": self.patient, "historical": False, "sending": 1,
            "ledger": ledger,
        }  # fmt: skip


def _joint(limb: Limb, name: str, number: int, chance: random.Random, worst: float) -> JointScore:
    left, top = 120.0 + number % 5 * _STEP_PX, 200.0 + number // 5 * 3 * _STEP_PX
    box = (left, top, _STEP_PX, _STEP_PX)
    erosion = _grade(LIMBS[limb].erosion_maximum, chance, worst)
    fields: dict[str, Any] = {
        "name": name, "confidence": 0.97, "box": box,
        "centre": (left + _STEP_PX / 2, top + _STEP_PX / 2),
    }  # fmt: skip
    if chance.random() < 0.04:
        return JointScore(**fields, erosion_reason="doubtful", narrowing_reason="doubtful")
    fields |= {"erosion": erosion, "erosion_expected": _near(erosion, chance)}
    if not has_narrowing(limb, name):
        return JointScore(**fields, narrowing_reason="not_in_svh")
    narrowing = _grade(NARROWING_MAXIMUM, chance, worst)
    return JointScore(**fields, narrowing=narrowing, narrowing_expected=_near(narrowing, chance))


def _grade(maximum: int, chance: random.Random, worst: float) -> int:
    return min(maximum, int(chance.random() ** 2 * worst * (maximum + 1)))


def _near(grade: int, chance: random.Random) -> float:
    return round(max(0.0, grade + chance.uniform(-0.4, 0.4)), 2)


def simulated_state(
    device: DeviceName, at_s: float, state: Presence = Presence.ONLINE, *alerts: Alert
) -> StateMessage:
    """State of a device that does not exist."""
    return StateMessage(
        state=state, session=1, site=device.site, room=device.room, device=device.device,
        since=at_s, protocol="5", delivery=DeliveryMode.RECEIPT,
        versions=Versions.model_validate(_VERSIONS), alerts=alerts,
    )  # fmt: skip


def simulated_health(device: DeviceName, at_s: float, films: int, held: int) -> HealthMessage:
    """Figures of a device that does not exist."""
    spread = sum(map(ord, str(device))) % 60
    return HealthMessage(
        session=1, at=at_s, uptime_s=86_400.0, folder_waiting=0, folder_native=True,
        outbox_depth=0, outbox_oldest_s=0.0, jobs={"receipted": films, "held": held},
        disk_free_mib=51_200, temperature_c=48.5, worker_restarts=0, broker_reconnects=0,
        latency=Latency(count=films, p50_ms=180.0 + spread, p99_ms=260.0 + spread),
        journal_row=films, journal_head="0a" * 32,
    )  # fmt: skip
