from __future__ import annotations

from edge.delivery.flights import ACKNOWLEDGED_S, Flight, Flights, Plain


def in_flight(*times_s):
    it = Flights()
    for number, at_s in enumerate(times_s):
        it.add(number, Flight(Plain("state"), 1, at_s))
    return it


def test_each_place_has_a_deadline():
    it = in_flight(0.0, 10.0)
    assert it.overdue(ACKNOWLEDGED_S) == 0
    assert it.overdue(ACKNOWLEDGED_S + 1) == 1
    assert it.overdue(ACKNOWLEDGED_S + 11) == 2


def test_progress_counts_for_what_was_sent_later_only():
    it = in_flight(0.0, 1.0, 2.0)
    it.answered(1, 14.0)
    # The first is not acknowledged although a later one is: it is lost.
    assert it.overdue(16.0) == 1
    assert it.overdue(28.5) == 1
    assert it.overdue(29.5) == 2


def test_while_bytes_are_on_their_way_no_deadline_runs():
    it = in_flight(0.0)
    it.touch(100.0)
    assert it.overdue(114.0) == 0
    assert it.overdue(116.0) == 1


def test_an_answer_to_nothing_is_none():
    assert in_flight().answered(5, 1.0) is None
