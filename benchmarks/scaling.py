"""How throughput and latency follow the arrival rate, and how the journal's size bears on them.

Layer: benchmarks; runs daemons and brokers, fills journals in a folder of its own.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.appliance import SUSTAINED, measure, rate
from benchmarks.filled_journal import DEVICE, ENGINE_SET, KEY, fill, let_wait, limb_result, sha_of
from benchmarks.series import Series
from edge.contract.payloads import DeliveryMode
from edge.delivery.outbox import Outbox
from edge.delivery.sender import Sender
from edge.delivery.settings import BrokerSettings, DeliverySettings, protocol_of
from edge.delivery.subscriber import Subscriber
from edge.intake.film import Film
from edge.journal.journal import Journal
from edge.journal.names import Names
from edge.journal.places import Places
from edge.journal.store import Store
from edge.model import Outcome, Signature
from edge.outputs.film import FilmInWork
from edge.outputs.packet import Sending, packet_of
from edge.outputs.record import Recorder
from edge.system.local_broker import local_broker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

BENCH = "scaling"
ROWS = (1, 1_000, 100_000, 1_000_000)
WORKERS = (1, 2)
SHARES = (0.5, 0.8, 1.1, 1.5)
"""Arrival rates as shares of what one worker sustains."""
_FILMS = 16
_SAMPLES = 60
_DRAIN_S = 10.0
_KEPT = ("closed to received", "wait for a worker", "scoring", "films a minute", "memory")


def measure_arrivals(
    folder: Path,
    films: Sequence[Path],
    workers: Sequence[int] = WORKERS,
    count: int = _FILMS,
    say: Callable[[str], None] = lambda _text: None,
) -> list[Series]:
    """Films a minute and delays against the arrival rate, by number of workers.

    The rates are shares of what the first number of workers sustains on this machine.
    """  # fmt: skip
    found: list[Series] = []
    sustained_a_minute = 0.0
    for number in workers:
        settings = f"[worker]\ncount = {number}\n"
        labels = {"workers": str(number)}
        say(f"{number} workers: sustained maximum")
        place = folder / f"{number}-sustained"
        series = measure(place, films, SUSTAINED, count, settings=settings, labels=labels)
        found += series
        if not sustained_a_minute:
            sustained_a_minute = next(it for it in series if it.name == "films a minute").values[0]
        for share in SHARES:
            say(f"{number} workers: {share:g} of what one sustains")
            pattern = rate(round(sustained_a_minute * share, 1))
            about = {**labels, "share": f"{share:g}"}
            place = folder / f"{number}-{share:g}"
            found += measure(place, films, pattern, count, settings=settings, labels=about)
    return [replace(it, bench=BENCH) for it in found if it.name in _KEPT]


def measure_journal(
    folder: Path,
    rows: Sequence[int] = ROWS,
    samples: int = _SAMPLES,
    say: Callable[[str], None] = lambda _text: None,
) -> list[Series]:
    """Steps of one film and of one message, and the drain rate, by rows in journal and outbox.

    ``delivered``: all messages before have their receipt. ``waiting``: none was ever sent.
    """  # fmt: skip
    found: list[Series] = []
    for count in rows:
        say(f"{count} rows: filling")
        place = folder / str(count)
        place.mkdir(parents=True)
        with _opened(place) as store:
            fill(store, count)
            for state in ("delivered", "waiting"):
                if state == "waiting":
                    let_wait(store, count)
                say(f"{count} rows: {state}")
                labels = {"rows": str(count), "messages": state}
                found += _Steps(store, place).measure(samples, labels)
        if count >= 1_000:
            say(f"{count} rows: draining")
            found.append(_drain(place, {"rows": str(count), "messages": "waiting"}))
    return found


class _opened:  # noqa: N801 - used as a function
    """A journal in a folder, closed at the end of the block."""

    def __init__(self, folder: Path) -> None:
        self._store = Store(folder / "journal.sqlite", KEY)

    def __enter__(self) -> Store:
        return self._store

    def __exit__(self, *_: object) -> None:
        self._store.close()


class _Steps:
    """Takes films through journal and outbox as the daemon and its sender do."""

    _number = itertools.count(1_000_000_000)
    """Of films that no filled journal has."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._journal = Journal(store)
        self._places = Places.below(folder)
        self._places.make()
        self._recorder = Recorder(
            store, self._places, DEVICE, KEY, send_pictures=False, send_file_names=False
        )
        self._other = Store(folder / "journal.sqlite", KEY)
        self._outbox = Outbox(self._other, DeliveryMode.RECEIPT, (), 30.0)
        self._sending = Sending(Names(self._other, DEVICE).of, self._places.pictures, 300.0)

    def measure(self, samples: int, labels: dict[str, str]) -> list[Series]:
        """Take ``samples`` films."""
        self._outbox.reopen()
        values: dict[str, list[float]] = {}
        for _ in range(samples):
            for name, took_ms in self._film():
                values.setdefault(name, []).append(took_ms)
        for _ in range(5):
            began_s = time.perf_counter()
            self._outbox.counts.depth()
            Journal(self._other).counts()
            values.setdefault("figures of health (own thread)", []).append(_since_ms(began_s))
        self._other.close()
        return [Series(BENCH, name, tuple(found), labels) for name, found in values.items()]

    def _film(self) -> list[tuple[str, float]]:
        number, now_s = next(self._number), time.monotonic()
        signature = Signature(1, number, 1, 1)
        film = Film(
            path=b"/d/%d.jpg" % number, signature=signature, data=b"", sha256=sha_of(number),
            refusal=None, closed_s=now_s, closed_unix_s=time.time(), closed_source="close_event",
            picked_up_s=now_s,
        )  # fmt: skip
        began_s = time.perf_counter()
        with self._store.transaction():
            job = self._journal.claim(film.path, film.sha256, signature).job
            assert job is not None  # noqa: S101 - a new film
            self._journal.begin_try(job)
        claimed_s = time.perf_counter()
        outcome = Outcome(
            limbs=(limb_result(),), stage_ms={}, study_key=None, patient_key=None,
            burned_in_annotation=False, at_s=now_s,
        )  # fmt: skip
        self._recorder.record(FilmInWork(film, job, None), outcome, ENGINE_SET, now_s)
        recorded_s = time.perf_counter()
        (row,) = self._outbox.next_rows(1, ())
        packet_of(row, self._sending)
        chosen_s = time.perf_counter()
        self._outbox.note_sent([row])
        self._outbox.endings.acknowledged([row.row])
        self._outbox.endings.receipts([(row.result_id, "dashboard")])
        answered_s = time.perf_counter()
        return [
            ("pick-up: enter a film", (claimed_s - began_s) * 1e3),
            ("record a result", (recorded_s - claimed_s) * 1e3),
            ("publish: choose and make a message", (chosen_s - recorded_s) * 1e3),
            ("note sending, acknowledgement, receipt", (answered_s - chosen_s) * 1e3),
        ]


def _since_ms(began_s: float) -> float:
    return (time.perf_counter() - began_s) * 1e3


def _drain(folder: Path, labels: dict[str, str]) -> Series:
    """Messages a second that the sender delivers to a subscriber that gives receipts."""
    with local_broker() as broker:
        protocol = protocol_of(broker)
        sender = Sender(
            journal=folder / "journal.sqlite",
            key=KEY,
            pictures=folder / "pictures",
            broker=BrokerSettings(port=broker.port, protocol=protocol),
            delivery=DeliverySettings(),
            device=DEVICE,
            session=1,
        )
        with Subscriber(broker.port, protocol), _opened(folder) as store:
            before = _receipts(store)
            sender.start()
            began_s = time.monotonic()
            while not (first := _receipts(store) - before) and time.monotonic() - began_s < 60:
                time.sleep(0.005)
            began_s = time.monotonic()
            while _waits(store) and time.monotonic() - began_s < _DRAIN_S:
                time.sleep(0.05)
            drained = _receipts(store) - before - first
            rate_a_s = drained / (time.monotonic() - began_s)
            sender.stop(5.0)
    return Series(BENCH, "drain rate", (rate_a_s,), {**labels, "broker": broker.name}, "1/s")


def _receipts(store: Store) -> int:
    return int(store.db.execute("SELECT COUNT(*) FROM receipt").fetchone()[0])


def _waits(store: Store) -> bool:
    found = store.db.execute("SELECT 1 FROM outbox WHERE state = 'queued' LIMIT 1")
    return found.fetchone() is not None
