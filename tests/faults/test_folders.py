"""Files that are swapped, linked, renamed, re-dated and dropped in bursts; ends at each stage."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from appliance import Subscriber, until
from stand_in import film_bytes

RECEIPTS = '[delivery]\nmode = "receipt"\nresend_s = 2\n'
ENDS = {"receipted", "duplicate", "quarantined", "set_aside"}


@pytest.fixture
def dashboard(broker):
    it = Subscriber(broker.settings, receiver="dashboard")
    yield it
    it.close()
    it.check_contract()


def texts(dashboard):
    return {r.film_sha256 for r in dashboard.of("result")}


def settled(it, jobs):
    found = it.states()
    return len(found) >= jobs and set(found.values()) <= ENDS


def sha(data):
    return hashlib.sha256(data).hexdigest()


@pytest.mark.faults
def test_names_and_contents_in_every_combination(broker, dashboard, make_appliance, figures):
    """Hard links, renames over, copies, swaps, times in the future: each content once."""
    it = make_appliance(broker.port, extra=RECEIPTS).start()
    one, two, three, four = (film_bytes(f"n={n}") for n in range(4))
    it.put("a.jpg", one)
    until(lambda: settled(it, 1))
    os.link(it.drop / "a.jpg", it.drop / "link.jpg")
    shutil.copy2(it.drop / "a.jpg", it.drop / "copy.jpg")
    (it.drop / ".tmp").write_bytes(two)
    (it.drop / ".tmp").rename(it.drop / "a.jpg")
    until(lambda: sha(two) in texts(dashboard))
    # Two names swap their contents.
    it.put("b.jpg", three)
    until(lambda: sha(three) in texts(dashboard))
    (it.drop / "a.jpg").rename(it.drop / ".x")
    (it.drop / "b.jpg").rename(it.drop / "a.jpg")
    (it.drop / ".x").rename(it.drop / "b.jpg")
    with (it.drop / "future.jpg").open("wb") as file:
        file.write(four)
        file.flush()
        os.utime(file.fileno(), (4e9, 4e9))
    it.put("past.jpg", film_bytes("n=5"))
    os.utime(it.drop / "past.jpg", (0, 0))
    it.put("negative.jpg", film_bytes("n=6"))
    os.utime(it.drop / "negative.jpg", (-1e9, -1e9))
    until(lambda: len(texts(dashboard)) == 6 and settled(it, 8), 20)
    time.sleep(3)
    assert len(dashboard.of("result")) == 6
    assert dashboard.of("reject") == []
    for result in dashboard.of("result"):
        assert result.ledger.picked_up >= result.ledger.closed - 1 or result.ledger.closed > 3e9
    figures["contents"] = 6
    assert it.audit()["findings"] == []


@pytest.mark.faults
@pytest.mark.parametrize("after", ["leave", "move", "delete"])
def test_a_file_that_is_replaced_while_its_film_is_in_work(
    broker, dashboard, make_appliance, after
):
    """Replaced, removed or grown while in work: both contents are scored, none is destroyed."""
    it = make_appliance(broker.port, extra=RECEIPTS)
    it.extend(f'[folders]\nafter = "{after}"\n')
    it.start()
    for number, deed in enumerate(["replace", "rename", "remove", "append"]):
        old, new = film_bytes(f"slow=1 n={number}"), film_bytes(f"n=new{number}")
        path = it.drop / f"{deed}.jpg"
        jobs = len(it.states())
        path.write_bytes(old)
        until(lambda jobs=jobs: len(it.states()) > jobs)
        time.sleep(0.3)
        if deed == "replace":
            path.write_bytes(new)
        elif deed == "rename":
            (it.drop / ".new").write_bytes(new)
            (it.drop / ".new").rename(path)
        elif deed == "remove":
            path.unlink()
        else:
            path.write_bytes(old + new)
        wanted = {sha(old)} | ({sha(new)} if deed in {"replace", "rename"} else set())
        until(lambda w=wanted: w <= texts(dashboard), 15, deed)
        until(lambda jobs=jobs: settled(it, jobs + 1), 15)
    if after == "leave":
        assert (it.drop / "replace.jpg").read_bytes() == film_bytes("n=new0")
    elif after == "move":
        kept = {sha(path.read_bytes()) for path in (it.state / "archive").iterdir()}
        assert {sha(film_bytes("n=new0")), sha(film_bytes("n=new1"))} <= kept
    until(lambda: it.audit()["findings"] == [], 10)


@pytest.mark.faults
def test_a_folder_that_is_renamed_away_and_back(broker, dashboard, make_appliance, figures):
    """Folders renamed away, back, over each other, replaced: nothing twice, nothing lost."""
    it = make_appliance(broker.port, extra=RECEIPTS).start()
    (it.drop / "study").mkdir()
    for number in range(3):
        it.put(f"study/{number}.jpg", film_bytes(f"n={number}"))
    until(lambda: settled(it, 3))
    (it.drop / "study").rename(it.drop.parent / "away")
    (it.drop.parent / "away" / "3.jpg").write_bytes(film_bytes("n=3"))
    time.sleep(2.5)
    (it.drop.parent / "away").rename(it.drop / "study")
    until(lambda: sha(film_bytes("n=3")) in texts(dashboard))
    (it.drop / "study").rename(it.drop / "other")
    it.put("other/4.jpg", film_bytes("n=4"))
    until(lambda: sha(film_bytes("n=4")) in texts(dashboard))
    # The drop folder itself goes, another one comes, and the first returns.
    it.drop.rename(it.drop.parent / "gone")
    it.drop.mkdir()
    it.put("5.jpg", film_bytes("n=5"))
    begun_s = time.monotonic()
    until(lambda: sha(film_bytes("n=5")) in texts(dashboard), 15)
    figures["new folder followed in s"] = round(time.monotonic() - begun_s, 1)
    it.drop.rename(it.drop.parent / "second")
    (it.drop.parent / "gone").rename(it.drop)
    it.put("6.jpg", film_bytes("n=6"))
    until(lambda: sha(film_bytes("n=6")) in texts(dashboard), 15)
    assert len(dashboard.of("result")) == 7
    assert it.audit()["findings"] == []


@pytest.mark.faults
def test_bursts(broker, dashboard, make_appliance, figures):
    """100 films in a burst, one name overwritten 30 times in a second: the last one counts."""
    it = make_appliance(broker.port, extra=RECEIPTS).start()
    for number in range(100):
        it.put(f"{number}.jpg", film_bytes(f"n={number}"))
    for number in range(30):
        it.put("same.jpg", film_bytes(f"n=same{number}"))
        time.sleep(0.03)
    last = film_bytes("n=same29")
    until(lambda: sha(last) in texts(dashboard) and settled(it, 101), 30)
    assert {sha(film_bytes(f"n={n}")) for n in range(100)} <= texts(dashboard)
    ids = [r.id for r in dashboard.of("result")]
    assert len(ids) == len(set(ids))
    order = [r.sequence for r in dashboard.of("result")]
    assert order == sorted(order)
    figures |= {"films": 100, "of one name": len(ids) - 100}
    assert it.audit()["findings"] == []


@pytest.mark.faults
@pytest.mark.parametrize(
    "stage", ["claimed", "decoded", "detected", "written", "committed", "sent", "receipted"]
)
def test_sigterm_at_each_stage(broker, dashboard, make_appliance, stage):
    """SIGTERM at each named step: status 0, and the next start finishes everything."""
    it = make_appliance(broker.port, extra=RECEIPTS)
    for number in range(3):
        it.put(f"{number}.jpg", film_bytes(f"n={number}"))
    it.start(environment={"BREAK": f"term-{stage}:2"}, ready=False)
    assert it.process.wait(20) == 0
    it.start()
    until(lambda: settled(it, 3))
    assert len(dashboard.of("result")) == 3
    assert it.audit()["findings"] == []


@pytest.mark.faults
def test_retention_while_results_wait(broker, make_appliance, figures):
    """Retention at its tightest while the broker is away: no result, picture or film is lost."""
    it = make_appliance(
        broker.port,
        extra=RECEIPTS + "[retention]\npictures_days = 1e-9\narchive_days = 1e-9\n"
        "quarantine_days = 1e-9\njournal_days = 1e-9\npictures_mib = 1\njournal_mib = 1\n",
    )
    it.extend('[folders]\nafter = "move"\n')
    broker.kill()
    it.start(environment={"BREAK": "tidy:0.5"})
    for number in range(20):
        it.put(f"{number}.jpg", film_bytes(f"n={number}"))
    it.put("held.jpg", film_bytes("reason=side_not_known"))
    until(lambda: len(it.states()) == 21 and "claimed" not in it.states().values())
    time.sleep(3)
    assert it.audit()["exit_status"] in (0, 3)
    broker.start()
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    begun_s = time.monotonic()
    until(lambda: len({m.result_id for m in dashboard.messages if m.kind == "image"}) == 20, 20)
    figures["recovered in s"] = round(time.monotonic() - begun_s, 1)
    assert len(dashboard.of("result")) == 20
    until(lambda: set(it.states().values()) <= {"held", "receipted"}, 15)
    time.sleep(2)
    assert it.audit()["findings"] == []
    assert len(list((it.state / "quarantine").iterdir())) == 1
    dashboard.close()


@pytest.mark.faults
def test_a_share_that_answers_with_errors(broker, dashboard, make_appliance, figures):
    """EACCES on files and folders for a while, on a folder that is listed: retried, then taken."""
    it = make_appliance(broker.port, extra=RECEIPTS)
    it.extend('[folders]\nmode = "poll"\nrescan_s = 0.5\n')
    (it.drop / "study").mkdir()
    for number in range(3):
        it.put(f"study/{number}.jpg", film_bytes(f"n={number}"))
    it.start(environment={"BREAK": f"errors:{it.drop.parent / 'errno'}"})
    for name in ("EBUSY", "ESTALE", "EACCES", "EIO", "ENOENT"):
        (it.drop.parent / "errno").write_text(name)
        it.put(f"{name}.jpg", film_bytes(f"n={name}"))
        time.sleep(1)
    (it.drop.parent / "errno").unlink()
    begun_s = time.monotonic()
    until(lambda: len(texts(dashboard)) == 8, 15)
    figures["recovered in s"] = round(time.monotonic() - begun_s, 1)
    assert len(dashboard.of("result")) == 8
    assert it.audit()["findings"] == []


@pytest.mark.faults
def test_writers_of_other_kinds(broker, dashboard, make_appliance, figures):
    """mmap, several openers, fallocate and punch, append after close, sparse: never cut films."""
    it = make_appliance(broker.port, extra=RECEIPTS).start()
    code = """if True:
        import mmap, os, sys, time
        path, how = sys.argv[1:3]
        data = sys.stdin.buffer.read()
        if how == "mmap":
            with open(path, "w+b") as file:
                file.truncate(len(data))
                with mmap.mmap(file.fileno(), len(data)) as map:
                    for at in range(0, len(data), 1500):
                        map[at:at + 1500] = data[at:at + 1500]
                        time.sleep(0.4)
        elif how == "two":
            with open(path, "wb") as a, open(path, "r+b") as b:
                a.write(data[:2000]); a.close(); time.sleep(0.3)
                b.seek(2000); b.write(data[2000:])
        elif how == "reopen":
            for at in range(0, len(data), 1500):
                with open(path, "ab") as file:
                    file.write(data[at:at + 1500])
                time.sleep(0.4)
        elif how == "backwards":
            with open(path, "wb") as file:
                for at in reversed(range(0, len(data), 1500)):
                    file.seek(at); file.write(data[at:at + 1500]); file.flush()
                    time.sleep(0.4)
    """
    ways = ["mmap", "two", "reopen", "backwards"]
    films = {how: film_bytes(f"n={how}", padding=5000) for how in ways}
    writers = []
    for how, data in films.items():
        process = subprocess.Popen(
            [sys.executable, "-c", code, it.drop / f"{how}.jpg", how], stdin=subprocess.PIPE
        )
        process.stdin.write(data)
        process.stdin.close()
        writers.append(process)
    for process in writers:
        assert process.wait(30) == 0
    until(lambda: {sha(data) for data in films.values()} <= texts(dashboard), 20)
    time.sleep(1.5)
    assert dashboard.of("reject") == []
    assert len(dashboard.of("result")) == len(ways)
    figures["ways"] = len(ways)
    assert it.audit()["findings"] == []


@pytest.mark.faults
def test_a_process_group_that_is_ended(broker, dashboard, make_appliance):
    """Ctrl-C to the whole group, twice: the film in hand is not lost."""
    it = make_appliance(broker.port, extra=RECEIPTS).start()
    it.put("a.jpg", film_bytes("n=1 slow=2"))
    until(lambda: it.states() == {1: "claimed"})
    children = Path(f"/proc/{it.process.pid}/task/{it.process.pid}/children")
    worker = int(children.read_text().split()[0])
    for _ in range(2):
        for pid in (it.process.pid, worker):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
        time.sleep(0.1)
    assert it.process.wait(20) == 0
    it.start()
    until(lambda: it.states() == {1: "receipted"})
    assert len(dashboard.of("result")) == 1
    assert it.audit()["findings"] == []


@pytest.mark.faults
def test_no_patient_is_named_while_everything_fails(broker, make_appliance, figures):
    """T26: names in files and folders, while reads, engines, moves and brokers fail: none told."""
    marks = [f"CANARY{n:02d}" for n in range(8)]
    everything = Subscriber(broker.settings)
    it = make_appliance(broker.port, extra=RECEIPTS)
    it.extend('[folders]\nafter = "move"\n')
    it.start(environment={"BREAK": f"errors:{it.drop.parent / 'errno'}"})
    for name in ("ESTALE", "ELOOP", "EACCES"):
        (it.drop.parent / "errno").write_text(name)
        it.put(f"{marks[0]}-{name}.jpg", film_bytes(f"n={name}"))
        time.sleep(0.7)
    (it.drop.parent / "errno").unlink()
    it.put(f"{marks[1]}.jpg", film_bytes(f"raise={marks[2]}"))
    it.put(f"{marks[3]}.jpg", film_bytes(f"crash=1 patient={marks[4]}"))
    it.put(f"{marks[5]}.jpg", film_bytes(f"n=1 study={marks[6]} patient={marks[6]}"))
    (it.drop / marks[7]).mkdir()
    (it.drop / marks[7] / "x.jpg").mkdir()
    it.put(f"{marks[7]}/film.jpg", film_bytes("lost=1"))
    until(lambda: len(everything.of("result")) >= 4 and len(everything.of("reject")) >= 4, 40)
    broker.kill()
    it.put(f"{marks[5]}-2.jpg", film_bytes("n=2"))
    it.drop.rename(it.drop.parent / marks[7])
    time.sleep(3)
    (it.drop.parent / marks[7]).rename(it.drop)
    it.kill()
    broker.start()
    it.start()
    until(lambda: len(everything.of("result")) >= 5, 30)
    out = [m.topic.encode() + b" " + m.payload for m in everything.messages]
    out += [it.log_path.read_bytes()]
    out += [os.fsencode(path.relative_to(it.state)) for path in it.state.rglob("*")]
    found = [m for m in marks if any(m.encode() in data for data in out)]
    figures |= {"markers": len(marks), "found outside": len(found), "looked through": len(out)}
    assert found == []
    everything.close()
