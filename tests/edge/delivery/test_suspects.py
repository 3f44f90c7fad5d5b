from __future__ import annotations

from edge.delivery.rivalry import Rivalry
from edge.delivery.suspects import Suspects

LARGE = 100_000


def test_a_message_that_ends_the_connection_alone_three_times_is_guilty():
    it = Suspects()
    three = dict.fromkeys((1, 2, 3), LARGE)
    assert it.ended(three, 0.1) is None
    assert not it.careful
    assert it.ended(three, 0.1) is None
    assert it.careful
    assert [it.ended({1: LARGE}, 0.1) for _ in range(4)] == [None, None, 1, 1]
    it.cleared((1, 2, 3))
    assert not it.careful


def test_one_that_the_broker_calls_too_large_is_guilty_at_once_when_it_was_alone():
    it = Suspects()
    assert it.ended({1: LARGE, 2: 10}, 0.1, too_large=True) is None
    assert it.careful
    assert it.ended({1: LARGE}, 0.1, too_large=True) == 1


def test_what_is_large_is_told_by_what_the_broker_has_taken():
    it = Suspects()
    assert it.is_large(LARGE)
    it.taken(9, LARGE)
    assert not it.is_large(LARGE)


def test_a_message_that_the_broker_took_in_between_is_innocent():
    it = Suspects()
    for _ in range(10):
        assert it.ended({1: LARGE}, 0.1) is None
        it.cleared((1,))


def test_a_connection_that_ends_long_after_the_last_message_blames_none():
    it = Suspects()
    assert [it.ended({1: LARGE}, 10.0) for _ in range(20)] == [None] * 20


def test_a_rival_is_left_alone_for_longer_and_never_too_long():
    it = Rivalry()
    pauses = [it.ended(0.3, taken_over=False) for _ in range(6)]
    assert pauses == [0.0, 0.0, 5.0, 10.0, 10.0, 10.0]
    assert it.suspected


def test_the_brokers_own_word_needs_no_suspicion():
    assert Rivalry().ended(100.0, taken_over=True) == 5.0


def test_a_broker_that_was_away_is_no_rival():
    it = Rivalry()
    for _ in range(10):
        assert it.ended(0.3, taken_over=False) == 0.0
        it.failed()


def test_a_connection_that_lasts_ends_the_rivalry():
    it = Rivalry()
    for _ in range(4):
        it.ended(0.3, taken_over=False)
    assert it.ended(10_000.0, taken_over=False) == 0.0
