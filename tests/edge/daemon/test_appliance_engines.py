"""What the daemon does when engines, a second scoring or the machine fail under a film."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from appliance import until
from stand_in import film_bytes

from edge.contract.payloads import Presence


def codes(subscriber):
    states = subscriber.of("state")
    return {alert.code for alert in states[-1].alerts} if states else set()


def test_unusable_outputs_let_the_next_engine_score_the_same_film(
    broker, subscriber, make_appliance
):
    it = make_appliance(broker.port, factory="misbehaving:build_with_another_engine").start()
    it.put("a.jpg", film_bytes("unusable=1"))
    (result,) = subscriber.wait("result", 1, 30)
    assert result.limb is not None
    state = until(lambda: [s for s in subscriber.of("state") if s.state is Presence.DEGRADED])[-1]
    assert {"engine_output", "engine_refused"} <= {alert.code for alert in state.alerts}
    assert "not finite" in it.log()
    assert not subscriber.of("reject")


@pytest.mark.parametrize("factory", ["build_without_another_engine", "build_deaf"])
def test_where_no_engine_is_left_the_film_waits_and_nothing_is_published(
    broker, subscriber, make_appliance, factory
):
    it = make_appliance(broker.port, factory=f"misbehaving:{factory}").start()
    it.put("a.jpg", film_bytes("unusable=1"))
    until(lambda: subscriber.of("state")[-1].state is Presence.UNFIT, 30)
    until(lambda: "engine_output" in codes(subscriber))
    it.put("b.jpg", film_bytes("limb=LH"))
    time.sleep(1.0)
    assert it.states() == {1: "claimed"}
    assert not subscriber.of("reject")
    assert not subscriber.of("result")
    assert it.terminate() == 0
    # Waiting was not the film's fault: with engines that work it is scored.
    it.config.write_text(it.config.read_text().replace(factory, "build_with_another_engine"))
    it.start()
    assert len(subscriber.wait("result", 2, 30)) == 2


def test_a_second_scoring_blocks_neither_films_nor_the_stop(broker, subscriber, make_appliance):
    it = make_appliance(broker.port, factory="misbehaving:build_slow_second")
    it.extend("[worker]\nrecheck_every = 1\n")
    it.start()
    it.put("a.jpg", film_bytes("n=1"))
    subscriber.wait("result", 1)
    time.sleep(1.5)
    begun_s = time.monotonic()
    assert it.terminate() == 0
    assert time.monotonic() - begun_s < 12


def test_a_second_scoring_past_its_limit_is_given_up_and_films_go_on(
    broker, subscriber, make_appliance
):
    it = make_appliance(
        broker.port,
        factory="misbehaving:build_slow_second",
        extra="recheck_every = 1\n[limits]\nstage_s = 1\n",
    ).start()
    it.put("a.jpg", film_bytes("n=1"))
    subscriber.wait("result", 1)
    until(lambda: "second_scoring" in codes(subscriber), 30)
    it.put("b.jpg", film_bytes("n=2"))
    subscriber.wait("result", 2, 30)
    assert not subscriber.of("reject")


def test_unusable_outputs_of_a_second_engine_change_no_result(broker, subscriber, make_appliance):
    it = make_appliance(
        broker.port, factory="misbehaving:build_unusable_second", extra="[delivery]\nhealth_s = 1\n"
    ).start()
    it.put("a.jpg", film_bytes("unusable=1"))
    subscriber.wait("result", 1)
    until(lambda: "second_scoring" in codes(subscriber), 30)
    assert "not finite" in it.log()
    assert all(h.recheck is None or h.recheck.films == 0 for h in subscriber.of("health"))


def test_the_fourth_kill_from_outside_ends_the_film_with_its_cause(
    broker, subscriber, make_appliance
):
    it = make_appliance(broker.port, factory="misbehaving:build_always_killed").start()
    it.put("a.jpg", film_bytes("victim=1"))
    until(lambda: (it.state / "tries").exists() and (it.state / "tries").read_text() == "2", 30)
    # Across a restart too.
    it.kill()
    it.start()
    (reject,) = subscriber.wait("reject", 1, 90)
    assert reject.reason == "worker_died"
    assert any("signal 9" in flag for flag in reject.flags)
    assert int((it.state / "tries").read_text()) in {4, 5}
    it.put("b.jpg", film_bytes("n=2"))
    subscriber.wait("result", 1, 60)


@pytest.mark.parametrize("word", ["half-frame", "half-length"])
def test_half_a_message_costs_two_tries_and_no_more(broker, subscriber, make_appliance, word):
    it = make_appliance(
        broker.port, factory="misbehaving:build", extra="[limits]\nstage_s = 1\n"
    ).start()
    it.put("a.jpg", film_bytes(word))
    (reject,) = subscriber.wait("reject", 1, 30)
    assert reject.reason == "worker_timeout"
    it.put("b.jpg", film_bytes("n=2"))
    subscriber.wait("result", 1, 30)
    assert it.process.poll() is None


def test_a_terminating_signal_while_it_starts_is_a_stop(make_appliance):
    it = make_appliance(1)
    it.start(ready=False)
    for _ in range(40):
        if it.log():
            break
        time.sleep(0.05)
    os.kill(it.process.pid, signal.SIGTERM)
    assert it.process.wait(20) == 0


def cpu_s(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_the_daemon_sleeps_while_a_film_is_scored_and_another_waits_for_its_second_scoring(
    broker, make_appliance
):
    it = make_appliance(
        broker.port, factory="misbehaving:build_slow_second", extra="recheck_every = 1\n"
    )
    it.put("a.jpg", film_bytes("n=1"))
    it.put("b.jpg", film_bytes("n=2 slow=4"))
    it.start()
    until(lambda: "job 2: claimed" in it.log())
    time.sleep(0.7)
    before_s = cpu_s(it.process)
    time.sleep(1.5)
    assert it.states()[2] == "claimed"
    assert cpu_s(it.process) - before_s < 0.4


def test_workers_that_end_while_they_load_engines_are_not_the_films_fault(
    broker, subscriber, make_appliance
):
    it = make_appliance(broker.port, factory="misbehaving:build_that_fails_to_load").start()
    it.put("a.jpg", film_bytes("n=1 slow=2"))
    until(lambda: "job 1: claimed" in it.log())
    children = Path(f"/proc/{it.process.pid}/task/{it.process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    subscriber.wait("result", 1, 40)
    assert not subscriber.of("reject")


@pytest.mark.parametrize("fallback", ["true", "false"])
def test_engines_that_fail_on_every_film_end_one_film_and_the_others_wait(
    broker, subscriber, make_appliance, fallback
):
    it = make_appliance(broker.port, extra=f"fallback = {fallback}\n")
    for n in range(3):
        it.put(f"{n}.jpg", film_bytes(f"lost=1 n={n}"))
    it.start()
    subscriber.wait("reject", 1, 40)
    until(lambda: subscriber.of("state")[-1].state is Presence.UNFIT, 40)
    time.sleep(3)
    first, *others = (state for _, state in sorted(it.states().items()))
    assert (first, set(others)) == ("quarantined", {"claimed"})
    assert len(subscriber.of("reject")) == 1
    assert {"engine_failed", "engines"} <= codes(subscriber)


def test_a_film_on_which_the_engines_fail_alone_stops_no_other(broker, subscriber, make_appliance):
    it = make_appliance(broker.port, extra="fallback = false\n")
    it.put("0.jpg", film_bytes("lost=1"))
    it.put("1.jpg", film_bytes("n=1"))
    it.start()
    subscriber.wait("result", 1, 40)
    subscriber.wait("reject", 1)
    until(lambda: codes(subscriber) == set())
    assert subscriber.of("state")[-1].state is Presence.ONLINE
