"""Reads the reports of storage commitment that a PACS sends.

Layer: delivery; on the threads of associations; hands reports to a queue.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pynetdicom.sop_class import StorageCommitmentPushModel  # type: ignore[attr-defined]

from edge.delivery.pacs.commitments import Report
from edge.errors import place_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import Dataset
    from pynetdicom.events import Event

log = logging.getLogger(__name__)

_TAKEN = 0x0000
_FAULT = 0x0110
_MOST = 10_000
"""Instances in one report; we ask about a hundred."""


class Reports:
    """Handler of N-EVENT-REPORT requests; each report goes to ``take``."""

    def __init__(self, take: Callable[[Report], None]) -> None:
        self._take = take

    def __call__(self, event: Event) -> tuple[int, None]:
        """Take a report; returns the status of the response, which has no data set."""
        try:
            request = event.request
            if getattr(request, "AffectedSOPClassUID", None) != StorageCommitmentPushModel:
                return _FAULT, None
            self._take(read_report(event.event_information))
        except Exception as error:  # noqa: BLE001 - a peer sends what it likes
            log.warning("PACS: a report could not be read: %s", place_of(error))
            return _FAULT, None
        return _TAKEN, None


def read_report(information: Dataset) -> Report:
    """Read the information of a report; raises whatever the data provoke."""
    failed = {
        str(it.ReferencedSOPInstanceUID): int(it.get("FailureReason", _FAULT) or _FAULT)
        for it in information.get("FailedSOPSequence", ())[:_MOST]
    }
    committed = frozenset(
        str(it.ReferencedSOPInstanceUID)
        for it in information.get("ReferencedSOPSequence", ())[:_MOST]
    )
    return Report(str(information.TransactionUID), committed - failed.keys(), failed)
