"""What the broker refuses, forgets to acknowledge, or has not taken: nothing is lost of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from edge.delivery.link import TOO_LARGE, Failure, LinkError
from edge.journal.kinds import REJECT, RESULT

PUBACK_REFUSALS = [
    str(ReasonCode(PacketTypes.PUBACK, identifier=code))
    for code in (0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)
]


def states(box, kind="result"):
    rows = box.store.db.execute("SELECT state FROM outbox WHERE kind = ?", (kind,))
    return {r["state"] for r in rows}


@pytest.mark.parametrize("why", [*PUBACK_REFUSALS, "reason code 0x8d"])
def test_whatever_the_reason_what_was_refused_for_a_minute_arrives_in_order(make_box, why):
    box = make_box()
    for number in range(20):
        box.film(number, RESULT if number % 3 else REJECT, picture=number % 2 == 0)
    words = {"result", "reject", "image"}
    box.broker.refuses = lambda topic: why if topic.split("/")[4] in words else ""
    box.run(60, box.answer_new())
    assert box.broker.sequences() == []
    assert len(box.broker.refused) < 70
    assert "fix:" in box.alerts()["message_refused"]
    assert why in box.alerts()["message_refused"]
    box.broker.refuses = lambda _topic: ""
    box.run(60, box.answer_new())
    assert box.broker.sequences() == list(range(1, 21))
    assert len(box.broker.topic("image")) == 10
    assert states(box) == states(box, "reject") == states(box, "image") == {"closed"}
    assert box.alerts() == {}


def test_the_alert_of_a_refusal_survives_a_restart_until_the_broker_accepts_something(make_box):
    box = make_box()
    box.film(1)
    box.broker.refuses = lambda _topic: "Not authorized"
    box.run(10)
    box.start()
    assert "Not authorized" in box.alerts()["message_refused"]
    box.broker.refuses = lambda _topic: ""
    box.run(5)
    assert "message_refused" not in box.alerts()


@pytest.mark.parametrize("word", ["image", "reject", "study", "result"])
def test_a_refused_kind_holds_up_no_other(make_box, word):
    box = make_box()
    for number in range(12):
        kind = REJECT if number % 4 == 0 else RESULT
        box.film(number, kind, picture=True, study=True)
    box.broker.refuses = lambda topic: "Not authorized" if topic.split("/")[4] == word else ""
    box.run(120, box.answer_new())
    assert box.broker.topic(word) == []
    for other in {"image", "reject", "study", "result"} - {word}:
        assert box.broker.topic(other), other
    assert "message_refused" in box.alerts()
    box.broker.refuses = lambda _topic: ""
    box.run(60, box.answer_new())
    assert len(set(box.broker.sequences())) == 12
    assert len({topic for topic, _, _ in box.broker.topic("study")}) == 12


def test_a_refused_study_is_tried_ever_less_often_and_raises_an_alert(make_box):
    box = make_box()
    box.film(1, study=True)
    box.broker.refuses = lambda topic: "Not authorized" if "/study/" in topic else ""
    box.run(120)
    assert 5 <= len(box.broker.refused) <= 9
    assert "study" in box.alerts()["message_refused"]


def test_one_message_that_the_broker_never_takes_holds_up_no_other(make_box):
    box = make_box()
    ids = [box.film(number) for number in range(10)]
    poison = ids[2].encode()
    real = box.broker.publish
    refused = "Payload format invalid"

    def publish(topic, payload, extras, **more):
        box.broker.refuses = lambda _topic: refused if poison in payload else ""
        return real(topic, payload, extras, **more)

    box.broker.publish = publish
    box.run(60, box.answer_new())
    arrived = {json.loads(payload)["id"] for _, payload, _ in box.broker.topic("result")}
    assert arrived == set(ids) - {ids[2]}
    refused = ""
    box.run(60, box.answer_new())
    assert states(box) == {"closed"}


def test_only_what_is_larger_than_the_brokers_limit_is_set_aside(make_box):
    box = make_box()
    box.connect(packet_limit=5000)
    box.film(1, flags=["x" * 100] * 100)
    box.film(2)
    box.broker.refuses = lambda _topic: ""
    box.run(2, box.answer_new())
    assert box.outbox.counts.latest_set_aside()[0] == 1
    box.film(3)
    box.broker.refuses = lambda _topic: TOO_LARGE
    box.run(2)
    assert box.outbox.counts.latest_set_aside()[0] == 2
    assert "sharpedge retry" in box.alerts()["message_set_aside"]
    box.start()
    box.run(2)
    assert "2 messages are set aside" in box.alerts()["message_set_aside"]


@settings(
    max_examples=25, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(
    outages=st.lists(
        st.tuples(st.integers(1, 40), st.sampled_from(PUBACK_REFUSALS)), min_size=1, max_size=4
    ),
    films=st.integers(1, 12),
)
def test_after_any_row_of_refusals_everything_arrives_in_order(tmp_path_factory, outages, films):
    from box import Box

    with pytest.MonkeyPatch.context() as patch:
        box = Box(tmp_path_factory.mktemp("box"), patch)
        answer = box.answer_new()
        made = 0
        for seconds, why in outages:
            box.broker.refuses = lambda _topic, why=why: why
            for _ in range(films):
                box.film(made)
                made += 1
            box.run(seconds, answer)
            box.broker.refuses = lambda _topic: ""
            box.run(1, answer)
        box.run(59, answer)
        assert box.broker.sequences() == list(range(1, made + 1))
        assert states(box) == {"closed"}
        box.close()


def test_lost_acknowledgements_cost_a_reconnect_and_no_result(make_box):
    box = make_box()
    ids = [box.film(number, picture=True) for number in range(30)]
    box.broker.acknowledges = False
    box.run(45)
    assert box.connections > 2
    assert "does not acknowledge" in box.alerts()["no_acknowledgement"]
    box.broker.acknowledges = True
    box.run(60, box.answer_new())
    assert {json.loads(p)["id"] for _, p, _ in box.broker.topic("result")} == set(ids)
    assert states(box) == states(box, "image") == {"closed"}
    assert "no_acknowledgement" not in box.alerts()


def test_where_receipts_pass_all_results_flow_without_one_acknowledgement(make_box):
    box = make_box()
    box.connect(window=20)
    for number in range(60):
        box.film(number, picture=True)
    box.broker.acknowledges = False
    box.run(45, box.answer_new())
    assert states(box) == {"closed"}


def test_one_acknowledgement_that_is_lost_among_others_frees_its_place(make_box):
    box = make_box()
    first = box.film(1)
    box.run(1)
    before = box.connections
    box.broker.acknowledges = False
    box.film(2)
    box.turn()
    box.broker.acknowledges = True
    answer = box.answer_new()
    for number in range(3, 80):
        box.film(number)
        box.run(0.4)
    assert box.connections == before + 1
    box.run(5, answer)
    assert first
    assert states(box) <= {"closed", "waiting"}


def test_a_slow_line_is_no_lost_acknowledgement(make_box):
    box = make_box()
    box.film(1, picture=True)
    box.broker.acknowledges, box.broker.flushed = False, False
    box.run(120)
    assert box.connections == 1
    box.broker.flushed = True
    box.run(10)
    assert box.connections == 1
    box.run(10)
    assert box.connections == 2


@pytest.mark.parametrize("code", [0x80, 0x83, 0x87, 0x89, 0x97, 0x99])
def test_a_broker_that_refuses_by_ending_the_connection_loses_nothing(make_box, code):
    box = make_box()
    for number in range(6):
        box.film(number)
    ends = True

    def turn():
        turn_of_box()
        if ends and box.outgoing.flights.rows():
            box.broker.answers = []
            box.outgoing.ended(LinkError(Failure.UNREACHABLE, "refused", code))
            box.broker.taken = [it for it in box.broker.taken if "/result" not in it[0]]
            box.connect()
            box.outgoing._proved = True

    turn_of_box, box.turn = box.turn, turn
    hear, box.hear = box.hear, lambda: None if ends else hear()
    box.run(60)
    assert states(box) == {"queued"}
    assert box.connections < 40
    ends = False
    box.run(60, box.answer_new())
    assert box.broker.sequences() == list(range(1, 7))


def test_sendings_are_counted_although_a_later_one_failed(make_box):
    box = make_box()
    for number in range(4):
        box.film(number)
    real = box.broker.publish
    left = [2]

    def publish(*args, **more):
        left[0] -= 1
        if left[0] < 0:
            raise LinkError(Failure.UNREACHABLE, "gone")
        return real(*args, **more)

    box.broker.publish = publish
    with pytest.raises(LinkError):
        box.outgoing.send_rows()
    rows = box.store.db.execute("SELECT sendings FROM outbox ORDER BY row")
    assert [r["sendings"] for r in rows] == [1, 1, 0, 0]


def test_pictures_take_at_most_half_of_the_places(make_box):
    box = make_box()
    box.connect(window=20)
    for number in range(30):
        box.film(number, picture=True)
    box.broker.acknowledges = False
    box.run(2, box.answer_new())
    assert box.outgoing.flights.without_receipt() <= 6
    assert len(box.broker.sequences()) > 12
