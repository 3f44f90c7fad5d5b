"""The power is cut at every write: what the disk may then hold, and what is made of it."""

from __future__ import annotations

import contextlib
import hashlib
import random
import shutil
import sqlite3

import pytest
from appliance import Appliance, Subscriber, until
from power import Disk, operations, preload, published
from stand_in import film_bytes

from edge.daemon.repair import open_sound
from edge.journal.copies import job_of
from edge.system.device_key import derived_key, device_key

RECEIPTS = '[delivery]\nmode = "receipt"\nresend_s = 2\n'
FILMS = {f"{n}.jpg": film_bytes(f"n={n} limb=LH study=s{n}") for n in range(4)} | {
    "held.jpg": film_bytes("reason=side_not_known"),
    "bad.jpg": b"\xff\xd8 no film \xff\xd9",
}


@pytest.fixture
def run(tmp_path, broker, monkeypatch):
    """A run of an appliance over a few films, logged: its folder, its disk, what it did to it."""
    library = preload(tmp_path)
    log = tmp_path / "disk.log"
    home = tmp_path / "home"
    home.mkdir()
    it = Appliance(home, broker.port, extra=RECEIPTS)
    it.extend('[folders]\nafter = "move"\nabandoned_s = 3\n')
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    disk = Disk(home)
    logged = {"LD_PRELOAD": str(library), "DISK_ROOT": str(home), "DISK_LOG": str(log)}
    it.start(environment=logged)
    for name, data in FILMS.items():
        it.put(name, data)
        disk.add(it.drop / name, data)
    ends = ["held", "quarantined", *["receipted"] * 4]
    until(lambda: sorted(it.states().values()) == ends, 30)
    for name, value in logged.items():
        monkeypatch.setenv(name, value)
    done = it.order("release", "held.jpg", "--side", "L", "--limb", "hand")
    for name in logged:
        monkeypatch.delenv(name)
    assert done.returncode == 0, done.stderr
    until(lambda: sorted(it.states().values()).count("receipted") == 5, 30)
    until(lambda: not list(it.drop.iterdir()), 10)
    assert it.terminate() == 0
    dashboard.close()
    return home, disk, list(operations(log))


def test_a_power_cut_at_every_write(run, tmp_path, scale, figures):
    """T10: power cut at every write, unsynced bytes torn: opens, nothing sent is unknown."""
    dice = random.Random(7)
    home, disk, ops = run
    sent = set()
    cuts = 0
    for number, op in enumerate(ops):
        disk.do(op)
        if published(op):
            sent.add(published(op))
        if number % scale(12, 1) or op.kind == "send":
            continue
        cuts += 1
        target = tmp_path / f"cut{number}"
        disk.cut(dice, home, target)
        check(target, sent)
        shutil.rmtree(target)
    figures |= {"writes": len(ops), "cuts": cuts, "lost": 0}
    assert len(sent) == 5


def check(target, sent):
    """Open what a cut left: the journal is whole, and every film is somewhere."""
    state = target / "state"
    state.mkdir(exist_ok=True)
    journal = state / "journal.sqlite"
    key = derived_key(device_key(state, expected=journal.exists() and sent), "journal")
    store, repaired = open_sound(journal, key, expected=bool(sent))
    assert repaired == "", repaired
    assert store.verify() is None
    known = {row["id"] for row in store.db.execute("SELECT id FROM outbox")}
    assert sent <= known, "a result went out that the journal does not know"
    jobs = {row["number"]: row for row in store.db.execute("SELECT * FROM job")}
    whole = {path for path in target.rglob("*") if path.is_file()}
    digests = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in whole}
    for name, data in FILMS.items():
        assert hashlib.sha256(data).hexdigest() in digests, f"{name} is nowhere"
    archive = {job_of(path.name) for path in (state / "archive").glob("*")}
    for number, job in jobs.items():
        if job["original"] == "moved":
            assert number in archive, "said to be moved, and not there"
    store.close()


@pytest.mark.faults
def test_a_start_after_a_power_cut(run, make_broker, scale, figures):
    """T10: power cut, then a start: every film ends, once for who de-duplicates, audit clean."""
    dice = random.Random(8)
    home, disk, ops = run
    points = set(dice.sample(range(len(ops)), scale(3, 40)))
    for number, op in enumerate(ops):
        disk.do(op)
        if number not in points:
            continue
        shutil.rmtree(home)
        disk.cut(dice, home, home)
        # A broker that knows nothing: the one of the run tells of rows that came after the cut.
        fresh = make_broker()
        dashboard = Subscriber(fresh.settings, receiver="dashboard")
        it = Appliance(home, fresh.port, extra=RECEIPTS)
        it.extend('[folders]\nafter = "move"\nabandoned_s = 3\n')
        try:
            it.start()
            until(lambda it=it: ended(it), 30, f"cut {number}")
            assert it.audit()["findings"] == [], number
            ids = [r.id for r in dashboard.of("result")]
            assert len(ids) == len(set(ids))
            assert it.terminate() == 0
        finally:
            it.kill()
            dashboard.close()
            fresh.kill()
    figures |= {"starts": len(points), "lost": 0}


def ended(it):
    wanted = {hashlib.sha256(data).hexdigest() for data in FILMS.values()}
    with contextlib.closing(sqlite3.connect(it.state / "journal.sqlite")) as db:
        known = {row[0] for row in db.execute("SELECT sha256 FROM job")}
    return wanted <= known and not set(it.states().values()) & {"claimed", "queued", "sent"}
