"""Fixtures that the tests of the appliance and the fault suite share."""

from __future__ import annotations

import sys

import pytest
from appliance import MOSQUITTO, Appliance, Broker, Subscriber
from box import Box


@pytest.fixture
def broker(tmp_path):
    if MOSQUITTO is None:
        pytest.skip("no mosquitto on this machine (Debian package mosquitto)")
    it = Broker(tmp_path).start()
    yield it
    it.kill()


@pytest.fixture
def make_broker(tmp_path):
    """Brokers with a configuration of their own."""
    if MOSQUITTO is None:
        pytest.skip("no mosquitto on this machine (Debian package mosquitto)")
    made = []

    def make(extra=""):
        made.append(Broker(tmp_path, extra))
        return made[-1].start()

    yield make
    for it in made:
        it.kill()


@pytest.fixture
def subscriber(broker):
    it = Subscriber(broker.settings)
    yield it
    it.close()
    it.check_contract()


@pytest.fixture
def make_appliance(tmp_path):
    made = []

    def make(port, **options):
        made.append(Appliance(tmp_path, port, **options))
        return made[-1]

    yield make
    for it in made:
        it.kill()
        sys.stdout.write(it.log())
        assert "Traceback" not in it.log()
        assert "Warning" not in it.log()
        assert "by a fault" not in it.log()


@pytest.fixture
def make_box(tmp_path, monkeypatch):
    """Deliveries over a played broker, on one folder."""
    made = []

    def make(**options):
        made.append(Box(tmp_path, monkeypatch, **options))
        return made[-1]

    yield make
    for it in made:
        it.close()
