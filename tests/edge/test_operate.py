"""Orders of a person through the command line, with the daemon running and without."""

from __future__ import annotations

import subprocess
import sys

from appliance import ROOT, until
from stand_in import film_bytes
from test_daemon import chain_holds

from edge.model import LateralitySource


def test_a_held_film_is_released_while_the_daemon_runs(broker, subscriber, make_appliance):
    it = make_appliance(broker.port).start()
    it.put("held.jpg", film_bytes("reason=side_not_known study=s"))
    (reject,) = subscriber.wait("reject", 1)
    done = it.order("release", reject.id, "--side", "R", "--limb", "foot")
    assert (done.returncode, done.stderr) == (0, "")
    assert "goes on as job 2" in done.stdout
    assert "esearch use only" in done.stdout
    (result,) = subscriber.wait("result", 1)
    assert (result.limb, result.laterality) == ("foot", "R")
    assert result.laterality_source is LateralitySource.OPERATOR
    assert result.supersedes == reject.id != result.id
    assert result.study == reject.study or result.study
    until(lambda: it.states() == {1: "set_aside", 2: "acked"})
    assert it.order("release", "held.jpg", "--side", "L").returncode == 1
    assert it.terminate() == 0
    assert chain_holds(it)


def test_an_order_given_while_the_daemon_is_down_is_followed_at_its_start(
    broker, subscriber, make_appliance
):
    it = make_appliance(broker.port).start()
    it.put("held.jpg", film_bytes("reason=side_not_known"))
    it.put("other.jpg", film_bytes("reason=oblique_view"))
    subscriber.wait("reject", 2)
    assert it.terminate() == 0
    # The scanner's file may be gone: the kept copy serves.
    (it.drop / "held.jpg").unlink()
    assert it.order("release", it.drop / "held.jpg", "--side", "L").returncode == 0
    assert it.order("dismiss", it.drop / "other.jpg").returncode == 0
    it.start()
    subscriber.wait("result", 1)
    until(lambda: it.states() == {1: "set_aside", 2: "dismissed", 3: "acked"})


def test_a_kill_while_an_order_is_worked_on_keeps_it(broker, subscriber, make_appliance):
    it = make_appliance(broker.port).start()
    it.put("held.jpg", film_bytes("reason=side_not_known slow=1"))
    (reject,) = subscriber.wait("reject", 1)
    it.order("release", reject.id, "--side", "L")
    until(lambda: "job 2: claimed by order" in it.log())
    it.kill()
    it.start()
    subscriber.wait("result", 1)
    until(lambda: it.states() == {1: "set_aside", 2: "acked"})


def test_a_result_is_replayed_under_its_id(broker, subscriber, make_appliance):
    it = make_appliance(broker.port).start()
    it.put("a.jpg", film_bytes("limb=LH"))
    (result,) = subscriber.wait("result", 1)
    until(lambda: it.states() == {1: "acked"})
    before = subscriber.seen.repeats
    assert it.order("replay", result.id).returncode == 0
    until(lambda: subscriber.seen.repeats >= before + 2)
    until(lambda: it.states() == {1: "acked"})


def test_a_folder_without_an_appliance_and_no_configuration_are_told(make_appliance):
    it = make_appliance(1)
    done = it.order("dismiss", "1")
    assert done.returncode == 1
    assert "no appliance has run here" in done.stderr
    done = subprocess.run(
        [sys.executable, "-m", "edge.cli", "retry", "1"],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--config" in done.stderr
