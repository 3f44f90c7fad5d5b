"""Stores what arrived: messages, pictures, states, answers, and what was not understood.

Layer: dashboard; writes in the transaction that it is given.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select, update

from dashboard.intake.parse import Answered, Bad, FactArrived, LimbArrived, PictureArrived
from dashboard.store.rows import Attention, insert_new, printable
from dashboard.store.tables import DEVICE, MESSAGE, NOTE, ORDER, PICTURE, PROBLEM, STUDY
from edge.contract.payloads import HealthMessage, StateMessage, StudyMessage
from edge.contract.vocabulary import Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from dashboard.intake.parse import Parsed
    from edge.contract.ids import DeviceName
    from edge.contract.payloads import Ledger

NEVER_S = 0.0
PROBLEMS_KEPT = 500


@dataclass
class Saved:
    """What a transaction has changed."""

    receipts: list[tuple[str, str]] = field(default_factory=list)
    """Topic and id of each message that is stored: to be answered after the commit."""
    new: int = 0
    repeats: int = 0
    bad: int = 0
    without_state: set[DeviceName] = field(default_factory=set)
    """Devices that spoke, and of which no state has come yet."""


def save(connection: Connection, arrived: Iterable[Parsed], now_s: float, pictures: int) -> Saved:
    """Store messages.

    Dashboards of one database may get repeats of one message at once, and all change the rows of
    devices: every transaction takes its rows in one order, so that none waits for ever for another,
    and those of devices last. Messages of one id stay in the order in which they came.

    Parameters
    ----------
    connection
        A transaction; nothing may be answered before it has ended well.
    arrived
        What was parsed.
    now_s
        Seconds since 1970, of this machine.
    pictures
        How many pictures are kept; the oldest go.
    """
    saved = Saved()
    arrived = sorted(arrived, key=_place)
    devices = _devices(connection, arrived, saved)
    pictured = False
    for it in arrived:
        if isinstance(it, Bad):
            saved.bad += 1
            _problem(connection, it, now_s)
            continue
        name = str(it.device)
        if isinstance(it, LimbArrived):
            _message(connection, devices[name], it, now_s, saved)
        elif isinstance(it, PictureArrived):
            _picture(connection, devices[name], it, now_s)
            pictured = True
        elif not isinstance(it, FactArrived):
            _answer(connection, devices[name], it, now_s)
    if pictured:
        _forget_pictures(connection, pictures)
    if saved.bad:
        _forget_problems(connection)
    facts = [it for it in arrived if isinstance(it, FactArrived)]
    heard = {str(it.device) for it in arrived if not isinstance(it, Bad) and _is_heard(it)}
    _mark_heard(connection, devices, heard, {str(it.device) for it in facts}, now_s)
    for fact in facts:
        _fact(connection, devices[str(fact.device)], fact, now_s)
    return saved


def _place(it: Parsed) -> tuple[int, str, str]:
    """Place of a message in its transaction; what has none stays in the order of its arrival."""
    if isinstance(it, LimbArrived):
        return 0, str(it.device), f"{it.message.sequence:020} {it.message.id}"
    if isinstance(it, PictureArrived):
        return 1, str(it.device), it.id
    return (3, str(it.device), "") if isinstance(it, FactArrived) else (2, "", "")


def _is_heard(it: LimbArrived | PictureArrived | FactArrived | Answered) -> bool:
    """Whether a device has just spoken; what the broker had kept says nothing about now."""
    return not (isinstance(it, FactArrived) and it.retained)


def _devices(connection: Connection, arrived: Iterable[Parsed], saved: Saved) -> dict[str, int]:
    """Keys of all devices, made where they are new."""
    named: dict[str, DeviceName] = {}
    heard, stated = set(), set()
    for it in arrived:
        if isinstance(it, Bad):
            continue
        named[str(it.device)] = it.device
        if _is_heard(it):
            heard.add(str(it.device))
        if isinstance(it, FactArrived) and isinstance(it.message, StateMessage):
            stated.add(str(it.device))
    mine = select(DEVICE.c.name, DEVICE.c.pk, DEVICE.c.state.is_(None).label("unknown")).where(
        DEVICE.c.name.in_(named)
    )
    found = {row.name: row for row in connection.execute(mine)}
    if len(found) < len(named):
        for name in sorted(named.keys() - found.keys()):
            insert_new(connection, DEVICE, {"name": name, "seen_s": NEVER_S})
        found = {row.name: row for row in connection.execute(mine)}
    saved.without_state = {named[it] for it in heard - stated if found[it].unknown}
    return {name: int(row.pk) for name, row in found.items()}


def _mark_heard(
    connection: Connection,
    devices: dict[str, int],
    heard: set[str],
    changed: set[str],
    now_s: float,
) -> None:
    """Lock the rows of devices that are about to change, and note when they were heard."""
    keys = [devices[it] for it in heard | changed]
    mine = select(DEVICE.c.pk).where(DEVICE.c.pk.in_(keys)).order_by(DEVICE.c.pk)
    connection.execute(mine.with_for_update(key_share=True)).all()
    spoke = DEVICE.c.pk.in_([devices[it] for it in heard])
    connection.execute(update(DEVICE).where(spoke, DEVICE.c.seen_s < now_s).values(seen_s=now_s))


def _message(
    connection: Connection, device_pk: int, it: LimbArrived, now_s: float, saved: Saved
) -> None:
    """Keep the first message of an id; a repeat is answered again."""
    message = it.message
    topic = it.device.topic("receipt")
    mine = MESSAGE.c.device_pk == device_pk
    later = connection.execute(
        select(MESSAGE.c.id)
        .where(mine, MESSAGE.c.supersedes == message.id)
        .order_by(MESSAGE.c.sequence.desc())
        .limit(1)
    ).scalar()
    if insert_new(connection, MESSAGE, _row(device_pk, it, later, now_s)):
        saved.new += 1
        if message.supersedes is not None:
            connection.execute(
                update(MESSAGE)
                .where(mine, MESSAGE.c.id == message.supersedes)
                .values(superseded_by=message.id, attention=Attention.SEEN)
            )
    else:
        saved.repeats += 1
        digest = connection.execute(
            select(MESSAGE.c.digest).where(mine, MESSAGE.c.id == message.id)
        ).scalar_one()
        if digest != it.digest:
            what = f"{message.id}: sent again with other contents; the first ones are kept"
            _problem(connection, Bad(it.device.topic(it.kind), what, len(it.payload)), now_s)
            saved.bad += 1
        elif message.status is Status.HELD:
            # It was tried again, and is held as before.
            connection.execute(
                update(MESSAGE)
                .where(mine, MESSAGE.c.id == message.id, MESSAGE.c.decided == "retry",
                       MESSAGE.c.superseded_by.is_(None))
                .values(decided=None, attention=Attention.HELD)
            )  # fmt: skip
    saved.receipts.append((topic, message.id))


def _row(device_pk: int, it: LimbArrived, later: str | None, now_s: float) -> dict[str, Any]:
    message, sums = it.message, it.message.subtotals
    joined = message.identifiers
    held = message.status is Status.HELD
    attention = Attention.SEEN if later else Attention.HELD if held else Attention.NEW
    return {
        "device_pk": device_pk,
        "id": message.id,
        "kind": it.kind,
        "sequence": message.sequence,
        "status": str(message.status),
        "reason": message.reason and printable(message.reason[:64]),
        "limb": message.limb and str(message.limb),
        "side": message.laterality and str(message.laterality),
        "study": message.study,
        "patient": message.patient,
        "joined": None if joined is None else joined.model_dump_json(exclude_none=True),
        "job": message.job,
        "supersedes": message.supersedes,
        "superseded_by": later,
        # A clock that was not set, or a forged time, must not put a row before all others.
        "film_s": min(message.ledger.closed, now_s) if message.ledger.clock_synchronised else now_s,
        "received_s": now_s,
        "latency_ms": latency_ms(message.ledger),
        "erosion": sums and sums.erosion.score,
        "narrowing": sums and sums.narrowing.score,
        "n_scored": message.n_scored,
        "n_expected": message.n_expected,
        "attention": int(attention),
        "payload": it.payload,
        "digest": it.digest,
    }


def latency_ms(ledger: Ledger) -> float:
    """From the film's file closed to its result queued, by the device's own clock."""
    return (ledger.queued - ledger.closed) * 1000


def _picture(connection: Connection, device_pk: int, it: PictureArrived, now_s: float) -> None:
    values = {"device_pk": device_pk, "id": it.id, "jpeg": it.jpeg, "placed": it.placed,
              "received_s": now_s}  # fmt: skip
    insert_new(connection, PICTURE, values)


def _forget_pictures(connection: Connection, kept: int) -> None:
    last = select(PICTURE.c.pk).order_by(PICTURE.c.pk.desc()).offset(kept).limit(1)
    oldest = connection.execute(last).scalar()
    if oldest is not None:
        connection.execute(delete(PICTURE).where(PICTURE.c.pk <= oldest))


def _fact(connection: Connection, device_pk: int, it: FactArrived, now_s: float) -> None:
    message = it.message
    mine = DEVICE.c.pk == device_pk
    if isinstance(message, StateMessage):
        connection.execute(update(DEVICE).where(mine).values(state=it.payload))
    elif isinstance(message, HealthMessage):
        values = {"health": it.payload, "health_s": now_s}
        connection.execute(update(DEVICE).where(mine).values(values))
    else:
        _study(connection, device_pk, message, it.payload)


def _study(connection: Connection, device_pk: int, message: StudyMessage, payload: str) -> None:
    values = {"payload": payload, "changed_s": message.changed}
    fresh = {"device_pk": device_pk, "study": message.study, **values}
    if not insert_new(connection, STUDY, fresh):
        connection.execute(
            update(STUDY)
            .where(STUDY.c.device_pk == device_pk, STUDY.c.study == message.study,
                   STUDY.c.changed_s <= message.changed)
            .values(values)
        )  # fmt: skip


def _answer(connection: Connection, device_pk: int, it: Answered, now_s: float) -> None:
    """Keep an answer with the order that it belongs to.

    Without MQTT 5 there is no correlation: it is then the oldest order of that kind.
    """
    open_ones = (
        select(ORDER.c.pk, ORDER.c.message_pk, ORDER.c.command)
        .join(MESSAGE, MESSAGE.c.pk == ORDER.c.message_pk)
        .where(MESSAGE.c.device_pk == device_pk, ORDER.c.answered_s.is_(None))
        .order_by(ORDER.c.pk)
        .limit(1)
    )
    if it.correlation is not None:
        open_ones = open_ones.where(ORDER.c.correlation == it.correlation)
    else:
        open_ones = open_ones.where(ORDER.c.command == str(it.message.command))
    found = connection.execute(open_ones).first()
    if found is None:
        return
    values = {
        "answered_s": now_s,
        "done": it.message.done,
        "detail": printable(it.message.detail[:500]),
    }
    connection.execute(update(ORDER).where(ORDER.c.pk == found.pk).values(values))
    if it.message.done:
        connection.execute(
            update(MESSAGE)
            .where(MESSAGE.c.pk == found.message_pk)
            .values(decided=found.command, attention=Attention.SEEN)
        )


def _problem(connection: Connection, it: Bad, now_s: float) -> None:
    values = {"at_s": now_s, "topic": printable(it.topic), "what": printable(it.what),
              "bytes": it.bytes}  # fmt: skip
    connection.execute(PROBLEM.insert().values(values))
    count(connection, "messages_bad")


def _forget_problems(connection: Connection) -> None:
    last = select(PROBLEM.c.pk).order_by(PROBLEM.c.pk.desc()).offset(PROBLEMS_KEPT).limit(1)
    oldest = connection.execute(last).scalar()
    if oldest is not None:
        connection.execute(delete(PROBLEM).where(PROBLEM.c.pk <= oldest))


def count(connection: Connection, name: str) -> None:
    """Count one more of something."""
    insert_new(connection, NOTE, {"name": name, "value": "0"})
    number = select(NOTE.c.value).where(NOTE.c.name == name)
    value = int(connection.execute(number).scalar_one()) + 1
    connection.execute(update(NOTE).where(NOTE.c.name == name).values(value=str(value)))
