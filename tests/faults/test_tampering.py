"""Journal, key and state folder that were edited, deleted, swapped or locked away."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from appliance import ROOT, Subscriber, until
from disks import small_disk
from stand_in import film_bytes

RECEIPTS = '[delivery]\nmode = "receipt"\nresend_s = 2\n'


def edit(it, *statements):
    with contextlib.closing(sqlite3.connect(it.state / "journal.sqlite", timeout=10)) as db, db:
        for statement in statements:
            db.execute(statement)


EDITS = {
    "job row deleted": "DELETE FROM job WHERE number = 2",
    "all job rows deleted": "DELETE FROM job",
    "outbox row deleted": "DELETE FROM outbox WHERE job = 2 AND kind = 'result'",
    "event row deleted": "DELETE FROM event WHERE row = 6",
    "event tail cut": "DELETE FROM event WHERE row > 6",
    "event row edited": "UPDATE event SET detail = '{}' WHERE row = 6",
    "state edited to an end": "UPDATE job SET state = 'receipted' WHERE number = 2",
    "state edited to nonsense": "UPDATE job SET state = 'x' WHERE number = 2",
    "result closed by hand": "UPDATE outbox SET state = 'closed' WHERE job = 2",
    "payload edited": "UPDATE outbox SET payload = CAST(replace(CAST(payload AS TEXT), "
    "'\"erosion\":1', '\"erosion\":0') AS BLOB)",
    "sequence set back": "UPDATE meta SET value = 1 WHERE key = 'sequence'",
    "session set back": "UPDATE meta SET value = 1 WHERE key = 'session'",
    "counters deleted": "DELETE FROM meta",
    "path of a job edited": "UPDATE job SET path = x'2f78' WHERE number = 2",
    "job of a message edited": "UPDATE outbox SET job = 77 WHERE job = 2",
}  # fmt: skip


def edits():
    """One of them belongs to the short form."""
    for what in EDITS:
        for running in (True, False):
            short = what == "all job rows deleted" and not running
            marks = () if short else pytest.mark.faults
            yield pytest.param(what, running, marks=marks, id=f"{what}-{running}")


@pytest.mark.parametrize(("what", "running"), list(edits()))
def test_an_edited_journal_shows_and_stops_nothing(broker, make_appliance, what, running):
    """An edited or deleted row shows in the audit; the appliance serves on, lost 0."""
    it = make_appliance(broker.port, extra=RECEIPTS).start()
    silent = Subscriber(broker.settings)
    for number in range(3):
        it.put(f"{number}.jpg", film_bytes(f"n={number} limb=LH"))
    until(lambda: list(it.states().values()) == ["sent"] * 3)
    if not running:
        assert it.terminate() == 0
    edit(it, EDITS[what])
    # There was only one session; and a running appliance scores again what it cannot send.
    unseen = {"session set back"} | ({"payload edited"} if running else set())
    assert it.audit()["exit_status"] == 1 or what in unseen, what
    if running:
        it.kill()
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    it.start()
    it.put("new.jpg", film_bytes("n=new limb=LH"))
    until(lambda: len({r.film_sha256 for r in dashboard.of("result")}) == 4, 20, what)
    time.sleep(0.5)
    assert it.process.poll() is None
    for result in dashboard.of("result"):
        assert all(joint.erosion == 1 for joint in result.joints)
    sequences = [r.sequence for r in dashboard.of("result")]
    assert len(set(sequences)) == len(sequences), sequences
    assert it.terminate() == 0
    dashboard.close()
    silent.close()


@pytest.mark.faults
@pytest.mark.parametrize("how", ["older copy", "deleted", "log deleted", "other"])
def test_a_journal_that_is_swapped_under_a_running_appliance(
    tmp_path, broker, make_appliance, figures, how
):
    """The journal is deleted or swapped under the running appliance: put back, lost 0."""
    it = make_appliance(broker.port, extra=RECEIPTS)
    it.extend('[folders]\nafter = "delete"\n')
    it.start()
    it.put("0.jpg", film_bytes("n=0"))
    until(lambda: it.states() == {1: "sent"})
    shutil.copytree(it.state, tmp_path / "copy")
    broker.kill()
    for number in (1, 2):
        it.put(f"{number}.jpg", film_bytes(f"n={number}"))
    until(lambda: it.states() == {1: "sent", 2: "queued", 3: "queued"})
    journal = it.state / "journal.sqlite"
    if how == "log deleted":
        (it.state / "journal.sqlite-wal").unlink()
    else:
        for path in it.state.glob("journal.sqlite*"):
            path.unlink()
    if how == "older copy":
        for path in (tmp_path / "copy").glob("journal.sqlite*"):
            shutil.copy(path, it.state)
    if how == "other":
        journal.write_bytes(b"no database" * 1000)
    begun_s = time.monotonic()
    with contextlib.suppress(subprocess.TimeoutExpired):
        it.process.wait(10)
    it.kill()
    broker.start()
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    it.start()
    until(lambda: list(it.states().values()) == ["receipted"] * 3, 20, "three results")
    figures["recovered in s"] = round(time.monotonic() - begun_s, 1)
    assert len(dashboard.of("result")) == 3
    assert it.audit()["findings"] == []
    dashboard.close()


@pytest.mark.faults
def test_an_older_journal_that_was_put_back_is_told(tmp_path, broker, make_appliance):
    """An older journal put back while stopped: told by alert and audit, no sequence twice."""
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    it = make_appliance(broker.port, extra=RECEIPTS + "health_s = 1\n").start()
    it.put("0.jpg", film_bytes("n=0"))
    until(lambda: it.states() == {1: "receipted"})
    assert it.terminate() == 0
    shutil.copytree(it.state, tmp_path / "copy")
    it.start()
    for number in range(1, 4):
        it.put(f"{number}.jpg", film_bytes(f"n={number}"))
    until(lambda: list(it.states().values()) == ["receipted"] * 4)
    row = it.audit()["journal_row"]
    until(lambda: dashboard.of("health")[-1].journal_row == row)
    it.kill()
    shutil.rmtree(it.state)
    shutil.copytree(tmp_path / "copy", it.state)
    assert it.audit(broker=True)["exit_status"] == 1
    it.start()
    it.put("new.jpg", film_bytes("n=new"))
    until(lambda: list(it.states().values()) == ["receipted"] * 5)
    until(lambda: any(a.code == "journal_cut" for a in dashboard.of("state")[-1].alerts))
    assert it.audit(broker=True)["exit_status"] == 1
    results = dashboard.of("result")
    assert len(results) == 5
    assert len({r.sequence for r in results}) == 5
    assert max(r.sequence for r in results) == results[-1].sequence
    dashboard.close()


def refused(it, word, status):
    it.start(ready=False)
    assert it.process.wait(20) == status
    last = it.log().splitlines()[-3:]
    assert word in "".join(last), last


@pytest.mark.parametrize(
    "fault",
    [
        "other",
        *(
            pytest.param(it, marks=pytest.mark.faults)
            for it in ("missing", "readable", "short", "folder")
        ),
    ],
)
def test_a_device_key_that_is_not_as_it_was(broker, make_appliance, fault):
    """Key missing, readable by others, cut, another's: refused by name, nothing given up."""
    it = make_appliance(broker.port, extra=RECEIPTS).start()
    it.put("0.jpg", film_bytes("n=0"))
    until(lambda: it.states() == {1: "sent"})
    it.kill()
    key = it.state / "device.key"
    whole = key.read_bytes()
    key.unlink()
    if fault == "readable":
        key.write_bytes(whole)
        key.chmod(0o644)
    elif fault in {"short", "other"}:
        key.write_bytes(whole[:20] if fault == "short" else os.urandom(32))
        key.chmod(0o600)
    elif fault == "folder":
        key.mkdir()
    # A key that cannot be used is the configuration's fault; another key fits the journal no more.
    refused(it, "device.key", 1 if fault == "other" else 2)
    done = it.order("audit")
    assert done.returncode not in (0, 3)
    assert "Traceback" not in done.stderr
    if key.is_dir():
        key.rmdir()
    key.write_bytes(whole)
    key.chmod(0o600)
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    it.start()
    until(lambda: it.states() == {1: "receipted"})
    assert it.audit()["findings"] == []
    dashboard.close()


@pytest.mark.faults
def test_a_journal_that_others_lock(broker, make_appliance, figures):
    """Another program locks the journal for 15 s, and reads it for long: nothing is lost."""
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    it = make_appliance(broker.port, extra=RECEIPTS).start()
    it.put("0.jpg", film_bytes("n=0"))
    until(lambda: it.states() == {1: "receipted"})
    with contextlib.closing(
        sqlite3.connect(it.state / "journal.sqlite", isolation_level=None)
    ) as db:
        db.execute("BEGIN EXCLUSIVE")
        for number in range(1, 4):
            it.put(f"{number}.jpg", film_bytes(f"n={number}"))
        time.sleep(15)
        db.execute("ROLLBACK")
    begun_s = time.monotonic()
    until(lambda: list(it.states().values()) == ["receipted"] * 4, 15)
    figures["recovered in s"] = round(time.monotonic() - begun_s, 1)
    assert it.process.poll() is None
    assert len(dashboard.of("result")) == 4
    assert it.audit()["findings"] == []
    dashboard.close()


@pytest.mark.faults
def test_a_start_on_a_full_disk(tmp_path, broker, make_appliance, figures):
    """Started on a disk without a free byte: serves by the reserve, resumes when there is room."""
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    with small_disk(tmp_path / "state", 24):
        it = make_appliance(
            broker.port, extra=RECEIPTS + "[retention]\nmin_free_mib = 1\nreserve_mib = 1\n"
        ).start()
        it.put("0.jpg", film_bytes("n=0"))
        until(lambda: it.states() == {1: "receipted"})
        until((it.state / "journal.reserve").exists)
        it.kill()
        filler = it.state / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        it.start()
        it.put("1.jpg", film_bytes("n=1"))
        until(lambda: any(a.code == "disk_low" for a in dashboard.of("state")[-1].alerts))
        filler.unlink()
        begun_s = time.monotonic()
        until(lambda: list(it.states().values()) == ["receipted"] * 2)
        figures["recovered in s"] = round(time.monotonic() - begun_s, 1)
        assert it.audit()["findings"] == []
        it.kill()
    dashboard.close()


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE, signal.SIGALRM])
def test_signals_that_mean_nothing_to_us(broker, subscriber, make_appliance, number):
    """SIGHUP and the like (a reload, a closed terminal) do not end the appliance."""
    it = make_appliance(broker.port).start()
    it.process.send_signal(number)
    it.put("0.jpg", film_bytes("n=0"))
    subscriber.wait("result", 1)
    assert it.process.poll() is None


@pytest.mark.faults
def test_few_descriptors(broker, subscriber, make_appliance, figures):
    """No descriptor left for a while: nothing is lost, and it goes on alone."""
    import resource

    it = make_appliance(broker.port, extra=RECEIPTS).start()
    it.put("0.jpg", film_bytes("n=0"))
    subscriber.wait("result", 1)
    pid = it.process.pid
    used = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, before[1]))
    it.put("1.jpg", film_bytes("n=1 crash=1"))
    it.put("2.jpg", film_bytes("n=2"))
    broker.kill()
    time.sleep(5)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    broker.start()
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    begun_s = time.monotonic()
    until(lambda: sorted(it.states().values()) == ["quarantined", "receipted", "receipted"], 15)
    figures["recovered in s"] = round(time.monotonic() - begun_s, 1)
    assert it.process.poll() is None
    assert it.audit()["findings"] == []
    dashboard.close()


@pytest.mark.faults
def test_a_stopped_and_a_killed_worker(broker, make_appliance, figures):
    """The worker alone is stopped, then killed by the kernel, idle and busy: films go on."""
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    it = make_appliance(broker.port, extra=RECEIPTS)
    it.config.write_text(it.config.read_text() + "[limits]\nstage_s = 3\n")
    it.start()

    def worker():
        children = Path(f"/proc/{it.process.pid}/task/{it.process.pid}/children")
        return int(until(lambda: children.read_text().split())[0])

    os.kill(worker(), signal.SIGKILL)
    it.put("0.jpg", film_bytes("n=0"))
    until(lambda: it.states() == {1: "receipted"})
    os.kill(worker(), signal.SIGSTOP)
    it.put("1.jpg", film_bytes("n=1"))
    begun_s = time.monotonic()
    until(lambda: it.states() == {1: "receipted", 2: "receipted"})
    figures["after a stop of the worker in s"] = round(time.monotonic() - begun_s, 1)
    it.put("2.jpg", film_bytes("n=2 slow=1"))
    until(lambda: "job 3: claimed" in it.log())
    os.kill(worker(), signal.SIGKILL)
    until(lambda: it.states().get(3) == "receipted")
    assert it.audit()["findings"] == []
    dashboard.close()


@pytest.mark.faults
def test_two_appliances_on_one_state_folder(broker, make_appliance):
    """A second appliance on the state folder is refused; the first serves on."""
    it = make_appliance(broker.port).start()
    done = subprocess.run(
        [sys.executable, "-m", "sharpedge.cli", "run", "--config", it.config],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=30,
    )  # fmt: skip
    assert done.returncode == 2
    assert "in use by another sharpedge" in done.stderr
    it.put("0.jpg", film_bytes("n=0"))
    until(lambda: it.states() == {1: "acked"})
