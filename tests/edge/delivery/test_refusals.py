from __future__ import annotations

import pytest

from edge.delivery.refusals import Refusals
from edge.journal.kinds import IMAGE, RESULT

R = RESULT


def probes(it, *, until_s, known=None, takes=lambda _n, _t: False, rows=(1, 2, 3)):
    """Times and numbers of the probes of a lane whose oldest messages are ``rows``."""
    found, now_s = [], 0.0
    while now_s < until_s and it.is_paused(R):
        if it.probe_is_due(R, now_s):
            left = [row for row in rows if row not in it.resting(now_s)]
            number = it.choose(R, left, known)
            found.append((now_s, number))
            if takes(number, now_s):
                it.taken(R, number, now_s)
            else:
                it.refused(R, number, "no", now_s)
        now_s += 0.5
    return found


def test_the_oldest_is_tried_after_one_two_four_seconds_and_at_most_every_thirty():
    it = Refusals()
    it.refused(R, 1, "no", 0.0)
    times = [at_s for at_s, number in probes(it, until_s=200) if number == 1]
    gaps = [b - a for a, b in zip([0.0, *times], times, strict=False)]
    assert gaps[:6] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    assert max(gaps) == 30.0


def test_refusals_of_what_was_in_flight_do_not_lengthen_the_pause():
    it = Refusals()
    for number in range(1, 33):
        it.refused(R, number, "no", 0.0)
    assert it.probe_is_due(R, 1.0)


@pytest.mark.parametrize("recovers_s", [3.0, 20.0, 47.0, 100.0, 250.0])
def test_when_the_broker_takes_all_again_the_oldest_is_the_first_that_goes(recovers_s):
    it = Refusals()
    it.refused(R, 1, "no", 0.0)
    taken = []

    def takes(number, now_s):
        if now_s >= recovers_s:
            taken.append(number)
        return now_s >= recovers_s

    at_s, _ = probes(it, until_s=1000, known=99, takes=takes)[-1]
    assert [number for number in taken if number != 99] == [1]
    assert at_s <= recovers_s + 30
    assert not it.is_refused(R)


def test_one_that_is_refused_while_others_are_taken_is_tried_apart():
    it = Refusals()
    it.refused(R, 1, "no", 0.0)
    found = probes(it, until_s=100, known=99, takes=lambda number, _: number == 99)
    assert found[-1][0] < 20
    assert not it.is_paused(R)
    assert it.is_refused(R)
    assert it.resting(found[-1][0] + 1) == {1}
    assert it.resting(found[-1][0] + 31) == set()
    it.taken(R, 1, 100.0)
    assert not it.is_refused(R)


def test_where_nothing_was_ever_taken_the_next_is_tried_after_minutes():
    it = Refusals()
    it.refused(R, 1, "no", 0.0)
    found = probes(it, until_s=1000, takes=lambda number, _: number == 2)
    assert found[-1][1] == 2
    assert 120 < found[-1][0] < 300
    assert it.resting(found[-1][0]) == {1}


def test_a_probe_that_was_lost_with_its_connection_is_sent_again_soon():
    it = Refusals()
    it.refused(R, 1, "no", 0.0)
    it.choose(R, (1,))
    assert not it.probe_is_due(R, 100.0)
    it.reconnected(100.0)
    assert it.probe_is_due(R, 101.0)


def test_lanes_pause_apart():
    it = Refusals()
    it.refused(R, 1, "no", 0.0)
    assert not it.is_paused(IMAGE)
    it.ended(R)
    assert not it.is_refused(R)
