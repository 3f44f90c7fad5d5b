"""A room's Mosquitto, bridged to the centre's by the shipped file, whose line is down for a day.

``make brokers-test`` runs it with the films of a day, one a minute, and keeps its figures.
"""

from __future__ import annotations

import time

import pytest
from appliance import MOSQUITTO, ROOT, Broker, until
from broker_clinic import Clinic
from filled import fill
from proxy import Cut, Wire

from dashboard.store.tables import DEVICE
from edge.contract.ids import DeviceName

SHIPPED = ROOT / "systemd" / "mosquitto-bridge.conf"
RECEIPTS = '[delivery]\nmode = "receipt"\nresend_s = 20\n'
KEPT = (
    "persistence true\nautosave_on_changes true\nautosave_interval 1\n"
    "max_queued_messages 100000\npersistence_location {folder}/\n"
)


def _down(*_packet):
    raise Cut


def _up(*_packet):
    return True


@pytest.fixture
def bridged(tmp_path):
    """Room's broker, the line, and the centre's broker."""
    if MOSQUITTO is None:
        pytest.skip("no mosquitto on this machine (Debian package mosquitto)")
    folders = [tmp_path / "room", tmp_path / "centre"]
    for it in folders:
        it.mkdir()
    centre = Broker(folders[1], KEPT.format(folder=folders[1])).start()
    line = Wire(centre.port)
    shipped = SHIPPED.read_text()
    # As a site changes it: the place of the centre, the room's name, and no certificate here.
    for old, new in (("mqtt.centre.example:8883", f"127.0.0.1:{line.port}"),
                     ("clinic/xray1", "clinic/xr1")):  # fmt: skip
        assert old in shipped
        shipped = shipped.replace(old, new)
    shipped = "\n".join(it for it in shipped.splitlines() if not it.startswith("bridge_c"))
    shipped = shipped.replace("bridge_keyfile", "# bridge_keyfile")
    room = Broker(folders[0], KEPT.format(folder=folders[0]) + shipped + "\n").start()
    yield room, line, centre
    room.kill()
    line.close()
    centre.kill()


def test_a_line_that_was_down_for_a_day_loses_nothing(
    bridged, tmp_path, make_appliance, day_of_films, figures
):
    """The room's broker is killed meanwhile too; receipts come back over the bridge."""
    room, line, centre = bridged
    clinic = Clinic(tmp_path, centre.port, protocol="5")
    try:
        until(lambda: clinic.subscriber.is_connected and line.connections)
        line.rule = _down
        line.cut()
        it = make_appliance(room.port, extra=RECEIPTS)
        ids = fill(it, day_of_films)
        it.start()
        until(lambda: set(it.states().values()) == {"sent"}, 300)
        # Autosave has a second: what it kept must do, the rest comes again from the appliance.
        time.sleep(2)
        room.kill()
        room.start()
        assert clinic.rows() == []
        line.rule = _up
        began_s = time.monotonic()
        until(lambda: set(it.states().values()) == {"receipted"}, 600)
        took_s = time.monotonic() - began_s
        rows = clinic.rows()
        found = [row.id for row in sorted(rows, key=lambda row: row.sequence)]
        assert found == ids
        assert [row.sequence for row in sorted(rows, key=lambda row: row.sequence)] == list(
            range(1, day_of_films + 1)
        )
        assert it.audit()["findings"] == []
        # A command of the centre reaches the room, whose state shows at the centre.
        device = DeviceName("clinic", "xr1", "box1")
        until(lambda: clinic.subscriber.ask_picture(device, ids[0]), 60)
        until(lambda: "command: picture" in it.log(), 30)
        until(lambda: clinic.rows(DEVICE) and clinic.rows(DEVICE)[0].state, 30)
        assert clinic.rows(DEVICE)[0].name == "clinic/xr1/box1"
        figures |= {
            "results of a day, one film a minute": f"{day_of_films:,}",
            "lost / doubled at the centre": "0 / 0",
            "all receipts back after the line's return, s": f"{took_s:.0f}",
        }
    finally:
        clinic.close()
