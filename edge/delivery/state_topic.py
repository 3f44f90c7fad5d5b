"""The retained topic ``state``: when it is published, and with what.

Layer: delivery; reads the journal's head, publishes over `Outgoing`.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from edge.contract.payloads import Presence, StateMessage
from edge.delivery.refusals import STATE
from edge.delivery.standing import Announcement, presence_with

if TYPE_CHECKING:
    from edge.contract.ids import DeviceName
    from edge.contract.payloads import DeliveryMode
    from edge.delivery.outgoing import Outgoing
    from edge.delivery.standing import DeliveryAlerts
    from edge.journal.store import Store


class StateTopic:
    """State messages of one run; ``session`` counts the appliance's starts."""

    def __init__(
        self,
        store: Store,
        device: DeviceName,
        session: int,
        mode: DeliveryMode,
        alerts: DeliveryAlerts,
    ) -> None:
        self._store = store
        self._device = device
        self._session = session
        self._mode = mode
        self._alerts = alerts
        self._since = time.time()
        self._published: Announcement | None = None

    def forget(self) -> None:
        """Have the state published again."""
        self._published = None

    def publish(self, outgoing: Outgoing, announcement: Announcement, protocol: str) -> None:
        """Publish the state where it has changed, or was refused, and may be sent now."""
        alerts = (*announcement.alerts, *self._alerts.active())
        presence = presence_with(announcement.presence, alerts)
        wanted = replace(announcement, alerts=alerts, presence=presence)
        if wanted == self._published and not outgoing.is_paused(STATE):
            return
        if outgoing.may_send(STATE):
            outgoing.publish_state(self.topic, self.payload(wanted, protocol))
            self._published = wanted

    def publish_offline(
        self, outgoing: Outgoing, announcement: Announcement, protocol: str
    ) -> None:
        """Publish the state ``offline``."""
        offline = Announcement(Presence.OFFLINE, announcement.versions)
        outgoing.publish_state(self.topic, self.payload(offline, protocol))

    @property
    def topic(self) -> str:
        """The device's topic ``state``."""
        return self._device.topic("state")

    def payload(self, announcement: Announcement, protocol: str) -> bytes:
        """JSON of a `StateMessage`; ``protocol`` is ``"5"`` or ``"3.1.1"``."""
        head = self._store.head()
        message = StateMessage.model_validate(
            {
                "state": announcement.presence,
                "session": self._session,
                "site": self._device.site,
                "room": self._device.room,
                "device": self._device.device,
                "since": self._since,
                "protocol": protocol,
                "delivery": self._mode,
                "versions": announcement.versions,
                "alerts": announcement.alerts,
                "journal_row": head.row,
                "journal_head": head.mac,
            }
        )
        return message.model_dump_json().encode()
