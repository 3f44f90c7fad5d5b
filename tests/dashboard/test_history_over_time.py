"""A patient over time, by the rules and in the words of `sharpedge history`."""

from __future__ import annotations

import random
from datetime import datetime, timezone

from hypothesis import given, settings
from hypothesis import strategies as st
from rooms import AT_S, OTHER, ROOM, film

from dashboard import history
from dashboard.simulated import hexadecimal
from edge.contract.vocabulary import Laterality, Limb
from sharpedge.tables import history as model


def results(worsts, device=ROOM):
    """Both hands on several dates; ``worsts`` is how damaged they are."""
    made = []
    for number, worst in enumerate(worsts):
        for offset, side in enumerate(Laterality):
            one = film(2 * number + offset + 1, device, side=side, at_s=AT_S + number * 1e7,
                       study=hexadecimal("visit", number), limb=Limb.HAND)  # fmt: skip
            made.append(one.result(random.Random(number * 7 + offset), worst))
    return made


class Stored:
    """A result as the journal's reader gives it."""

    def __init__(self, message):
        self.message = type("Row", (), {"body": message, "study": message.study})
        self.arrived = datetime.fromtimestamp(message.ledger.closed, timezone.utc)


@given(worsts=st.lists(st.floats(0, 1), min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
def test_totals_and_changes_are_those_of_the_command(worsts):
    made = results(worsts)
    mine = history.visits_of(enumerate(made))
    theirs = model.visits_of(map(Stored, made))
    assert [it.day for it in mine] == [it.day for it in theirs]
    for one, other in zip(mine, theirs, strict=True):
        assert one.total == other.total
        found = history.change(mine[0], one)
        wanted = model.change(theirs[0], other)
        assert tuple(found) == tuple(wanted)
        assert found.words == model.change_words(wanted)
    assert (history.DETECTABLE, history.SOURCE) == (model.DETECTABLE, model.SOURCE)


def test_of_a_limb_that_came_twice_the_later_number_counts_whatever_came_first():
    first, second = results([0.2, 0.2])[0], results([1.0])[0]
    later = second.model_copy(update={"sequence": 9, "study": first.study})
    for order in ([(1, first), (2, later)], [(2, later), (1, first)]):
        (visit,) = history.visits_of(order)
        assert visit.keys == {"LH": 2}


def test_a_side_that_is_not_known_has_no_place_in_time():
    unknown = results([0.2])[0].model_copy(update={"laterality": None})
    assert history.visits_of([(1, unknown)]) == []


def test_two_devices_do_not_mix_their_numbers():
    mine, theirs = results([0.2])[0], results([0.9], OTHER)[0]
    later = theirs.ledger.model_copy(update={"closed": mine.ledger.closed + 60})
    theirs = theirs.model_copy(update={"ledger": later})
    (visit,) = history.visits_of([(2, theirs), (1, mine.model_copy(update={"sequence": 99}))])
    assert visit.keys == {"LH": 2}
