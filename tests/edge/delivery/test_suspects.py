from __future__ import annotations

from edge.delivery.suspects import Rivalry, Suspects


def test_a_message_that_ends_the_connection_alone_three_times_is_guilty():
    it = Suspects()
    assert it.ended({1, 2, 3}, 0.1) is None
    assert not it.careful
    assert it.ended({1, 2, 3}, 0.1) is None
    assert it.careful
    assert [it.ended({1}, 0.1) for _ in range(3)] == [None, None, 1]
    it.cleared((2, 3))
    assert not it.careful


def test_messages_may_be_given_by_the_keys_of_a_mapping():
    it = Suspects()
    for _ in range(2):
        it.ended({1: "row", 2: "row"}, 10.0)
    assert it.careful


def test_a_message_that_the_broker_took_in_between_is_innocent():
    it = Suspects()
    for _ in range(10):
        assert it.ended({1}, 0.1) is None
        it.cleared((1,))


def test_a_connection_that_ends_long_after_the_last_message_blames_none():
    it = Suspects()
    assert [it.ended({1}, 10.0) for _ in range(10)] == [None] * 10


def test_a_rival_is_left_alone_for_longer_each_time():
    it = Rivalry()
    pauses = [it.ended(0.3, taken_over=False) for _ in range(6)]
    assert pauses == [0.0, 0.0, 30.0, 60.0, 120.0, 240.0]
    assert it.suspected


def test_the_brokers_own_word_needs_no_suspicion():
    assert Rivalry().ended(100.0, taken_over=True) == 30.0


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
