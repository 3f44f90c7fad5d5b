"""Connections to brokers of several kinds."""

from __future__ import annotations

import queue
import socket
import threading
from contextlib import closing

import pytest
from appliance import Subscriber, until
from stand_in import film_bytes

from edge.delivery.link import TOO_LARGE, Answered, Failure, Link, LinkError, open_link
from edge.delivery.listen import Seen
from edge.delivery.settings import BrokerSettings, Protocol
from edge.outputs.packet import Extras


class OldBroker:
    """Passes MQTT 3.1.1 on to a real broker and treats MQTT 5 as old brokers do.

    ``answer`` is the CONNACK that MQTT 5 gets.
    """

    def __init__(self, port, answer):
        self._to, self._answer = port, answer
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with closing(sock):
            first = sock.recv(4096)
            level = first[first.index(b"MQTT") + 4]
            if level == 5:
                sock.sendall(self._answer)
                return
            with closing(socket.create_connection(("127.0.0.1", self._to))) as out:
                out.sendall(first)
                back = threading.Thread(target=self._pump, args=(out, sock), daemon=True)
                back.start()
                self._pump(sock, out)

    @staticmethod
    def _pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def close(self):
        self._server.close()


def test_a_name_service_that_hangs_is_told_in_time(monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(20) and [])
    settings = BrokerSettings(host="broker.example", connect_s=0.2)
    link = Link(
        settings, "box", Protocol.V5, will=None, subscriptions=(), events=queue.SimpleQueue()
    )
    try:
        with pytest.raises(LinkError, match="no answer of the name service within") as told:
            link.open()
        assert told.value.failure is Failure.UNREACHABLE
    finally:
        over.set()


@pytest.mark.parametrize("answer", [b"\x20\x02\x00\x01", b"\x20\x03\x00\x84\x00"])
def test_an_old_broker_gets_3_1_1_and_state_says_so(broker, make_appliance, answer):
    old = OldBroker(broker.port, answer)
    subscriber = Subscriber(BrokerSettings(port=old.port))
    it = make_appliance(old.port).start()
    it.put("a.jpg", film_bytes("limb=LH"))
    (result,) = subscriber.wait("result", 1)
    until(lambda: [m for m in subscriber.messages if m.kind == "image"])
    (image,) = [m for m in subscriber.messages if m.kind == "image"]
    assert image.result_id == result.id
    assert subscriber.of("state")[-1].protocol == "3.1.1"
    assert it.terminate() == 0
    until(lambda: subscriber.of("state")[-1].state == "offline")
    subscriber.close()
    subscriber.check_contract()
    old.close()


def make(settings):
    def link(protocol):
        events = queue.SimpleQueue()
        return Link(settings, "c", protocol, will=None, subscriptions=(), events=events)

    return link


def test_a_closed_port_is_unreachable():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        settings = BrokerSettings(port=sock.getsockname()[1])
        with pytest.raises(LinkError) as caught:
            open_link(make(settings), Protocol.AUTO)
    assert caught.value.failure is Failure.UNREACHABLE


def test_a_port_that_accepts_and_never_answers_has_a_deadline():
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = BrokerSettings(port=server.getsockname()[1], connect_s=0.3)
        with pytest.raises(LinkError) as caught:
            open_link(make(settings), Protocol.V5)
    assert caught.value.failure is Failure.SILENT


def test_a_message_above_the_brokers_limit_is_set_aside_and_the_next_flows(
    tmp_path, make_appliance
):
    from appliance import MOSQUITTO, Broker

    if MOSQUITTO is None:
        pytest.skip("no mosquitto on this machine (Debian package mosquitto)")
    # Pictures are larger than this, results are not.
    small = Broker(tmp_path, "max_packet_size 9000\n").start()
    subscriber = Subscriber(small.settings)
    it = make_appliance(small.port, factory="stand_in:build_with_large_pictures").start()
    it.put("a.jpg", film_bytes("limb=LH"))
    it.put("b.jpg", film_bytes("limb=RH"))
    subscriber.wait("result", 2)
    until(lambda: it.log().count("set aside: larger_than_broker_limit") == 2)
    until(lambda: [a.code for a in subscriber.of("state")[-1].alerts] == ["message_set_aside"])
    subscriber.close()
    small.kill()


class Changing:
    """A port that answers each connection in another way, in turn."""

    def __init__(self, *answers):
        self.levels, self._answers = [], list(answers)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.settings = BrokerSettings(port=self._server.getsockname()[1], connect_s=0.3)
        self._open = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        for answer in self._answers:
            sock, _ = self._server.accept()
            self._open.append(sock)
            first = sock.recv(4096)
            self.levels.append(first[first.index(b"MQTT") + 4])
            if answer is None:
                sock.close()
            elif answer:
                sock.sendall(answer)

    def close(self):
        self._server.close()
        for sock in self._open:
            sock.close()


SILENCE, HANGS_UP = b"", None
OLD_REFUSAL, NEW_REFUSAL = b"\x20\x02\x00\x01", b"\x20\x03\x00\x84\x00"
BUSY = b"\x20\x03\x00\x89\x00"


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (SILENCE, Failure.SILENT),
        (HANGS_UP, Failure.ENDED),
        (BUSY, Failure.REFUSED),
        (b"\x20\x03\x00\x87\x00", Failure.REFUSED),
    ],
)
def test_only_a_broker_that_answers_that_it_knows_no_5_gets_3_1_1(answer, failure):
    it = Changing(answer)
    with pytest.raises(LinkError) as caught:
        open_link(make(it.settings), Protocol.AUTO)
    assert caught.value.failure is failure
    assert it.levels == [5]
    it.close()


@pytest.mark.parametrize("refusal", [OLD_REFUSAL, NEW_REFUSAL])
def test_after_a_refusal_of_5_it_is_asked_for_again_at_each_connection(refusal):
    accepted_3_1_1, accepted_5 = b"\x20\x02\x00\x00", b"\x20\x03\x00\x00\x00"
    it = Changing(refusal, accepted_3_1_1, SILENCE, accepted_5)
    link, _ = open_link(make(it.settings), Protocol.AUTO)
    assert link.protocol == "3.1.1"
    link.abandon()
    with pytest.raises(LinkError):
        open_link(make(it.settings), Protocol.AUTO)
    link, _ = open_link(make(it.settings), Protocol.AUTO)
    assert link.protocol == "5"
    link.abandon()
    assert it.levels == [5, 4, 5, 5]
    it.close()


@pytest.mark.parametrize("code", range(0x80, 0xA3))
def test_any_answer_to_a_publish_is_read_and_ends_no_connection(code):
    """Codes that MQTT 5 does not foresee for it come from brokers in use."""
    it = Changing(b"\x20\x03\x00\x00\x00")
    events = queue.SimpleQueue()
    link = Link(it.settings, "c", Protocol.V5, will=None, subscriptions=(), events=events)
    link.open()
    number = link.publish("sharpedge/a/b/c/result", b"x", Extras(), qos=1, retain=False)
    it._open[0].sendall(b"\x40\x04" + number.to_bytes(2, "big") + bytes([code, 0]))
    answered = events.get(timeout=5)
    assert isinstance(answered, Answered)
    assert answered.mid == number
    assert answered.refusal
    assert (answered.refusal == TOO_LARGE) == (code == 0x95)
    link.abandon()
    it.close()


def test_memory_of_ids_is_bounded_and_counts_repeats():
    seen = Seen(limit=2)
    assert [seen.is_new("result", word) for word in "aabca"] == [True, False, True, True, True]
    assert seen.repeats == 1
