"""Orders of a person through the command line, with the daemon running and without."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys

import pytest
from appliance import ROOT, Appliance, chain_holds, until
from stand_in import film_bytes

from edge.journal.store import Store
from edge.model import LateralitySource
from edge.system.device_key import derived_key, device_key
from sharpedge import cli


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
        [sys.executable, "-m", "sharpedge.cli", "retry", "1"],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--config" in done.stderr


def test_every_film_of_a_command_is_dealt_with_although_one_is_not_known(
    broker, subscriber, make_appliance
):
    it = make_appliance(broker.port).start()
    for name in "abc":
        it.put(f"{name}.jpg", film_bytes(f"reason=side_not_known n={name}"))
    subscriber.wait("reject", 3)
    done = it.order("dismiss", "1", "999", "²", "3")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 2
    assert it.states() == {1: "dismissed", 2: "held", 3: "dismissed"}


def test_what_is_set_aside_is_listed_and_taken_back_by_one_command(make_broker, make_appliance):
    small = make_broker("max_packet_size 9000\n")
    it = make_appliance(small.port, factory="stand_in:build_with_large_pictures").start()
    it.put("a.jpg", film_bytes("limb=LH"))
    until(lambda: "set aside: larger" in it.log())
    done = it.order("retry")
    assert done.returncode == 3
    assert "image" in done.stdout
    assert "retry --all" in done.stdout
    assert it.order("retry", "--all", "1").returncode == 2
    report = it.audit()
    assert report["exit_status"] == 1
    assert [found["fault"] for found in report["findings"]] == ["set_aside"]
    small.kill()
    small.config.write_text(small.config.read_text().replace("max_packet_size 9000\n", ""))
    assert it.order("retry", "--all").returncode == 0
    small.start()
    until(lambda: it.audit()["findings"] == [])
    assert it.order("retry").returncode == 0


@pytest.fixture
def stopped(tmp_path):
    """An appliance's state folder without any process."""
    it = Appliance(tmp_path, 1)
    it.state.mkdir()
    Store(it.state / "journal.sqlite", derived_key(device_key(it.state), "journal")).close()
    return it


COMMANDS = (["audit", "--no-broker"], ["retry"], ["retry", "--all"], ["dismiss", "1"],
            ["release", "1", "--side", "L"], ["replay", "x"])  # fmt: skip


def lock(it):
    db = sqlite3.connect(it.state / "journal.sqlite", isolation_level=None)
    db.execute("PRAGMA locking_mode=EXCLUSIVE")
    db.execute("BEGIN EXCLUSIVE")
    return db.close


def damage(it):
    (it.state / "journal.sqlite").write_bytes(b"no database " * 1000)
    return lambda: None


def take_key(it):
    (it.state / "device.key").unlink()
    return lambda: None


def later_release(it):
    with contextlib.closing(sqlite3.connect(it.state / "journal.sqlite")) as db:
        db.execute("PRAGMA user_version = 99")
    return lambda: None


def folder_instead(it):
    (it.state / "journal.sqlite").unlink()
    (it.state / "journal.sqlite").mkdir()
    return lambda: None


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        (lock, "another program holds it"),
        (damage, "cannot be used"),
        (take_key, "put it back"),
        (later_release, "install that release again"),
        (folder_instead, "cannot be used"),
    ],
)
def test_a_journal_that_cannot_be_used_is_one_line_and_no_traceback(
    stopped, fault, word, monkeypatch, capsys
):
    monkeypatch.setattr("edge.journal.store._BUSY_S", 0)
    undo = fault(stopped)
    for words in COMMANDS:
        monkeypatch.setattr(sys, "argv", ["sharpedge", *words, "--config", str(stopped.config)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr().err
        assert ended.value.code in (1, 2), words
        assert len(told.splitlines()) == 1, told
        assert word in told
        assert "no appliance has run here" not in told
    undo()


@pytest.mark.parametrize(
    ("why", "fix"),
    [
        ("attempt to write a readonly database", "appliance's user"),
        ("unable to open database file", "appliance's user"),
        ("disk I/O error", "appliance's user"),
        ("database is locked", "end that one, or try again"),
        ("database disk image is malformed", "restart the appliance"),
    ],
)
def test_whatever_sqlite_says_is_one_line_with_a_fix(stopped, monkeypatch, capsys, why, fix):
    def refuse(*_args):
        raise sqlite3.OperationalError(why)

    monkeypatch.setattr("sharpedge.operator.orders.set_aside", refuse)
    monkeypatch.setattr(sys, "argv", ["sharpedge", "retry", "--config", str(stopped.config)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 1
    assert why in line
    assert fix in line
