"""Ends of the process, of the machine, and of the journal's bytes."""

from __future__ import annotations

import random
import shutil
import sqlite3
import time

import pytest
from appliance import Subscriber, until
from breaking import STEPS
from stand_in import film_bytes

from edge.journal.opening import open_store
from edge.system.device_key import derived_key, device_key

RECEIPTS = '[delivery]\nmode = "receipt"\nresend_s = 2\n'
ENDS = {"receipted", "quarantined", "held", "duplicate"}


def settled(it, films):
    found = it.states()
    return len(found) >= films and set(found.values()) <= ENDS


def films_of(dashboard):
    return {r.film_sha256 for r in dashboard.of("result")}


def test_kill_9_at_every_named_step(broker, make_appliance, scale, figures):
    """T1, T2: kill -9 at named steps (claimed ... receipted, moved), then at random."""
    dice = random.Random(1)
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    it = make_appliance(broker.port, extra=RECEIPTS)
    it.extend('[folders]\nafter = "move"\n')
    steps = [(step, 1) for step in STEPS]
    runs = scale(len(steps), 200)
    steps += [(dice.choice(STEPS), dice.randint(1, 4)) for _ in range(runs - len(steps))]
    kills = dropped = 0
    for number, (step, count) in enumerate(steps):
        for part in range(2):
            it.put(f"{number}-{part}.jpg", film_bytes(f"n={number}-{part}"))
            dropped += 1
        before = len(it.log())
        it.start(ready=False, environment={"BREAK": f"{step}:{count}"})
        until(
            lambda n=before: it.process.poll() is not None or "ready: session" in it.log()[n:], 60
        )
        end_s = time.monotonic() + scale(4, 3)
        while it.process.poll() is None and time.monotonic() < end_s:
            time.sleep(0.02)
        kills += it.process.poll() == -9
        it.kill()
    begun_s = time.monotonic()
    it.start()
    until(lambda: settled(it, dropped), 120)
    figures |= {
        "kills": kills,
        "films": dropped,
        "lost": dropped - len(films_of(dashboard)),
        "recovered in s": round(time.monotonic() - begun_s, 1),
        "repeats under one id": dashboard.seen.repeats,
    }
    results = dashboard.of("result")
    assert kills >= len(STEPS) * 0.8
    assert len(films_of(dashboard)) == len(results) == len({r.id for r in results}) == dropped
    assert it.audit()["findings"] == []
    assert it.terminate() == 0
    dashboard.close()


def test_kill_9_with_two_workers_loses_and_repeats_nothing(broker, make_appliance, scale, figures):
    """Kill -9 while two workers score: every film has one result and its picture afterwards."""
    dice = random.Random(5)
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    it = make_appliance(broker.port, extra=RECEIPTS)
    it.extend("[worker]\ncount = 2\n")
    dropped = kills = 0
    for number in range(scale(4, 60)):
        it.start()
        for part in range(5):
            it.put(f"{number}-{part}.jpg", film_bytes(f"n={number}-{part} slow=0.1 drawslow=0.1"))
            dropped += 1
        time.sleep(dice.uniform(0.2, 1.5))
        it.kill()
        kills += 1
    it.start()
    until(lambda: settled(it, dropped), 120)
    until(lambda: "undrawn" not in image_states(it))
    results = dashboard.of("result")
    figures |= {
        "kills": kills,
        "films": dropped,
        "lost": dropped - len(films_of(dashboard)),
        "repeats under one id": dashboard.seen.repeats,
    }
    assert len(films_of(dashboard)) == len(results) == dropped
    until(lambda: {m.result_id for m in list(dashboard.messages) if m.kind == "image"}
          == {r.id for r in results})  # fmt: skip
    until(lambda: set(image_states(it)) == {"closed"})
    assert it.audit()["findings"] == []
    assert it.terminate() == 0
    dashboard.close()


def image_states(it):
    with sqlite3.connect(it.state / "journal.sqlite") as db:
        found = [row[0] for row in db.execute("SELECT state FROM outbox WHERE kind = 'image'")]
    db.close()
    return found


def test_a_power_cut_leaves_a_journal_that_opens(tmp_path, broker, make_appliance, scale, figures):
    """T10: a journal whose unsynced end is torn opens; nothing acknowledged is lost."""
    dice = random.Random(2)
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    it = make_appliance(broker.port, extra=RECEIPTS).start()
    for number in range(10):
        it.put(f"{number}.jpg", film_bytes(f"n={number}"))
    until(lambda: settled(it, 10))
    it.kill()
    key = derived_key(device_key(it.state), "journal")
    wal = (it.state / "journal.sqlite-wal").read_bytes()
    cuts = scale(20, 200)
    for number in range(cuts):
        other = tmp_path / f"cut{number}"
        other.mkdir()
        shutil.copy(it.state / "journal.sqlite", other)
        # What was synced stays; behind it lies what the disk made of the last write.
        torn = wal + bytes(dice.randrange(256) for _ in range(dice.randrange(9000)))
        (other / "journal.sqlite-wal").write_bytes(torn)
        store, rebuilt = open_store(other / "journal.sqlite", key)
        assert not rebuilt
        assert store.verify() is None
        told = [r["state"] for r in store.db.execute("SELECT state FROM job")]
        assert told == ["receipted"] * 10
        store.close()
        shutil.rmtree(other)
    figures |= {"cuts": cuts, "lost": 0}
    dashboard.close()


def test_flipped_bits_in_the_journal_never_become_a_score(broker, make_appliance, scale, figures):
    """T11: flips and cuts in the journal: it starts, and nothing changed is sent."""
    dice = random.Random(3)
    it = make_appliance(broker.port)
    broker.kill()
    it.start()
    for number in range(4):
        it.put(f"{number}.jpg", film_bytes(f"n={number} limb=LH"))
    until(lambda: list(it.states().values()) == ["queued"] * 4)
    assert it.terminate() == 0
    with sqlite3.connect(it.state / "journal.sqlite") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    whole = (it.state / "journal.sqlite").read_bytes()
    broker.start()
    rebuilt = flips = 0
    for number in range(scale(3, 25)):
        for path in it.state.glob("journal.sqlite*"):
            path.unlink()
        data = bytearray(whole)
        if number % 5 == 4:
            data = data[: dice.randrange(len(data))]
        for _ in range(3):
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            flips += 1
        (it.state / "journal.sqlite").write_bytes(bytes(data))
        dashboard = Subscriber(broker.settings)
        it.start()
        rebuilt += bool(list(it.state.glob("journal.sqlite.damaged*")))
        # The folder still holds the films: whatever the journal lost is scored again.
        until(lambda: "queued" not in it.states().values() and it.states(), 20)
        for result in dashboard.of("result"):
            assert result.subtotals.erosion.score == 10
            assert all(joint.erosion == 1 for joint in result.joints)
        assert it.terminate() == 0
        dashboard.check_contract()
        dashboard.close()
    figures |= {"flips": flips, "rebuilt from the folder": rebuilt, "changed results sent": 0}


@pytest.mark.parametrize("line", ['name = "a/b"', "port = 99999", "speed = 1", "\x00", "[folders"])
def test_a_damaged_configuration_is_refused_by_name(make_appliance, line):
    """T11, T36: a damaged configuration is refused with file and line."""
    it = make_appliance(1)
    it.config.write_text(it.config.read_text() + f"[site]\n{line}\n" if line[0] != "n" else
                         it.config.read_text().replace('name = "clinic"', line))  # fmt: skip
    done = it.order("run")
    assert done.returncode == 2
    assert str(it.config) in done.stderr
    assert len(done.stderr.splitlines()) == 1
