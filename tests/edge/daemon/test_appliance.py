"""The daemon as a process, with a real broker and real files."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from appliance import Subscriber, chain_holds, until
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from stand_in import film_bytes

from edge.contract.payloads import DeliveryMode, Presence, StudyStatus


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


def test_sigterm_finishes_the_film_in_hand_and_keeps_the_rest(broker, subscriber, make_appliance):
    it = make_appliance(broker.port).start()
    for number in range(4):
        it.put(f"{number}.jpg", film_bytes(f"slow=2 n={number}"))
    until(lambda: "job 3: claimed" in it.log())
    assert it.terminate() == 0
    assert len(subscriber.wait("result", 2)) == 2
    # The film that the worker was handed ahead is left too, and its try does not count.
    assert list(it.states().values()) == ["acked", "acked", "claimed"]
    with sqlite3.connect(it.state / "journal.sqlite") as db:
        assert db.execute("SELECT tries FROM job WHERE number = 3").fetchone() == (0,)
    db.close()
    until(lambda: subscriber.of("state")[-1].state is Presence.OFFLINE)
    it.start()
    assert len({r.id for r in subscriber.wait("result", 4)}) == 4
    assert subscriber.seen.repeats == 0


def test_sigterm_without_a_broker_exits_0_and_the_results_go_out_later(broker, make_appliance):
    broker.kill()
    it = make_appliance(broker.port).start()
    it.put("a.jpg", film_bytes("limb=LH"))
    until(lambda: "queued" in it.states().values())
    assert it.terminate() == 0
    broker.start()
    subscriber = Subscriber(broker.settings)
    it.start()
    (result,) = subscriber.wait("result", 1)
    assert result.job == 1
    subscriber.close()


def test_sigterm_leaves_a_film_that_takes_too_long_for_the_next_start(broker, make_appliance):
    it = make_appliance(broker.port, extra="[limits]\nstop_s = 0.5\n").start()
    it.put("a.jpg", film_bytes("slow=8"))
    until(lambda: it.states() == {1: "claimed"})
    assert it.terminate(7) == 0
    assert it.states() == {1: "claimed"}


def test_sigterm_with_a_broker_that_hangs_exits_0(broker, subscriber, make_appliance):
    it = make_appliance(broker.port).start()
    it.put("a.jpg", film_bytes("n=1"))
    subscriber.wait("result", 1)
    broker.pause()
    it.put("b.jpg", film_bytes("n=2"))
    until(lambda: len(it.states()) == 2)
    assert it.terminate(15) == 0
    broker.resume()
    it.start()
    assert {r.job for r in subscriber.wait("result", 2)} == {1, 2}


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


def test_a_drop_folder_among_our_own_is_refused(broker, make_appliance):
    it = make_appliance(broker.port)
    it.extend(f'[folders]\nwatch = "{it.state / "quarantine"}"\n')
    it.start(ready=False)
    assert it.process.wait(20) == 2
    assert "folders.watch" in it.log()


def test_sigterm_while_the_engines_load_exits_0(broker, make_appliance):
    it = make_appliance(broker.port, factory="stand_in:build_slowly").start(ready=False)
    until(lambda: "starts" in it.log())
    time.sleep(0.3)
    assert it.terminate() == 0


def test_engines_that_cannot_be_loaded_end_the_start_with_the_fix(broker, make_appliance):
    it = make_appliance(broker.port, factory="stand_in:build_broken").start(ready=False)
    assert it.process.wait(20) == 1
    assert "sharpedge export" in it.log()


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


def test_a_state_that_somebody_cleared_is_published_again(broker, subscriber, make_appliance):
    make_appliance(broker.port).start()
    until(lambda: subscriber.of("state") and subscriber.of("state")[-1].versions)
    before = len(subscriber.of("state"))
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    client.publish("sharpedge/clinic/xr1/box1/state", b"", 1, retain=True).wait_for_publish(5)
    client.disconnect()
    client.loop_stop()
    until(lambda: len(subscriber.of("state")) > before)


def test_kill_9_at_random_loses_nothing_and_gives_no_second_id(broker, subscriber, make_appliance):
    films = 12
    it = make_appliance(broker.port).start()
    for number in range(films):
        it.put(f"{number}.jpg", film_bytes(f"slow=0.15 n={number}"))
    for pause_s in (0.4, 0.55, 0.7, 0.3, 0.62, 0.48):
        time.sleep(pause_s)
        it.kill()
        it.start(ready=False)
    subscriber.wait("result", films, 60)
    until(lambda: list(it.states().values()) == ["acked"] * films)
    assert it.terminate() == 0
    results = subscriber.of("result")
    assert len(results) == len({r.id for r in results}) == films
    assert {r.film_sha256 for r in results} == {r.film_sha256 for r in results}
    assert len({r.film_sha256 for r in results}) == films
    assert chain_holds(it)


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


def test_after_an_outage_of_the_broker_everything_arrives_once_and_in_order(broker, make_appliance):
    it = make_appliance(broker.port).start()
    broker.kill()
    for number in range(40):
        it.put(f"{number}.jpg", film_bytes(f"n={number}"))
    until(lambda: list(it.states().values()) == ["queued"] * 40)
    # Held still, so that the dashboard is there first: this broker keeps nothing for it.
    it.process.send_signal(signal.SIGSTOP)
    broker.start()
    subscriber = Subscriber(broker.settings)
    it.process.send_signal(signal.SIGCONT)
    results = subscriber.wait("result", 40, 30)
    assert [r.sequence for r in results] == list(range(1, 41))
    assert subscriber.seen.repeats == 0
    subscriber.close()


def test_a_broker_that_forgets_what_it_acknowledged_loses_nothing_with_receipts(
    broker, make_appliance
):
    extra = '[delivery]\nmode = "receipt"\nresend_s = 1\n'
    it = make_appliance(broker.port, extra=extra).start()
    for number in range(10):
        it.put(f"{number}.jpg", film_bytes(f"n={number}"))
    until(lambda: list(it.states().values()) == ["sent"] * 10)
    broker.kill()
    broker.start()
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    assert len({r.id for r in dashboard.wait("result", 10, 30)}) == 10
    until(lambda: list(it.states().values()) == ["receipted"] * 10)
    dashboard.close()


def test_without_a_receipt_a_result_is_sent_again_and_with_it_the_row_closes(
    broker, subscriber, make_appliance
):
    extra = '[delivery]\nmode = "receipt"\nresend_s = 0.5\n'
    it = make_appliance(broker.port, extra=extra).start()
    it.put("a.jpg", film_bytes("limb=LH"))
    subscriber.wait("result", 1)
    until(lambda: subscriber.seen.repeats >= 2)
    assert it.states() == {1: "sent"}
    assert subscriber.of("state")[-1].delivery is DeliveryMode.RECEIPT
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    until(lambda: it.states() == {1: "receipted"})
    dashboard.close()
    assert dashboard.of("result")[0].sending > 1


def test_a_killed_appliance_is_told_offline_by_its_will(broker, subscriber, make_appliance):
    it = make_appliance(broker.port).start()
    until(lambda: subscriber.of("state") and subscriber.of("state")[-1].versions)
    it.kill()
    until(lambda: subscriber.of("state")[-1].state is Presence.OFFLINE)
    it.start()
    until(lambda: subscriber.of("state")[-1].state is Presence.ONLINE)
    assert subscriber.of("state")[-1].session == 2


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


def test_sigkill_of_the_daemon_takes_its_worker_along(broker, make_appliance):
    it = make_appliance(broker.port).start()
    children = Path(f"/proc/{it.process.pid}/task/{it.process.pid}/children")
    (worker,) = [int(word) for word in children.read_text().split()]
    it.kill()

    def gone():
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return True
        return Path(f"/proc/{worker}/stat").read_text().split()[2] == "Z"

    until(gone)


def test_the_state_folder_serves_one_appliance_only(broker, make_appliance):
    it = make_appliance(broker.port).start()
    other = make_appliance(broker.port).start(ready=False)
    assert other.process.wait(20) == 2
    assert "in use by another" in it.log()
    it.process.send_signal(signal.SIGINT)
    assert it.process.wait(20) == 0


def test_a_dashboard_pauses_resumes_replays_and_is_answered(broker, subscriber, make_appliance):
    it = make_appliance(broker.port).start()
    it.put("a.jpg", film_bytes("n=1"))
    (result,) = subscriber.wait("result", 1)
    until(lambda: it.states() == {1: "acked"})
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    answers = []
    client.on_message = lambda _c, _d, message: answers.append(message)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    until(client.is_connected)
    client.subscribe("sharpedge/ward/answers", 1)

    def ask(command, properties=None, **more):
        body = json.dumps({"command": command, **more})
        client.publish("sharpedge/clinic/xr1/box1/command", body, 1, properties=properties)

    ask("pause")
    until(lambda: "paused" in {a.code for a in subscriber.of("state")[-1].alerts})
    it.put("b.jpg", film_bytes("n=2"))
    time.sleep(1)
    assert it.states() == {1: "acked"}
    ask("resume")
    subscriber.wait("result", 2)
    until(lambda: not subscriber.of("state")[-1].alerts)
    wanted = Properties(PacketTypes.PUBLISH)
    wanted.ResponseTopic, wanted.CorrelationData = "sharpedge/ward/answers", b"7"
    before = subscriber.seen.repeats
    ask("replay", wanted, id=result.id)
    until(lambda: subscriber.seen.repeats > before)
    until(lambda: answers)
    assert json.loads(answers[0].payload)["done"] is True
    assert answers[0].properties.CorrelationData == b"7"
    births = len(subscriber.of("state"))
    ask("rebirth")
    ask("rescan")
    until(lambda: len(subscriber.of("state")) > births)
    ask("replay", id="00000000-0000-0000-0000-000000000000")
    ask("explode")
    until(lambda: len(subscriber.of("answer")) >= 6)
    assert [(a.command, a.done) for a in subscriber.of("answer")] == [
        ("pause", True), ("resume", True), ("rebirth", True), ("rescan", True), ("replay", False),
        (None, False),
    ]  # fmt: skip
    assert "rescan" in subscriber.of("answer")[-1].detail
    client.disconnect()
    client.loop_stop()
