"""Figures for Prometheus: what they count, and that they go on without a database."""

from __future__ import annotations

import re
import socket
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("prometheus_client")
from appliance import free_port, until
from clinic import Clinic
from prometheus_client.parser import text_string_to_metric_families
from rooms import ROOM, arrived, film, result

from dashboard import metrics
from dashboard.errors import DashboardError
from dashboard.intake.writer import Raw, Writer
from dashboard.metrics import serve_metrics
from dashboard.settings import DatabaseSettings, MetricsSettings, Settings
from dashboard.simulated import simulated_state
from edge.contract.payloads import Alert
from edge.contract.vocabulary import Reason

PAGE = Path(__file__).resolve().parents[2] / "docs" / "dashboard.md"


@pytest.fixture
def served(database):
    """Clinic, writer, and a function that reads the figures by name."""
    port = free_port()
    clinic = Clinic(database, Settings(metrics=MetricsSettings(port=port)))
    writer = Writer(database, DatabaseSettings(), clinic.changes.tell)
    server = serve_metrics(clinic.site, writer)

    def read():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            families = text_string_to_metric_families(answer.read().decode())
            return {
                (it.name.removeprefix("sharpedge_dashboard_"), *it.labels.values()): it.value
                for family in families
                for it in family.samples
            }

    yield clinic, writer, read
    server.shutdown()
    server.server_close()


def put(writer, payload, kind="result"):
    body = payload if isinstance(payload, bytes) else payload.model_dump_json().encode()
    nothing = lambda *_: None  # noqa: E731 - a receipt, an acknowledgement, a question
    writer.put(Raw(ROOM.topic(kind), body, None, False, nothing, nothing, nothing))


def test_what_is_stored_repeated_and_bad_is_counted(served):
    _clinic, writer, read = served
    for it in (result(1), result(1), result(2), b"{}"):
        put(writer, it)
    put(writer, film(3).reject(Reason.SIDE_NOT_KNOWN), "reject")
    assert read()["waiting_messages",] == 5
    writer.start()
    until(lambda: writer.tally.receipts == 4)
    found = read()
    writer.stop()
    wanted = {"messages_stored_total": 3, "messages_repeated_total": 1, "messages_bad_total": 1,
              "receipts_total": 4, "database_errors_total": 0, "waiting_messages": 0,
              "held_films": 1, "new_films": 2, "event_streams": 0,
              "broker_connected": 1}  # fmt: skip
    assert {name: found[name,] for name in wanted} == wanted
    assert found["lag_seconds",] > 0


def test_devices_are_counted_by_state_and_alert(served):
    clinic, _writer, read = served
    alert = Alert(code="undelivered", detail="x")
    clinic.keep(arrived(simulated_state(ROOM, 1.0, "degraded", alert)))
    found = read()
    assert found["devices", "degraded"] == 1
    assert found["devices_with_alerts",] == 1


def test_without_its_database_the_other_figures_are_there(served, tmp_path):
    clinic, _writer, read = served
    clinic.database.close()
    (tmp_path / "dashboard.sqlite").write_bytes(b"no database" * 1000)
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"dashboard.sqlite{suffix}").unlink(missing_ok=True)
    found = read()
    assert found["broker_connected",] == 1
    assert ("held_films",) not in found


def test_a_port_that_is_taken_is_named(database):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        clinic = Clinic(database, Settings(metrics=MetricsSettings(port=port)))
        with pytest.raises(DashboardError, match=r"metrics\.port"):
            serve_metrics(clinic.site, Writer(database, DatabaseSettings(), lambda: None))


def test_it_does_not_listen_unless_it_is_asked_to(database):
    clinic = Clinic(database)
    assert serve_metrics(clinic.site, Writer(database, DatabaseSettings(), lambda: None)) is None


def test_the_page_names_every_figure():
    text = Path(metrics.__file__).read_text()
    named = set(re.findall(r'^ +\("([a-z_]+)", ', text, re.MULTILINE)) | {"devices"}
    page = PAGE.read_text()
    assert len(named) > 10
    assert {it for it in named if f"sharpedge_dashboard_{it}" not in page} == set()
