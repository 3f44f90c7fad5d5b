"""Several workers: films at the same time, and each worker's end concerns its own film alone."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from appliance import until
from stand_in import film_bytes

from edge.contract.payloads import Presence

TWO = "count = 2\n"


def workers(it):
    children = Path(f"/proc/{it.process.pid}/task/{it.process.pid}/children").read_text()
    return [int(number) for number in children.split()]


@pytest.fixture
def two(broker, make_appliance):
    """An appliance with two workers that are both ready."""
    it = make_appliance(broker.port, extra=TWO).start()
    until(lambda: len(workers(it)) == 2)
    time.sleep(1.0)
    return it


def test_two_workers_score_two_films_at_once(two, subscriber):
    began_s = time.monotonic()
    for number in range(4):
        two.put(f"{number}.jpg", film_bytes(f"n={number} slow=2"))
    results = subscriber.wait("result", 4)
    # One after the other takes 8 s.
    assert time.monotonic() - began_s < 7
    assert len({r.id for r in results}) == 4
    assert sorted(r.job for r in results) == [1, 2, 3, 4]
    sequences = [r.sequence for r in results]
    assert sequences == sorted(sequences)
    until(lambda: set(two.states().values()) == {"acked"})
    assert two.audit()["findings"] == []


def test_a_film_and_its_copy_are_never_scored_at_once(two, subscriber):
    two.put("P1-LH.jpg", film_bytes("patient=1 slow=1"))
    until(lambda: "job 1: claimed" in two.log())
    two.put("P1-again.jpg", film_bytes("patient=1 slow=1"))
    two.put("other.jpg", film_bytes("n=1"))
    subscriber.wait("result", 2)
    until(lambda: two.states() == {1: "acked", 2: "duplicate", 3: "acked"})


def test_a_new_file_of_a_name_waits_for_the_film_that_had_it(two, subscriber):
    two.put("a.jpg", film_bytes("n=1 slow=2"))
    until(lambda: "job 1: claimed" in two.log())
    two.put("a.jpg", film_bytes("n=2"))
    subscriber.wait("result", 2)
    until(lambda: two.states() == {1: "acked", 2: "acked"})


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_is_killed_or_hangs_concerns_its_own_film(
    broker, subscriber, make_appliance, end
):
    it = make_appliance(broker.port, extra=TWO)
    it.extend("[limits]\nstage_s = 3\n")
    it.start()
    until(lambda: len(workers(it)) == 2)
    time.sleep(1.0)
    for number in range(2):
        it.put(f"{number}.jpg", film_bytes(f"n={number} slow=1"))
    until(lambda: "job 2: claimed" in it.log())
    os.kill(workers(it)[0], end)
    for number in range(2, 6):
        it.put(f"{number}.jpg", film_bytes(f"n={number}"))
    results = subscriber.wait("result", 6, 40)
    assert len({r.film_sha256 for r in results}) == 6
    assert not subscriber.of("reject")
    assert subscriber.seen.repeats == 0
    until(lambda: len(workers(it)) == 2)
    until(lambda: set(it.states().values()) == {"acked"})
    assert it.audit()["findings"] == []
    assert it.terminate() == 0


def test_a_film_that_ends_workers_is_refused_and_the_others_go_on(two, subscriber):
    two.put("bad.jpg", film_bytes("crash=1"))
    for number in range(6):
        two.put(f"{number}.jpg", film_bytes(f"n={number} slow=0.2"))
    (reject,) = subscriber.wait("reject", 1, 40)
    assert reject.reason == "worker_died"
    assert len(subscriber.wait("result", 6, 40)) == 6
    assert two.states()[1] == "quarantined"


def test_sigterm_finishes_the_films_in_hand_of_both_workers(two, subscriber):
    for number in range(4):
        two.put(f"{number}.jpg", film_bytes(f"n={number} slow=1"))
    until(lambda: "job 2: claimed" in two.log())
    assert two.terminate() == 0
    assert len(subscriber.wait("result", 2)) == 2
    assert "claimed" not in two.states().values()
    two.start()
    assert len({r.id for r in subscriber.wait("result", 4, 40)}) == 4
    assert subscriber.seen.repeats == 0


def test_an_unusable_engine_is_left_by_both_workers(broker, subscriber, make_appliance):
    it = make_appliance(
        broker.port, extra=TWO, factory="misbehaving:build_with_another_engine"
    ).start()
    until(lambda: len(workers(it)) == 2)
    time.sleep(1.0)
    it.put("a.jpg", film_bytes("unusable=1"))
    subscriber.wait("result", 1, 40)
    for number in range(4):
        it.put(f"{number}.jpg", film_bytes(f"n={number} slow=0.5"))
    subscriber.wait("result", 5, 40)
    until(lambda: subscriber.of("state")[-1].state is Presence.DEGRADED)
    it.put("z.jpg", film_bytes("unusable=2"))
    subscriber.wait("result", 6, 40)
    # Only one worker ever died of it.
    assert it.log().count("its outputs could not be used") >= 1
    assert it.log().count("worker ended: ") == 1


def test_the_appliance_is_unfit_only_when_no_worker_is_fit(broker, subscriber, make_appliance):
    it = make_appliance(broker.port, extra=TWO, factory="misbehaving:build_unfit_second").start()
    until(lambda: subscriber.of("state")[-1].state is Presence.DEGRADED, 40)
    assert any(a.code == "self_test" for a in subscriber.of("state")[-1].alerts)
    for number in range(3):
        it.put(f"{number}.jpg", film_bytes(f"n={number}"))
    assert len(subscriber.wait("result", 3, 40)) == 3
