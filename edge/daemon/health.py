"""The figures of the topic ``health``.

Layer: daemon; called on the sender's thread, with the sender's own connection to the journal.
"""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, NamedTuple

from edge.contract.payloads import HealthMessage
from edge.system.disk import temperature_c

if TYPE_CHECKING:
    from pathlib import Path

    from edge.daemon.station import Stations
    from edge.delivery.figures import Counted
    from edge.delivery.outbox import Outbox
    from edge.delivery.sender import Sender
    from edge.intake.intakes import Intakes


class HealthReport(NamedTuple):
    """The parts of the appliance that the figures come from; ``started_s`` is monotonic."""

    session: int
    started_s: float
    folder: Path
    intake: Intakes
    sender: Sender
    stations: Stations

    def message(self, outbox: Outbox, counted: Counted) -> HealthMessage:
        """Collect the figures. Raises `sqlite3.Error` and `OSError`."""
        head = outbox.store.head()
        depth = counted.depth
        condition = self.intake.condition()
        standing = self.sender.standing()
        return HealthMessage(
            session=self.session,
            at=time.time(),
            uptime_s=time.monotonic() - self.started_s,
            folder_waiting=condition.waiting,
            folder_native=condition.native,
            folder_fault=condition.fault,
            outbox_depth=depth.rows,
            outbox_oldest_s=depth.oldest_s,
            pacs_depth=counted.pacs.rows,
            pacs_oldest_s=counted.pacs.oldest_s,
            pacs_set_aside=counted.pacs.set_aside,
            jobs=counted.jobs,
            disk_free_mib=shutil.disk_usage(self.folder).free >> 20,
            temperature_c=temperature_c(),
            worker_restarts=self.stations.restarts,
            broker_reconnects=standing.reconnects,
            messages_dropped=standing.dropped,
            latency=standing.latency,
            recheck=self.stations.recheck,
            journal_row=head.row,
            journal_head=head.mac,
        )
