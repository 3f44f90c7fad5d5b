"""Lanes that the broker refuses, in the journal and as alerts.

Layer: delivery; reads and writes the table ``refusal``, so that alert and audit survive a restart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.delivery.refusals import STATE, STUDY
from edge.journal.kinds import MQTT
from edge.outputs.table import lanes_of
from edge.system.clock import steady_unix_s

if TYPE_CHECKING:
    from edge.delivery.standing import DeliveryAlerts
    from edge.journal.store import Store


class RefusedLanes:
    """Lanes with the broker's reasons."""

    def __init__(self, store: Store, alerts: DeliveryAlerts) -> None:
        self._store = store
        self._alerts = alerts
        found = store.db.execute("SELECT kind, why FROM refusal ORDER BY kind")
        known = {*lanes_of(MQTT), STUDY, STATE}
        self._why = {str(r["kind"]): str(r["why"]) for r in found if r["kind"] in known}
        for lane in self._why:
            self._raise(lane)

    def lanes(self) -> tuple[str, ...]:
        """Lanes that are stored as refused."""
        return tuple(self._why)

    def update(self, lane: str, why: str | None) -> None:
        """Store that the broker refuses a lane, with its reason; None where it accepts it."""
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

    def _end(self, lane: str) -> None:
        if self._why.pop(lane, None) is not None:
            with self._store.transaction() as db:
                db.execute("DELETE FROM refusal WHERE kind = ?", (lane,))
            self._alerts.clear_alert(f"refused-{lane}")

    def _raise(self, lane: str) -> None:
        topics = "study/+" if lane == STUDY else " and ".join(lanes_of(MQTT).get(lane, (lane,)))
        self._alerts.raise_alert(
            f"refused-{lane}",
            f"the broker refuses {lane} messages ({self._why[lane]}): they wait and are tried "
            f"again; fix: let the appliance publish on its topics {topics}",
            code="message_refused",
        )
