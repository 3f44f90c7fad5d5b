"""What the appliance says of itself is true, and what is set for its first start holds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from appliance import ROOT, until
from stand_in import film_bytes

from edge.contract.payloads import Alert, Presence
from edge.delivery.standing import presence_with


def states(subscriber):
    return [message.state for message in subscriber.of("state")]


@pytest.mark.parametrize("presence", list(Presence))
def test_an_impairing_alert_turns_online_into_degraded_and_nothing_else(presence):
    for code in ("folder", "disk_low", "message_set_aside", "message_refused", "storage"):
        found = presence_with(presence, [Alert(code=code, detail="x")])
        online = presence is Presence.ONLINE
        assert found is (Presence.DEGRADED if online else presence)
    assert presence_with(presence, [Alert(code="drift", detail="x")]) is presence
    assert presence_with(presence, []) is presence


def test_it_is_starting_until_its_engines_are_loaded(broker, subscriber, make_appliance):
    make_appliance(broker.port, factory="stand_in:build_slowly").start()
    until(lambda: Presence.ONLINE in states(subscriber))
    found = states(subscriber)
    assert found.index(Presence.STARTING) < found.index(Presence.ONLINE)


def test_a_folder_that_is_away_is_no_online_state(broker, subscriber, make_appliance):
    it = make_appliance(broker.port).start()
    until(lambda: states(subscriber)[-1:] == [Presence.ONLINE])
    it.drop.rename(it.drop.with_name("away"))
    until(lambda: states(subscriber)[-1] is Presence.DEGRADED)
    assert "folder" in {alert.code for alert in subscriber.of("state")[-1].alerts}
    it.drop.with_name("away").rename(it.drop)
    until(lambda: states(subscriber)[-1] is Presence.ONLINE)


def test_a_missing_archive_is_told_and_the_film_is_moved_once_it_is_back(
    broker, subscriber, make_appliance
):
    it = make_appliance(broker.port)
    it.extend('[folders]\nafter = "move"\n')
    it.start()
    archive = it.state / "archive"
    archive.rmdir()
    it.put("a.jpg", film_bytes("n=1"))
    subscriber.wait("result", 1)
    until(lambda: states(subscriber)[-1] is Presence.DEGRADED)
    [alert] = subscriber.of("state")[-1].alerts
    assert alert.code == "archive"
    assert str(archive) in alert.detail
    assert (it.drop / "a.jpg").exists()
    archive.mkdir()
    until(lambda: list(archive.iterdir()), 30)
    until(lambda: states(subscriber)[-1] is Presence.ONLINE)
    assert not list(it.drop.iterdir())


def test_films_that_lie_there_at_the_first_start_are_left_alone_where_the_site_wants_it(
    broker, subscriber, make_appliance
):
    it = make_appliance(broker.port)
    it.extend('[folders]\nat_first_start = "skip"\n')
    it.put("old.jpg", film_bytes("n=old"))
    it.start()
    it.put("new.jpg", film_bytes("n=new"))
    subscriber.wait("result", 1)
    until(lambda: it.states() == {1: "dismissed", 2: "acked"})
    assert it.terminate() == 0
    it.start()
    it.put("later.jpg", film_bytes("n=later"))
    subscriber.wait("result", 2)
    until(lambda: it.states() == {1: "dismissed", 2: "acked", 3: "acked"})
    assert it.audit()["findings"] == []
    # A person may still have it scored.
    assert it.order("retry", "1").returncode == 0
    subscriber.wait("result", 3)


def test_a_film_that_comes_while_it_is_stopped_is_scored_after_a_first_start_with_no_film(
    broker, subscriber, make_appliance
):
    it = make_appliance(broker.port)
    it.extend('[folders]\nat_first_start = "skip"\n')
    it.start()
    assert it.terminate() == 0
    it.put("new.jpg", film_bytes("n=new"))
    it.start()
    subscriber.wait("result", 1)
    assert it.terminate() == 0
    # A journal that was lost makes no first start either.
    it.put("later.jpg", film_bytes("n=later"))
    for part in it.state.glob("journal.sqlite*"):
        part.unlink()
    it.start()
    until(lambda: len(subscriber.of("result")) >= 2 and set(it.states().values()) == {"acked"})


_STOPPED_WHILE_IT_OPENS = """
import os, signal, sys
from pathlib import Path
from edge.config import load
from edge.journal import store
from edge.system.notify import Notifier
store._BUSY_STEPS = 1
Notifier.busy = lambda _self: os.kill(os.getpid(), int(sys.argv[2]))
from edge.daemon.appliance import run
sys.exit(run(load(Path(sys.argv[1]))))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_while_the_journal_is_checked_leaves_the_journal_alone(
    broker, make_appliance, number
):
    it = make_appliance(broker.port)
    it.start()
    it.put("film.jpg", film_bytes("n=1"))
    until(lambda: it.states() == {1: "acked"})
    assert it.terminate() == 0
    done = subprocess.run(
        [sys.executable, "-c", _STOPPED_WHILE_IT_OPENS, it.config, str(int(number))],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests/edge'}"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert not list(it.state.glob("*.damaged-*"))
    assert it.states() == {1: "acked"}


def test_a_result_that_cannot_be_written_is_one_standing_alert(broker, subscriber, make_appliance):
    it = make_appliance(broker.port).start()
    it.state.joinpath("quarantine").rmdir()
    it.state.joinpath("quarantine").write_bytes(b"")
    it.put("held.jpg", film_bytes("reason=side_not_known"))
    until(lambda: "cannot write" in it.log())
    # Other writing goes on and must not end the alert.
    time.sleep(4)
    assert it.log().count("cannot write") == 1
    assert "writing works again" not in it.log()
    it.state.joinpath("quarantine").unlink()
    it.state.joinpath("quarantine").mkdir()
    subscriber.wait("reject", 1)
    until(lambda: "writing works again" in it.log())


def test_a_file_that_was_gone_when_it_was_retried_is_taken_once_it_is_there(
    broker, subscriber, make_appliance
):
    it = make_appliance(broker.port)
    it.extend("[folders]\nrescan_s = 3600\n")
    it.start()
    pipe = it.drop / "pipe.jpg"
    os.mkfifo(pipe)
    subscriber.wait("reject", 1)
    pipe.unlink()
    assert it.order("retry", "1").returncode == 0
    time.sleep(2)
    pipe.write_bytes(film_bytes("n=1"))
    subscriber.wait("result", 1)
