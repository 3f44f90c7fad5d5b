"""A thousand simulated rooms at one dashboard, and ten dashboards that share the load.

The long form is run by ``make rooms-test``, which keeps its table under benchmarks/results/.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from datetime import datetime, timezone
from itertools import product

import pytest
from appliance import MOSQUITTO, ROOT, Broker, until
from postgres import NoPostgresError, Postgres
from rooms import arrived, film
from rooms_watch import Browser, Spending, Watch
from served import Served
from sqlalchemy import func, select, text

from dashboard.intake.arrivals import _row
from dashboard.simulated import hexadecimal
from dashboard.simulated_load import Pace, SimulatedLoad
from dashboard.store.database import Database, engine_of, migrate
from dashboard.store.devices import percentile
from dashboard.store.rows import insert_new
from dashboard.store.tables import DEVICE, MESSAGE, PICTURE, PROBLEM
from edge.contract.vocabulary import Laterality, Limb

FULL = os.environ.get("SHARPEDGE_ROOMS") == "full"
DEVICES = 1000 if FULL else 20
TOTAL = 100_000 if FULL else 100
# On a machine that others use, fewer may come by MQTT; the rest is put into the database before.
FILLED = int(os.environ.get("SHARPEDGE_ROOMS_RESULTS", TOTAL)) if FULL else 40
SUSTAINED_S = 180 if FULL else 3
PERIOD_S = 60.0 if FULL else 1.5
MEMBERS, KILLS = 10, int(os.environ.get("SHARPEDGE_ROOMS_KILLS", "5"))
SHARED = int(os.environ.get("SHARPEDGE_ROOMS_SHARED", "40000"))
PICTURE_BYTES = 120_000
_BATCH = 2000
PAGES = ("/", "/devices", "/?show=new&q=left+hand", "/?device=clinic/room7/box7")
TABLE = ROOT / "benchmarks" / "results" / "rooms.md"
BARS = {"live update": 1000.0, "page": 500.0}
LINES: dict[str, list[str]] = {"filled": [], "sustained": [], "pages": [], "shared": []}


@pytest.fixture(scope="module")
def server():
    """A PostgreSQL that writes for good, as a clinic's does."""
    try:
        it = Postgres(durable=True)
    except NoPostgresError as error:
        pytest.skip(str(error))
    yield it
    it.close()


@pytest.fixture
def database(server):
    """A new one with its tables, beside the dashboard's own connections."""
    it = Database(engine_of(server.new_database()))
    migrate(it.engine)
    yield it
    it.close()


@pytest.fixture
def large_broker(tmp_path):
    """A Mosquitto that takes 1,000 devices, and keeps what 1,000 of them have retained."""
    if MOSQUITTO is None:
        pytest.skip("no mosquitto on this machine (Debian package mosquitto)")
    it = Broker(tmp_path, "max_queued_messages 100000\nset_tcp_nodelay true\n").start()
    yield it
    it.kill()


def load(port, results, **words):
    """Begin the generator in a process of its own."""
    values = {"port": port, "devices": DEVICES, "results": results, **words}
    command = [sys.executable, "-m", "dashboard.simulated_load"]
    command += [it for name, value in values.items() for it in (f"--{name}", str(value))]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def report(process):
    line = process.communicate(timeout=7200)[0]
    return json.loads(line)


def stored(database, number):
    """Put results into the database as a restored backup would, of the same devices."""
    devices = SimulatedLoad(1, Pace(devices=DEVICES, after=TOTAL // 2))._devices
    like = [
        arrived(film(it, limb=limb, side=side).result(random.Random(it)))
        for it, (limb, side) in enumerate(product(Limb, Laterality), 1)
    ]
    with database.writing() as connection:
        for one in devices:
            insert_new(connection, DEVICE, {"name": str(one.name), "seen_s": 0.0})
        keys = {row.name: row.pk for row in connection.execute(select(DEVICE))}
    first_s = time.time() - number
    for start in range(0, number, _BATCH):
        rows = []
        for place in range(start, min(number, start + _BATCH)):
            one = devices[place % DEVICES].name
            row = _row(keys[str(one)], like[place % len(like)], None, first_s + place)
            changes = {"id": hexadecimal(one, place), "sequence": TOTAL // 2 + place,
                       "study": hexadecimal(one, "study", place // 4 // DEVICES),
                       "patient": hexadecimal(one, "patient", place // 8 // DEVICES),
                       "film_s": first_s + place}  # fmt: skip
            rows.append({**row, **changes})
        with database.writing() as connection:
            connection.execute(MESSAGE.insert(), rows)


def url_of(database):
    return database.engine.url.render_as_string(hide_password=False)


def count(database, table):
    with database.reading() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def size_mib(database, table=None):
    what = "pg_database_size(current_database())"
    if table is not None:
        what = f"pg_total_relation_size('{table}')"
    with database.reading() as connection:
        return connection.execute(text(f"SELECT {what}")).scalar_one() / 2**20


def whole(database):
    """Each result is there once under a number of its own, and nothing was misunderstood."""
    with database.reading() as connection:
        rows = connection.execute(
            select(DEVICE.c.name, func.count(), func.count(MESSAGE.c.id.distinct()),
                   func.count(MESSAGE.c.sequence.distinct()))
            .join(DEVICE, DEVICE.c.pk == MESSAGE.c.device_pk)
            .group_by(DEVICE.c.name)
        ).all()  # fmt: skip
    return count(database, PROBLEM) == 0 and all(len(set(it[1:])) == 1 for it in rows)


@pytest.mark.timeout(7200)
def test_a_thousand_rooms_at_one_dashboard(server, database, large_broker, tmp_path):
    """First as fast as receipts come back, then at the pace of an X-ray room, with pictures."""
    url = url_of(database)
    served = Served(tmp_path, large_broker.port, f"[database]\nurl = '{url}'\n")
    try:
        stored(database, TOTAL - FILLED)
        served.start(develop=False)
        browser = Browser(served)
        spending = [Spending("dashboard", served.pid), Spending("PostgreSQL", server.pid),
                    Spending("Mosquitto", large_broker._process.pid)]  # fmt: skip
        filled = report(load(large_broker.port, FILLED, period=0, resend=60))
        assert filled["answered"] == FILLED
        assert count(database, MESSAGE) == TOTAL
        assert whole(database)
        cpu = ", ".join(f"{it.name} {it.used_s():.0f}" for it in spending)
        LINES["filled"].append(
            f"| {DEVICES:,} | {TOTAL - FILLED:,} | {FILLED:,} | {filled['a_second']:.0f} | {cpu} | "
            f"{spending[0].mib():.0f} | {size_mib(database):.0f} |"
        )
        keep()
        _sustained(large_broker, database, browser, spending)
        pages_ms = _pages(browser)
        keep()
        assert served.stop() == 0
        if FULL:
            assert all(it < BARS["page"] for it in pages_ms)
    finally:
        served.kill()


def _sustained(broker, database, browser, spending):
    watch = Watch(browser, database)
    films = int(DEVICES / PERIOD_S * SUSTAINED_S)
    before = count(database, MESSAGE)
    settle_s = 10 if FULL else 0
    process = load(
        broker.port, films, period=PERIOD_S, picture=PICTURE_BYTES, after=2 * TOTAL, settle=settle_s
    )
    found = report(process)
    took_s = found["seconds"]
    until(lambda: len(watch.told_s) == films, 60)
    watch.stop()
    told, shown = watch.latencies_ms()
    assert found["answered"] == films
    assert count(database, MESSAGE) - before == films
    assert whole(database)
    assert count(database, PICTURE) == films
    # Every result was told; the page shows its first fifty rows, so that a burst may scroll by.
    assert len(told) == films
    assert shown
    cpu = ", ".join(f"{it.name} {it.used_s() / took_s:.2f}" for it in spending)
    page_ms = sorted(watch.page_ms)
    pace = f"{DEVICES:,} devices, one film in {PERIOD_S:.0f} s each, for {took_s:.0f} s"
    pictures_mib = size_mib(database, "picture")
    memory = ", ".join(f"{it.name} {it.mib():.0f}" for it in spending)
    measured = {
        "films a second": f"{films / took_s:.1f} ({pace})",
        "published to told by the page's stream of events, p50 / p99 / worst": _spread(told),
        "published to shown by the open worklist, p50 / p99 / worst": f"{_spread(shown)}, of "
        f"{len(shown):,} that were on its first page",
        "server time of that worklist, p50 / p99 / worst": _spread(page_ms),
        "published to receipt, p50 / p99": f"{found['receipt_p50_ms']:.0f} / "
        f"{found['receipt_p99_ms']:.0f} ms",
        "sent again for want of a receipt in 30 s": str(found["resent"]),
        "cores in use": cpu,
        "memory (proportional), MiB": memory,
        "database, MiB": f"{size_mib(database):.0f}, of it results "
        f"{size_mib(database, 'message'):.0f}, {films:,} pictures {pictures_mib:.0f}",
    }
    LINES["sustained"] += [f"| {what} | {value} |" for what, value in measured.items()]
    keep()
    if FULL:
        assert percentile(told, 0.99) < BARS["live update"]


def _pages(browser):
    medians_ms = []
    for path in PAGES:
        times_ms = []
        for _ in range(10 if FULL else 2):
            began_s = time.monotonic()
            browser.ask("GET", path)
            times_ms.append((time.monotonic() - began_s) * 1000)
        times_ms.sort()
        medians_ms.append(percentile(times_ms, 0.5))
        LINES["pages"].append(f"| `{path}` | {medians_ms[-1]:.0f} ms | {times_ms[-1]:.0f} ms |")
    return medians_ms


def _spread(ordered):
    return (
        f"{percentile(ordered, 0.5):.0f} / {percentile(ordered, 0.99):.0f} / {ordered[-1]:.0f} ms"
    )


@pytest.mark.skipif(not FULL, reason="the short form is in test_subscriber_group")
@pytest.mark.timeout(3600)
def test_dashboards_that_share_the_load_are_killed_and_nothing_is_lost_or_doubled(
    database, large_broker, tmp_path
):
    """Each that is killed is started again, as its unit does."""
    dice = random.Random(3)
    url = url_of(database)
    members = []
    for number in range(MEMBERS):
        folder = tmp_path / str(number)
        folder.mkdir()
        extra = f"[database]\nurl = '{url}'\n"
        it = Served(folder, large_broker.port, extra)
        written = it.config.read_text()
        group = f"[broker]\ngroup = 'centre'\nmember = 'm{number}'\n"
        it.config.write_text(written.replace("[broker]\n", group))
        members.append(it)
    try:
        for it in members:
            it.start(develop=False)
        process = load(large_broker.port, SHARED, period=0)
        for _ in range(KILLS):
            wanted = count(database, MESSAGE) + SHARED // (3 * KILLS)
            while count(database, MESSAGE) < wanted and process.poll() is None:
                time.sleep(0.1)
            assert process.poll() is None
            victim = dice.choice(members)
            victim.kill()
            time.sleep(1)
            victim.log.write_text("")
            victim.start(develop=False)
        found = report(process)
        memory_mib = [Spending("", it.pid).mib() for it in members]
        assert found["answered"] == SHARED
        assert count(database, MESSAGE) == SHARED
        assert whole(database)
        LINES["shared"].append(
            f"| {MEMBERS} | {SHARED:,} | {KILLS} | {found['a_second']:.0f} | {found['resent']} | "
            f"0 | 0 | {sum(memory_mib) / MEMBERS:.0f} |"
        )
        keep()
    finally:
        for it in members:
            it.kill()


def keep():
    """Write the table; a part that was not run this time stays as it was."""
    if not FULL:
        return
    text_ = TABLE.read_text()
    for name, lines in LINES.items():
        mark = f"<!-- {name} -->\n"
        before, _, rest = text_.partition(mark)
        if lines:
            text_ = before + mark + "\n".join(lines) + "\n" + mark + rest.partition(mark)[2]
    today = datetime.now(timezone.utc).date().isoformat()
    head, _, after = text_.partition("Last written ")
    TABLE.write_text(f"{head}Last written {today}.{after.partition('.')[2]}")
