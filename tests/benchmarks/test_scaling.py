from __future__ import annotations

import pytest
from stand_in import film_bytes

from benchmarks import scaling
from benchmarks.filled_journal import KEY, fill, let_wait
from benchmarks.scaling import measure_arrivals, measure_journal
from edge.contract.payloads import DeliveryMode
from edge.delivery.outbox import Outbox
from edge.journal.states import State
from edge.journal.store import Store

STEPS = {
    "pick-up: enter a film", "record a result", "publish: choose and make a message",
    "note sending, acknowledgement, receipt", "figures of health (own thread)",
}  # fmt: skip


@pytest.fixture
def filled(tmp_path):
    store = Store(tmp_path / "journal.sqlite", KEY)
    fill(store, 30)
    yield store
    store.close()


def test_a_filled_journal_is_whole_and_its_messages_are_sealed(filled):
    assert filled.verify() is None
    outbox = Outbox(filled, DeliveryMode.RECEIPT, (), 30.0)
    assert outbox.next_rows(10, ()) == []
    let_wait(filled, 30)
    rows = outbox.next_rows(50, ())
    assert [row.row for row in rows] == list(range(1, 31))
    assert all(row.sound for row in rows)
    states = {r["state"] for r in filled.db.execute("SELECT state FROM job")}
    assert states == {State.QUEUED}


def test_each_step_is_measured_for_every_number_of_rows(tmp_path):
    found = measure_journal(tmp_path, rows=(1, 50), samples=3)
    assert {it.name for it in found} == STEPS
    labels = {(it.labels["rows"], it.labels["messages"]) for it in found}
    assert labels == {(n, m) for n in ("1", "50") for m in ("delivered", "waiting")}
    assert all(value > 0 for it in found for value in it.values)


def test_all_that_waits_is_drained_to_a_subscriber_that_gives_receipts(tmp_path):
    found = measure_journal(tmp_path, rows=(1_000,), samples=2)
    (drained,) = [it for it in found if it.name == "drain rate"]
    assert drained.values[0] > 1
    store = Store(tmp_path / "1000" / "journal.sqlite", KEY)
    closed = store.db.execute("SELECT COUNT(*) FROM outbox WHERE state = 'closed'").fetchone()[0]
    receipts = store.db.execute("SELECT COUNT(*) FROM receipt").fetchone()[0]
    store.close()
    assert closed > 100
    assert receipts > 100


def test_arrivals_are_shares_of_what_one_worker_sustains(tmp_path, monkeypatch, pytestconfig):
    monkeypatch.setenv("PYTHONPATH", str(pytestconfig.rootpath / "tests" / "edge"))
    monkeypatch.setenv("SHARPEDGE_WORKER_FACTORY", "stand_in:build")
    monkeypatch.setattr(scaling, "SHARES", (1.0,))
    film = tmp_path / "P0001-LH.jpg"
    film.write_bytes(film_bytes("limb=LH slow=0.1"))
    found = measure_arrivals(tmp_path / "runs", [film], workers=(1, 2), count=4)
    assert {it.bench for it in found} == {"scaling"}
    rates = [it for it in found if it.name == "films a minute"]
    assert [(it.labels["workers"], it.labels.get("share")) for it in rates] == [
        ("1", None), ("1", "1"), ("2", None), ("2", "1"),
    ]  # fmt: skip
