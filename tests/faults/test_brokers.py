"""Brokers that die, forget, refuse, fill up, are taken over, and lose their certificate."""

from __future__ import annotations

import json
import random
import threading
import time

import paho.mqtt.client as mqtt
import pytest
from appliance import Appliance, Subscriber, until
from certificates import certificate
from filled import fill
from paho.mqtt.enums import CallbackAPIVersion
from stand_in import film_bytes

from edge.contract.payloads import Presence

RECEIPTS = '[delivery]\nmode = "receipt"\nresend_s = 2\n'


def ended(it, count, state="receipted"):
    return list(it.states().values()) == [state] * count


def test_a_broker_that_was_away_gets_everything_in_order(broker, make_appliance, scale, figures):
    """T3: broker away for an hour, 10,000 results: lost 0, order kept, memory bounded."""
    count = scale(500, 10_000)
    broker.kill()
    it = make_appliance(broker.port, extra=RECEIPTS)
    ids = fill(it, count)
    it.start()
    time.sleep(2)
    before = it.rss_mib()
    broker.start()
    begun_s = time.monotonic()
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    peak = before
    while not ended(it, count):
        assert time.monotonic() - begun_s < 600
        peak = max(peak, it.rss_mib())
        time.sleep(1)
    results = dashboard.of("result")
    order = [r.sequence for r in results]
    figures |= {
        "results": count,
        "lost": count - len({r.id for r in results}),
        "drained in s": round(time.monotonic() - begun_s, 1),
        "RSS growth in MiB": round(peak - before, 1),
    }
    assert {r.id for r in results} == set(ids)
    # What was sent before the dashboard had subscribed comes again, as one run at the end.
    first = order.index(min(order))
    assert order[first:] + order[:first] == sorted(order)
    assert all(r.historical for r in results)
    assert peak - before < 20
    assert it.audit()["findings"] == []
    dashboard.close()


def test_a_broker_killed_after_its_puback_gets_everything_again(
    broker, make_appliance, scale, figures
):
    """T4, T8: broker killed after PUBACK and restarted empty: all sent again, state too."""
    count = scale(50, 500)
    it = make_appliance(broker.port, extra=RECEIPTS)
    fill(it, count)
    it.start()
    until(lambda: ended(it, count, "sent"), 60)
    broker.kill()
    broker.start()
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    begun_s = time.monotonic()
    until(lambda: ended(it, count), 120)
    figures |= {
        "acknowledged and lost by the broker": count,
        "lost": count - len({r.id for r in dashboard.of("result")}),
        "recovered in s": round(time.monotonic() - begun_s, 1),
    }
    until(lambda: dashboard.of("state") and dashboard.of("state")[-1].state is Presence.ONLINE)
    assert dashboard.of("state")[-1].versions is not None
    assert it.audit()["findings"] == []
    dashboard.close()


def test_a_broker_killed_while_results_are_in_flight(broker, make_appliance, scale, figures):
    """T4: broker kill -9 at random while results flow: the appliance lives, lost 0."""
    dice = random.Random(6)
    count, kills = scale(300, 2000), scale(4, 25)
    it = make_appliance(broker.port, extra=RECEIPTS)
    ids = fill(it, count)
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    it.start()
    for _ in range(kills):
        time.sleep(dice.uniform(0.05, 0.6))
        broker.kill()
        time.sleep(dice.uniform(0.0, 0.5))
        broker.start()
    begun_s = time.monotonic()
    until(lambda: ended(it, count), 120)
    assert it.process.poll() is None
    figures |= {
        "kills": kills,
        "lost": count - len({r.id for r in dashboard.of("result")}),
        "recovered in s": round(time.monotonic() - begun_s, 1),
    }
    assert {r.id for r in dashboard.of("result")} == set(ids)
    assert it.audit()["findings"] == []
    dashboard.close()


class Offline:
    """A dashboard with a lasting session that goes away and comes back."""

    def __init__(self, port):
        self.port, self.ids, self._client = port, [], None

    def connect(self):
        client = mqtt.Client(CallbackAPIVersion.VERSION2, "lasting", clean_session=False)
        client.on_message = self._on_message
        client.on_connect = lambda it, *_: it.subscribe("sharpedge/#", 1)
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        self._client = client

    def _on_message(self, client, _data, message):
        if message.topic.endswith("/result"):
            result_id = json.loads(message.payload)["id"]
            self.ids.append(result_id)
            receipt = json.dumps({"id": result_id, "receiver": "lasting"})
            client.publish(message.topic.rpartition("/")[0] + "/receipt", receipt, 1)

    def leave(self):
        self._client.disconnect()
        self._client.loop_stop()


def test_a_queue_limit_at_the_broker_loses_nothing(make_broker, make_appliance, scale, figures):
    """T5: dashboard offline, queue limit below the number of results: lost 0."""
    limit, count = scale((50, 300), (1000, 3000))
    small = make_broker(f"max_queued_messages {limit}\n")
    dashboard = Offline(small.port)
    dashboard.connect()
    time.sleep(1)
    dashboard.leave()
    it = make_appliance(small.port, extra='[delivery]\nmode = "receipt"\n')
    ids = fill(it, count)
    it.start()
    until(lambda: ended(it, count, "sent"), 120)
    dashboard.connect()
    begun_s = time.monotonic()
    until(lambda: ended(it, count), 120)
    figures |= {
        "results": count,
        "queue limit": limit,
        "lost": count - len(set(dashboard.ids)),
        "recovered in s": round(time.monotonic() - begun_s, 1),
    }
    assert set(dashboard.ids) == set(ids)
    dashboard.leave()


@pytest.mark.parametrize("option", ["max_packet_size 20000", "message_size_limit 20000"])
def test_a_result_above_the_brokers_limit_is_set_aside(
    make_broker, make_appliance, figures, option
):
    """T6: a result above the broker's limit is set aside at once, the next flow."""
    small = make_broker(option + "\n")
    it = make_appliance(small.port, extra=RECEIPTS)
    fill(it, 1, flags=["x" * 100] * 300)
    it.start()
    dashboard = Subscriber(small.settings, receiver="dashboard")
    it.put("small.jpg", film_bytes("limb=LH"))
    begun_s = time.monotonic()
    until(lambda: it.states() == {1: "set_aside", 2: "receipted"}, 10)
    figures["set aside, and the next one received, in s"] = round(time.monotonic() - begun_s, 1)
    assert [found["fault"] for found in it.audit()["findings"]] == ["set_aside"]
    dashboard.close()


@pytest.mark.faults
def test_two_appliances_with_one_client_id_do_not_flap(tmp_path, broker, make_appliance, figures):
    """T7: two appliances with one client id: told, and left alone for longer each time."""
    one = make_appliance(broker.port).start()
    (tmp_path / "two").mkdir()
    two = Appliance(tmp_path / "two", broker.port).start()
    told = lambda: one.log() + two.log()  # noqa: E731
    try:
        until(lambda: "another client" in told())
        before = told().count("broker: connected")
        time.sleep(12)
        connections = told().count("broker: connected") - before
    finally:
        two.kill()
    begun_s = time.monotonic()
    one.put("a.jpg", film_bytes("n=1"))
    until(lambda: one.states() == {1: "acked"}, 20)
    figures |= {
        "connections until told": before,
        "in the 12 s after": connections,
        "alone again, recovered in s": round(time.monotonic() - begun_s, 1),
    }
    assert connections <= 4


def test_wrong_receipts_are_counted_and_dropped(broker, subscriber, make_appliance, figures):
    """T33: malformed, huge, retained and foreign receipts are counted and dropped."""
    it = make_appliance(broker.port, extra=RECEIPTS + "health_s = 1\n").start()
    it.put("a.jpg", film_bytes("limb=LH"))
    (result,) = subscriber.wait("result", 1)
    topic = "sharpedge/clinic/xr1/box1/receipt"
    good = json.dumps({"id": result.id, "receiver": "x"})
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    bad = [b"", b"\xff\xfe", b"{}", b"[" * 100_000, b"x" * 5_000_000, good[:-1].encode(),
           json.dumps({"id": "5ce4d5c1-0451-5ebc-8015-0fed7e05bc72", "receiver": "x"}).encode(),
           json.dumps({"id": result.id, "receiver": "x", "more": 1}).encode()]  # fmt: skip
    for payload in bad:
        client.publish(topic, payload, 1).wait_for_publish(5)
    # The longest the broker keeps from us: we told it how much we take.
    dropped = len(bad) - 1
    until(
        lambda: subscriber.of("health") and subscriber.of("health")[-1].messages_dropped >= dropped
    )
    assert it.states() == {1: "sent"}
    client.publish(topic, good, 1)
    until(lambda: it.states() == {1: "receipted"})
    figures["dropped"] = subscriber.of("health")[-1].messages_dropped
    client.disconnect()
    client.loop_stop()


def test_a_certificate_that_expired_and_is_renewed(tmp_path, make_broker, make_appliance, figures):
    """T25: TLS: a foreign and an expired certificate are told, a renewed one needs no restart."""
    ca = certificate(tmp_path, "ca", days=2)
    other = certificate(tmp_path, "other", days=2)
    expired = certificate(tmp_path, "expired", days=-1, ca=ca)
    good = certificate(tmp_path, "good", days=2, ca=ca)
    secure = make_broker()

    def serve(pem, key):
        secure.kill()
        secure.config.write_text(
            f"listener {secure.port} 127.0.0.1\nallow_anonymous true\nuser root\n"
            f"certfile {pem}\nkeyfile {key}\n"
        )
        secure.start()

    serve(expired, expired.with_suffix(".key"))
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(ca.read_bytes())
    it = make_appliance(secure.port)
    it.config.write_text(
        it.config.read_text().replace("[broker]\n", f'[broker]\nca_file = "{trusted}"\n')
    )
    it.start()
    it.put("a.jpg", film_bytes("limb=LH"))
    until(lambda: "certificate has expired" in it.log())
    trusted.write_bytes(other.read_bytes())
    serve(good, good.with_suffix(".key"))
    until(lambda: "unable to get local issuer" in it.log(), 30)
    trusted.unlink()
    until(lambda: "secrets" in it.log(), 40)
    trusted.write_bytes(ca.read_bytes())
    begun_s = time.monotonic()
    until(lambda: it.states() == {1: "acked"}, 40)
    figures["delivered after the renewal in s"] = round(time.monotonic() - begun_s, 1)


def test_a_kind_of_message_that_the_broker_denies_holds_up_no_other(
    tmp_path, make_broker, make_appliance
):
    """T34: publishes that an ACL denies wait, with an alert; the others flow."""
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite #\ntopic deny sharpedge/clinic/xr1/box1/image\n")
    strict = make_broker(f"acl_file {acl}\n")
    dashboard = Subscriber(strict.settings)
    it = make_appliance(strict.port).start()
    it.put("a.jpg", film_bytes("limb=LH"))
    until(lambda: it.states() == {1: "acked"})
    codes = lambda: {a.code for s in dashboard.of("state") for a in s.alerts}  # noqa: E731
    until(lambda: "message_refused" in codes())
    assert it.audit()["exit_status"] == 3
    it.put("b.jpg", film_bytes("limb=RH"))
    until(lambda: it.states() == {1: "acked", 2: "acked"})
    dashboard.close()


@pytest.mark.faults
def test_a_study_fills_times_out_and_expires(broker, subscriber, make_appliance):
    """Study: fills with each limb, is incomplete in time, and its topic is cleared in the end."""
    it = make_appliance(
        broker.port, extra="[delivery]\nmode = 'puback'\nstudy_wait_s = 3\nstudy_ttl_s = 8\n"
    ).start()
    it.put("A-LH.jpg", film_bytes("limb=LH study=s patient=p"))
    subscriber.wait("study", 1)
    assert subscriber.of("study")[-1].missing == ("RH", "LF", "RF")
    until(lambda: subscriber.of("study")[-1].status == "incomplete", 15)
    it.put("A-RH.jpg", film_bytes("limb=RH study=s patient=p"))
    until(lambda: subscriber.of("study")[-1].missing == ("LF", "RF"), 15)
    until(lambda: [m for m in subscriber.messages if m.kind == "study" and not m.payload], 25)


def test_a_raising_thread_is_no_silent_death(broker, subscriber, make_appliance):
    """T29, T33: bytes that are no MQTT end the connection, and the next one serves."""
    it = make_appliance(broker.port).start()
    it.put("a.jpg", film_bytes("n=1"))
    subscriber.wait("result", 1)
    broker.kill()
    import socket

    with socket.create_server(("127.0.0.1", broker.port), reuse_port=False) as server:
        server.settimeout(10)
        stop = threading.Event()

        def talk():
            while not stop.is_set():
                try:
                    sock, _ = server.accept()
                except OSError:
                    return
                with sock:
                    sock.sendall(b"\xf0\xff\xff\xff\xff\xff rubbish " * 10)
                    time.sleep(0.2)

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        time.sleep(3)
        stop.set()
    thread.join(12)
    broker.start()
    again = Subscriber(broker.settings)
    it.put("b.jpg", film_bytes("n=2"))
    until(lambda: ended(it, 2, "acked"), 30)
    again.close()
