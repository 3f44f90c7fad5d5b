"""Stops and starts of the daemon: in time, the film in hand finished, one for a state folder."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from pathlib import Path

from appliance import Subscriber, chain_holds, until
from stand_in import film_bytes

from edge.contract.payloads import Presence


def test_sigterm_finishes_the_film_in_hand_and_keeps_the_rest(broker, subscriber, make_appliance):
    it = make_appliance(broker.port).start()
    for number in range(4):
        it.put(f"{number}.jpg", film_bytes(f"slow=2 n={number}"))
    until(lambda: "job 3: claimed" in it.log())
    assert it.terminate() == 0
    assert len(subscriber.wait("result", 2)) == 2
    # The film that the worker was handed ahead is left too, and its try does not count.
    assert list(it.states().values()) == ["acked", "acked", "claimed"]
    with sqlite3.connect(it.state / "journal.sqlite") as db:
        assert db.execute("SELECT tries FROM job WHERE number = 3").fetchone() == (0,)
    db.close()
    until(lambda: subscriber.of("state")[-1].state is Presence.OFFLINE)
    it.start()
    assert len({r.id for r in subscriber.wait("result", 4)}) == 4
    assert subscriber.seen.repeats == 0


def test_sigterm_without_a_broker_exits_0_and_the_results_go_out_later(broker, make_appliance):
    broker.kill()
    it = make_appliance(broker.port).start()
    it.put("a.jpg", film_bytes("limb=LH"))
    until(lambda: "queued" in it.states().values())
    assert it.terminate() == 0
    broker.start()
    subscriber = Subscriber(broker.settings)
    it.start()
    (result,) = subscriber.wait("result", 1)
    assert result.job == 1
    subscriber.close()


def test_sigterm_leaves_a_film_that_takes_too_long_for_the_next_start(broker, make_appliance):
    it = make_appliance(broker.port, extra="[limits]\nstop_s = 0.5\n").start()
    it.put("a.jpg", film_bytes("slow=8"))
    until(lambda: it.states() == {1: "claimed"})
    assert it.terminate(7) == 0
    assert it.states() == {1: "claimed"}


def test_sigterm_with_a_broker_that_hangs_exits_0(broker, subscriber, make_appliance):
    it = make_appliance(broker.port).start()
    it.put("a.jpg", film_bytes("n=1"))
    subscriber.wait("result", 1)
    broker.pause()
    it.put("b.jpg", film_bytes("n=2"))
    until(lambda: len(it.states()) == 2)
    assert it.terminate(15) == 0
    broker.resume()
    it.start()
    assert {r.job for r in subscriber.wait("result", 2)} == {1, 2}


def test_a_drop_folder_among_our_own_is_refused(broker, make_appliance):
    it = make_appliance(broker.port)
    it.extend(f'[folders]\nwatch = "{it.state / "quarantine"}"\n')
    it.start(ready=False)
    assert it.process.wait(20) == 2
    assert "folders.watch" in it.log()


def test_sigterm_while_the_engines_load_exits_0(broker, make_appliance):
    it = make_appliance(broker.port, factory="stand_in:build_slowly").start(ready=False)
    until(lambda: "starts" in it.log())
    time.sleep(0.3)
    assert it.terminate() == 0


def test_engines_that_cannot_be_loaded_end_the_start_with_the_fix(broker, make_appliance):
    it = make_appliance(broker.port, factory="stand_in:build_broken").start(ready=False)
    assert it.process.wait(20) == 1
    assert "sharpedge export" in it.log()


def test_kill_9_at_random_loses_nothing_and_gives_no_second_id(broker, subscriber, make_appliance):
    films = 12
    it = make_appliance(broker.port).start()
    for number in range(films):
        it.put(f"{number}.jpg", film_bytes(f"slow=0.15 n={number}"))
    for pause_s in (0.4, 0.55, 0.7, 0.3, 0.62, 0.48):
        time.sleep(pause_s)
        it.kill()
        it.start(ready=False)
    subscriber.wait("result", films, 60)
    until(lambda: list(it.states().values()) == ["acked"] * films)
    assert it.terminate() == 0
    results = subscriber.of("result")
    assert len(results) == len({r.id for r in results}) == films
    assert {r.film_sha256 for r in results} == {r.film_sha256 for r in results}
    assert len({r.film_sha256 for r in results}) == films
    assert chain_holds(it)


def test_sigkill_of_the_daemon_takes_its_worker_along(broker, make_appliance):
    it = make_appliance(broker.port).start()
    children = Path(f"/proc/{it.process.pid}/task/{it.process.pid}/children")
    (worker,) = [int(word) for word in children.read_text().split()]
    it.kill()

    def gone():
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return True
        return Path(f"/proc/{worker}/stat").read_text().split()[2] == "Z"

    until(gone)


def test_the_state_folder_serves_one_appliance_only(broker, make_appliance):
    it = make_appliance(broker.port).start()
    other = make_appliance(broker.port).start(ready=False)
    assert other.process.wait(20) == 2
    assert "in use by another" in it.log()
    it.process.send_signal(signal.SIGINT)
    assert it.process.wait(20) == 0
