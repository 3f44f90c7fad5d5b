"""Messages that may be the cause when the broker ends a connection."""

from __future__ import annotations

from edge.delivery.suspects import Suspects

LARGE = 100_000


def test_a_message_that_ends_the_connection_alone_three_times_is_the_cause():
    it = Suspects()
    three = dict.fromkeys((1, 2, 3), LARGE)
    assert it.ended(three, 0.1) is None
    assert not it.careful
    assert it.ended(three, 0.1) is None
    assert it.careful
    assert [it.ended({1: LARGE}, 0.1) for _ in range(4)] == [None, None, 1, 1]
    it.cleared((1, 2, 3))
    assert not it.careful


def test_one_that_the_broker_calls_too_large_is_the_cause_at_once_when_it_was_alone():
    it = Suspects()
    assert it.ended({1: LARGE, 2: 10}, 0.1, too_large=True) is None
    assert it.careful
    assert it.ended({1: LARGE}, 0.1, too_large=True) == 1


def test_a_message_is_large_when_it_exceeds_all_that_the_broker_accepted():
    it = Suspects()
    assert it.is_large(LARGE)
    it.taken(9, LARGE)
    assert not it.is_large(LARGE)


def test_a_message_that_the_broker_accepted_in_between_is_not_the_cause():
    it = Suspects()
    for _ in range(10):
        assert it.ended({1: LARGE}, 0.1) is None
        it.cleared((1,))


def test_a_connection_that_ends_long_after_the_last_message_blames_none():
    it = Suspects()
    assert [it.ended({1: LARGE}, 10.0) for _ in range(20)] == [None] * 20
