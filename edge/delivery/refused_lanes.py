"""Delivery: the kinds of message that the broker refuses, in the journal and as alerts.

They stand in a table, so that alert and audit outlast a restart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.delivery.refusals import Lane
from edge.system.clock import steady_unix_s

if TYPE_CHECKING:
    from edge.delivery.standing import Raised
    from edge.journal.store import Store

_TOPICS = {Lane.RESULT: "result and reject", Lane.STUDY: "study/+"}


class RefusedLanes:
    """Lanes with the broker's reasons."""

    def __init__(self, store: Store, raised: Raised) -> None:
        self._store = store
        self._raised = raised
        found = store.db.execute("SELECT kind, why FROM refusal ORDER BY kind")
        self._why = {Lane(r["kind"]): str(r["why"]) for r in found if r["kind"] in set(Lane)}
        for lane in self._why:
            self._raise(lane)

    def lanes(self) -> tuple[Lane, ...]:
        """Those that are noted."""
        return tuple(self._why)

    def tell(self, lane: Lane, why: str | None) -> None:
        """Note that the broker refuses a lane (with its reason, where it is known), or takes it."""
        if why is None:
            self._end(lane)
        elif lane not in self._why or (why and self._why[lane] != why):
            self._why[lane] = why
            with self._store.transaction() as db:
                db.execute(
                    "INSERT INTO refusal VALUES (?, ?, ?) "
                    "ON CONFLICT (kind) DO UPDATE SET why = excluded.why",
                    (lane, why, steady_unix_s()),
                )
            self._raise(lane)

    def _end(self, lane: Lane) -> None:
        if self._why.pop(lane, None) is not None:
            with self._store.transaction() as db:
                db.execute("DELETE FROM refusal WHERE kind = ?", (lane,))
            self._raised.end(f"refused-{lane}")

    def _raise(self, lane: Lane) -> None:
        topics = _TOPICS.get(lane, str(lane))
        self._raised.say(
            f"refused-{lane}",
            f"the broker refuses {lane} messages ({self._why[lane]}): they wait and are tried "
            f"again; fix: let the appliance publish on its topics {topics}",
            code="message_refused",
        )
