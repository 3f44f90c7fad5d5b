"""What no dashboard has answered: paced while nobody listens, with its picture when one does."""

from __future__ import annotations

import json

import pytest

from edge.journal.orders import replay


def count(box, word):
    return len(box.broker.topic(word))


def test_without_a_dashboard_repeats_are_few_and_new_results_do_not_wait(make_box):
    box = make_box(resend_s=2.0)
    for number in range(300):
        box.film(number)
    box.run(10)
    before = count(box, "result")
    box.run(300)
    assert count(box, "result") - before < 450
    late = box.film(1000)
    box.run(1)
    assert any(json.loads(p)["id"] == late for _, p, _ in box.broker.topic("result"))


def test_a_line_that_flaps_does_not_repeat_everything_each_time(make_box):
    box = make_box()
    for number in range(300):
        box.film(number, picture=True)
    box.run(10)
    before = count(box, "result")
    for _ in range(10):
        box.connect()
        box.run(2)
    assert count(box, "result") - before < 10 * 40


def test_after_a_reconnect_what_waits_goes_before_what_is_new(make_box):
    box = make_box()
    old = [box.film(number) for number in range(10)]
    box.run(1)
    new = [box.film(number) for number in range(10, 15)]
    box.broker.taken = []
    box.connect(window=14)
    box.run(1)
    order = [json.loads(p)["id"] for _, p, _ in box.broker.topic("result")]
    assert order[: len(old)] == old
    assert set(order) == {*old, *new}


def test_after_a_restart_a_dashboard_that_comes_gets_all_at_full_speed(make_box):
    box = make_box()
    for number in range(400):
        box.film(number, picture=True)
    box.run(30)
    box.start()
    box.broker.taken = []
    box.run(30, box.answer_new())
    assert box.outbox.counts.depth().rows == 0
    assert len({payload for _, payload, _ in box.broker.topic("image")}) == 400


def test_what_only_asks_for_a_dashboard_brings_its_picture_with_the_answer(make_box):
    box = make_box(resend_s=4.0)
    box.film(1, picture=True)
    box.run(40)
    answer, before = box.answer_new(), count(box, "image")
    box.broker.taken = []
    box.run(20, answer)
    assert box.outbox.counts.depth().rows == 0
    assert count(box, "image") >= 1
    assert before < 10


def test_a_picture_that_was_removed_with_age_is_no_message_set_aside(make_box):
    box = make_box()
    box.film(1, picture=True)
    box.run(2)
    for path in box.pictures.iterdir():
        path.unlink()
    box.connect()
    box.run(20, box.answer_new())
    assert box.outbox.counts.depth() == type(box.outbox.counts.depth())(0, 0.0, 0)
    assert box.alerts() == {}


def test_a_picture_that_is_gone_before_its_first_sending_raises_an_alert(make_box):
    box = make_box()
    box.film(1, picture=True)
    for path in box.pictures.iterdir():
        path.unlink()
    box.run(2, box.answer_new())
    assert "image: unreadable" in box.alerts()["message_set_aside"]


@pytest.mark.parametrize("mode", ["receipt", "puback"])
def test_a_replay_sends_message_and_picture_once_more(make_box, mode):
    box = make_box(mode=mode)
    result_id = box.film(1, picture=True)
    box.run(5, box.answer_new())
    box.broker.taken = []
    replay(box.store, result_id)
    box.run(5, box.answer_new())
    assert (count(box, "result"), count(box, "image")) == (1, 1)
    assert box.outbox.counts.depth().rows == 0
