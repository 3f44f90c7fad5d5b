from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.intake.complete import Structure
from edge.intake.settle import Change, Closing, Look, Patience, Settling
from edge.model import Signature

PATH = b"/drop/a.jpg"
WHOLE, CUT = Structure.COMPLETE, Structure.INCOMPLETE
NO_TRAILER = Structure.NO_TRAILER


def look(structure, size=10, tail=b"t"):
    return Look(Signature(1, 2, size, 3), structure, tail)


def at(seconds):
    return Closing(seconds, 1e9 + seconds)


def first_ready(settling, what, until_s=1000.0, start_s=0.0):
    """Time at which a file whose looks are all ``what`` is taken, None if it is not."""
    now_s = start_s
    while now_s <= until_s:
        for path in settling.due(now_s):
            if settling.look(path, what, now_s):
                return now_s
        now_s = max(now_s + 0.01, settling.next_due_s() or until_s + 1)
    return None


def test_closed_and_whole_is_taken_at_once_with_the_time_of_the_close():
    settling = Settling(watched=True)
    settling.note(PATH, Change.CLOSED, at(5))
    ready = settling.look(PATH, look(WHOLE), 5.0)
    assert ready is not None
    assert ready.closing == at(5)
    assert PATH not in settling


def test_closed_without_an_end_waits_a_second():
    settling = Settling(watched=True)
    settling.note(PATH, Change.CLOSED, at(0))
    assert 1.0 <= first_ready(settling, look(NO_TRAILER)) <= 1.5


def test_closed_with_bytes_missing_waits_a_minute_and_each_change_begins_it_again():
    settling = Settling(watched=True)
    settling.note(PATH, Change.CLOSED, at(0))
    assert 60 <= first_ready(settling, look(CUT)) <= 66
    settling.note(PATH, Change.CLOSED, at(100))
    assert first_ready(settling, look(CUT), until_s=150, start_s=100) is None
    settling.note(PATH, Change.CLOSED, at(150))
    assert 210 <= first_ready(settling, look(CUT), start_s=150) <= 216


def test_a_writer_that_was_seen_is_waited_for_even_when_the_film_looks_whole():
    settling = Settling(watched=True)
    settling.note(PATH, Change.WRITTEN, at(0))
    assert first_ready(settling, look(WHOLE), until_s=599) is None
    settling.note(PATH, Change.CLOSED, at(599.5))
    assert settling.look(PATH, look(WHOLE), 599.5)


def test_a_writer_that_never_closes_is_given_up_after_ten_minutes():
    settling = Settling(watched=True)
    settling.note(PATH, Change.WRITTEN, at(0))
    assert 600 <= first_ready(settling, look(WHOLE)) <= 611


def test_without_an_event_two_equal_looks_take_a_whole_film():
    settling = Settling(watched=True)
    settling.note(PATH, Change.SEEN, at(0))
    assert settling.look(PATH, look(WHOLE, tail=b"1"), 0.0) is None
    assert settling.look(PATH, look(WHOLE, tail=b"2"), 0.2) is None
    assert settling.look(PATH, look(WHOLE, tail=b"2"), 0.4)


def test_an_open_writer_holds_a_whole_film_back_but_not_for_ever():
    open_still = Look(Signature(1, 2, 10, 3), WHOLE, b"t", writer=True)
    settling = Settling(watched=True)
    settling.note(PATH, Change.SEEN, at(0))
    assert first_ready(settling, open_still) >= 600
    share = Settling(watched=False)
    share.note(PATH, Change.SEEN, at(0))
    assert first_ready(share, open_still) <= 0.5


def test_without_an_event_and_without_an_end_a_share_waits_less_than_a_disk():
    share, disk = Settling(watched=False), Settling(watched=True)
    for settling in (share, disk):
        settling.note(PATH, Change.SEEN, at(0))
    assert 30 <= first_ready(share, look(NO_TRAILER)) <= 36
    assert 600 <= first_ready(disk, look(CUT)) <= 606


def test_on_a_share_a_growing_film_is_never_taken():
    settling = Settling(watched=False)
    settling.note(PATH, Change.SEEN, at(0))
    for step in range(1000):
        assert settling.look(PATH, look(CUT, size=step), step * 5.0) is None


@given(st.lists(st.sampled_from(list(Change)), max_size=12))
def test_a_file_whose_last_word_is_a_write_is_not_taken_before_its_time(changes):
    settling = Settling(Patience(), watched=True)
    for number, change in enumerate([*changes, Change.WRITTEN]):
        settling.note(PATH, change, at(float(number)))
    last_s = float(len(changes))
    taken_s = first_ready(settling, look(WHOLE), start_s=last_s, until_s=2000)
    assert taken_s is not None
    assert taken_s >= last_s + 600
