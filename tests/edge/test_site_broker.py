"""The broker configuration for sites, started as it is shipped but for its places."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from appliance import MOSQUITTO, Appliance, Broker, Subscriber, until
from certificates import certificate
from paho.mqtt.enums import CallbackAPIVersion
from stand_in import film_bytes

from edge.delivery.settings import BrokerSettings

SYSTEMD = Path(__file__).resolve().parents[2] / "systemd"


@pytest.fixture
def site(tmp_path):
    """A broker as a site runs it; gives it and the settings of a named user."""
    if MOSQUITTO is None or shutil.which("openssl") is None:
        pytest.skip("needs mosquitto and openssl (Debian packages of these names)")
    ca = certificate(tmp_path, "ca", days=2)
    certificate(tmp_path, "broker", days=2, ca=ca)
    broker = Broker(tmp_path)
    text = (SYSTEMD / "mosquitto.conf").read_text()
    acl = tmp_path / "acl"
    acl.write_text((SYSTEMD / "mosquitto.acl").read_text())
    for shipped, here in {
        "/var/lib/mosquitto/": f"{tmp_path}/",
        "/etc/mosquitto/certs": str(tmp_path),
        "/etc/mosquitto/sharpedge.acl": str(acl),
        "listener 8883": f"listener {broker.port} 127.0.0.1",
    }.items():
        assert shipped in text
        text = text.replace(shipped, here)
    broker.config.write_text(text + f"user {os.environ.get('USER', 'root')}\n")
    for path in tmp_path.glob("*.key"):
        path.chmod(0o644)
    broker.start()

    def settings(name):
        pem = certificate(tmp_path, name, days=2, ca=ca)
        return BrokerSettings(
            port=broker.port, ca_file=ca, certificate_file=pem, key_file=pem.with_suffix(".key")
        )

    yield broker, settings
    broker.kill()


def appliance_at(folder, settings):
    it = Appliance(folder, settings.port, extra='[delivery]\nmode = "receipt"\nresend_s = 2\n')
    it.extend(
        f'[broker]\nca_file = "{settings.ca_file}"\n'
        f'certificate_file = "{settings.certificate_file}"\nkey_file = "{settings.key_file}"\n'
    )
    return it


def test_results_reach_a_dashboard_and_its_receipts_the_appliance(tmp_path, site):
    broker, settings = site
    it = appliance_at(tmp_path, settings("box1")).start()
    dashboard = Subscriber(settings("dashboard-1"), receiver="dashboard-1")
    try:
        it.put("a.jpg", film_bytes("n=1 study=s"))
        dashboard.wait("result", 1)
        until(lambda: it.states() == {1: "receipted"})
        until(lambda: {m.kind for m in dashboard.messages} >= {"state", "image", "study", "health"})
        assert not dashboard.of("state")[-1].alerts
        broker.kill()
        broker.start()
        it.put("b.jpg", film_bytes("n=2"))
        until(lambda: it.states() == {1: "receipted", 2: "receipted"}, 30)
        assert it.audit(broker=False)["findings"] == []
        assert it.terminate() == 0
    finally:
        it.kill()
        dashboard.close()


def test_a_device_cannot_speak_for_another_nor_read_its_results(site):
    broker, settings = site
    other = settings("box2")
    codes, heard = [], []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.tls_set(str(other.ca_file), str(other.certificate_file), str(other.key_file))
    client.on_publish = lambda _c, _d, _mid, code, _p: codes.append(str(code))
    client.on_message = lambda _c, _d, message: heard.append(message.topic)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    until(client.is_connected)
    client.subscribe("sharpedge/#", 1)
    for device in ("box1", "box2"):
        client.publish(f"sharpedge/clinic/xr1/{device}/state", "{}", 1).wait_for_publish(5)
    until(lambda: len(codes) == 2)
    time.sleep(0.5)
    client.disconnect()
    client.loop_stop()
    assert codes[0] == "Not authorized"
    assert codes[1] != "Not authorized"
    assert heard == ["sharpedge/clinic/xr1/box2/state"]


def test_nobody_comes_in_without_a_certificate(site):
    broker, settings = site
    ca = settings("box1").ca_file
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.tls_set(str(ca))
    connected = []
    client.on_connect = lambda *_: connected.append(True)
    # Since TLS 1.3 the refusal may come after the handshake.
    with contextlib.suppress(OSError):
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        time.sleep(1)
        client.loop_stop()
    assert not connected
