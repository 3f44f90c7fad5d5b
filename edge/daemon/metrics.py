"""Figures for Prometheus: over HTTP on a port of this machine, or as a text file.

Layer: daemon; threads of its own; reads the journal over a read-only connection.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from edge import __version__
from edge.contract.payloads import Presence
from edge.daemon.receiver_metrics import receiver_metrics
from edge.delivery.counts import Counts
from edge.delivery.standing import LATENCY_BOUNDS_S, presence_with
from edge.errors import ConfigError
from edge.journal.journal import counts_of
from edge.journal.kinds import PACS
from edge.journal.places import Places
from edge.journal.recall import read_only
from edge.journal.states import State
from edge.system.clock import steady_unix_s
from edge.system.disk import temperature_c

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from wsgiref.simple_server import WSGIServer

    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

    from edge.config import Config, MetricsSettings
    from edge.contract.payloads import Alert
    from edge.daemon.alerts import Alerts
    from edge.daemon.health import HealthReport
    from edge.journal.rows import Depth

log = logging.getLogger(__name__)

_P = "sharpedge_"


class _InJournal(NamedTuple):
    """What the journal counts: rows, films by state, seconds that the oldest held one waits."""

    outbox: Depth
    pacs: Depth
    films: dict[str, int]
    held_oldest_s: float


def _count(journal: Path) -> _InJournal:
    with contextlib.closing(read_only(journal)) as db:
        row = db.execute("SELECT MIN(since) FROM job WHERE state = ?", (State.HELD,)).fetchone()
        since = row[0] if isinstance(row[0], int | float) else steady_unix_s()
        held_s = max(0.0, steady_unix_s() - since)
        return _InJournal(Counts(db).depth(), Counts(db, PACS).depth(), counts_of(db), held_s)


class FigureCollector:
    """Collects the figures when they are asked for, on the asking thread.

    ``inbox`` is None where the site has no receiver.
    """

    def __init__(
        self, report: HealthReport, journal: Path, alerts: Alerts, inbox: Path | None = None
    ) -> None:
        self._report = report
        self._journal = journal
        self._alerts = alerts
        self._inbox = inbox

    def collect(self) -> Iterator[Metric]:
        """Yield every figure; those of the journal are left out where it cannot be read."""
        from prometheus_client.core import (  # noqa: PLC0415 - an extra
            CounterMetricFamily,
            GaugeMetricFamily,
            InfoMetricFamily,
        )

        it = self._report
        versions = it.stations.versions
        standing = it.sender.standing()
        condition = it.intake.condition()
        engines = {} if versions is None else versions.engines
        yield InfoMetricFamily(
            _P + "version", "Release and engines (first 16 digits of their SHA-256)",
            {"release": __version__} | {k.replace("-", "_"): v for k, v in engines.items()},
        )  # fmt: skip
        alerts = (*self._alerts.active(), *standing.alerts)
        presence = presence_with(it.stations.presence, alerts)
        state = GaugeMetricFamily(
            _P + "state", "1 for the present state of the appliance", labels=["state"]
        )
        for one in Presence:
            state.add_metric([str(one)], float(one is presence))
        yield state
        for name, text, value in (
            ("uptime_seconds", "Since the start", time.monotonic() - it.started_s),
            ("folder_waiting_films", "Files in the drop folder not yet taken", condition.waiting),
            ("folder_events", "1: events, 0: listing only", condition.native),
            ("folder_reachable", "0 while the drop folder cannot be read", not condition.fault),
            ("broker_connected", "1 while connected to the broker", standing.connected),
            ("temperature_celsius", "Hottest sensor of the machine", temperature_c()),
        ):
            if value is not None:
                yield GaugeMetricFamily(_P + name, text, float(value))
        for name, text, value in (
            ("worker_restarts", "Workers that died", it.stations.restarts),
            ("broker_connections", "Connections to the broker", standing.reconnects),
            ("messages_dropped", "Messages from the broker that were not usable",
             standing.dropped),
        ):  # fmt: skip
            yield CounterMetricFamily(_P + name, text, float(value))
        yield _alert_metric(alerts)
        yield self._latency()
        yield from self._from_journal()
        if self._inbox is not None:
            yield from receiver_metrics(self._inbox)

    def _latency(self) -> Metric:
        from prometheus_client.core import HistogramMetricFamily  # noqa: PLC0415 - an extra

        found = self._report.sender.standing().latencies
        bounds = ["+Inf" if bound == LATENCY_BOUNDS_S[-1] else str(bound) for bound in
                  LATENCY_BOUNDS_S]  # fmt: skip
        within = found.within or (0,) * len(bounds)
        return HistogramMetricFamily(
            _P + "latency_seconds",
            "File closed to message sent, machine time: films that waited for a person are left "
            "out (see held_films)",
            buckets=list(zip(bounds, map(float, within), strict=True)),
            sum_value=found.sum_s,
        )

    def _from_journal(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - an extra

        try:
            found = _count(self._journal)
        except sqlite3.Error as error:
            log.warning("metrics: the journal cannot be read (%s)", error)
            return
        films = GaugeMetricFamily(_P + "films", "Films in the journal by state", labels=["state"])
        for name, count in found.films.items():
            films.add_metric([name], count)
        yield films
        for name, text, value in (
            ("held_films", "Films that wait for a person", found.films.get(State.HELD, 0)),
            ("held_oldest_seconds", "How long the oldest of them has waited for a person",
             found.held_oldest_s),
            ("outbox_messages", "Messages that are not delivered", found.outbox.rows),
            ("outbox_oldest_seconds", "Age of the oldest of them", found.outbox.oldest_s),
            ("outbox_set_aside_messages", "Messages that can never be sent",
             found.outbox.set_aside),
            ("pacs_documents", "Documents that the PACS has no receipt for", found.pacs.rows),
            ("pacs_oldest_seconds", "Age of the oldest of them", found.pacs.oldest_s),
            ("pacs_set_aside_documents", "Documents that are not sent any more",
             found.pacs.set_aside),
        ):  # fmt: skip
            yield GaugeMetricFamily(_P + name, text, float(value))


def _alert_metric(alerts: tuple[Alert, ...]) -> Metric:
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - an extra

    found = GaugeMetricFamily(_P + "alert", "1 while an alert is active", labels=["code"])
    for code in dict.fromkeys(alert.code for alert in alerts):
        found.add_metric([code], 1.0)
    return found


class Metrics:
    """Serves the figures of one appliance.

    Raises `ConfigError` where they are asked for and the library is missing.
    """

    def __init__(self, settings: MetricsSettings, collector: FigureCollector) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._server: WSGIServer | None = None
        self._registry: CollectorRegistry | None = None
        if not settings.port and settings.textfile is None:
            return
        try:
            from prometheus_client import CollectorRegistry  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise ConfigError(
                "metrics: prometheus-client is not installed; "
                "fix: pip install 'sharpedge[metrics]', or remove the section [metrics]"
            ) from error
        self._registry = CollectorRegistry()
        self._registry.register(collector)

    def start(self) -> None:
        """Listen, and write the text file; a fault is logged and stops nothing else."""
        it = self._settings
        if self._registry is None:
            return
        if it.port:
            from prometheus_client import start_http_server  # noqa: PLC0415 - an extra

            try:
                self._server, _ = start_http_server(it.port, it.host, self._registry)
            except OSError as error:
                log.error(  # noqa: TRY400 - one line an event
                    "metrics: %s:%d cannot be used (%s); fix: set metrics.port to a free one",
                    it.host, it.port, error.strerror,
                )  # fmt: skip
        if it.textfile is not None:
            threading.Thread(target=self._write, name="metrics", daemon=True).start()

    def stop(self) -> None:
        """Stop listening and writing."""
        self._stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def _write(self) -> None:
        from prometheus_client import write_to_textfile  # noqa: PLC0415 - an extra

        assert self._registry is not None  # noqa: S101 - started with one
        failing = False
        while True:
            try:
                write_to_textfile(str(self._settings.textfile), self._registry)
                failing = False
            except OSError as error:
                if not failing:
                    log.warning(
                        "metrics: %s cannot be written (%s); fix: correct metrics.textfile, or "
                        "let the service write there", self._settings.textfile, error.strerror,
                    )  # fmt: skip
                failing = True
            if self._stopping.wait(self._settings.every_s):
                return


def metrics_of(config: Config, report: HealthReport, root: Path, alerts: Alerts) -> Metrics:
    """Make the figures of the appliance with the state folder ``root``."""
    inbox = Places.below(root).inbox if config.dicom.port else None
    collector = FigureCollector(report, root / "journal.sqlite", alerts, inbox)
    return Metrics(config.metrics, collector)
