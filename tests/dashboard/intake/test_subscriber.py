"""A real broker, the dashboard's client and its writer as a process that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

import paho.mqtt.client as mqtt
import pytest
from appliance import ROOT, until
from paho.mqtt.enums import CallbackAPIVersion
from rooms import ROOM, jpeg, result
from sqlalchemy import func, select

from dashboard.errors import DashboardError
from dashboard.intake.subscriber import Subscriber
from dashboard.intake.writer import Writer
from dashboard.settings import BrokerSettings, DatabaseSettings
from dashboard.store.database import open_database
from dashboard.store.tables import MESSAGE, PICTURE, PROBLEM
from edge.contract.payloads import OperatorMessage

KILLS = 100 if os.environ.get("SHARPEDGE_DASHBOARD") == "full" else 2
_STORES = """
import os, signal, sys, time
import dashboard.intake.writer as writer
from dashboard.intake.subscriber import Subscriber
from dashboard.settings import BrokerSettings, DatabaseSettings
from dashboard.store.database import open_database

port, url, deadly = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
save = writer.Writer._save

def dies_between_storing_and_answering(self, parsed):
    global deadly
    answers = save(self, parsed)
    if answers.receipts and deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    return answers

writer.Writer._save = dies_between_storing_and_answering
it = writer.Writer(open_database(url), DatabaseSettings(), lambda: None)
it.start()
client = Subscriber(BrokerSettings(port=port), it)
client.start()
while not client.is_connected:
    time.sleep(0.01)
print("ready", flush=True)
time.sleep(60)
"""


class Device:
    """Publishes as an appliance does: again and again, until a receipt closes the message."""

    def __init__(self, port):
        self.receipts = []
        self.orders = []
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_message = self._heard
        self._client.connect("127.0.0.1", port)
        self._client.subscribe([(ROOM.topic("receipt"), 1), (ROOM.topic("operator", "+"), 1),
                                (ROOM.topic("command"), 1)])  # fmt: skip
        self._client.loop_start()

    def _heard(self, client, _data, message):
        if message.topic.endswith("/receipt"):
            self.receipts.append(json.loads(message.payload))
            return
        self.orders.append(json.loads(message.payload))
        if message.topic.endswith("/command"):
            return
        properties = mqtt.Properties(mqtt.PacketTypes.PUBLISH)
        properties.CorrelationData = message.properties.CorrelationData
        body = json.dumps({"command": "release", "done": True, "detail": "job 7"})
        client.publish(ROOM.topic("answer"), body, qos=1, properties=properties)

    def send(self, kind, payload):
        payload = payload if isinstance(payload, bytes) else payload.model_dump_json()
        self._client.publish(ROOM.topic(kind), payload, qos=1).wait_for_publish(10)

    def answered(self):
        return {it["id"] for it in self.receipts}

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def device(broker):
    it = Device(broker.port)
    yield it
    it.close()


@pytest.fixture
def dashboard(broker, database):
    changed = threading.Event()
    writer = Writer(database, DatabaseSettings(), changed.set)
    it = Subscriber(BrokerSettings(port=broker.port, protocol="auto"), writer)
    writer.start()
    it.start()
    until(lambda: it.is_connected)
    yield it
    it.stop()
    writer.stop()


def number_of(database, table=MESSAGE):
    with database.reading() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


@pytest.mark.usefixtures("dashboard")
def test_a_result_is_stored_then_answered_by_the_receivers_name(device, database):
    device.send("result", result())
    until(lambda: device.receipts)
    assert device.receipts == [{"id": result().id, "receiver": "dashboard-1"}]
    assert number_of(database) == 1
    device.send("image", jpeg(result().id))
    until(lambda: number_of(database, PICTURE) == 1)


def test_what_is_not_understood_is_never_answered(dashboard, device, database):
    for payload in (
        b"",
        b"{}",
        b"\xff" * 5000,
        b"[" * 9000,
        result(2).model_dump_json()[:-1].encode(),
    ):
        device.send("result", payload)
    device.send("image", b"no picture")
    device.send("result", result())
    until(lambda: device.receipts)
    assert device.answered() == {result().id}
    assert number_of(database, PROBLEM) == 5
    assert dashboard.is_connected


def test_the_session_is_kept_while_the_dashboard_is_away(broker, device, tmp_path):
    url = f"sqlite:///{tmp_path / 'd.sqlite'}"
    for first in (1, 11):
        database = open_database(url)
        writer = Writer(database, DatabaseSettings(), lambda: None)
        it = Subscriber(BrokerSettings(port=broker.port), writer)
        writer.start()
        it.start()
        until(lambda it=it: it.is_connected)
        until(lambda count=first - 1, database=database: number_of(database) == count)
        it.stop()
        writer.stop()
        database.close()
        for number in range(first, first + 10):
            device.send("result", result(number))


def test_an_order_reaches_its_device_and_a_missing_broker_is_told(dashboard, device, broker):
    order = OperatorMessage(command="release", id=result().id, operator="Anna", side="L")
    assert dashboard.order(ROOM, order, "abc")
    until(lambda: device.orders)
    assert device.orders[0] == {
        "command": "release", "id": result().id, "operator": "Anna", "side": "L",
    }  # fmt: skip
    assert dashboard.ask_picture(ROOM, result().id)
    # The dashboard may ask a device that it does not know for its state in between.
    until(lambda: {"command": "picture", "id": result().id} in device.orders)
    broker.kill()
    until(lambda: not dashboard.is_connected)
    assert not dashboard.order(ROOM, order, "def")


def test_a_dashboard_killed_between_storing_and_answering_loses_and_doubles_nothing(
    broker, device, tmp_path
):
    """Each result is sent again until it is answered, as an appliance does."""
    url = f"sqlite:///{tmp_path / 'd.sqlite'}"
    wanted = {result(number).id for number in range(1, 10)}
    for deadly in (*[1] * KILLS, 0):
        command = [sys.executable, "-c", _STORES, str(broker.port), url, str(deadly)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            # What the broker kept may kill it before it is ready.
            assert process.stdout.readline() in ({b"ready\n", b""} if deadly else {b"ready\n"})
            for number in range(1, 10):
                device.send("result", result(number))
            if deadly:
                assert process.wait(20) == -signal.SIGKILL
                assert device.receipts == []
            else:
                until(lambda: device.answered() == wanted)
                process.kill()
    database = open_database(url)
    with database.reading() as connection:
        found = list(connection.execute(select(MESSAGE.c.id)).scalars())
    database.close()
    assert len(found) == 9
    assert set(found) == wanted


def test_a_certificate_that_is_missing_is_named(tmp_path, database):
    settings = BrokerSettings(ca_file=tmp_path / "none.pem")
    with pytest.raises(DashboardError, match="fix:"):
        Subscriber(settings, Writer(database, DatabaseSettings(), lambda: None)).start()
