"""Dashboards of one group over one PostgreSQL: they share the load, and one may be killed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest
from appliance import ROOT, until
from pydantic import ValidationError
from sqlalchemy import func, select

from dashboard.intake.subscriber import Subscriber
from dashboard.intake.writer import Writer
from dashboard.settings import BrokerSettings, DatabaseSettings
from dashboard.simulated_load import Pace, SimulatedLoad
from dashboard.store.database import Database, engine_of
from dashboard.store.tables import DEVICE, MESSAGE, PROBLEM

_MEMBER = """
import sys, time
from dashboard.intake.subscriber import Subscriber
from dashboard.intake.writer import Writer
from dashboard.settings import BrokerSettings, DatabaseSettings
from dashboard.store.database import Database, engine_of

port, url, name = int(sys.argv[1]), sys.argv[2], sys.argv[3]
stored = 0
def changed():
    global stored
    stored += 1
    print(stored, flush=True)
it = Writer(Database(engine_of(url)), DatabaseSettings(), changed)
it.start()
client = Subscriber(BrokerSettings(port=port, group="centre", member=name), it)
client.start()
while not client.is_connected:
    time.sleep(0.01)
print("ready", flush=True)
time.sleep(600)
"""


class Member:
    """One dashboard of the group, without pages, as a process."""

    def __init__(self, port, url, name):
        self.lines = []
        command = [sys.executable, "-c", _MEMBER, str(port), url, name]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def kill(self):
        self.process.kill()
        self.process.wait()
        self._reader.join(10)
        self.process.stdout.close()


@pytest.fixture
def members(broker, postgres):
    """Three dashboards, and the URL of their database."""
    url = postgres.new_database()
    made = [Member(broker.port, url, name) for name in "abc"]
    yield made, url
    for one in made:
        one.kill()


def test_one_of_a_group_is_killed_and_nothing_is_lost_or_doubled(broker, members):
    made, url = members
    for one in made:
        until(lambda one=one: "ready" in one.lines, 60)
    load = SimulatedLoad(broker.port, Pace(devices=20, period_s=None, window=60, resend_s=2.0))

    def dies():
        # In the middle of the load, with messages that it has not answered.
        until(lambda: load.report.answered >= 150, 60)
        made[0].process.kill()

    killer = threading.Thread(target=dies)
    killer.start()
    report = load.run(600, 120.0)
    load.close()
    killer.join()
    database = Database(engine_of(url))
    with database.reading() as connection:
        rows = connection.execute(select(MESSAGE.c.id, DEVICE.c.name, MESSAGE.c.sequence).join(
            DEVICE, DEVICE.c.pk == MESSAGE.c.device_pk)).all()  # fmt: skip
        problems = connection.execute(select(func.count()).select_from(PROBLEM)).scalar_one()
        states = connection.execute(select(DEVICE.c.state, DEVICE.c.health)).all()
    database.close()
    assert report.answered == report.published == 600
    assert len(rows) == len({it.id for it in rows}) == 600
    assert problems == 0
    # Each took its share, and each device's numbers are whole.
    assert all(len(one.lines) > 1 for one in made)
    by_device = {}
    for row in rows:
        by_device.setdefault(row.name, []).append(row.sequence)
    assert all(sorted(it) == list(range(1, len(it) + 1)) for it in by_device.values())
    assert len(states) == 20
    assert all(json.loads(it.state)["state"] == "online" for it in states)


@pytest.fixture
def member(broker, database):
    writer = Writer(database, DatabaseSettings(), lambda: None)
    settings = BrokerSettings(port=broker.port, group="centre", member="a")
    it = Subscriber(settings, writer)
    yield it, writer
    it.stop()
    writer.stop()


def test_a_member_that_comes_later_learns_what_the_broker_has_kept(broker, member, database):
    """Brokers give retained messages to no shared subscription."""
    load = SimulatedLoad(broker.port, Pace(devices=3))
    load.run(0, 1.0)
    it, writer = member
    writer.start()
    it.start()

    def known():
        with database.reading() as connection:
            states = connection.execute(select(DEVICE.c.state)).scalars()
            return [json.loads(one)["state"] for one in states if one]

    until(lambda: known() == ["online"] * 3)
    load.close()


def test_members_of_a_group_have_connections_of_their_own():
    one, other = (BrokerSettings(group="centre", member=it) for it in "ab")
    assert len({one.client_id, other.client_id, BrokerSettings().client_id}) == 3


@pytest.mark.parametrize(
    ("values", "says"),
    [({"group": "g"}, "go together"), ({"member": "m"}, "go together"),
     ({"group": "g", "member": "m", "protocol": "3.1.1"}, "MQTT 5"),
     ({"group": "g/#", "member": "m"}, "pattern")],
)  # fmt: skip
def test_a_group_that_cannot_be_is_refused(values, says):
    with pytest.raises(ValidationError, match=says):
        BrokerSettings(**values)
