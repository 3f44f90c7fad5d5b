"""The worklist: films by how much they ask for a person, the latest first; search, filters, pages.

Layer: dashboard; reads the store. A page is found by the last row's key, so that the thousandth is
as quick as the first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, select, tuple_, union_all

from dashboard.store.rows import Attention
from dashboard.store.tables import DEVICE, MESSAGE
from edge.contract.vocabulary import REASONS, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection, Select

ROWS = 50
SHOWN = ("all", "held", "new", "scored", "rejected", "replaced")
_SIDES = {"left": "L", "right": "R", "l": "L", "r": "R"}
_LIMBS = {"hand": "hand", "hands": "hand", "foot": "foot", "feet": "foot"}
_WORDS = 6
_JOB_DIGITS = 16
_HEXADECIMAL = re.compile(r"[0-9a-f-]{1,36}")
_COLUMNS = (
    MESSAGE.c.pk, MESSAGE.c.id, MESSAGE.c.sequence, MESSAGE.c.status, MESSAGE.c.reason,
    MESSAGE.c.limb, MESSAGE.c.side, MESSAGE.c.study, MESSAGE.c.patient, MESSAGE.c.joined,
    MESSAGE.c.superseded_by, MESSAGE.c.decided, MESSAGE.c.film_s, MESSAGE.c.received_s,
    MESSAGE.c.latency_ms, MESSAGE.c.erosion, MESSAGE.c.narrowing, MESSAGE.c.n_scored,
    MESSAGE.c.n_expected, MESSAGE.c.attention, MESSAGE.c.read_by, DEVICE.c.name.label("device"),
)  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """What of the worklist is wanted; ``after`` is the key of the row before the page."""

    shown: str = "all"
    words: str = ""
    device: str = ""
    after: tuple[int, float, int] | None = None


@dataclass(frozen=True)
class Page:
    """Rows, and the key with which the next page begins; None on the last."""

    rows: Sequence[Any]
    next: tuple[int, float, int] | None


def page_of(connection: Connection, wanted: Wanted, rows: int = ROWS) -> Page:
    """Read one page."""
    statement = _where(select(*_COLUMNS).join(DEVICE, DEVICE.c.pk == MESSAGE.c.device_pk), wanted)
    key = (MESSAGE.c.attention, MESSAGE.c.film_s, MESSAGE.c.pk)
    if wanted.after is not None:
        statement = statement.where(tuple_(*key) < wanted.after)
    found = connection.execute(statement.order_by(*(it.desc() for it in key)).limit(rows + 1)).all()
    kept = found[:rows]
    last = kept[-1] if len(found) > rows else None
    after = None if last is None else (int(last.attention), float(last.film_s), int(last.pk))
    return Page(kept, after)


def counts(connection: Connection) -> dict[str, int]:
    """How many films are held, and how many are new."""
    held, new = (
        connection.execute(
            select(func.count()).select_from(MESSAGE).where(MESSAGE.c.attention == it)
        ).scalar_one()
        for it in (Attention.HELD, Attention.NEW)
    )
    return {"held": int(held), "new": int(new)}


def _where(statement: Select[Any], wanted: Wanted) -> Select[Any]:
    shown: dict[str, ColumnElement[bool]] = {
        "held": MESSAGE.c.attention == Attention.HELD,
        "new": MESSAGE.c.attention == Attention.NEW,
        "scored": and_(MESSAGE.c.status == "scored", MESSAGE.c.superseded_by.is_(None)),
        "rejected": MESSAGE.c.status == "rejected",
        "replaced": MESSAGE.c.superseded_by.is_not(None),
    }
    if wanted.shown in shown:
        statement = statement.where(shown[wanted.shown])
    if wanted.device:
        statement = statement.where(DEVICE.c.name == wanted.device)
    for word in wanted.words.split()[:_WORDS]:
        statement = statement.where(_matches(word))
    return statement


def _matches(word: str) -> ColumnElement[bool]:
    """A word of the search: a side, a limb, the beginning of an id, a part of a text."""
    plain = word.casefold()
    if plain in _SIDES:
        return MESSAGE.c.side == _SIDES[plain]
    if plain in _LIMBS:
        return MESSAGE.c.limb == _LIMBS[plain]
    return MESSAGE.c.pk.in_(union_all(*_found_by(plain)))


def _found_by(plain: str) -> list[Select[Any]]:
    """Keys of the rows that a word finds, each part by an index of its own."""
    keys = select(MESSAGE.c.pk)
    named = select(DEVICE.c.pk).where(DEVICE.c.name.icontains(plain, autoescape=True))
    joined = MESSAGE.c.joined
    found = [
        keys.where(MESSAGE.c.device_pk.in_(named)),
        keys.where(joined.is_not(None), joined.icontains(plain, autoescape=True)),
    ]
    statuses = [it.value for it in Status if plain in it.value]
    reasons = _reasons(plain)
    found += [keys.where(MESSAGE.c.status.in_(statuses))] if statuses else []
    found += [keys.where(MESSAGE.c.reason.in_(reasons))] if reasons else []
    if _HEXADECIMAL.fullmatch(plain):
        # No id goes on with a letter after f: this range is all that begin so.
        columns = (MESSAGE.c.id, MESSAGE.c.study, MESSAGE.c.patient)
        found += [keys.where(it >= plain, it < f"{plain}g") for it in columns]
    if plain.isascii() and plain.isdecimal() and len(plain) < _JOB_DIGITS:
        found.append(keys.where(MESSAGE.c.job == int(plain)))
    return found


def _reasons(plain: str) -> list[str]:
    """Codes of the reasons in whose code or meaning a word is."""
    return [
        code.value
        for code, text in REASONS.items()
        if plain in code.value or plain in text.meaning.casefold()
    ]
