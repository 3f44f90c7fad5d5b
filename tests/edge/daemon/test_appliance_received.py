"""Films that came by C-STORE: the receiver and the daemon as processes, with a real broker."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections import Counter
from datetime import datetime, timezone

import pytest
from appliance import ROOT, until
from receiving import Process, close_connections, connect, film_object, films, send

DICOM = "receiving:build"
FULL = os.environ.pop("SHARPEDGE_DICOM", "") == "full"
"""1,000 films and 20 kills instead of 24 and 4; the table is kept."""
TIMEOUT_S = 3600 if FULL else 300
TABLE = ROOT / "benchmarks/results/dicom_in.md"


@pytest.fixture
def box(broker, make_appliance):
    """An appliance and its receiver; both are started by the test."""
    it = make_appliance(broker.port, factory=DICOM)
    it.receiver = Process(it)
    yield it
    it.receiver.kill()
    close_connections()
    assert "Traceback" not in it.receiver.log()


def keep_table(count, kills, ends, seconds):
    """Write the figures of the full form."""
    day = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    TABLE.write_text(
        "# Films by C-STORE while receiver and appliance are killed\n\n"
        "Research use only, not a medical device. Written by `make dicom-test`: a stand-in\n"
        "scores; receiver, appliance and Mosquitto are real. Each process is killed\n"
        "(SIGKILL) in turn, evenly over the stream; a sender sends a film again until it is\n"
        "acknowledged.\n\n"
        f"{day}; {os.cpu_count()} cores at a load average of {os.getloadavg()[1]:.0f}; "
        f"{seconds:.0f} s\nfrom the start of the appliance to the last end state.\n\n"
        "| what | figure |\n| --- | --- |\n"
        f"| films, associations at once | {count}, 4 |\n"
        f"| kills of the receiver, of the appliance | {kills - kills // 2}, {kills // 2} |\n"
        f"| films acknowledged | {count} |\n"
        f"| films with one result, delivered | {ends['acked']} |\n"
        "| second copies, sent again after a kill before the answer, ended as duplicate | "
        f"{ends['duplicate']} |\n"
        "| acknowledged films without an end state, or with two results | 0 |\n"
        "| findings of `sharpedge audit` | 0 |\n"
    )


def rows(it):
    """State, reason and fate of the file of each job."""
    with sqlite3.connect(it.state / "journal.sqlite") as db:
        found = db.execute("SELECT state, reason, original FROM job ORDER BY number").fetchall()
    db.close()
    return found


def states(it):
    return Counter(state for state, *_ in rows(it))


def test_a_received_film_is_scored_and_its_file_goes_at_its_end(box, subscriber):
    box.start()
    box.receiver.start()
    assert send(box.receiver.port, film_object("1.2.1", "limb=LH study=s patient=p")) == [0]
    (result,) = subscriber.wait("result", 1)
    assert result.status == "scored"
    until(lambda: not films(box.receiver.inbox))
    until(lambda: rows(box) == [("acked", None, "deleted")])
    assert box.terminate() == 0
    assert send(box.receiver.port, film_object("1.2.2")) == [0]
    report = box.audit()
    assert report["findings"] == []
    # One that waits in the inbox counts as one that waits in the folder.
    assert report["states"] == {"acked": 1, "seen": 1}


def test_films_that_came_while_the_appliance_was_away_are_taken_at_its_start(box, subscriber):
    box.receiver.start()
    assert (
        send(box.receiver.port, *(film_object(f"1.2.{n}", f"n={n}") for n in range(3))) == [0] * 3
    )
    box.extend('[folders]\nat_first_start = "skip"\n')
    box.put("old.jpg", b"no film")
    box.start()
    assert len(subscriber.wait("result", 3)) == 3
    until(lambda: not films(box.receiver.inbox))


def test_a_film_that_is_rejected_or_held_has_its_copy_in_the_quarantine(box, subscriber):
    box.start()
    box.receiver.start()
    objects = [
        film_object("1.2.1", "reason=not_a_patient"),
        film_object("1.2.2", "reason=side_not_known"),
    ]
    assert send(box.receiver.port, *objects) == [0, 0]
    rejects = subscriber.wait("reject", 2)
    assert {it.reason for it in rejects} == {"not_a_patient", "side_not_known"}
    # A held film waits for a person: its file stays, as that of the drop folder does.
    until(lambda: len(films(box.receiver.inbox)) == 1)
    assert len(list((box.state / "quarantine").iterdir())) == 2
    job = next(n for n, state in box.states().items() if state == "held")
    assert box.order("release", job, "--side", "L").returncode == 0
    subscriber.wait("result", 1)
    until(lambda: not films(box.receiver.inbox))


def test_the_same_instance_again_is_a_duplicate_and_with_other_bytes_is_held(box, subscriber):
    box.start()
    box.receiver.start()
    assert send(box.receiver.port, film_object("1.2.1", "n=1")) == [0]
    subscriber.wait("result", 1)
    assert send(box.receiver.port, film_object("1.2.1", "n=1")) == [0]
    until(lambda: states(box) == {"acked": 1, "duplicate": 1})
    assert send(box.receiver.port, film_object("1.2.1", "n=2")) == [0]
    (reject,) = subscriber.wait("reject", 1)
    assert reject.reason == "duplicate_conflict"
    assert all(joint.erosion is None for joint in reject.joints)
    until(lambda: states(box) == {"acked": 1, "duplicate": 1, "held": 1})
    # A person decides: worked on again it is held again, released it is scored.
    job = next(n for n, state in box.states().items() if state == "held")
    assert box.order("retry", job).returncode == 0
    until(lambda: "held" in box.states().values() and max(box.states()) > job)
    job = next(n for n, state in box.states().items() if state == "held")
    assert box.order("release", job, "--side", "L").returncode == 0
    subscriber.wait("result", 2)
    until(lambda: not films(box.receiver.inbox))


def test_a_film_that_no_patient_belongs_to_is_rejected_also_in_conflict(box, subscriber):
    box.start()
    box.receiver.start()
    assert send(box.receiver.port, film_object("1.2.1", "n=1")) == [0]
    assert send(box.receiver.port, film_object("1.2.1", "reason=not_a_patient")) == [0]
    (reject,) = subscriber.wait("reject", 1)
    assert reject.reason == "not_a_patient"


def test_messages_and_logs_hold_no_patient_data(box, subscriber):
    canary = {"PatientName": "CANARYNAME", "PatientID": "CANARYID", "AccessionNumber": "CANARYAN",
              "StudyInstanceUID": "1.2.826.99.7"}  # fmt: skip
    box.start()
    box.receiver.start()
    assert send(box.receiver.port, film_object("1.2.826.99.8", **canary)) == [0]
    subscriber.wait("result", 1)
    until(lambda: not films(box.receiver.inbox))
    said = box.log() + box.receiver.log() + "".join(
        repr((it.topic, it.payload)) for it in subscriber.messages if it.kind != "image"
    )  # fmt: skip
    assert not [word for word in ("CANARY", "1.2.826.99") if word in said]


def test_a_stop_ends_the_receiver_with_status_0_and_frees_the_port(box):
    box.receiver.start()
    box.receiver.process.send_signal(signal.SIGTERM)
    assert box.receiver.process.wait(20) == 0
    box.receiver.start()


class Sender(threading.Thread):
    """Sends films over one association after another until each is acknowledged.

    ``may_go_on`` holds it back, so that the stream lasts from the first kill to the last.
    """

    def __init__(self, port, objects, may_go_on):
        super().__init__(daemon=True)
        self.port, self.left, self.acknowledged = port, list(objects), []
        self.may_go_on = may_go_on
        self.start()

    def run(self):
        while self.left:
            found = connect(self.port, timeout_s=5)
            while found.is_established and self.left:
                if not self.may_go_on():
                    time.sleep(0.05)
                    continue
                try:
                    answer = found.send_c_store(self.left[0])
                except (RuntimeError, ValueError):
                    break
                if answer.get("Status") != 0x0000:
                    break
                self.acknowledged.append(self.left.pop(0).SOPInstanceUID)
            if found.is_established:
                found.release()
            time.sleep(0.2)


# pynetdicom's client leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.timeout(TIMEOUT_S)
def test_no_acknowledged_film_is_lost_or_twice_when_both_processes_are_killed(box, subscriber):
    count, kills = (1000, 20) if FULL else (24, 4)
    began_s = time.monotonic()
    ends = stream(box, subscriber, count, kills)
    if FULL:
        keep_table(count, kills, ends, time.monotonic() - began_s)


def stream(box, subscriber, count, kills, senders=4):
    """Send films over several associations while receiver and daemon are killed in turn.

    The kills are spread over the stream: each comes when its share of films is acknowledged.
    """
    box.start()
    box.receiver.start()
    objects = [film_object(f"1.2.{n}", f"n={n} study={n} patient={n}") for n in range(count)]
    threads, share = [], count / (kills + 1)
    done = 0

    def acknowledged():
        return sum(len(it.acknowledged) for it in threads)

    def may_go_on():
        # Half a share is left to be sent while a process is killed and started.
        return done == kills or acknowledged() < (done + 1.5) * share

    threads += [Sender(box.receiver.port, objects[n::senders], may_go_on) for n in range(senders)]
    for number in range(kills):
        until(lambda number=number: acknowledged() >= (number + 1) * share, 300, what="the stream")
        if number % 2:
            os.kill(box.process.pid, signal.SIGKILL)
            box.process.wait()
            box.start()
        else:
            box.receiver.kill()
            box.receiver.start()
        done += 1
    until(lambda: not any(thread.is_alive() for thread in threads), 60 + count, what="the senders")
    uids = [uid for thread in threads for uid in thread.acknowledged]
    assert sorted(uids) == sorted(one.SOPInstanceUID for one in objects)
    until(lambda: not films(box.receiver.inbox), 60 + count, what="the end of the films")
    until(lambda: states(box).keys() <= {"acked", "duplicate"}, 60, what="the end states")
    # Each film once; one that was stored before a kill and acknowledged after it is a duplicate.
    assert states(box)["acked"] == count
    results = {it.id for it in subscriber.of("result")}
    assert len(results) == count
    assert [path.name for path in box.receiver.inbox.glob(".*.part")] == []
    assert box.terminate() == 0
    assert box.audit()["findings"] == []
    return states(box)
