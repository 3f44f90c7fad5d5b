"""Faults between folder and engine: outputs that are no numbers, kills, backlogs, slow writers."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time

import pytest
from appliance import Subscriber, until
from stand_in import film_bytes

from edge.contract.payloads import Presence

RECEIPTS = '[delivery]\nmode = "receipt"\nresend_s = 2\n'
LONGEST_STOP_S = 12.0


def test_unusable_outputs_never_give_a_grade(broker, make_appliance, scale, figures):
    """T41: outputs that are not finite: the next back end scores, or the film waits; lost 0."""
    subscriber = Subscriber(broker.settings)
    it = make_appliance(broker.port, factory="misbehaving:build_with_another_engine").start()
    films = scale(4, 100)
    for number in range(films):
        word = "unusable" if number % 2 else "good"
        it.put(f"{number}.jpg", film_bytes(f"n={number} {word}=1"))
    results = subscriber.wait("result", films, 30 + films)
    state = subscriber.of("state")[-1]
    figures |= {
        "films": films,
        "results": len({result.film_sha256 for result in results}),
        "rejects": len(subscriber.of("reject")),
        "state": str(state.state),
    }
    assert state.state is Presence.DEGRADED
    assert not subscriber.of("reject")
    subscriber.close()


def test_where_no_engine_is_left_films_wait(broker, make_appliance, figures):
    """T42: no engine with usable outputs is left: unfit, films wait, scored after the repair."""
    subscriber = Subscriber(broker.settings)
    it = make_appliance(broker.port, factory="misbehaving:build_deaf").start()
    it.put("0.jpg", film_bytes("unusable=1"))
    until(lambda: subscriber.of("state")[-1].state is Presence.UNFIT, 30)
    it.put("1.jpg", film_bytes("n=1"))
    time.sleep(1)
    while_unfit = len(subscriber.of("result")) + len(subscriber.of("reject"))
    assert it.terminate() == 0
    it.config.write_text(it.config.read_text().replace("build_deaf", "build_with_another_engine"))
    it.start()
    subscriber.wait("result", 2, 30)
    figures |= {"messages while unfit": while_unfit, "results after the repair": 2}
    assert while_unfit == 0
    subscriber.close()


def test_a_new_film_passes_the_backlog(broker, make_appliance, scale, figures):
    """T43: thousands of old films at the first start: a new film waits for two of them."""
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    it = make_appliance(broker.port, extra=RECEIPTS + "images = false\n")
    old = scale(60, 5000)
    for number in range(old):
        it.put(f"old{number:05d}.jpg", film_bytes(f"n={number} slow=0.02", padding=300))
        os.utime(it.drop / f"old{number:05d}.jpg", (1e9 + number, 1e9 + number))
    it.start()
    until(lambda: len(dashboard.of("result")) >= 5, 60)
    it.put("new.jpg", film_bytes("n=new"))
    before = max(r.sequence for r in dashboard.of("result"))
    new = until(lambda: [r for r in dashboard.of("result") if r.job and _is_new(r)], 60)[0]
    begun_s = time.monotonic()
    until(lambda: len(dashboard.of("result")) == old + 1, 60 + old)
    figures |= {
        "old films": old,
        "results between its drop and its own": new.sequence - before - 1,
        "rest in s": round(time.monotonic() - begun_s, 1),
    }
    # Those in the worker and in the queue at the drop, and what was on its way to the dashboard.
    assert new.sequence - before <= 10
    assert it.audit()["findings"] == []
    dashboard.close()


def _is_new(result):
    return result.ledger.closed_source == "close_event"


@pytest.mark.faults
def test_a_worker_killed_from_outside_costs_no_film(broker, make_appliance, figures):
    """B14: the worker is killed from outside three times under one film: scored all the same."""
    subscriber = Subscriber(broker.settings)
    it = make_appliance(broker.port, factory="misbehaving:build_killed_three_times").start()
    begun_s = time.monotonic()
    it.put("a.jpg", film_bytes("victim=1"))
    subscriber.wait("result", 1, 120)
    figures |= {
        "kills": it.log().count("worker ended by signal 9"),
        "result after s": round(time.monotonic() - begun_s, 1),
    }
    assert not subscriber.of("reject")
    subscriber.close()


def test_a_writer_that_closes_between_chunks_gives_no_reject(
    broker, make_appliance, scale, figures
):
    """T44: a writer that closes after every chunk: one result, no reject."""
    subscriber = Subscriber(broker.settings)
    it = make_appliance(broker.port)
    pause_s = scale(0.5, 3.0)
    it.extend(f"[folders]\nincomplete_s = {4 * pause_s}\n")
    it.start()
    whole = film_bytes("limb=LH")
    (it.drop / "a.jpg").write_bytes(b"")
    for start in range(0, len(whole), len(whole) // 4 + 1):
        time.sleep(pause_s)
        with (it.drop / "a.jpg").open("ab") as file:
            file.write(whole[start : start + len(whole) // 4 + 1])
    subscriber.wait("result", 1, 30)
    figures |= {"results": 1, "rejects": len(subscriber.of("reject"))}
    assert not subscriber.of("reject")
    subscriber.close()


@contextlib.contextmanager
def locked(journal):
    """Hold the journal's write lock, as another program may."""
    other = sqlite3.connect(journal, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
    finally:
        other.close()


STOPS = {
    "idle": ("stand_in:build", "", ""),
    "scoring": ("stand_in:build", "slow=5", ""),
    "hanging": ("stand_in:build", "hang=1", ""),
    "second scoring": ("misbehaving:build_slow_second", "n=1", "recheck_every = 1\n"),
    "loading": ("stand_in:build_slowly", "n=1", ""),
    "unfit": ("misbehaving:build_deaf", "unusable=1", ""),
    "half a message": ("misbehaving:build", "half-frame", ""),
    "broker silent": ("stand_in:build", "n=1", ""),
    "journal locked": ("stand_in:build", "slow=2", ""),
}
QUICK = ("hanging", "second scoring", "journal locked")


@pytest.mark.parametrize("state", STOPS)
def test_a_stop_is_short_in_every_state(broker, make_appliance, scale, figures, state):
    """T45: SIGTERM in every state: the appliance ends with status 0 in less than 12 s."""
    if state not in scale(QUICK, tuple(STOPS)):
        pytest.skip("in the full form only")
    factory, film, extra = STOPS[state]
    it = make_appliance(broker.port, factory=factory, extra=extra)
    it.start(ready=state != "loading")
    it.put("a.jpg", film_bytes(film))
    # Before its first line the interpreter itself is loaded, which no signal handler can help.
    until(lambda: "sharpedge starts" in it.log(), 30)
    time.sleep(2.0 if state != "loading" else 0.5)
    if state == "broker silent":
        broker.pause()
    with locked(it.state / "journal.sqlite") if state == "journal locked" else _nothing():
        begun_s = time.monotonic()
        status = it.terminate(30)
        spent_s = time.monotonic() - begun_s
    if state == "broker silent":
        broker.resume()
    figures |= {"state": state, "seconds": round(spent_s, 1), "status": status}
    assert status == 0
    assert spent_s < LONGEST_STOP_S


_nothing = contextlib.nullcontext
