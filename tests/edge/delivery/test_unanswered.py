from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edge.delivery.unanswered import REPEATS_A_PASS, Repeat, Unanswered


def made(receivers=(), resend_s=30.0):
    return Unanswered(receivers, resend_s, 0.0)


def send(it, rows, now_s, sendings=1):
    for row in rows:
        it.sent(row, sendings, (), now_s)


def test_while_no_dashboard_answers_repeats_are_a_row_a_second_at_most():
    it = made()
    send(it, range(5000), 0.0)
    repeats = 0
    for second in range(1, 601):
        for repeat in it.repeats(REPEATS_A_PASS, float(second)):
            repeats += 1
            it.sent(repeat.row, 2, (), float(second))
    assert repeats <= 600 + REPEATS_A_PASS


def test_the_first_answer_after_a_long_silence_releases_all_at_once_however_often_they_were_sent():
    it = made(resend_s=4.0)
    for sendings in range(1, 12):
        now_s = 100.0 * sendings
        send(it, range(100), now_s, sendings)
        it.repeats(REPEATS_A_PASS, now_s + 50.0)
    send(it, range(100), 2000.0, 12)
    it.sent(100, 12, (), 2010.0)
    it.answered(100, "ward", 2010.5)
    it.closed(100)
    found = []
    while chosen := it.repeats(REPEATS_A_PASS, 2011.0):
        found += [repeat.row for repeat in chosen]
    assert found == list(range(100))


def test_a_row_that_a_dashboard_always_passes_over_is_not_asked_for_ever():
    it = made()
    it.sent(0, 1, (), 0.0)
    repeats = 0
    for second in range(2, 400):
        it.sent(1000 + second, 1, (), float(second))
        it.answered(1000 + second, "ward", second + 0.1)
        it.closed(1000 + second)
        for repeat in it.repeats(REPEATS_A_PASS, second + 0.2):
            repeats += repeat.row == 0
            it.sent(repeat.row, repeats + 1, (), second + 0.2)
    assert 5 <= repeats < 12


def test_the_oldest_row_asks_every_few_seconds_while_nobody_answers():
    it = made(resend_s=4.0)
    send(it, range(3), 0.0, sendings=9)
    asked = []
    for second in range(1, 31):
        for repeat in it.repeats(REPEATS_A_PASS, float(second)):
            asked.append((second, repeat))
            it.sent(repeat.row, 10, (), float(second))
    assert {repeat for _, repeat in asked} == {Repeat(0, asks=True)}
    assert 4 <= len(asked) <= 6


def test_the_oldest_row_asks_ever_more_rarely_but_each_minute():
    it = made(resend_s=4.0)
    send(it, range(3), 0.0, sendings=9)
    asked = []
    for second in range(1, 86_400):
        for repeat in it.repeats(REPEATS_A_PASS, float(second)):
            it.sent(repeat.row, 10, (), float(second))
            asked += [second] if repeat.asks else []
    gaps = [b - a for a, b in pairwise(asked)]
    assert max(gaps) <= 62
    assert len(asked) < 86_400 / 55
    # A wait grows by a tenth at most.
    assert all(b - a <= max(6, 0.1 * b + 2) for a, b in pairwise(asked))


def test_of_two_named_dashboards_the_one_that_answers_does_not_hasten_the_others_rows():
    it = made(("ward", "pacs"))
    for row in range(2000):
        it.sent(row, 6, ("ward",), 0.0)
    repeats = 0
    for second in range(1000, 1100):
        it.sent(5000 + second, 1, (), float(second))
        it.answered(5000 + second, "ward", float(second))
        repeats += len(it.repeats(REPEATS_A_PASS, second + 0.5))
    assert repeats <= 100 + 2 * REPEATS_A_PASS
    it.answered(6099, "pacs", 1100.0)
    found = set()
    while chosen := it.repeats(REPEATS_A_PASS, 1100.5):
        found |= {repeat.row for repeat in chosen}
    assert len(found & set(range(2000))) >= 2000 - repeats


def test_memory_is_bounded():
    it = made()
    taken = [it.sent(row, 1, (), 0.0) for row in range(25_000)]
    assert len(it) == sum(taken) == 20_000


@given(
    st.lists(
        st.tuples(st.sampled_from(["send", "answer", "wait", "close"]), st.integers(0, 20)),
        max_size=80,
    )
)
def test_whatever_happens_a_chosen_row_was_sent_and_not_closed(steps):
    it, now_s, open_rows = made(resend_s=2.0), 0.0, set()
    for what, number in steps:
        if what == "send":
            it.sent(number, 1, (), now_s)
            open_rows.add(number)
        elif what == "answer":
            it.answered(number, "ward", now_s)
        elif what == "close":
            it.closed(number)
            open_rows.discard(number)
        now_s += number if what == "wait" else 0.5
        chosen = [repeat.row for repeat in it.repeats(REPEATS_A_PASS, now_s)]
        assert len(chosen) == len(set(chosen))
        # What was released before it was closed is left out by the table.
        open_rows -= set(chosen)
        assert len(it) <= len(open_rows)
