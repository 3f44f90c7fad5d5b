"""``docs/add-output.md``: a film's grades as CSV, through a broker to a receiver and back."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sqlite3
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from appliance import ROOT, Subscriber, until
from fixtures import broker, make_appliance
from paho.mqtt.enums import CallbackAPIVersion
from stand_in import film_bytes

from edge.contract.ids import output_id

__all__ = ["broker", "make_appliance"]

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "add-output.md").read_text("utf-8")
MODULE, ROW = "edge/outputs/grades_csv.py", "in OUTPUTS, edge/outputs/table.py"
OWN_NAME = "grades_csv_of_the_page"
RECEIPTS = 'mode = "receipt"\nresend_s = 1\nalert_s = 0.1\n'


def block(head):
    """Code of the page under its first line, a comment."""
    (code,) = re.findall(
        rf"^```python\n# {re.escape(head)}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL
    )
    return code.replace("edge.outputs.grades_csv", OWN_NAME)


@pytest.fixture
def added(tmp_path, monkeypatch):
    """Adds module and row of the page to every Python process that is started."""
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / f"{OWN_NAME}.py").write_text(block(MODULE))
    (modules / "sitecustomize.py").write_text(
        f"from edge.outputs.table import OUTPUTS, Output\nOUTPUTS.update({{{block(ROW)}}})\n"
    )
    path = os.pathsep.join(map(str, (modules, ROOT, ROOT / "tests/edge")))
    monkeypatch.setenv("PYTHONPATH", path)
    return {"PYTHONPATH": path}


class Receiver:
    """A program of the clinic that takes the CSV, and gives receipts when it is told to."""

    def __init__(self, port):
        self.arrived = []
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_message = lambda _client, _data, message: self.arrived.append(message)
        self._client.on_connect = lambda client, *_: client.subscribe("sharpedge/+/+/+/csv", 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def receipt(self):
        message = self.arrived[-1]
        body = {"id": message.properties.CorrelationData.decode(), "receiver": "statistics"}
        self._client.publish(message.properties.ResponseTopic, json.dumps(body), qos=1)

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def receiver(broker):
    it = Receiver(broker.port)
    yield it
    it.close()


@pytest.fixture
def dashboard(broker):
    it = Subscriber(broker.settings, receiver="dashboard")
    yield it
    it.close()


def rows_of(appliance):
    """State, id and destination of the rows of kind ``csv``."""
    with sqlite3.connect(appliance.state / "journal.sqlite") as db:
        found = db.execute("SELECT state, id, destination FROM outbox WHERE kind = 'csv'")
        rows = found.fetchall()
    db.close()
    return rows


def test_a_films_grades_go_out_wait_survive_a_restart_and_end_with_a_receipt(
    added, broker, receiver, dashboard, make_appliance
):
    appliance = make_appliance(broker.port, extra="[delivery]\n" + RECEIPTS)
    appliance.start(environment=added)
    appliance.put("film.jpg", film_bytes("limb=LH"))
    (result,) = dashboard.wait("result", 1)
    until(lambda: receiver.arrived, what="the CSV")
    message = receiver.arrived[0]
    assert message.topic == "sharpedge/clinic/xr1/box1/csv"
    assert message.properties.ContentType == "text/csv"
    table = list(csv.DictReader(io.StringIO(message.payload.decode())))
    own_id = output_id(result.id, "csv")
    assert {(it["id"], it["result"], it["study"]) for it in table} == {
        (own_id, result.id, result.study)
    }
    assert [it["joint"] for it in table] == [joint.name or "" for joint in result.joints]
    assert [it["erosion"] for it in table] == [
        "" if joint.erosion is None else str(joint.erosion) for joint in result.joints
    ]
    assert message.properties.CorrelationData.decode() == own_id
    # The dashboard's receipt for the result ends the film, and not the CSV.
    until(lambda: appliance.states() == {1: "receipted"}, what="the receipt of the result")
    assert rows_of(appliance) == [("waiting", own_id, "mqtt")]
    (finding,) = appliance.audit()["findings"]
    assert (finding["fault"], finding["subject"]) == ("overdue", f"job 1, csv {own_id}")

    appliance.kill()
    before = len(receiver.arrived)
    appliance.start(environment=added)
    until(lambda: len(receiver.arrived) > before, what="the CSV after the restart")
    assert receiver.arrived[-1].payload == message.payload
    receiver.receipt()
    until(lambda: rows_of(appliance) == [("closed", own_id, "mqtt")], what="the receipt")
    assert appliance.audit()["findings"] == []
    assert appliance.terminate() == 0


def test_the_audit_finds_a_csv_that_was_changed_closed_by_hand_or_deleted(
    added, broker, make_appliance
):
    appliance = make_appliance(broker.port)
    appliance.start(environment=added)
    appliance.put("film.jpg", film_bytes("limb=LH"))
    until(lambda: [it[0] for it in rows_of(appliance)] == ["closed"], what="the acknowledgement")
    assert appliance.terminate() == 0
    assert appliance.audit()["findings"] == []
    ((_, own_id, _),) = rows_of(appliance)
    journal = appliance.state / "journal.sqlite"
    tamperings = {
        "UPDATE outbox SET payload = x'00' WHERE kind = 'csv'": ("changed", f"csv {own_id}"),
        "UPDATE outbox SET destination = 'x' WHERE kind = 'csv'": ("changed", f"csv {own_id}"),
        "DELETE FROM outbox WHERE kind = 'csv'": ("missing", "job 1"),
    }
    whole = journal.read_bytes()
    for statement, (fault, subject) in tamperings.items():
        with sqlite3.connect(journal) as db:
            db.execute(statement)
            db.commit()
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        (finding,) = appliance.audit()["findings"]
        assert finding["fault"] == fault
        assert subject in finding["subject"]
        journal.write_bytes(whole)


def test_a_release_without_the_row_keeps_the_message_and_a_later_one_sends_it(
    added, broker, receiver, dashboard, make_appliance
):
    appliance = make_appliance(broker.port, extra="[delivery]\n" + RECEIPTS)
    appliance.start(environment=added)
    appliance.put("film.jpg", film_bytes("limb=LH"))
    until(lambda: receiver.arrived, what="the CSV")
    until(lambda: appliance.states() == {1: "receipted"}, what="the receipt of the result")
    assert appliance.terminate() == 0
    appliance.start()
    dashboard.wait("state", 3)
    count = len(receiver.arrived)
    assert [it[0] for it in rows_of(appliance)] == ["waiting"]
    assert appliance.terminate() == 0
    appliance.start(environment=added)
    until(lambda: len(receiver.arrived) > count, what="the CSV of the later release")
    receiver.receipt()
    until(lambda: [it[0] for it in rows_of(appliance)] == ["closed"], what="the receipt")
    assert appliance.terminate() == 0
