"""Few attempts fail in a minute."""

from __future__ import annotations

from dashboard.people.pace import _REMEMBERED, Pace


def test_failures_of_a_name_and_of_an_address_count_for_a_minute():
    now_s = [0.0]
    it = Pace(lambda: now_s[0])
    for number in range(10):
        assert it.allows("name a", f"address {number}")
        it.note("name a", f"address {number}")
    assert not it.allows("name a", "address 11")
    assert it.allows("name b", "address 11")
    now_s[0] = 61.0
    assert it.allows("name a", "address 1")


def test_what_is_remembered_has_an_end():
    it = Pace(lambda: 0.0)
    for number in range(_REMEMBERED + 50):
        it.note(f"name {number}")
    assert len(it._noted) == _REMEMBERED
