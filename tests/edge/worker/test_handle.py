"""The daemon's handle on a worker that writes half a message, too much, nonsense, or nothing."""

from __future__ import annotations

import time

import pytest
from stand_in import film_bytes
from worker_words import next_word

from edge.config import Config
from edge.model import Outcome
from edge.worker.handle import Worker
from edge.worker.messages import Died, Limits, Pictures, Ready, SecondOpinion, Task

LIMITS = Limits(60, 1.0, 60)


def worker_of(folder, factory, limits=LIMITS, **settings):
    values = {
        "folders": {"watch": str(folder), "state": str(folder)},
        "worker": {"factory": factory, **settings},
    }
    it = Worker(Config.model_validate(values), limits)
    it.start()
    return it


@pytest.fixture
def misbehaving(tmp_path):
    it = worker_of(tmp_path, "misbehaving:build")
    next_word(it, Ready)
    yield it
    it.kill()


@pytest.mark.parametrize("how", ["half-length", "half-frame", "missing-picture"])
def test_a_message_that_stops_half_way_ends_the_worker_at_the_stages_limit(misbehaving, how):
    misbehaving.score(film_bytes(how), Task(name="a.jpg"))
    if how == "missing-picture":
        # The outcome is not waited for; its picture is.
        assert next_word(misbehaving, Outcome).pictured == (True,)
        assert misbehaving.busy
    died = next_word(misbehaving, Died, Outcome)
    assert died == Died(timeout=True, detail="worker exceeded its time limit", ready=True)


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("huge-frame", "a frame of 4294967295 bytes, at most 67108864 are accepted"),
        ("nonsense", "unknown kind of message"),
        ("wrong-field", "Outcome: limbs: Input should be a valid array"),
    ],
)
def test_what_is_no_message_ends_the_worker_and_the_log_names_the_cause(misbehaving, how, cause):
    misbehaving.score(film_bytes(how), Task(name="a.jpg"))
    died = next_word(misbehaving, Died, Outcome)
    assert died.detail == f"worker sent what is no message: {cause}"
    assert "MUSTERMANN" not in died.detail
    assert not died.timeout
    assert not died.outside


@pytest.mark.parametrize("kind", ["second", "ready", "outcome"])
def test_an_answer_to_what_was_not_asked_ends_the_worker(misbehaving, kind):
    misbehaving.score(film_bytes(f"{kind}-unasked"), Task(name="a.jpg"))
    if kind == "outcome":
        # The first is what was asked for.
        next_word(misbehaving, Outcome)
    died = next_word(misbehaving, Died)
    assert died.detail == f"worker sent what is no message: {kind} was not asked for"


def test_a_worker_that_never_stops_telling_of_stages_is_ended_at_the_films_limit(tmp_path):
    it = worker_of(tmp_path, "misbehaving:build", Limits(60, 60, 0.5))
    next_word(it, Ready)
    it.score(film_bytes("endless-stages"), Task(name="a.jpg"))
    died = next_word(it, Died, Outcome)
    assert died == Died(timeout=True, detail="worker exceeded its time limit", ready=True)


def test_a_film_that_the_worker_does_not_read_blocks_nothing(tmp_path):
    it = worker_of(tmp_path, "stand_in:build", Limits(60, 2.0, 60))
    try:
        next_word(it, Ready)
        it.score(film_bytes("slow=1"), Task(name="a.jpg"))
        begun_s = time.monotonic()
        it.score(bytes(64 << 20), Task(name="b.jpg"))
        it.score(bytes(64 << 20), Task(name="c.jpg"))
        assert time.monotonic() - begun_s < 0.5
        assert it.waits_on[1] & 4
    finally:
        it.kill()


def test_a_second_scoring_that_never_ends_concerns_no_film(tmp_path):
    it = worker_of(tmp_path, "misbehaving:build_slow_second", recheck_every=1)
    try:
        next_word(it, Ready)
        it.score(film_bytes("limb=LH"), Task(name="a.jpg"))
        assert next_word(it, Outcome).second_waits
        it.score_second()
        died = next_word(it, Died, SecondOpinion)
        assert (died.timeout, died.second) == (True, True)
    finally:
        it.kill()


@pytest.mark.parametrize(("word", "outside"), [("kill=1", True), ("crash=1", False)])
def test_a_death_from_outside_is_told_apart_from_a_crash(tmp_path, word, outside):
    it = worker_of(tmp_path, "stand_in:build")
    try:
        next_word(it, Ready)
        it.score(film_bytes(word), Task(name="a.jpg"))
        died = next_word(it, Died)
        assert died.outside is outside
        assert died.detail.startswith(f"worker ended by signal {9 if outside else 11}")
    finally:
        it.kill()


def test_an_outcome_comes_before_its_picture_is_drawn(tmp_path):
    it = worker_of(tmp_path, "stand_in:build")
    try:
        next_word(it, Ready)
        it.score(film_bytes("drawslow=1"), Task(name="a.jpg"))
        assert next_word(it, Outcome).pictured == (True,)
        assert it.read() is None
        assert it.busy
        assert next_word(it, Pictures).jpegs == (film_bytes("overlay"),)
        assert not it.busy
    finally:
        it.kill()


@pytest.mark.parametrize("word", ["drawraise=MUSTERMANN", "drawnone=1"])
def test_a_picture_that_cannot_be_drawn_costs_neither_result_nor_worker(tmp_path, word, capfd):
    it = worker_of(tmp_path, "stand_in:build")
    try:
        next_word(it, Ready)
        it.score(film_bytes(word), Task(name="a.jpg"))
        assert next_word(it, Outcome).limbs[0].status == "scored"
        assert next_word(it, Pictures).jpegs == (None,)
        it.score(film_bytes("limb=LH"), Task(name="b.jpg"))
        assert next_word(it, Outcome).limbs[0].file == "b.jpg"
    finally:
        it.kill()
    assert "MUSTERMANN" not in capfd.readouterr().err


def test_a_worker_is_handed_the_next_film_while_it_scores(tmp_path):
    it = worker_of(tmp_path, "stand_in:build")
    try:
        next_word(it, Ready)
        it.score(film_bytes("slow=0.3"), Task(name="a.jpg"))
        it.score(film_bytes("limb=LH"), Task(name="b.jpg"))
        assert it.films == 2
        words = [next_word(it, Outcome, Pictures) for _ in range(4)]
        assert [type(word) for word in words] == [Outcome, Pictures] * 2
        assert [word.limbs[0].file for word in words[::2]] == ["a.jpg", "b.jpg"]
        assert it.films == 0
    finally:
        it.kill()


def test_the_next_film_has_its_whole_time_from_the_end_of_the_one_before(tmp_path):
    it = worker_of(tmp_path, "stand_in:build", Limits(60, 60, 2.0))
    try:
        next_word(it, Ready)
        for name in ("a.jpg", "b.jpg"):
            it.score(film_bytes("slow=1.5"), Task(name=name))
        found = [next_word(it, Outcome, Died).limbs[0].file for _ in range(2)]
        assert found == ["a.jpg", "b.jpg"]
    finally:
        it.kill()


def test_two_workers_serve_side_by_side(tmp_path):
    both = [worker_of(tmp_path, "stand_in:build") for _ in range(2)]
    try:
        for it in both:
            next_word(it, Ready)
        for number, it in enumerate(both):
            it.score(film_bytes(f"n={number}"), Task(name=f"{number}.jpg"))
        files = [next_word(it, Outcome).limbs[0].file for it in both]
        assert files == ["0.jpg", "1.jpg"]
    finally:
        for it in both:
            it.kill()
