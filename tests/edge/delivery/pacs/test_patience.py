from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.delivery.pacs.patience import MANY_TRIES, TRIES, Growing, Patience


def tries_until(step):
    return next(n for n in range(1, 100) if step())


@given(st.floats(0.01, 10), st.floats(1, 100), st.integers(1, 2000))
def test_pauses_grow_to_the_longest_and_no_further(first_s, factor, failures):
    pauses = Growing(first_s, first_s * factor)
    assert first_s <= pauses.after(failures) <= pauses.after(failures + 1) <= first_s * factor


def test_a_document_is_set_aside_sooner_where_the_pacs_takes_others():
    it = Patience(Growing(1, 8))
    assert tries_until(lambda: it.refused(1, 0)) == MANY_TRIES
    it = Patience(Growing(1, 8))
    assert not it.refused(1, 0)
    it.stored(2)
    assert tries_until(lambda: it.refused(1, 0)) == TRIES - 1


def test_what_only_ends_associations_is_never_set_aside_while_nothing_else_is_stored():
    it = Patience(Growing(1, 8))
    assert not any(it.ended(1, 0) for _ in range(100))
    it.stored(2)
    assert it.ended(1, 0)


def test_a_refused_document_rests_and_is_due_again():
    it = Patience(Growing(1, 8))
    it.refused(1, 10)
    assert it.resting(10.5) == {1}
    assert it.resting(11.5) == set()
    it.stored(1)
    assert it.resting(10.5) == set()
