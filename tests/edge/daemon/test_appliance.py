"""The daemon as a process, with a real broker and real files."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from appliance import chain_holds, until
from stand_in import film_bytes

from edge.contract.payloads import Presence, StudyStatus


def test_a_dropped_film_becomes_a_result_a_picture_and_a_study(broker, subscriber, make_appliance):
    it = make_appliance(broker.port).start()
    for limb in ("LH", "RH", "LF", "RF"):
        it.put(f"A-{limb}.jpg", film_bytes(f"limb={limb} study=s patient=p"))
    results = subscriber.wait("result", 4)
    assert [r.sequence for r in results] == [1, 2, 3, 4]
    assert len({r.study for r in results}) == 1
    for result in results:
        ledger = result.ledger
        stamps = [ledger.closed, ledger.picked_up, ledger.decoded, ledger.inferred, ledger.queued,
                  ledger.sent]  # fmt: skip
        assert stamps == sorted(stamps)
        assert ledger.closed_source == "close_event"
    pictures = until(
        lambda: [m for m in subscriber.messages if m.kind == "image"][3:] and subscriber.messages
    )
    assert {m.result_id for m in pictures if m.kind == "image"} == {r.id for r in results}
    study = until(lambda: [s for s in subscriber.of("study") if not s.missing])[-1]
    assert study.status is StudyStatus.COMPLETE
    assert study.partial_svh.maximum == 340
    assert study.partial_svh.score == 2 * (10 + 9) + 2 * (6 + 6)
    assert it.terminate() == 0
    assert set(it.states().values()) == {"acked"}
    assert chain_holds(it)


def test_a_bad_file_is_quarantined_with_its_reason_and_the_next_one_flows(
    broker, subscriber, make_appliance
):
    it = make_appliance(broker.port).start()
    it.put("bad.jpg", b"no film")
    it.put("held.jpg", film_bytes("reason=side_not_known"))
    (it.drop / "link.jpg").symlink_to("/dev/zero")
    os.mkfifo(it.drop / "pipe.jpg")
    it.put("good.jpg", film_bytes("limb=LH"))
    rejects = subscriber.wait("reject", 4)
    assert {r.reason for r in rejects} == {"not_an_image", "side_not_known", "not_a_regular_file"}
    assert all(r.advice for r in rejects)
    subscriber.wait("result", 1)
    kept = sorted(p.read_bytes() for p in (it.state / "quarantine").iterdir())
    assert kept == sorted([b"no film", film_bytes("reason=side_not_known")])
    assert (it.drop / "bad.jpg").read_bytes() == b"no film"
    assert sorted(it.states().values())[-3:] == ["quarantined"] * 3


def test_a_limb_without_any_grade_is_a_result_and_waits_for_nobody(
    broker, subscriber, make_appliance
):
    it = make_appliance(broker.port).start()
    it.put("A-LH.jpg", film_bytes("ungraded=1 study=s patient=p limb=LH"))
    (result,) = subscriber.wait("result", 1)
    assert (result.status, result.reason) == ("not_graded", "doubtful")
    assert result.subtotals is None
    study = subscriber.wait("study", 1)[-1]
    assert "LH" not in study.missing
    assert study.hands.erosion.score is None
    until(lambda: set(it.states().values()) == {"acked"})
    assert not subscriber.of("reject")


def test_the_same_bytes_again_give_no_second_result(broker, subscriber, make_appliance):
    it = make_appliance(broker.port).start()
    it.put("a.jpg", film_bytes("limb=LH"))
    subscriber.wait("result", 1)
    it.put("b.jpg", film_bytes("limb=LH"))
    until(lambda: "duplicate" in it.states().values())
    os.utime(it.drop / "a.jpg")
    it.put("c.jpg", film_bytes("limb=RH"))
    assert len({r.id for r in subscriber.wait("result", 2)}) == 2
    until(lambda: sorted(it.states().values()) == ["acked", "acked", "duplicate"])


def test_the_same_bytes_under_a_name_that_contradicts_are_held(broker, subscriber, make_appliance):
    it = make_appliance(broker.port, factory="stand_in:build_that_trusts_names").start()
    it.put("P1-LH.jpg", film_bytes("x"))
    (result,) = subscriber.wait("result", 1)
    for name in ("P1-RH.jpg", "P2-LH.jpg", "P1-LF.jpg"):
        it.put(name, film_bytes("x"))
    rejects = subscriber.wait("reject", 3)
    assert {r.reason for r in rejects} == {"duplicate_conflict"}
    assert all(r.supersedes is None and r.id != result.id for r in rejects)
    assert all(j.erosion is None and j.box for r in rejects for j in r.joints)
    it.put("scan0001.jpg", film_bytes("x"))
    until(lambda: sorted(it.states().values()) == ["acked", "duplicate", "held", "held", "held"])
    assert len(subscriber.of("result")) == 1


def test_a_film_that_is_still_written_is_never_read(broker, subscriber, make_appliance):
    it = make_appliance(broker.port).start()
    data = film_bytes("limb=LH", padding=60_000)
    # The picture's trailer is in place early, as in a file rewritten in place.
    with (it.drop / "slow.jpg").open("wb") as file:
        file.truncate(len(data))
        file.seek(len(data) - 2)
        file.write(data[-2:])
        file.flush()
        file.seek(0)
        for start in range(0, len(data) - 2, 20_000):
            file.write(data[start : min(start + 20_000, len(data) - 2)])
            file.flush()
            time.sleep(1.5)
        assert not it.states()
    (result,) = subscriber.wait("result", 1)
    assert result.status == "scored"
    assert len(it.states()) == 1


def test_a_cut_film_that_grows_whole_supersedes_its_reject(broker, subscriber, make_appliance):
    it = make_appliance(broker.port).start()
    data = film_bytes("limb=LH")
    it.put("cut.jpg", data[:-100])
    (reject,) = subscriber.wait("reject", 1)
    assert reject.reason == "truncated"
    it.put("cut.jpg", data)
    (result,) = subscriber.wait("result", 1)
    assert result.supersedes == reject.id


@pytest.mark.parametrize(("after", "archived"), [("move", 1), ("delete", 0)])
def test_the_scanners_file_goes_only_after_its_end(broker, make_appliance, after, archived):
    port = broker.port
    broker.kill()
    it = make_appliance(port)
    it.extend(f'[folders]\nafter = "{after}"\n')
    it.start()
    it.put("a.jpg", film_bytes("limb=LH"))
    it.put("held.jpg", film_bytes("reason=side_not_known"))
    until(lambda: sorted(it.states().values()) == ["held", "queued"])
    time.sleep(1.5)
    assert len(list(it.drop.iterdir())) == 2
    broker.start()
    until(lambda: [p.name for p in it.drop.iterdir()] == ["held.jpg"])
    assert len(list((it.state / "archive").iterdir())) == archived


def test_engines_that_are_removed_while_it_runs_stop_no_delivery(
    broker, subscriber, make_appliance
):
    it = make_appliance(broker.port, factory="stand_in:build_once").start()
    it.put("a.jpg", film_bytes("n=1"))
    subscriber.wait("result", 1)
    (it.state / "engines-are-gone").touch()
    it.put("kill.jpg", film_bytes("crash=1"))
    until(lambda: "engines" in {a.code for a in subscriber.of("state")[-1].alerts})
    assert "sharpedge export" in subscriber.of("state")[-1].alerts[-1].detail
    time.sleep(1)
    assert it.process.poll() is None
    assert it.log().count("cannot be used") == 1


def test_a_journal_that_is_gone_is_told_and_no_number_is_given_twice(
    broker, subscriber, make_appliance
):
    it = make_appliance(broker.port).start()
    it.put("a.jpg", film_bytes("n=1"))
    subscriber.wait("result", 1)
    assert it.terminate() == 0
    for path in it.state.glob("journal.sqlite*"):
        path.unlink()
    it.start()
    it.put("b.jpg", film_bytes("n=2"))
    until(lambda: len(it.states()) == 2 and set(it.states().values()) == {"acked"})
    first, second = subscriber.of("result")
    assert second.sequence > first.sequence + 1
    assert "journal_mended" in {a.code for a in subscriber.of("state")[-1].alerts}
    assert subscriber.of("state")[-1].session > 1000


def test_a_film_that_kills_or_hangs_the_worker_twice_is_given_up_and_the_next_flows(
    broker, subscriber, make_appliance
):
    it = make_appliance(broker.port, extra="[limits]\nstage_s = 1\n").start()
    it.put("kill.jpg", film_bytes("crash=1"))
    it.put("hang.jpg", film_bytes("hang=1"))
    it.put("raise.jpg", film_bytes("raise=oops"))
    rejects = subscriber.wait("reject", 3, 30)
    assert {r.reason for r in rejects} == {"worker_died", "worker_timeout", "internal"}
    it.put("good.jpg", film_bytes("limb=LH"))
    subscriber.wait("result", 1)
    deaths = it.log().count("worker e")
    it.kill()
    it.start()
    it.put("good2.jpg", film_bytes("limb=RH"))
    subscriber.wait("result", 2)
    assert it.log().count("worker e") == deaths == 4


def test_a_film_that_asks_for_too_much_memory_ends_alone(broker, subscriber, make_appliance):
    it = make_appliance(broker.port, extra="memory_mib = 256\n").start()
    it.put("fits.jpg", film_bytes("eat=100"))
    it.put("large.jpg", film_bytes("eat=600"))
    (reject,) = subscriber.wait("reject", 1, 30)
    assert reject.reason == "worker_died"
    assert len(subscriber.wait("result", 1)) == 1


def test_a_film_that_killed_the_worker_twice_is_not_tried_again_under_another_name(
    broker, subscriber, make_appliance
):
    it = make_appliance(broker.port).start()
    it.put("kill.jpg", film_bytes("crash=1"))
    subscriber.wait("reject", 1, 30)
    it.kill()
    it.start()
    it.put("again.jpg", film_bytes("crash=1"))
    until(lambda: it.states() == {1: "quarantined", 2: "quarantined"})
    assert it.log().count("worker ended") == 2


def test_an_appliance_that_stood_still_blames_no_film(broker, subscriber, make_appliance):
    it = make_appliance(broker.port, extra="[limits]\nstage_s = 4\n").start()
    it.put("slow.jpg", film_bytes("slow=3"))
    until(lambda: "job 1: claimed" in it.log())
    children = Path(f"/proc/{it.process.pid}/task/{it.process.pid}/children").read_text().split()
    for pid in (*map(int, children), it.process.pid):
        os.kill(pid, signal.SIGSTOP)
    time.sleep(6)
    for pid in (*map(int, children), it.process.pid):
        os.kill(pid, signal.SIGCONT)
    subscriber.wait("result", 1)
    assert "worker e" not in it.log()


def test_an_unfit_appliance_publishes_no_score_and_says_so(broker, subscriber, make_appliance):
    it = make_appliance(broker.port, factory="stand_in:build_unfit").start()
    it.put("a.jpg", film_bytes("limb=LH"))
    until(lambda: subscriber.of("state") and subscriber.of("state")[-1].state is Presence.UNFIT)
    assert "self_test" in {alert.code for alert in subscriber.of("state")[-1].alerts}
    time.sleep(1)
    assert subscriber.of("result") == []
    assert it.audit()["states"] == {"seen": 1}


def test_a_degraded_appliance_scores_and_says_so(broker, subscriber, make_appliance):
    it = make_appliance(broker.port, factory="stand_in:build_degraded").start()
    it.put("a.jpg", film_bytes("limb=LH"))
    subscriber.wait("result", 1)
    until(lambda: subscriber.of("state")[-1].state is Presence.DEGRADED)
    assert "engine_refused" in {alert.code for alert in subscriber.of("state")[-1].alerts}


def test_no_patient_name_leaves_the_folder(broker, subscriber, make_appliance):
    it = make_appliance(broker.port).start()
    it.put("MUSTERMANN-LH.jpg", film_bytes("study=MUSTERMANN1 patient=MUSTERMANN2"))
    it.put("MUSTERMANN.jpg", b"no film")
    (it.drop / "MUSTERMANN.png").symlink_to("/dev/zero")
    it.put("MUSTERMANN-kill.jpg", film_bytes("crash=1"))
    subscriber.wait("result", 1)
    subscriber.wait("reject", 3, 30)
    assert it.terminate() == 0
    for message in subscriber.messages:
        assert b"MUSTERMANN" not in message.topic.encode() + message.payload
    assert "MUSTERMANN" not in it.log()
    assert not [p for p in it.state.rglob("*") if "MUSTERMANN" in p.name]
