"""A result never waits for its picture, and no picture is lost, wherever the process ends."""

from __future__ import annotations

import sqlite3
import time

import pytest
from appliance import Subscriber, until
from stand_in import film_bytes

from edge.anatomy import Limb
from edge.contract.payloads import Presence
from edge.scoring.drift import DriftWatch

RECEIPTS = '[delivery]\nmode = "receipt"\nresend_s = 2\n'


def pictures(subscriber):
    return [m.result_id for m in list(subscriber.messages) if m.kind == "image"]


def image_states(it):
    with sqlite3.connect(it.state / "journal.sqlite") as db:
        found = db.execute("SELECT state, why FROM outbox WHERE kind = 'image'").fetchall()
    db.close()
    return found


def test_a_result_is_published_while_its_picture_is_drawn(broker, subscriber, make_appliance):
    it = make_appliance(broker.port).start()
    it.put("a.jpg", film_bytes("drawslow=2"))
    (result,) = subscriber.wait("result", 1)
    assert pictures(subscriber) == []
    assert image_states(it) == [("undrawn", None)]
    assert it.audit()["findings"] == []
    until(lambda: pictures(subscriber) == [result.id])
    until(lambda: it.states() == {1: "acked"})
    assert it.audit()["findings"] == []


@pytest.mark.parametrize("step", ["answered", "drawn", "written", "pictured"])
def test_a_picture_that_a_kill_has_cost_comes_after_the_restart(broker, make_appliance, step):
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    it = make_appliance(broker.port, extra=RECEIPTS)
    it.extend('[folders]\nafter = "delete"\n')
    it.put("a.jpg", film_bytes("drawslow=0.5"))
    it.start(ready=False, environment={"BREAK": f"{step}:1"})
    until(lambda: it.process.poll() is not None, 60)
    assert it.process.poll() == -9
    assert len(image_states(it)) == 1
    it.start()
    (result,) = dashboard.wait("result", 1)
    until(lambda: pictures(dashboard) == [result.id])
    until(lambda: it.states() == {1: "receipted"})
    until(lambda: not list(it.drop.iterdir()))
    assert it.audit()["findings"] == []
    assert len(dashboard.of("result")) == 1
    assert it.terminate() == 0
    dashboard.close()


def test_a_delivered_result_is_not_sent_again_with_its_late_picture(broker, make_appliance):
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    it = make_appliance(broker.port, extra=RECEIPTS).start()
    it.put("a.jpg", film_bytes("drawslow=5"))
    until(lambda: it.states() == {1: "receipted"})
    it.kill()
    assert [state for state, _ in image_states(it)] == ["undrawn"]
    it.start()
    until(lambda: "scored again for its pictures" in it.log())
    until(lambda: len(pictures(dashboard)) == 1)
    assert it.states() == {1: "receipted"}
    assert dashboard.seen.repeats == 0
    assert len(dashboard.of("result")) == 1
    assert it.audit()["findings"] == []
    dashboard.close()


def test_a_picture_whose_film_is_gone_is_set_aside_and_told(broker, subscriber, make_appliance):
    it = make_appliance(broker.port).start()
    it.put("a.jpg", film_bytes("drawslow=5"))
    subscriber.wait("result", 1)
    it.kill()
    (it.drop / "a.jpg").unlink()
    it.start()
    until(lambda: image_states(it) == [("set_aside", "no_copy_left")])
    until(lambda: any(a.code == "message_set_aside" for a in subscriber.of("state")[-1].alerts), 20)
    assert [found["fault"] for found in it.audit()["findings"]] == ["set_aside"]


@pytest.mark.parametrize("word", ["drawcrash=1", "drawnone=1"])
def test_a_film_whose_picture_cannot_be_drawn_keeps_its_result(
    broker, subscriber, make_appliance, word
):
    it = make_appliance(broker.port).start()
    it.put("a.jpg", film_bytes(word))
    it.put("b.jpg", film_bytes("n=2"))
    results = subscriber.wait("result", 2, 40)
    assert {r.status for r in results} == {"scored"}
    until(lambda: ("set_aside", "worker_died" if "crash" in word else "not_drawn")
          in image_states(it), 40)  # fmt: skip
    time.sleep(1)
    assert len(subscriber.of("result")) == 2
    assert not subscriber.of("reject")
    assert subscriber.seen.repeats == 0


def test_sigterm_waits_for_the_picture_of_the_film_in_hand(broker, subscriber, make_appliance):
    it = make_appliance(broker.port).start()
    it.put("a.jpg", film_bytes("drawslow=1"))
    (result,) = subscriber.wait("result", 1)
    assert it.terminate() == 0
    until(lambda: pictures(subscriber) == [result.id])
    until(lambda: subscriber.of("state")[-1].state is Presence.OFFLINE)


def test_the_drift_watch_takes_in_a_film_once_whether_it_has_a_picture_or_not(
    broker, subscriber, make_appliance
):
    it = make_appliance(broker.port).start()
    it.put("a.jpg", film_bytes("mean=3"))
    it.put("b.jpg", film_bytes("mean=4 drawnone=1"))
    subscriber.wait("result", 2)
    watch = DriftWatch(it.state / "drift")
    until(lambda: (seen := watch.seen(Limb.HAND)) and len(seen.first) == 2)
    time.sleep(0.5)
    assert [figures["mean"] for figures in watch.seen(Limb.HAND).first] == [3, 4]
