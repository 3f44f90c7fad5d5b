"""Another client with the same client id."""

from __future__ import annotations

from edge.delivery.rivalry import Rivalry


def test_a_rival_is_left_alone_for_longer_and_never_too_long():
    it = Rivalry()
    pauses = [it.ended(0.3, taken_over=False) for _ in range(6)]
    assert pauses == [0.0, 0.0, 5.0, 10.0, 10.0, 10.0]
    assert it.suspected


def test_the_brokers_reason_taken_over_is_proof_enough():
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
