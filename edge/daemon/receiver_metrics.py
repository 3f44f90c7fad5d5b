"""Figures of the DICOM receiver for Prometheus: of its own file in the inbox, and of the inbox.

Layer: daemon; on the thread that asks for figures; reads the inbox.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edge.receive.figures import read_figures
from edge.receive.inbox import receiver_runs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prometheus_client.metrics_core import Metric

_P = "sharpedge_"


def receiver_metrics(inbox: Path) -> Iterator[Metric]:
    """Yield the figures of the receiver; counts are those since its start."""
    from prometheus_client.core import (  # noqa: PLC0415 - an extra
        CounterMetricFamily,
        GaugeMetricFamily,
    )

    runs = receiver_runs(inbox)
    yield GaugeMetricFamily(_P + "receiver_running", "1 while a receiver runs", float(runs))
    yield GaugeMetricFamily(
        _P + "inbox_films", "Received films that have not reached their end state", _films(inbox)
    )
    found = read_figures(inbox)
    if found is None:
        return
    answers = CounterMetricFamily(
        _P + "received_instances", "Instances by DICOM status of the answer", labels=["status"]
    )
    for status, count in sorted(found.answers.items()):
        answers.add_metric([status], count)
    yield answers
    yield CounterMetricFamily(
        _P + "rejected_associations", "Associations that the receiver rejected", found.rejected
    )


def _films(inbox: Path) -> float:
    try:
        with os.scandir(inbox) as entries:
            return float(sum(not entry.name.startswith(".") for entry in entries))
    except OSError:
        return 0.0
