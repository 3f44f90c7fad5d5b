"""The audit proves a sound journal and names what somebody, or a fault, has done to it."""

from __future__ import annotations

import shutil
import socket
import sqlite3
import time
import tracemalloc

import pytest
from appliance import MOSQUITTO, Appliance, Broker, Subscriber, until
from stand_in import film_bytes

from edge.daemon.audit import Fault, Finding, Limits, audit, bounded
from edge.intake.watch import Folder
from edge.journal.places import Places


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """An appliance that dealt with a result, a held, a bad and a moved film, and was stopped."""
    if MOSQUITTO is None:
        pytest.skip("no mosquitto on this machine (Debian package mosquitto)")
    folder = tmp_path_factory.mktemp("audit")
    broker = Broker(folder).start()
    it = Appliance(folder, broker.port, extra='[delivery]\nmode = "receipt"\n')
    it.extend('[folders]\nafter = "move"\n')
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    it.start()
    it.put("a.jpg", film_bytes("limb=LH"))
    it.put("held.jpg", film_bytes("reason=side_not_known"))
    it.put("bad.jpg", b"no film")
    until(lambda: sorted(it.states().values()) == ["held", "quarantined", "receipted"])
    until(lambda: [p.name for p in it.drop.iterdir()] == ["held.jpg"])
    assert it.audit(broker=True)["findings"] == []
    assert it.terminate() == 0
    yield it, broker
    dashboard.close()
    broker.kill()


@pytest.fixture
def copy(stopped, tmp_path):
    """The same, to be tampered with."""
    it, broker = stopped
    shutil.copytree(it.state, tmp_path / "state")
    shutil.copytree(it.drop, tmp_path / "drop")
    other = Appliance(tmp_path, broker.port)
    other.config.write_text(
        it.config.read_text().replace(str(it.state), str(other.state))
        .replace(f'watch = "{it.drop}"', f'watch = "{it.drop}"')
    )  # fmt: skip
    return other


def change(appliance, *statements):
    with sqlite3.connect(appliance.state / "journal.sqlite") as db:
        for statement in statements:
            db.execute(statement)
    db.close()


def test_a_sound_appliance_passes_with_every_film_in_one_state(copy):
    report = copy.audit()
    assert report["findings"] == []
    assert report["states"] == {"held": 1, "quarantined": 1, "receipted": 1}
    done = copy.order("audit")
    assert done.returncode == 3
    assert "every film is in exactly one state" in done.stdout
    assert "stopped: appliance: does not run" in done.stdout
    assert "esearch use only" in done.stdout


FLIP = """UPDATE outbox SET payload = CAST(replace(CAST(payload AS TEXT), '"erosion":1',
    '"erosion":3') AS BLOB) WHERE kind = 'result'"""
UNLOGGED = """INSERT INTO job (path, sha256, device, inode, size, mtime_ns, state, since)
    VALUES (x'61', 'b', 1, 1, 1, 1, 'acked', 1)"""


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("UPDATE event SET detail = '{}' WHERE row = 3", "row 3"),
        ("DELETE FROM event WHERE row = 3", "row 4"),
        ("DELETE FROM event WHERE row > (SELECT MAX(row) FROM event) - 2", "cut off"),
        ("DELETE FROM event", "cut off"),
        ("UPDATE job SET state = 'dismissed' WHERE state = 'held'", "the chain says held"),
        ("UPDATE job SET sha256 = 'x' WHERE state = 'held'", "digest"),
        ("DELETE FROM job WHERE state = 'receipted'", "the table lacks it"),
        ("DELETE FROM outbox WHERE kind = 'result'", "is not kept"),
        ("DELETE FROM receipt", "receipt of"),
        ("UPDATE outbox SET state = 'queued' WHERE kind = 'result'", "waits again"),
        (FLIP, "not what was written"),
        (UNLOGGED, "the chain does not record it"),
    ],
)  # fmt: skip
def test_a_changed_journal_is_named(copy, statement, word):
    change(copy, statement)
    report = copy.audit()
    assert report["exit_status"] == 1
    assert any(word in it["detail"] for it in report["findings"]), report


def test_an_older_journal_that_was_put_back_shows_against_the_published_head(copy):
    path = copy.state / "journal.sqlite"
    old = sqlite3.connect(path)
    last = old.execute("SELECT MAX(row) FROM event").fetchone()[0]
    head = old.execute("SELECT hex(mac) FROM event WHERE row = ?", (last - 1,)).fetchone()[0]
    old.close()
    # As somebody could who has the device key.
    from edge.journal.chain import Head
    from edge.journal.store import Store
    from edge.system.device_key import derived_key, device_key

    change(copy, "DELETE FROM event WHERE row = (SELECT MAX(row) FROM event)")
    store = Store(path, derived_key(device_key(copy.state), "journal"))
    store._sign_head(Head(last - 1, head.lower()))
    store.close()
    assert not any("cut off" in it["detail"] for it in copy.audit()["findings"])
    assert any("was published" in it["detail"] for it in copy.audit(broker=True)["findings"])


def test_copies_that_went_or_changed_and_foreign_files_are_named(copy):
    (held,) = copy.state.glob("quarantine/*side_not_known*")
    (bad,) = copy.state.glob("quarantine/*not_an_image*")
    held.write_bytes(b"x")
    bad.unlink()
    (copy.state / "quarantine" / "00000099-corrupt.jpg").write_bytes(b"")
    for path in (copy.state / "archive").glob("*"):
        path.unlink()
    told = {it["detail"] for it in copy.audit()["findings"]}
    assert "its copy in the quarantine is not the film's" in told
    assert "its file in the archive is gone" in told
    assert "belongs to no film" in told


def test_a_film_that_nobody_took_is_seen_and_overdue_only_where_the_appliance_runs(
    broker, make_appliance
):
    it = make_appliance(broker.port)
    it.extend("[folders]\nabandoned_s = 1\n")
    it.put("a.jpg", film_bytes("limb=LH"))
    it.start()
    until(lambda: it.states() == {1: "acked"})
    it.terminate()
    it.put("b.jpg", film_bytes("limb=RH"))
    report = it.audit()
    assert (report["states"], report["findings"]) == ({"acked": 1, "seen": 1}, [])


def test_undelivered_results_are_overdue_with_a_status_of_their_own(broker, make_appliance):
    it = make_appliance(broker.port, extra='[delivery]\nmode = "receipt"\nalert_s = 0.5\n').start()
    it.put("a.jpg", film_bytes("limb=LH"))
    until(lambda: it.states() == {1: "sent"})
    until(lambda: "alert undelivered" in it.log())
    report = it.audit()
    assert report["exit_status"] == 3
    assert {it["fault"] for it in report["findings"]} == {"overdue"}


def test_an_appliance_that_does_not_run_a_film_held_long_and_a_refusal_are_findings(copy):
    old = time.time() - 90_000
    change(
        copy,
        f"UPDATE job SET since = {old} WHERE state = 'held'",  # noqa: S608
        f"INSERT INTO refusal VALUES ('result', 'Not authorized', {old})",  # noqa: S608
    )
    done = copy.order("audit", "--no-broker")
    assert done.returncode == 3
    for words in ("stopped: appliance: does not run", "held for 25 h", "Not authorized"):
        assert words in done.stdout
    assert "every film is in exactly one state" not in done.stdout


def test_a_picture_that_waits_again_is_no_change(copy):
    change(copy, "UPDATE outbox SET state = 'queued' WHERE kind = 'image'")
    assert {it["fault"] for it in copy.audit()["findings"]} <= {"overdue"}


def test_the_broker_is_asked_last_and_not_for_long(copy):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        copy.extend(f"[broker]\nport = {silent.getsockname()[1]}\nconnect_s = 60\n")
        begun_s = time.monotonic()
        assert copy.audit(broker=True)["findings"] == []
        assert time.monotonic() - begun_s < 30


@pytest.fixture
def checked(tmp_path):
    """What an audit finds in a box's journal."""

    def check(box):
        (tmp_path / "drop").mkdir(exist_ok=True)
        limits = Limits(1e9, 1e9, 1e12, 1e12)
        return audit(box.store, Places.below(tmp_path), Folder(tmp_path / "drop", ()), limits)

    return check


def test_memory_does_not_grow_with_the_journal(make_box, checked):
    box = make_box()
    tracemalloc.start()
    peaks = []
    for first, last in ((0, 50), (50, 500)):
        for number in range(first, last):
            box.film(number)
        box.run(20, box.answer_new())
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        assert checked(box).states == {"receipted": last}
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    assert peaks[1] < 4 * max(peaks[0], 1 << 20)


def test_a_thousand_findings_are_shown_and_the_rest_counted(make_box, checked):
    box = make_box()
    for number in range(3):
        box.film(number)
    box.store.db.execute("UPDATE outbox SET seal = x'00'")
    found = [it for it in checked(box).findings if it.fault is Fault.CHANGED]
    assert len(found) == 3
    many = [Finding(Fault.OVERDUE, str(n), "") for n in range(1500)]
    shown = bounded([*many, Finding(Fault.CHANGED, "x", "")])
    assert len(shown) == 1001
    assert shown[0].fault is Fault.CHANGED
    assert "501 more" in shown[-1].detail
