"""Faults of the machine: disk, clock, stops, floods, hangs, shares."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from appliance import Appliance, Subscriber, until
from stand_in import film_bytes

RECEIPTS = '[delivery]\nmode = "receipt"\nresend_s = 2\n'


@contextlib.contextmanager
def small_disk(folder, size_mib):
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={size_mib}m", "small", folder]
    if subprocess.run(["mount", *options], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_pauses_the_intake_and_it_resumes_alone(
    tmp_path, broker, make_appliance, scale, figures
):
    """T9: disk full at each write: films wait, alert, no corruption, resumes alone."""
    dice = random.Random(4)
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    with small_disk(tmp_path / "state", 24):
        it = make_appliance(
            broker.port, extra=RECEIPTS + "[retention]\nmin_free_mib = 1\nreserve_mib = 1\n"
        ).start()
        films = 0
        for _ in range(scale(4, 40)):
            filler = it.state / "filler"
            free = shutil.disk_usage(it.state).free
            # From nothing left to as much as a film's writes need.
            filler.write_bytes(b"\0" * max(0, free - dice.choice([0, 4096, 16384, 65536, 200_000])))
            for _ in range(3):
                it.put(f"{films}.jpg", film_bytes(f"n={films}"))
                films += 1
            time.sleep(dice.uniform(0.2, 1.5))
            filler.unlink()
            begun_s = time.monotonic()
            until(lambda n=films: list(it.states().values()) == ["receipted"] * n, 30)
        figures |= {
            "times full": scale(4, 40),
            "lost": films - len({r.film_sha256 for r in dashboard.of("result")}),
            "last recovery in s": round(time.monotonic() - begun_s, 1),
        }
        assert any("disk" in a.code or "storage" in a.code
                   for s in dashboard.of("state") for a in s.alerts)  # fmt: skip
        until(lambda: not dashboard.of("state")[-1].alerts, 10)
        assert it.audit()["findings"] == []
        assert it.terminate() == 0
        it.kill()
    assert len(dashboard.of("result")) == films
    dashboard.close()


@pytest.mark.faults
def test_a_clock_that_steps_loses_nothing_and_hurries_nothing(
    tmp_path, broker, make_appliance, figures
):
    """T12: the wall clock steps by -1 h and +10 years: nothing early, lost or expired."""
    offset = tmp_path / "offset"
    offset.write_text("0")
    dashboard = Subscriber(broker.settings)
    it = make_appliance(broker.port, extra=RECEIPTS + "study_wait_s = 600\n")
    it.start(environment={"BREAK": f"clock:{offset}"})
    it.put("a.jpg", film_bytes("n=1 limb=LH study=s"))
    dashboard.wait("result", 1)
    for step_s in (-3600, 10 * 365 * 86400, 0):
        (tmp_path / "next").write_text(str(step_s))
        (tmp_path / "next").rename(offset)
        before = dashboard.seen.repeats
        until(lambda before=before: dashboard.seen.repeats > before, 20)
        slow = it.drop / f"slow{step_s}.jpg"
        data = film_bytes(f"n={step_s} limb=RH")
        with slow.open("wb") as file:
            for start in range(0, len(data), 700):
                file.write(data[start : start + 700])
                file.flush()
                time.sleep(0.4)
    dashboard.wait("result", 4)
    assert not dashboard.of("reject")
    assert {s.status for s in dashboard.of("study")} == {"filling"}
    assert not [m for m in dashboard.messages if m.kind == "study" and not m.payload]
    assert not any(a.code == "undelivered" for s in dashboard.of("state") for a in s.alerts)
    dashboard.close()
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    until(lambda: set(it.states().values()) == {"receipted"}, 30)
    figures["lost"] = 0
    assert it.audit()["findings"] == []
    dashboard.close()


@pytest.mark.faults
def test_a_stop_of_all_processes(broker, make_appliance, scale, figures):
    """SIGSTOP of daemon, worker and broker for a minute: everything goes on."""
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    it = make_appliance(broker.port, extra=RECEIPTS).start()
    for number in range(10):
        it.put(f"{number}.jpg", film_bytes(f"slow=0.3 n={number}"))
    until(lambda: len(it.states()) >= 3)
    children = Path(f"/proc/{it.process.pid}/task/{it.process.pid}/children").read_text().split()
    pids = [it.process.pid, *map(int, children)]
    broker.pause()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(scale(5, 60))
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    broker.resume()
    begun_s = time.monotonic()
    until(lambda: list(it.states().values()) == ["receipted"] * 10, 60)
    figures["recovered in s"] = round(time.monotonic() - begun_s, 1)
    assert "worker e" not in it.log()
    assert len(dashboard.of("result")) == 10
    dashboard.close()


def test_a_flood_of_films(broker, make_appliance, scale, figures):
    """T15: 10,000 films at once: lost 0, in a fair order, memory bounded."""
    count = scale(300, 10_000)
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    it = make_appliance(broker.port, extra=RECEIPTS + "images = false\n").start()
    it.put("first.jpg", film_bytes("n=first"))
    dashboard.wait("result", 1)
    before = it.rss_mib()
    begun_s = time.monotonic()
    for number in range(count):
        it.put(f"{number:05d}.jpg", film_bytes(f"n={number}", padding=500))
    peak = before
    while len(it.states()) <= count or set(it.states().values()) != {"receipted"}:
        assert time.monotonic() - begun_s < 1500
        peak = max(peak, it.rss_mib())
        time.sleep(2)
    results = dashboard.of("result")
    late = [abs(r.job - place) for place, r in enumerate(sorted(results, key=lambda r: r.sequence))]
    figures |= {
        "films": count,
        "lost": count + 1 - len({r.film_sha256 for r in results}),
        "films a second": round(count / (time.monotonic() - begun_s)),
        "RSS growth in MiB": round(peak - before, 1),
    }
    assert len(results) == len({r.id for r in results}) == count + 1
    assert max(late) < 5
    assert peak - before < 20
    assert it.audit()["findings"] == []
    dashboard.close()


@pytest.mark.faults
def test_a_hang_in_inference(broker, subscriber, make_appliance, figures):
    """T21: a hang in inference: restarted within 20 s, the film retried once, the next flows."""
    it = make_appliance(broker.port).start()
    it.put("hang.jpg", film_bytes("hang=1"))
    until(lambda: "job 1: claimed" in it.log())
    begun_s = time.monotonic()
    it.put("next.jpg", film_bytes("n=1"))
    until(lambda: "time limit" in it.log(), 25)
    first_s = time.monotonic() - begun_s
    (reject,) = subscriber.wait("reject", 1, 30)
    assert reject.reason == "worker_timeout"
    subscriber.wait("result", 1, 10)
    figures["first restart after s"] = round(first_s, 1)
    assert first_s < 20
    assert it.log().count("time limit") == 2


def test_a_share_that_goes_away_empties_and_comes_back(tmp_path, broker, make_appliance, figures):
    """T17: share away, empty mount point, remount: told, nothing taken for new or deleted."""
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    with small_disk(tmp_path / "server", 16) as server, contextlib.ExitStack() as cleanup:
        it = make_appliance(broker.port, extra=RECEIPTS)
        it.extend('[folders]\nmode = "poll"\nrescan_s = 0.5\n')
        mount = ["mount", "--bind", server, it.drop]
        unmount = ["umount", "-l", it.drop]
        cleanup.callback(subprocess.run, unmount, check=False, capture_output=True)
        subprocess.run(mount, check=True)
        it.start()
        for number in range(5):
            it.put(f"{number}.jpg", film_bytes(f"n={number}"))
        until(lambda: list(it.states().values()) == ["receipted"] * 5, 30)
        subprocess.run(unmount, check=True)
        until(lambda: any(a.code == "folder" for a in dashboard.of("state")[-1].alerts), 15)
        (server / "5.jpg").write_bytes(film_bytes("n=5"))
        subprocess.run(mount, check=True)
        begun_s = time.monotonic()
        until(lambda: list(it.states().values()) == ["receipted"] * 6, 30)
        figures |= {"recovered in s": round(time.monotonic() - begun_s, 1), "lost": 0}
        until(lambda: not dashboard.of("state")[-1].alerts, 10)
        assert len(dashboard.of("result")) == 6
        assert it.audit()["findings"] == []
        it.kill()
    dashboard.close()


def test_an_upgrade_with_a_full_outbox(tmp_path, broker, make_appliance, figures):
    """T24: a journal of a later release is refused by name, and left as it is."""
    import sqlite3

    it = make_appliance(broker.port).start()
    it.put("a.jpg", film_bytes("n=1"))
    until(lambda: it.states() == {1: "acked"})
    assert it.terminate() == 0
    with sqlite3.connect(it.state / "journal.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = (it.state / "journal.sqlite").read_bytes()
    it.start(ready=False)
    assert it.process.wait(20) == 1
    assert "later release" in it.log()
    assert (it.state / "journal.sqlite").read_bytes() == before
    figures["lost"] = 0
    assert tmp_path


def test_the_bare_service(tmp_path, broker, figures):
    """T23, T38: no HOME, ASCII locale, closed log: it works all the same."""
    it = Appliance(tmp_path, broker.port)
    dashboard = Subscriber(broker.settings)
    environment = {"PATH": "/usr/bin", "LC_ALL": "C"}
    from appliance import _MAIN, ROOT

    environment["PYTHONPATH"] = f"{ROOT}:{ROOT / 'tests/edge'}"
    read, write = os.pipe()
    os.close(read)
    import sys

    process = subprocess.Popen(
        [sys.executable, "-c", _MAIN, it.config], stdin=subprocess.DEVNULL, stdout=write,
        stderr=write, env=environment,
    )  # fmt: skip
    os.close(write)
    try:
        until(lambda: dashboard.of("state") and dashboard.of("state")[-1].versions)
        path = os.fsencode(it.drop) + b"/\xff\xfe \n.jpg"
        with open(path, "wb") as file:  # noqa: PTH123 - a name that is no UTF-8
            file.write(film_bytes("n=1"))
        dashboard.wait("result", 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    figures["results"] = 1
    dashboard.close()
