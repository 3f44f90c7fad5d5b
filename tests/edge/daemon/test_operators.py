"""The daemon's operator socket, STATUS= line and alert of films that are held for long."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys

import pytest
from appliance import chain_holds, free_port, until
from stand_in import film_bytes

from edge.errors import EdgeError
from edge.operator.client import ask
from edge.operator.protocol import Ask, Request
from edge.system.device_key import derived_key, device_key


def tell(it, asked=Ask.STATUS, **fields):
    return ask(it.state / "operator.sock", Request(ask=asked, **fields), 10.0).answer


@pytest.fixture
def notify(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(0.01)
        told = []

        def hear():
            try:
                while True:
                    told.extend(listener.recv(4096).decode().splitlines())
            except TimeoutError:
                # Pings come at any time.
                return [line for line in told if line != "WATCHDOG=1"]

        hear.environment = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        yield hear


def test_a_film_is_released_over_the_socket_and_the_chain_names_who(
    broker, subscriber, make_appliance
):
    it = make_appliance(broker.port).start()
    it.put("IMG0001.jpg", film_bytes("reason=side_not_known"))
    subscriber.wait("reject", 1)
    (held,) = until(lambda: tell(it).status.held)
    assert (held.file, held.reason) == ("IMG0001.jpg", "side_not_known")
    answer = tell(it, Ask.RELEASE, film=str(held.job), side="R", limb="foot", person="Anna")
    (result,) = subscriber.wait("result", 1)
    assert (result.job, result.laterality, result.limb) == (answer.new_job, "R", "foot")
    status = tell(it).status
    assert status.held == ()
    assert status.decisions[0].operator.startswith("Anna (via ")
    assert status.live.connected
    assert it.terminate() == 0
    assert not (it.state / "operator.sock").exists()
    assert chain_holds(it)
    assert it.audit()["findings"] == []


def test_systemd_is_told_in_one_line_what_waits_and_what_has_passed(make_appliance, notify):
    port = free_port()
    it = make_appliance(port).start(environment=notify.environment)
    until(lambda: any("alerts: broker" in line for line in notify()), 60)
    it.put("a.jpg", film_bytes("reason=side_not_known"))
    it.put("b.jpg", film_bytes("reason=side_not_known padding=1"))
    line = "STATUS=alerts: broker; 2 films held: side not known"
    until(lambda: any(told.startswith(line) for told in notify()), 60)
    until(lambda: notify()[-1].endswith("2 waiting for the broker"), 60)
    for job in ("1", "2"):
        tell(it, Ask.DISMISS, film=job)
    until(lambda: "held" not in notify()[-1], 60)
    before = len(notify())
    assert it.terminate() == 0
    assert notify()[before:] == ["STOPPING=1", "STATUS=finishing the film in work", "STOPPING=1"]


def test_a_film_that_is_held_too_long_alerts_until_none_is(broker, subscriber, make_appliance):
    it = make_appliance(broker.port, extra="[operator]\nheld_alert_s = 1\n").start()
    it.put("a.jpg", film_bytes("reason=two_limbs"))
    until(lambda: "films_held" in {alert.code for alert in tell(it, Ask.ALERTS).alerts})
    state = until(lambda: next((s for s in subscriber.of("state") if s.alerts), None))
    (alert,) = state.alerts
    assert alert.detail.startswith("1 film held for longer than 1 s: two limbs; fix:")
    # It does all of its work: the film waits for a person.
    assert state.state == "online"
    tell(it, Ask.DISMISS, film="1")
    until(lambda: tell(it, Ask.ALERTS).alerts == ())


def test_films_go_on_while_clients_flood_the_socket(broker, subscriber, make_appliance):
    it = make_appliance(broker.port).start()
    path = str(it.state / "operator.sock")
    until((it.state / "operator.sock").exists)
    floods = [subprocess.Popen([sys.executable, "-c", _FLOOD, path]) for _ in range(3)]
    idle = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    try:
        for sock in idle:
            sock.settimeout(0.2)
            sock.connect_ex(path)
        for number in range(5):
            it.put(f"{number}.jpg", film_bytes(f"n={number} limb=LH"))
        subscriber.wait("result", 5)
    finally:
        for process in floods:
            process.kill()
            process.wait()
        for sock in idle:
            sock.close()
    until(lambda: answers(it))
    assert it.terminate() == 0


def answers(it):
    with contextlib.suppress(EdgeError):
        return tell(it).ok
    return False


_FLOOD = """
import socket, sys
while True:
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(0.1)
            sock.connect(sys.argv[1])
            sock.sendall(b'{"ask": "status"}\\n' + b"x" * 100000)
    except OSError:
        pass
"""


def test_a_socket_that_cannot_be_made_costs_nothing_else(broker, subscriber, make_appliance):
    it = make_appliance(broker.port, extra='[operator]\nsocket = "/proc/no/where.sock"\n').start()
    it.put("a.jpg", film_bytes("limb=LH"))
    subscriber.wait("result", 1)
    until(lambda: "operator socket" in it.log())
    assert it.terminate() == 0


def test_nothing_is_told_to_a_killed_daemons_socket(broker, make_appliance):
    it = make_appliance(broker.port).start()
    until((it.state / "operator.sock").exists)
    it.kill()
    with pytest.raises(EdgeError, match="no appliance answers"):
        tell(it)
    it.start()
    assert until(lambda: tell(it).ok)
    assert derived_key(device_key(it.state), "journal")
