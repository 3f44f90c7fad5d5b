"""Brokers that refuse, or do not acknowledge; rooms that are renamed; journals that are large."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from appliance import ROOT, Subscriber, until
from filled import fill
from proxy import DOWN, PUBACK, Wire
from stand_in import film_bytes

from edge.contract.payloads import DeliveryMode
from edge.delivery.outbox import Outbox
from edge.journal.store import Store
from edge.system.device_key import derived_key, device_key

RECEIPTS = '[delivery]\nmode = "receipt"\nresend_s = 2\nalert_s = 5\n'
TOPIC = "sharpedge/clinic/xr1/box1/"
AUDIT = """
import re, sys
from pathlib import Path
from sharpedge.operator import audit
status = audit(Path(sys.argv[1]), machine=False, ask_broker=False)
# Not getrusage: its peak begins with that of the process that this one was forked from.
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())
print(status, int(peak[1]) >> 10)
"""


def ended(it, count, state="receipted"):
    return list(it.states().values()) == [state] * count


@pytest.mark.parametrize("protocol", ["5", pytest.param("3.1.1", marks=pytest.mark.faults)])
def test_a_broker_that_refuses_and_then_takes_gets_everything(
    tmp_path, make_broker, make_appliance, scale, figures, protocol
):
    """An ACL denies results for a minute, then allows them: lost 0, in order, told meanwhile."""
    denied_s, count = scale(4, 60), scale(6, 40)
    acl = tmp_path / "acl"
    words = ("state", "health", "study/#", "receipt")
    acl.write_text("topic read #\n" + "".join(f"topic write {TOPIC}{word}\n" for word in words))
    acl.chmod(0o644)
    strict = make_broker(f"acl_file {acl}\n")
    dashboard = Subscriber(strict.settings, receiver="dashboard")
    it = make_appliance(strict.port, extra=RECEIPTS)
    it.extend(f'[broker]\nprotocol = "{protocol}"\n')
    it.start()
    for number in range(count):
        it.put(f"{number}.jpg", film_bytes(f"n={number}"))
    time.sleep(denied_s)
    until(lambda: dashboard.of("state")[-1].alerts)
    if protocol == "5":
        assert dashboard.of("state")[-1].alerts[0].code == "message_refused"
        assert it.audit()["exit_status"] == 3
    acl.write_text("topic readwrite #\n")
    strict._process.send_signal(signal.SIGHUP)
    begun_s = time.monotonic()
    until(lambda: ended(it, count), 60)
    figures |= {
        "results": count,
        "denied for s": denied_s,
        "lost": count - len({r.id for r in dashboard.of("result")}),
        "recovered in s": round(time.monotonic() - begun_s, 1),
    }
    # MQTT 3.1.1 acknowledges what an ACL drops: there only repeats arrive, in any order.
    order = [r.sequence for r in dashboard.of("result") if protocol == "5" or r.sending == 1]
    assert order == sorted(order)
    until(lambda: not dashboard.of("state")[-1].alerts)
    until(lambda: it.audit()["findings"] == [])
    dashboard.close()


def test_acknowledgements_that_are_lost_on_a_living_line(broker, make_appliance, scale, figures):
    """No acknowledgement comes through for a while on a line that lives: lost 0, told."""
    lost_s, count = scale(3, 45), scale(10, 30)
    wire = Wire(broker.port)
    passes = False
    wire.rule = lambda way, kind, _packet: passes or way != DOWN or kind != PUBACK
    dashboard = Subscriber(broker.settings)
    it = make_appliance(wire.port, extra=RECEIPTS)
    it.start(environment=scale({"BREAK": "acknowledged:2"}, {}))
    for number in range(count):
        it.put(f"{number}.jpg", film_bytes(f"n={number}"))
    time.sleep(lost_s)
    told = lambda: [a.code for s in dashboard.of("state") for a in s.alerts]  # noqa: E731
    until(lambda: "no_acknowledgement" in told(), 40)
    assert not any(found["fault"] == "changed" for found in it.audit()["findings"])
    passes = True
    answering = Subscriber(broker.settings, receiver="dashboard")
    begun_s = time.monotonic()
    until(lambda: ended(it, count), 60)
    figures |= {
        "results": count,
        "lost": count - len({r.id for r in answering.of("result")}),
        "recovered in s": round(time.monotonic() - begun_s, 1),
        "connections": wire.connections,
    }
    until(lambda: it.audit()["findings"] == [], 30)
    for subscriber in (dashboard, answering):
        subscriber.close()
    wire.close()


def test_a_late_dashboard_gets_results_and_pictures(broker, make_appliance, figures):
    """Nobody listens while films are scored: a dashboard that comes gets results and pictures."""
    it = make_appliance(broker.port, extra=RECEIPTS).start()
    for number in range(4):
        it.put(f"{number}.jpg", film_bytes(f"n={number}"))
    until(lambda: ended(it, 4, "sent"))
    until(lambda: it.log().count("image sent") >= 4)
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    until(lambda: ended(it, 4), 30)
    ids = {r.id for r in dashboard.of("result")}
    until(lambda: {m.result_id for m in dashboard.messages if m.kind == "image"} == ids, 20)
    figures["results and pictures"] = len(ids)
    dashboard.close()


def test_a_room_that_is_renamed_with_results_that_wait(
    tmp_path, make_broker, make_appliance, figures
):
    """Site and room are renamed while results wait: they keep the name, old topics are cleared."""
    keeping = make_broker(f"persistence true\npersistence_location {tmp_path}/\n")
    it = make_appliance(keeping.port, extra=RECEIPTS).start()
    it.put("first.jpg", film_bytes("limb=LH study=s"))
    until(lambda: ended(it, 1, "sent"))
    it.terminate()
    whole = it.config.read_text()
    it.config.write_text(whole.replace("clinic", "house").replace("xr1", "xr9"))
    dashboard = Subscriber(keeping.settings, receiver="dashboard")
    it.start()
    until(lambda: ended(it, 1))
    it.put("new.jpg", film_bytes("limb=RH study=s"))
    until(lambda: ended(it, 2))
    rooms = [(r.site, r.room) for r in dashboard.of("result")]
    assert rooms == [("clinic", "xr1"), ("house", "xr9")]
    dashboard.close()
    late = Subscriber(keeping.settings)
    until(lambda: late.of("state"))
    time.sleep(0.5)
    left = [m.topic for m in late.messages if m.topic.startswith("sharpedge/clinic/")]
    figures["retained topics of the old name"] = len(left)
    assert left == []
    late.close()
    it.put("waits.jpg", film_bytes("limb=LF study=s"))
    until(lambda: it.states().get(3) == "sent")
    it.terminate()
    it.config.write_text(it.config.read_text().replace("box1", "box2"))
    it.start(ready=False)
    assert it.process.wait(20) == 2
    assert 'set site.device to "box1"' in it.log().splitlines()[-1]


def test_a_journal_as_large_as_the_default_allows(broker, make_appliance, scale, figures):
    """A journal of 340,000 delivered results (2 GiB): ready soon, memory bounded, still checked."""
    count = scale(3000, 340_000)
    it = make_appliance(broker.port, extra=RECEIPTS)
    deliver(it, count)
    begun_s = time.monotonic()
    it.start()
    figures |= {"results": count, "ready in s": round(time.monotonic() - begun_s, 1)}
    dashboard = Subscriber(broker.settings, receiver="dashboard")
    it.put("new.jpg", film_bytes("n=new"))
    until(lambda: it.states().get(count + 1) == "receipted")
    peak = peak_mib(it.process.pid)
    begun_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", AUDIT, str(it.config)],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    status, audit_mib = map(int, done.stdout.split()[-2:])
    figures |= {
        "MiB": (it.state / "journal.sqlite").stat().st_size >> 20,
        "peak memory in MiB": peak,
        "audit in s": round(time.monotonic() - begun_s, 1),
        "its peak memory in MiB": audit_mib,
    }
    assert status == 0, done.stdout
    assert peak < 300
    assert audit_mib < 200
    # A result of long ago that is changed while the appliance is down is found while it is idle.
    assert it.terminate() == 0
    with contextlib.closing(sqlite3.connect(it.state / "journal.sqlite")) as db, db:
        db.execute(f"UPDATE job SET state = 'dismissed' WHERE number = {count // 100}")  # noqa: S608
    it.start()
    begun_s = time.monotonic()
    codes = lambda: {a.code for a in dashboard.of("state")[-1].alerts}  # noqa: E731
    until(lambda: "journal_mended" in codes(), scale(60, 6000))
    figures["a change of long ago found in s"] = round(time.monotonic() - begun_s, 1)
    dashboard.close()


def peak_mib(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM"))


def deliver(it, count):
    """Put results into the journal and deliver all of them, many in one transaction."""
    real = Store.transaction

    @contextlib.contextmanager
    def joined(store):
        yield store.db

    batch = 500
    Store.transaction = joined
    try:
        for first in range(0, count, batch):
            last = min(count, first + batch)
            ids = fill(it, last, first=first, transaction=real)
            store = Store(it.state / "journal.sqlite", derived_key(device_key(it.state), "journal"))
            store.db.execute("PRAGMA synchronous=OFF")
            outbox = Outbox(store, DeliveryMode.RECEIPT, (), 30.0)
            with real(store):
                rows = outbox.next_rows(len(ids), ())
                outbox.note_sent(rows)
                outbox.endings.acknowledged([row.row for row in rows])
                outbox.endings.receipts([(result_id, "dashboard") for result_id in ids])
            store.close()
    finally:
        Store.transaction = real
