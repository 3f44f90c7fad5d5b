"""When a film ends: once every row that it waits for is closed or set aside.

Layer: journal; reads the outbox, writes the table ``job`` and the log through a `Store`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.journal.kinds import MQTT, RESULT
from edge.journal.states import UNDRAWN, State, move

if TYPE_CHECKING:
    import sqlite3

    from edge.journal.store import Store

_OPEN = frozenset({"queued", "waiting", UNDRAWN})
GIVEN_UP = "dismissed"
"""Why a result is closed that a person gave up: its film is not delivered."""


def film_waits_for(kind: str, destination: str) -> bool:
    """Whether a film waits for rows of a kind: its results, and all that goes elsewhere than MQTT.

    What accompanies a result over MQTT, or stands for a limb without one, does not count.
    """
    return kind == RESULT or destination != MQTT


def states_of_rows(db: sqlite3.Connection, job: int) -> set[str]:
    """States of the rows that a film waits for."""
    found = db.execute("SELECT kind, destination, state FROM outbox WHERE job = ?", (job,))
    return {str(r["state"]) for r in found if film_waits_for(str(r["kind"]), str(r["destination"]))}


def end_film(store: Store, job: int, delivered: State) -> None:
    """Bring a film to its end where no row that it waits for is open; only inside a transaction.

    ``delivered`` is its state then, unless one of them was set aside, or a person has given a
    result up.
    """
    if state_of(store.db, job) not in {State.QUEUED, State.SENT}:
        return
    states = states_of_rows(store.db, job)
    if states & _OPEN:
        return
    if "set_aside" in states:
        move(store, job, State.SET_ASIDE)
        return
    given_up = store.db.execute(
        "SELECT 1 FROM outbox WHERE job = ? AND kind = ? AND why = ?", (job, RESULT, GIVEN_UP)
    ).fetchone()
    move(store, job, delivered if given_up is None else State.DISMISSED)


def state_of(db: sqlite3.Connection, job: int) -> State | None:
    """State of a film; None where a fault took or changed its row, which the audit reports."""
    found = db.execute("SELECT state FROM job WHERE number = ?", (job,)).fetchone()
    return State(found["state"]) if found and found["state"] in set(State) else None
