"""Figures for Prometheus, on a port of their own.

Layer: dashboard; prometheus-client (extra ``metrics``); reads the store when it is asked.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from dashboard.errors import DashboardError
from dashboard.store import worklist
from dashboard.store.devices import devices
from dashboard.store.tables import ORDER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.simple_server import WSGIServer

    from prometheus_client.metrics_core import Metric

    from dashboard.intake.writer import Writer
    from dashboard.web.site import Site

log = logging.getLogger(__name__)

_P = "sharpedge_dashboard_"


class FigureCollector:
    """Collects the figures when they are asked for, on the asking thread."""

    def __init__(self, site: Site, writer: Writer) -> None:
        self._site = site
        self._writer = writer

    def collect(self) -> Iterator[Metric]:
        """Yield every figure; those of the database are left out where it does not answer."""
        from prometheus_client.core import (  # noqa: PLC0415 - an extra
            CounterMetricFamily,
            GaugeMetricFamily,
        )

        tally = self._writer.tally
        for name, text, counted in (
            ("messages_stored", "Results and rejects stored for the first time", tally.stored),
            (
                "messages_repeated",
                "Results and rejects that had been stored before",
                tally.repeated,
            ),
            ("messages_bad", "Messages that were not understood", tally.bad),
            ("receipts", "Receipts given to the connection", tally.receipts),
            ("database_errors", "Transactions that failed and were tried again", tally.errors),
        ):
            yield CounterMetricFamily(_P + name, text, float(counted))
        for name, text, value in (
            ("broker_connected", "1 while connected to the broker", self._site.orders.is_connected),
            ("event_streams", "Pages that are open and update themselves",
             self._site.changes.streams),
            ("waiting_messages", "Messages that came and are not stored yet", self._writer.waiting),
            ("lag_seconds", "How long the oldest message of the latest transaction waited for it",
             self._writer.lag_s),
        ):  # fmt: skip
            yield GaugeMetricFamily(_P + name, text, float(value))
        yield from self._stored()

    def _stored(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - an extra

        stale_s = self._site.settings.web.stale_s
        try:
            with self._site.database.reading() as connection:
                counts = worklist.counts(connection)
                found = devices(connection, time.time(), stale_s)
                open_ones = select(func.count()).where(ORDER.c.answered_s.is_(None))
                orders = connection.execute(open_ones).scalar_one()
        except SQLAlchemyError as error:
            log.warning("metrics: the database does not answer (%s)", type(error).__name__)
            return
        presence = GaugeMetricFamily(_P + "devices", "Devices by state", labels=["state"])
        names = [one.presence for one in found]
        for name in sorted(set(names)):
            presence.add_metric([name], names.count(name))
        yield presence
        for name, text, value in (
            ("devices_with_alerts", "Devices that say that somebody must see to them",
             sum(bool(one.alerts) for one in found)),
            ("held_films", "Films that wait for a person", counts["held"]),
            ("new_films", "Results that nobody has marked as read", counts["new"]),
            ("orders_without_answer", "Decisions that their device has not answered", orders),
        ):  # fmt: skip
            yield GaugeMetricFamily(_P + name, text, float(value))


def serve_metrics(site: Site, writer: Writer) -> WSGIServer | None:
    """Listen for Prometheus; None where the site does not want it.

    Raises
    ------
    DashboardError
        Where the library is missing or the port cannot be used.
    """
    it = site.settings.metrics
    if not it.port:
        return None
    try:
        from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415
    except ImportError as error:
        raise DashboardError(
            "metrics: prometheus-client is not installed; fix: pip install 'sharpedge[metrics]', "
            "or remove the section [metrics]"
        ) from error
    registry = CollectorRegistry()
    try:
        # Registering collects once, for the names.
        registry.register(FigureCollector(site, writer))
        server, _ = start_http_server(it.port, it.host, registry)
    except OSError as error:
        raise DashboardError(
            f"metrics: {it.host}:{it.port} cannot be used ({error.strerror}); "
            "fix: set metrics.port to a free one"
        ) from error
    return server
