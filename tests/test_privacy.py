"""Nothing of ours speaks to anybody but the broker, and no library sends telemetry."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from appliance import ROOT, until
from fixtures import broker, make_appliance, subscriber
from stand_in import film_bytes

from edge.scoring.reference_film import FILM_NAME, golden_film

STRACE = shutil.which("strace")
__all__ = ["broker", "make_appliance", "subscriber"]

UNIT = ROOT / "systemd/sharpedge.service"


def clean_environment(home):
    kept = {k: v for k, v in os.environ.items() if k not in {"ORT_DISABLE_TELEMETRY", "HOME"}}
    # The engines are signed under the key of this user.
    data = os.environ.get("XDG_DATA_HOME") or str(Path("~/.local/share").expanduser())
    return {**kept, "HOME": str(home), "XDG_DATA_HOME": data, "PYTHONPATH": str(ROOT)}


def traced(log, *command):
    """A command whose connections are written to ``log``; skips where tracing is not allowed."""
    if STRACE is None:
        pytest.skip("strace is not installed")
    probe = subprocess.run(
        [STRACE, "-o", "/dev/null", "true"], capture_output=True, text=True, check=False
    )
    if probe.returncode:
        pytest.skip(f"strace may not trace here: {probe.stderr.strip()}")
    return [STRACE, "-f", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o", str(log), *command]


def network_peers(log):
    """Addresses that were spoken to: IP and port of every connection or datagram."""
    text = log.read_text(errors="replace")
    calls = [line for line in text.splitlines() if "AF_INET" in line]
    peers = set()
    for call in calls:
        port = re.search(r"sin6?_port=htons\((\d+)\)", call)
        host = re.search(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"', call)
        peers.add((host and (host[1] or host[2]), port and int(port[1])))
    return peers


@pytest.mark.parametrize("package", ["edge", "export", "training", "benchmarks"])
def test_telemetry_is_off_before_the_first_import_whatever_the_user_has_set(tmp_path, package):
    code = f"import {package}, onnxruntime, time; onnxruntime.get_all_providers(); time.sleep(1)"
    environment = {**clean_environment(tmp_path), "ORT_DISABLE_TELEMETRY": "0"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, cwd=ROOT)
    assert [path for path in tmp_path.rglob("*") if "onnx" in path.name.lower()] == []


def test_the_unit_switches_telemetry_off():
    assert "Environment=ORT_DISABLE_TELEMETRY=1" in UNIT.read_text().splitlines()


def test_scoring_films_speaks_to_nobody_and_leaves_nothing_in_the_home(tmp_path):
    film = tmp_path / FILM_NAME
    film.write_bytes(golden_film())
    home = tmp_path / "home"
    home.mkdir()
    log = tmp_path / "trace"
    command = traced(log, sys.executable, "-m", "sharpedge.cli", "score", "--json", str(film))
    done = subprocess.run(
        command, env=clean_environment(home), capture_output=True, text=True, check=False, cwd=ROOT
    )
    if "no engine is installed" in done.stderr:
        pytest.skip("no engines: sharpedge export")
    assert done.returncode == 0, done.stderr
    assert network_peers(log) == set()
    assert not any("onnx" in path.name.lower() for path in home.rglob("*"))


def test_the_appliance_speaks_to_the_broker_alone(broker, subscriber, make_appliance, tmp_path):
    it = make_appliance(broker.port)
    log = tmp_path / "trace"
    command = traced(log)
    it.start(ready=False, wrapper=command)
    until(lambda: "ready: session" in it.log(), 120)
    it.put("a.jpg", film_bytes("limb=LH"))
    subscriber.wait("result", 1, 60)
    children = Path(f"/proc/{it.process.pid}/task/{it.process.pid}/children").read_text().split()
    os.kill(int(children[0]), 15)
    assert it.process.wait(30) == 0
    assert network_peers(log) == {("127.0.0.1", broker.port)}
