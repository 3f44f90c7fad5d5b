"""Wires that are cut at the worst moment, brokers that hang up, and messages of all sizes."""

from __future__ import annotations

import threading
import time

import pytest
from appliance import Subscriber, until
from filled import fill
from proxy import DOWN, PUBACK, PUBLISH, UP, Cut, Wire, topic_of
from stand_in import film_bytes

RECEIPTS = '[delivery]\nmode = "receipt"\nresend_s = 2\n'


def ended(it, count, state="receipted"):
    return list(it.states().values()) == [state] * count


@pytest.fixture
def wire(broker):
    it = Wire(broker.port)
    yield it
    it.close()


def settled(it, count, timeout_s, state="receipted"):
    begun_s = time.monotonic()
    until(lambda: ended(it, count, state), timeout_s, f"{count} {state}, not {it.states()}")
    return round(time.monotonic() - begun_s, 1)


LATER = pytest.mark.faults


@pytest.mark.parametrize(
    ("moment", "protocol"),
    [
        (PUBLISH, "5"),
        pytest.param(PUBLISH, "3.1.1", marks=LATER),
        pytest.param(PUBACK, "5", marks=LATER),
        pytest.param(PUBACK, "3.1.1", marks=LATER),
    ],
)
def test_a_wire_cut_at_each_publish(broker, wire, make_appliance, figures, moment, protocol):
    """The wire is cut at every result's PUBLISH or PUBACK, eight times: none set aside, lost 0."""
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    it = make_appliance(wire.port, extra=RECEIPTS)
    it.extend(f'[broker]\nprotocol = "{protocol}"\n')
    cuts = []
    flying = set()

    def rule(way, kind, packet):
        if way == UP and kind == PUBLISH and topic_of(packet).endswith("/result"):
            flying.add(time.monotonic())
            if moment == PUBLISH and len(cuts) < 8:
                cuts.append(1)
                raise Cut
        if way == DOWN and kind == PUBLISH and len(cuts) < 8:
            # Receipts wait, so that nothing but the PUBACK could close a result.
            return not topic_of(packet).endswith("/receipt")
        if way == DOWN and kind == PUBACK and flying and moment == PUBACK and len(cuts) < 8:
            flying.clear()
            cuts.append(1)
            raise Cut
        return True

    wire.rule = rule
    it.start()
    it.put("a.jpg", film_bytes("n=1 limb=LH"))
    it.put("b.jpg", film_bytes("n=2 limb=LH"))
    # A result that ended the connection by itself rests 1, 2, 4, 8 and 16 s before its next tries.
    figures["recovered in s"] = settled(it, 2, 75)
    assert len(cuts) == 8
    assert len(dashboard.of("result")) == 2
    assert it.audit()["findings"] == []
    dashboard.close()


@pytest.mark.faults
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_broker_that_hangs_up_every_two_seconds(broker, wire, make_appliance, figures, protocol):
    """The connection ends every 2 s for 20 s, idle and busy: lost 0, served again within 15 s."""
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    it = make_appliance(wire.port, extra=RECEIPTS)
    it.extend(f'[broker]\nprotocol = "{protocol}"\n')
    it.start()
    it.put("a.jpg", film_bytes("n=1"))
    stop = threading.Event()

    def hang_up():
        while not stop.wait(2):
            wire.cut()

    thread = threading.Thread(target=hang_up)
    thread.start()
    time.sleep(20)
    it.put("b.jpg", film_bytes("n=2"))
    time.sleep(1)
    stop.set()
    thread.join()
    it.put("c.jpg", film_bytes("n=3"))
    figures["recovered in s"] = settled(it, 3, 15)
    assert len(dashboard.of("result")) == 3
    assert it.audit()["findings"] == []
    dashboard.close()


@pytest.mark.faults
def test_a_broker_that_takes_connections_and_answers_nothing(broker, wire, make_appliance, figures):
    """Connects, acknowledges nothing, hangs up after 1 s, ten times: no result is blamed."""
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    it = make_appliance(wire.port, extra=RECEIPTS)
    it.start()
    until(lambda: "broker: connected" in it.log())

    def rule(way, kind, _packet):
        if way == UP and kind == PUBLISH:
            threading.Timer(1.0, wire.cut).start()
        return kind not in {PUBLISH, PUBACK}

    wire.rule = rule
    it.put("a.jpg", film_bytes("n=1"))
    time.sleep(15)
    wire.rule = lambda *_: True
    figures["recovered in s"] = settled(it, 1, 15)
    assert len(dashboard.of("result")) == 1
    dashboard.close()


@pytest.mark.faults
def test_a_mute_connection_is_given_up(broker, wire, make_appliance, figures):
    """The wire swallows everything without an end (a router that died): told by the keepalive."""
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    it = make_appliance(wire.port, extra=RECEIPTS)
    it.extend("[broker]\nkeepalive_s = 5\n")
    it.start()
    it.put("a.jpg", film_bytes("n=1"))
    settled(it, 1, 10)
    old = wire.connections
    wire.rule = lambda *_: wire.connections != old
    begun_s = time.monotonic()
    it.put("b.jpg", film_bytes("n=2"))
    settled(it, 2, 30)
    figures["given up and recovered in s"] = round(time.monotonic() - begun_s, 1)
    assert len(dashboard.of("result")) == 2
    dashboard.close()


@pytest.mark.faults
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_large_result_between_small_ones(make_broker, make_appliance, figures, protocol):
    """A result above the broker's limit among small ones: that one is set aside, order kept."""
    small = make_broker("max_packet_size 20000\n")
    dashboard = Subscriber(small.settings, receiver="dashboard")
    it = make_appliance(small.port, extra=RECEIPTS)
    it.extend(f'[broker]\nprotocol = "{protocol}"\n')
    fill(it, 3)
    fill_large(it, 4)
    fill_small(it, 5, 8)
    it.start()
    begun_s = time.monotonic()
    wanted = ["receipted"] * 3 + ["set_aside"] + ["receipted"] * 3
    until(lambda: [s for _, s in sorted(it.states().items())] == wanted, 20)
    figures["all ended in s"] = round(time.monotonic() - begun_s, 1)
    order = [r.sequence for r in dashboard.of("result")]
    assert order == sorted(order)
    found = it.audit()["findings"]
    assert {it["fault"] for it in found} == {"set_aside"}
    dashboard.close()


def fill_large(it, number):
    fill(it, number, flags=["x" * 100] * 300, first=number - 1)


def fill_small(it, first, last):
    fill(it, last - 1, first=first - 1)
