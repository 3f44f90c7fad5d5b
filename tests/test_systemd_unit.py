"""The service unit, and what the daemon tells systemd."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from appliance import until
from fixtures import broker, make_appliance
from stand_in import film_bytes

__all__ = ["broker", "make_appliance"]

SYSTEMD = Path(__file__).resolve().parents[1] / "systemd"


UNITS = {"sharpedge.service": 1.1, "sharpedge-page.service": 1.6, "sharpedge-receive.service": 1.6,
         "sharpedge-dashboard.service": 1.6}  # fmt: skip
"""Each unit and the highest exposure that it may have."""


@pytest.fixture(params=UNITS)
def unit(tmp_path, request):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine")
    path = tmp_path / request.param
    text = (SYSTEMD / request.param).read_text()
    path.write_text(re.sub(r"^ExecStart=.*", "ExecStart=/bin/true", text, flags=re.MULTILINE))
    return path


def test_the_unit_is_valid(unit):
    done = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False
    )
    assert "sharpedge" not in done.stderr, done.stderr


def test_the_exposure_is_low(unit):
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", unit],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    if found is None:
        pytest.skip("this systemd-analyze cannot judge a unit offline")
    assert float(found.group(1)) <= UNITS[unit.name]


def test_the_daemon_tells_ready_pings_while_it_works_and_says_stopping(
    broker, make_appliance, tmp_path
):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(0.01)
        told = []

        def hear():
            try:
                while True:
                    told.extend(listener.recv(4096).decode().splitlines())
            except TimeoutError:
                return told

        it = make_appliance(broker.port, extra="[limits]\nstage_s = 3\n").start(
            environment={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000"}
        )
        until(lambda: "READY=1" in hear())
        before = told.count("WATCHDOG=1")
        until(lambda: hear().count("WATCHDOG=1") >= before + 3)
        it.put("a.jpg", film_bytes("slow=1"))
        until(lambda: "claimed" in it.log())
        before = told.count("WATCHDOG=1")
        until(lambda: hear().count("WATCHDOG=1") > before)
        assert "STOPPING=1" not in told
        assert it.terminate() == 0
        until(lambda: "STOPPING=1" in hear())
