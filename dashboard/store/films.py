"""One film with its picture, corrections and orders; the films of a study or patient.

Layer: dashboard; reads and writes the store.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update

from dashboard.store.rows import Attention
from dashboard.store.tables import CORRECTION, DEVICE, MESSAGE, ORDER, PICTURE, STUDY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Select

FILMS_OF_ONE = 400
"""No more of one patient are shown."""


def _films() -> Select[Any]:
    return select(MESSAGE, DEVICE.c.name.label("device")).join(
        DEVICE, DEVICE.c.pk == MESSAGE.c.device_pk
    )


def film(connection: Connection, pk: int) -> Any:
    """Row of a film; None where there is none with this key."""
    return connection.execute(_films().where(MESSAGE.c.pk == pk)).first()


def film_of_id(connection: Connection, device_pk: int, result_id: str | None) -> Any:
    """Row of a device's film by the id of its message; None where it has not come."""
    if result_id is None:
        return None
    mine = (MESSAGE.c.device_pk == device_pk, MESSAGE.c.id == result_id)
    return connection.execute(_films().where(*mine)).first()


def films_of(connection: Connection, column: str, value: str) -> Sequence[Any]:
    """Films of a ``study`` or a ``patient``, oldest first."""
    chosen = {"study": MESSAGE.c.study, "patient": MESSAGE.c.patient}[column]
    statement = _films().where(chosen == value).order_by(MESSAGE.c.film_s.desc(), MESSAGE.c.pk)
    return connection.execute(statement.limit(FILMS_OF_ONE)).all()[::-1]


def picture_of(connection: Connection, pk: int) -> Any:
    """The picture of a film with ``jpeg`` and ``placed``; None where none has come or is kept."""
    return connection.execute(
        select(PICTURE.c.jpeg, PICTURE.c.placed)
        .join(
            MESSAGE,
            (MESSAGE.c.device_pk == PICTURE.c.device_pk) & (MESSAGE.c.id == PICTURE.c.id),
        )
        .where(MESSAGE.c.pk == pk)
    ).first()


def placed_of(connection: Connection, pks: Iterable[int]) -> dict[int, str | None]:
    """Of which films there is a picture, and where the film lies in it."""
    found = connection.execute(
        select(MESSAGE.c.pk, PICTURE.c.placed)
        .join(
            PICTURE,
            (MESSAGE.c.device_pk == PICTURE.c.device_pk) & (MESSAGE.c.id == PICTURE.c.id),
        )
        .where(MESSAGE.c.pk.in_(list(pks)))
    )
    return {row.pk: row.placed for row in found}


def mark_read(connection: Connection, pk: int, person: str) -> None:
    """Note that a person has read a result; one that was read, or is held, stays as it is."""
    connection.execute(
        update(MESSAGE)
        .where(MESSAGE.c.pk == pk, MESSAGE.c.attention == Attention.NEW)
        .values(attention=Attention.SEEN, read_s=time.time(), read_by=person)
    )


def corrections_of(connection: Connection, pk: int) -> Sequence[Any]:
    """Every grade that people stated on a film, oldest first."""
    mine = CORRECTION.c.message_pk == pk
    return connection.execute(select(CORRECTION).where(mine).order_by(CORRECTION.c.pk)).all()


def correct(connection: Connection, pk: int, person: str, values: dict[str, Any]) -> None:
    """Keep a joint's grades as a person states them, beside the machine's."""
    row = {"message_pk": pk, "person": person, "at_s": time.time(), **values}
    connection.execute(CORRECTION.insert().values(row))


def corrected_films(connection: Connection) -> Sequence[Any]:
    """Rows of all films on which a person stated a grade, and that no other one replaces."""
    stated = select(CORRECTION.c.message_pk).distinct()
    return connection.execute(
        _films()
        .where(MESSAGE.c.pk.in_(stated), MESSAGE.c.superseded_by.is_(None))
        .order_by(MESSAGE.c.pk)
    ).all()


def orders_of(connection: Connection, pk: int) -> Sequence[Any]:
    """Every order about a film, the latest first."""
    mine = ORDER.c.message_pk == pk
    return connection.execute(select(ORDER).where(mine).order_by(ORDER.c.pk.desc())).all()


def begin_order(connection: Connection, pk: int, values: dict[str, Any]) -> None:
    """Keep an order before it is sent."""
    connection.execute(ORDER.insert().values({"message_pk": pk, "asked_s": time.time(), **values}))


def decided_elsewhere(connection: Connection, pk: int) -> None:
    """Take a film from those that are held, because its device holds it no more."""
    connection.execute(
        update(MESSAGE)
        .where(MESSAGE.c.pk == pk, MESSAGE.c.attention == Attention.HELD)
        .values(decided="elsewhere", attention=Attention.SEEN)
    )


def study_messages(connection: Connection, study: str) -> Sequence[str]:
    """What devices said of a study, as they said it."""
    found = select(STUDY.c.payload).where(STUDY.c.study == study)
    return list(connection.execute(found.order_by(STUDY.c.changed_s.desc())).scalars())


def end_order(connection: Connection, correlation: str, detail: str) -> None:
    """Keep that an order was not sent."""
    connection.execute(
        update(ORDER)
        .where(ORDER.c.correlation == correlation)
        .values(answered_s=time.time(), done=False, detail=detail)
    )
