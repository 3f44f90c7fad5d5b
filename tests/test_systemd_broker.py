"""The broker configuration for sites, started as it is shipped but for its places."""

from __future__ import annotations

import contextlib
import json
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

SYSTEMD = Path(__file__).resolve().parents[1] / "systemd"


MAIN = Path("/etc/mosquitto/mosquitto.conf")
# The settings of Debian's main file, for machines that lack it.
MAIN_OF_DEBIAN = """
pid_file /run/mosquitto/mosquitto.pid
persistence true
persistence_location /var/lib/mosquitto/
log_dest file /var/log/mosquitto/mosquitto.log
include_dir /etc/mosquitto/conf.d
"""


def moved(text, places):
    """A configuration with its places replaced; each must occur in it."""
    for shipped, here in places.items():
        assert shipped in text
        text = text.replace(shipped, str(here))
    return text


def write_site(folder, broker, main):
    """The shipped file in ``conf.d`` of a main file; all places lie in ``folder``."""
    included = folder / "conf.d"
    included.mkdir()
    acl = folder / "acl"
    acl.write_text((SYSTEMD / "mosquitto.acl").read_text())
    shipped = moved(
        (SYSTEMD / "mosquitto.conf").read_text(),
        {
            "/etc/mosquitto/certs": folder,
            "/etc/mosquitto/sharpedge.acl": acl,
            "listener 8883": f"listener {broker.port} 127.0.0.1",
        },
    )
    (included / "sharpedge.conf").write_text(shipped)
    text = moved(
        main,
        {
            "/run/mosquitto/mosquitto.pid": folder / "mosquitto.pid",
            "/var/lib/mosquitto/": f"{folder}/",
            "/var/log/mosquitto/mosquitto.log": folder / "mosquitto.log",
            "include_dir /etc/mosquitto/conf.d": f"include_dir {included}",
        },
    )
    # Before include_dir: a main file's own settings precede the included ones.
    broker.config.write_text(f"user {os.environ.get('USER', 'root')}\n{text}")


@pytest.fixture
def make_site(tmp_path):
    """Brokers as a site runs them; gives the broker and the settings of a named user."""
    if MOSQUITTO is None or shutil.which("openssl") is None:
        pytest.skip("needs mosquitto and openssl (Debian packages of these names)")
    ca = certificate(tmp_path, "ca", days=2)
    certificate(tmp_path, "broker", days=2, ca=ca)
    for path in tmp_path.glob("*.key"):
        path.chmod(0o644)
    broker = Broker(tmp_path)

    def settings(name):
        pem = certificate(tmp_path, name, days=2, ca=ca)
        return BrokerSettings(
            port=broker.port, ca_file=ca, certificate_file=pem, key_file=pem.with_suffix(".key")
        )

    def make(main):
        write_site(tmp_path, broker, main)
        broker.start()
        return broker, settings

    yield make
    broker.kill()


@pytest.fixture
def site(make_site):
    return make_site(MAIN.read_text() if MAIN.is_file() else MAIN_OF_DEBIAN)


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


@pytest.mark.parametrize(
    "own",
    [
        "",
        "per_listener_settings true",
        "max_inflight_messages 20\nmax_queued_messages 1000\nmax_packet_size 65536",
        "autosave_interval 1800\nautosave_on_changes false\npersistent_client_expiration 1d",
        "log_dest syslog\nlog_type all",
        "listener 0 @plain\nallow_anonymous true",
    ],
    ids=lambda own: own.replace("\n", ", ") or "as Debian has it",
)
def test_the_file_starts_beside_a_main_file_with_settings_of_its_own(tmp_path, make_site, own):
    own = own.replace("0 @plain", f"0 {tmp_path}/plain")
    _, settings = make_site(f"{own}\n{MAIN_OF_DEBIAN}")
    dashboard = Subscriber(settings("dashboard-1"))
    dashboard.close()
    assert (tmp_path / "mosquitto.log").stat().st_size


def test_no_single_setting_of_the_main_file_is_set_again():
    """Mosquitto takes a repeated number or truth value, and refuses a repeated text."""
    if not MAIN.is_file():
        pytest.skip(f"no {MAIN} here (Debian package mosquitto)")
    keys = lambda text: {  # noqa: E731
        line.split()[0] for line in text.splitlines() if line and not line.startswith("#")
    }
    repeated = keys(MAIN.read_text()) & keys((SYSTEMD / "mosquitto.conf").read_text())
    assert repeated <= {"persistence"}


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


def publisher(settings):
    """A client of a named user; gives a function that publishes and returns the broker's word."""
    words = {}
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.tls_set(str(settings.ca_file), str(settings.certificate_file), str(settings.key_file))
    client.on_publish = lambda _c, _d, mid, code, _p: words.update({mid: str(code)})
    client.connect("127.0.0.1", settings.port)
    client.loop_start()

    def publish(topic, body):
        number = client.publish(topic, json.dumps(body), qos=1).mid
        return until(lambda: words.get(number))

    return client, publish


def test_only_a_named_operator_releases_and_under_its_own_name(tmp_path, site):
    _broker, settings = site
    it = appliance_at(tmp_path, settings("box1")).start()
    dashboard = Subscriber(settings("dashboard-1"), receiver="dashboard-1")
    clients = []
    try:
        it.put("a.jpg", film_bytes("reason=side_not_known"))
        (reject,) = dashboard.wait("reject", 1)
        topic = "sharpedge/clinic/xr1/box1/operator"
        order = {"command": "release", "id": reject.id, "operator": "Anna", "side": "R"}
        for name in ("dashboard-1", "box1-thief"):
            client, publish = publisher(settings(name))
            clients.append(client)
            assert publish(f"{topic}/operator-1", order) == "Not authorized"
            assert publish(f"{topic}/{name}", order) == "Not authorized"
        client, publish = publisher(settings("operator-1"))
        clients.append(client)
        assert publish(f"{topic}/operator-2", order) == "Not authorized"
        assert (
            publish("sharpedge/clinic/xr1/box1/command", {"command": "pause"}) == "Not authorized"
        )
        time.sleep(1)
        assert it.states()[1] == "held"
        assert dashboard.of("answer") == []
        assert publish(f"{topic}/operator-1", {"command": "release"}) == "Success"
        assert publish(f"{topic}/operator-1", order) == "Success"
        (result,) = dashboard.wait("result", 1)
        assert (result.laterality, result.supersedes) == ("R", reject.id)
        malformed, done = dashboard.wait("answer", 2)
        assert (malformed.command, malformed.done, done.command, done.done) == (
            None, False, "release", True,
        )  # fmt: skip
        until(lambda: "receipted" in it.states().values())
        (decided,) = json.loads(it.order("status", "--json").stdout)["decisions"]
        assert (decided["operator"], decided["what"]) == ("Anna (via operator-1)", "released as R")
        assert it.terminate() == 0
        assert it.audit()["findings"] == []
    finally:
        it.kill()
        dashboard.close()
        dashboard.check_contract()
        for client in clients:
            client.loop_stop()
            client.disconnect()
