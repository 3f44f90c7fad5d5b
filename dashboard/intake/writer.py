"""Stores what arrives in one transaction after the other, then answers: receipts, acknowledgements.

Layer: dashboard; one thread, writes the store.

A process that ends between storing and answering loses nothing: the appliance sends the message
again, which is then found by its id and answered.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy.exc import OperationalError

from dashboard.intake.arrivals import Saved, save
from dashboard.intake.parse import Bad, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboard.intake.parse import Parsed
    from dashboard.settings import DatabaseSettings
    from dashboard.store.database import Database
    from edge.contract.ids import DeviceName

log = logging.getLogger(__name__)

_BATCH = 200
_RETRY_S = 1.0


@dataclass(frozen=True)
class Raw:
    """A message as it came.

    ``receipt`` publishes one, ``acknowledge`` tells the broker, ``ask_state`` asks a device.
    """

    topic: str
    payload: bytes
    correlation: bytes | None
    retained: bool
    receipt: Callable[[str, str], None]
    acknowledge: Callable[[], None]
    ask_state: Callable[[DeviceName], None]
    arrived_s: float = field(default_factory=time.monotonic)


@dataclass
class Tally:
    """What was done since the start: limbs stored, repeats, faults of messages and database."""

    stored: int = 0
    repeated: int = 0
    bad: int = 0
    receipts: int = 0
    errors: int = 0


class Writer:
    """The one thread that stores what arrives; ``changed`` is called after each transaction."""

    def __init__(
        self, database: Database, settings: DatabaseSettings, changed: Callable[[], None]
    ) -> None:
        self._database = database
        self._settings = settings
        self._changed = changed
        self._waiting: queue.SimpleQueue[Raw | None] = queue.SimpleQueue()
        self.tally = Tally()
        self._lag_s = 0.0
        self._begun_s: float | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        """Begin to store."""
        self._thread.start()

    def put(self, raw: Raw) -> None:
        """Hand over a message; never waits."""
        self._waiting.put(raw)

    @property
    def waiting(self) -> int:
        """Messages that came and are not in a transaction yet."""
        return self._waiting.qsize()

    @property
    def lag_s(self) -> float:
        """How long the oldest message of the latest transaction waited, or waits in this one."""
        begun_s = self._begun_s
        return self._lag_s if begun_s is None else max(self._lag_s, time.monotonic() - begun_s)

    def stop(self) -> None:
        """Store what waits, then end."""
        self._stopped.set()
        self._waiting.put(None)
        if self._thread.is_alive():
            self._thread.join(10)

    def _run(self) -> None:
        while True:
            first = self._waiting.get()
            batch = [] if first is None else [first]
            while len(batch) < _BATCH and not self._waiting.empty():
                raw = self._waiting.get()
                if raw is not None:
                    batch.append(raw)
            if batch:
                self._keep(batch)
            if self._stopped.is_set() and self._waiting.empty():
                return

    def _keep(self, batch: list[Raw]) -> None:
        """Store a batch for good, however long the database is away, then answer."""
        parsed = [self._parsed(it) for it in batch]
        self._begun_s = batch[0].arrived_s
        while not self._stopped.is_set():
            try:
                answers = self._store([it for it in parsed if it is not None])
                break
            except OperationalError as error:
                self.tally.errors += 1
                log.warning("database: %s; trying again", type(error.orig).__name__)
                time.sleep(_RETRY_S)
        else:
            return
        self._count(answers, batch[0].arrived_s)
        by_topic = {it.topic.rpartition("/")[0] + "/receipt": it for it in batch}
        for topic, result_id in answers.receipts:
            by_topic[topic].receipt(topic, result_id)
        for device in answers.without_state:
            by_topic[device.topic("receipt")].ask_state(device)
        for raw in batch:
            raw.acknowledge()
        self._changed()

    def _count(self, saved: Saved, arrived_s: float) -> None:
        self._lag_s, self._begun_s = time.monotonic() - arrived_s, None
        self.tally.stored += saved.new
        self.tally.repeated += saved.repeats
        self.tally.bad += saved.bad
        self.tally.receipts += len(saved.receipts)

    def _parsed(self, raw: Raw) -> Parsed | None:
        """Parse a message; a fault of ours is listed as a problem and stops no other message."""
        longest = self._settings.picture_mib << 20
        try:
            return parse(raw.topic, raw.payload, raw.correlation, longest, retained=raw.retained)
        except Exception:
            log.exception("a message cannot be parsed")
            return Bad(raw.topic[:200], "a fault of the dashboard", len(raw.payload))

    def _store(self, parsed: list[Parsed]) -> Saved:
        """Store all, or one by one where the database does not take them together."""
        try:
            return self._save(parsed)
        except OperationalError:
            raise
        except Exception:  # noqa: BLE001 - each is tried alone, and told of there
            answers = Saved()
            for it in parsed:
                alone = self._save_alone(it)
                answers.receipts += alone.receipts
                answers.without_state |= alone.without_state
                answers.new += alone.new
                answers.repeats += alone.repeats
                answers.bad += alone.bad
            return answers

    def _save_alone(self, it: Parsed) -> Saved:
        try:
            return self._save([it])
        except OperationalError:
            raise
        except Exception as error:
            log.exception("a message cannot be stored")
            what = f"the database does not take it ({type(error).__name__})"
            topic = it.topic if isinstance(it, Bad) else it.device.topic()
            return self._save([Bad(topic, what, 0)])

    def _save(self, parsed: list[Parsed]) -> Saved:
        with self._database.writing() as connection:
            saved = save(connection, parsed, time.time(), self._settings.pictures)
            self._database.announce(connection)
            return saved
