from __future__ import annotations

import sys

import pytest
from appliance import MOSQUITTO, Appliance, Broker, Subscriber


@pytest.fixture
def broker(tmp_path):
    if MOSQUITTO is None:
        pytest.skip("no mosquitto on this machine (Debian package mosquitto)")
    it = Broker(tmp_path).start()
    yield it
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
