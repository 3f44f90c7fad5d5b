"""States of a film, and the change from one state to the next.

Layer: journal; writes the table ``job`` and the log through a `Store`.

Waiting: `State.SEEN` (in the folder, no row yet), claimed, scored, queued, sent,
held. Final: receipted (acked in the weaker delivery mode), duplicate, quarantined, set_aside,
dismissed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.enums import StrEnum
from edge.system.clock import steady_unix_s

if TYPE_CHECKING:
    from edge.journal.store import Store


class State(StrEnum):
    """State of a film."""

    SEEN = "seen"
    CLAIMED = "claimed"
    SCORED = "scored"
    QUEUED = "queued"
    SENT = "sent"
    HELD = "held"
    RECEIPTED = "receipted"
    ACKED = "acked"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"
    SET_ASIDE = "set_aside"
    DISMISSED = "dismissed"


UNDRAWN = "undrawn"
"""State of an outbox row whose picture is not written yet: it is open, and is not sent."""
HAS_RESULT = (State.QUEUED, State.SENT, State.RECEIPTED, State.ACKED)
ENDS = (
    State.RECEIPTED,
    State.ACKED,
    State.DUPLICATE,
    State.QUARANTINED,
    State.SET_ASIDE,
    State.DISMISSED,
)


def move(store: Store, job: int, state: State, **detail: object) -> None:
    """Bring a film into a state, in the table and in the log; only inside a transaction.

    Details that are None are left out of the log.
    """
    store.db.execute(
        "UPDATE job SET state = ?, since = ? WHERE number = ?", (state, steady_unix_s(), job)
    )
    store.log(state, job, **{k: v for k, v in detail.items() if v is not None})
