"""Faults of the machine: disk, clock, stops, floods, hangs, shares."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest
from appliance import Appliance, Subscriber, until
from disks import small_disk
from stand_in import film_bytes

sys.path.append(str(Path(__file__).resolve().parents[1] / "edge" / "imaging"))
from film_files import smooth

from edge.system.paths import built_engines

RECEIPTS = '[delivery]\nmode = "receipt"\nresend_s = 2\n'


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
            left = dice.choice([0, 4096, 16384, 65536, 200_000])
            # The appliance may have written since the disk was measured.
            with contextlib.suppress(OSError):
                filler.write_bytes(b"\0" * max(0, free - left))
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


def stream(it, dashboard, rate, seconds):
    """Drop films at an even rate; returns how many, and the daemon's memory in MiB over time."""
    begun_s = time.monotonic()
    dropped, memory = 0, []
    while (spent_s := time.monotonic() - begun_s) < seconds:
        while dropped < spent_s * rate:
            words = f"n={dropped} study=s{dropped // 4}"
            it.put(f"{dropped:06d}.jpg", film_bytes(words, padding=500))
            dropped += 1
        memory.append((spent_s, it.rss_mib()))
        time.sleep(0.05)
    # One more warmed it up.
    until(lambda: len(dashboard.of("result")) > dropped, 600 + seconds)
    return dropped, memory


def test_a_stream_of_films(broker, make_appliance, scale, figures):
    """T15: 50 films a second (10 minutes with --long): lost 0, order kept, memory bounded."""
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    it = make_appliance(broker.port, extra=RECEIPTS + "images = false\n").start()
    it.put("warm.jpg", film_bytes("n=warm"))
    dashboard.wait("result", 1)
    before = it.rss_mib()
    seconds = scale(5, 60, 600)
    begun_s = time.monotonic()
    dropped, memory = stream(it, dashboard, 50, seconds)
    results = dashboard.of("result")
    order = [r.sequence for r in results]
    figures |= {
        "films": dropped,
        "lost": dropped + 1 - len({r.film_sha256 for r in results}),
        "done after the last drop in s": round(time.monotonic() - begun_s - seconds, 1),
        "RSS growth in MiB": round(max(m for _, m in memory) - before, 1),
    }
    assert len(results) == len({r.id for r in results}) == dropped + 1
    assert order == sorted(order)
    assert max(m for _, m in memory) - before < 20
    until(lambda: set(it.states().values()) == {"receipted"}, 30)
    assert it.audit()["findings"] == []
    dashboard.close()


@pytest.mark.faults
def test_a_soak(broker, make_appliance, scale, figures):
    """T22: films, ends of the broker, audits; minutes, or hours with --long: nothing creeps."""
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    it = make_appliance(broker.port, extra=RECEIPTS + "health_s = 1\n").start()
    fds = lambda: len(list(Path(f"/proc/{it.process.pid}/fd").iterdir()))  # noqa: E731
    rounds = scale(1, 12, 360)
    measured = []
    films = 0
    for number in range(rounds):
        for _ in range(50):
            it.put(f"{films}.jpg", film_bytes(f"n={films}"))
            films += 1
            time.sleep(0.1)
        until(lambda n=films: list(it.states().values()) == ["receipted"] * n, 180)
        measured.append((time.monotonic(), it.rss_mib(), fds(), dashboard.of("health")[-1].latency))
        if number % 3 == 1:
            broker.kill()
            time.sleep(1)
            broker.start()
        if number % 5 == 4:
            assert it.audit()["findings"] == []
        for path in sorted(it.drop.iterdir())[:-200]:
            path.unlink()
    # The first rounds fill caches; what grows after them creeps.
    settled = measured[len(measured) // 3 :]
    hours = (settled[-1][0] - settled[0][0]) / 3600
    figures |= {
        "films": films,
        "minutes": round((measured[-1][0] - measured[0][0]) / 60, 1),
        "RSS growth in MiB": round(settled[-1][1] - settled[0][1], 2),
        "RSS slope in MiB/h": round((settled[-1][1] - settled[0][1]) / hours, 2) if hours else 0,
        "descriptors first and last": f"{settled[0][2]} {settled[-1][2]}",
        "p99 first and last in ms": f"{settled[0][3].p99_ms:.0f} {settled[-1][3].p99_ms:.0f}",
    }
    assert settled[-1][2] <= settled[0][2] + 2
    assert settled[-1][1] - settled[0][1] < max(2.0, hours)
    assert len({r.id for r in dashboard.of("result")}) == films
    assert it.audit()["findings"] == []
    dashboard.close()


@pytest.mark.faults
@pytest.mark.parametrize("word", ["once", "always"])
def test_a_device_that_fails_while_it_computes(tmp_path, broker, make_appliance, figures, word):
    """T20: CUDA error in a run: engines load again, then the reference serves, alert, lost 0."""
    if not any(built_engines().glob("*-detect.json")):
        pytest.skip("no engines are built: sharpedge export")
    flag = tmp_path / "device"
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    it = make_appliance(broker.port, factory="broken_device:build", extra=RECEIPTS)
    it.start(environment={"DEVICE": str(flag)}, ready=False)
    until(lambda: "ready: session" in it.log(), 120)
    flag.write_text(word)
    begun_s = time.monotonic()
    films = [f"{n}.png" for n in range(3)]
    for number, name in enumerate(films):
        it.put(name, cv2.imencode(".png", smooth(700, 500 + number))[1].tobytes())
    until(lambda: len(dashboard.of("reject")) == len(films), 90)
    figures["films ended in s"] = round(time.monotonic() - begun_s, 1)
    reasons = {r.reason for r in dashboard.of("reject")}
    assert not reasons & {"worker_died", "internal"}, reasons
    told = {a.code for s in dashboard.of("state") for a in s.alerts}
    assert ("engine_failed" in told) == (word == "always")
    if word == "always":
        assert dashboard.of("state")[-1].state == "degraded"
    assert it.log().count("worker ended") == (1 if word == "once" else 2)
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
