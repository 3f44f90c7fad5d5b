"""`sharpedge status` and `held`: of a running appliance, of one that does not run, of none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

from appliance import ROOT, until
from stand_in import film_bytes


def test_a_technician_sees_held_films_results_and_alerts_in_80_columns(
    broker, subscriber, make_appliance
):
    it = make_appliance(broker.port).start()
    it.put("IMG0001234.jpg", film_bytes("reason=side_not_known"))
    it.put("P1-LH.jpg", film_bytes("limb=LH"))
    it.put("broken.jpg", b"no image at all")
    subscriber.wait("result", 1)
    subscriber.wait("reject", 2)
    done = until(lambda: _shows(it, "IMG0001234.jpg", "P1-LH.jpg", "broken.jpg"))
    own = [line for line in done.splitlines() if str(it.config.parent) not in line]
    assert max(map(len, own)) <= 80
    # The shell does not name the configuration: the ready-made commands do.
    assert f"sharpedge release 1 --side L --limb hand --config {it.config}" in done
    assert "research use only" in done.lower()
    listed = it.order("held")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "IMG0001234.jpg" in listed.stdout
    assert "P1-LH.jpg" not in listed.stdout
    body = json.loads(it.order("status", "--json").stdout)
    assert body["live"]["presence"] in {"online", "degraded"}
    assert [film["file"] for film in body["held"]] == ["IMG0001234.jpg"]
    assert json.loads(it.order("held", "--json").stdout)["held_total"] == 1


def _shows(it, *words):
    done = it.order("status")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout if all(word in done.stdout for word in words) else None


def test_the_printed_command_releases_the_film(broker, subscriber, make_appliance):
    it = make_appliance(broker.port).start()
    it.put("IMG1.jpg", film_bytes("reason=side_not_known"))
    subscriber.wait("reject", 1)
    body = json.loads(until(lambda: it.order("held", "--json").stdout))
    command = body["held"][0]["commands"]["right hand"].split()
    assert command[0] == "sharpedge"
    assert it.order(*command[1:]).returncode == 0
    (result,) = subscriber.wait("result", 1)
    assert (result.laterality, result.limb) == ("R", "hand")


def test_without_a_daemon_the_journal_is_read_and_nothing_is_written(
    broker, subscriber, make_appliance
):
    it = make_appliance(broker.port).start()
    it.put("IMG1.jpg", film_bytes("reason=side_not_known"))
    subscriber.wait("reject", 1)
    until(lambda: it.states() == {1: "held"})
    assert it.terminate() == 0
    before = (it.state / "journal.sqlite").read_bytes()
    for words in (("status",), ("held",)):
        done = it.order(*words)
        assert (done.returncode, done.stderr) == (0, "")
        assert "does not run" in done.stdout
        assert "IMG1.jpg" in done.stdout
    assert json.loads(it.order("status", "--json").stdout)["running"] is False
    assert (it.state / "journal.sqlite").read_bytes() == before


def test_where_no_appliance_ran_it_is_told(make_appliance):
    done = make_appliance(1).order("status")
    assert done.returncode == 1
    assert "no appliance has run here" in done.stderr


def test_watch_prints_again_and_ends_calmly(broker, make_appliance):
    it = make_appliance(broker.port).start()
    command = [sys.executable, "-m", "sharpedge.cli", "status", "--watch", "--json", "-c"]
    with subprocess.Popen(
        [*command, it.config], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        # A shell's job in the background, as this test may be one, ignores the signal.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as watching:  # fmt: skip
        first, second = watching.stdout.readline(), watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        assert (watching.wait(20), watching.stderr.read()) == (0, b"")
    assert json.loads(second)["at"] > json.loads(first)["at"]
