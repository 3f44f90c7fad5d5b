"""The appliance: wires intake, worker and delivery; its loop, signals and systemd.

One loop on the main thread waits for the worker and for films. The intake's thread follows the
folder and the sender's thread serves the broker; neither can stop this loop. The journal is
written before the work, so that the loop may end at any instruction.

Layer: daemon; opens the state folder, starts the worker and two threads.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sqlite3
import time
from functools import partial
from typing import TYPE_CHECKING

from edge.contract.payloads import Command
from edge.daemon.alerts import Alerts
from edge.daemon.films import Films
from edge.daemon.following import intakes_of
from edge.daemon.health import HealthReport
from edge.daemon.housekeeping import Housekeeping
from edge.daemon.metrics import metrics_of
from edge.daemon.operators import Operators, Parts
from edge.daemon.pacs import documents_of, pacs_of
from edge.daemon.repair import open_sound
from edge.daemon.results import Results
from edge.daemon.state_folder import drop_folder, state_folder
from edge.daemon.station import Stations
from edge.daemon.storage import StorageGuard
from edge.daemon.taking import Taking
from edge.daemon.worker_reports import WorkerReports
from edge.delivery.sender import Sender
from edge.delivery.standing import Announcement
from edge.errors import ConfigError, place_of
from edge.intake.settings import AtFirstStart
from edge.journal.first_start import FirstStart
from edge.journal.journal import Journal
from edge.journal.names import Names
from edge.journal.places import Places
from edge.journal.store import JournalError, suspect_mark
from edge.model import DISCLAIMER
from edge.outputs.record import Recorder
from edge.outputs.whois import FILE as WHOIS
from edge.outputs.whois import Whois
from edge.system.device_key import derived_key, device_key
from edge.system.disk import let_go_of_streams, make_room, share_arenas
from edge.system.logs import set_up_logs
from edge.system.notify import Notifier
from edge.system.wake import WakePipe
from edge.worker.messages import Limits

if TYPE_CHECKING:
    from pathlib import Path

    from edge.config import Config
    from edge.journal.store import Store

log = logging.getLogger(__name__)

EXIT_STOPPED = 0
EXIT_FAILED = 1
EXIT_CONFIGURATION = 2
_NO_REASON_TO_END = (signal.SIGHUP, signal.SIGPIPE, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2)
"""A reload that is not offered, a terminal that closed, a timer that somebody left."""
_STALL_S = 60.0
"""No watchdog ping is sent if a thread has not looped for this long."""
_LAST_MESSAGES_S = 3.0
"""Time for the last messages at a stop."""
_LAST_DOCUMENT_S = 2.0
"""Time for the PACS thread, which ends its associations."""
_STOPPING_BUSY_MS = 1000
"""How long a statement waits for a locked journal while the appliance stops."""
_GAP_S = 3.0
"""A turn of the loop waits a second at most: what goes beyond was spent stopped."""


def run(config: Config) -> int:
    """Run the appliance until SIGTERM or SIGINT.

    Returns
    -------
    int
        0 after a stop that was asked for, 1 when the appliance could not start or go on, 2 when
        its configuration cannot be used; the log says why.
    """
    # A stop that is asked for before the loop runs is a stop, not a failure. No exception: SQLite
    # calls back into Python while it checks the journal, and would report one as its own fault.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(EXIT_STOPPED))
    set_up_logs(config.logs.format, config.logs.level)
    share_arenas()
    log.info("sharpedge starts: %s", DISCLAIMER)
    try:
        with state_folder(config) as root:
            return Appliance(config, root).run()
    except ConfigError as error:
        log.error("cannot start: %s", error)  # noqa: TRY400 - one line an event
        return EXIT_CONFIGURATION
    except JournalError as error:
        log.error("cannot start: %s", error)  # noqa: TRY400 - as above
    except Exception as error:  # noqa: BLE001 - a traceback's text may name a patient
        if isinstance(error, sqlite3.DatabaseError):
            suspect_mark(config.state_folder / "journal.sqlite").touch()
        log.error("ended by a fault: %s", place_of(error))  # noqa: TRY400 - as above
    finally:
        let_go_of_streams()
    return EXIT_FAILED


class Appliance:
    """One run of the daemon over its state folder ``root``."""

    def __init__(self, config: Config, root: Path) -> None:
        self._config = config
        self._notifier = Notifier()
        places = Places.below(root)
        # Refused before anything is opened that would have to be closed.
        folder = drop_folder(config, root.absolute())
        ran_before = places.pictures.exists()
        places.make()
        make_room(root)
        key = device_key(root, expected=(root / "journal.sqlite").exists())
        journal_key = derived_key(key, "journal")
        store, repaired = open_sound(
            root / "journal.sqlite", journal_key, expected=ran_before, busy=self._notifier.busy
        )
        Names(store, config.device).refuse_other_device()
        self._journal = Journal(store)
        self._session = self._journal.start_session()
        whois = Whois(root / WHOIS, config.joining.whois_days)
        recorder = _recorder_of(config, store, places, key, whois)
        limits = config.limits
        self._alerts = Alerts(self._announce)
        self._stations = Stations(
            config, Limits(limits.worker_start_s, limits.stage_s, limits.film_s), self._alerts
        )
        self._sender = Sender(
            journal=root / "journal.sqlite",
            key=journal_key,
            pictures=places.pictures,
            broker=config.broker,
            delivery=config.delivery,
            device=config.device,
            session=self._session,
            joining=config.joining,
        )
        self._pipe = WakePipe()
        left_over = self._journal.unfinished()
        first_start = FirstStart(store)
        skip = config.folders.at_first_start is AtFirstStart.SKIP
        # After the loss of a journal, what waits in the folder is no backlog of a first start.
        passes_over = skip and not repaired and not first_start.is_over()
        if not passes_over:
            first_start.mark_over()
        self._intake = intakes_of(config, folder, root, left_over, self._pipe.wake, passes_over)
        self._storage = StorageGuard(self._alerts)
        results = Results(recorder, self._storage, self._alerts, root, self._sender.wake)
        taking = Taking(
            config,
            places=places,
            journal=self._journal,
            recorder=recorder,
            results=results,
            intake=self._intake,
            stations=self._stations,
            alerts=self._alerts,
            passes_over=passes_over,
        )
        self._pacs = pacs_of(
            config, root, journal_key, places, self._journal, taking, self._alerts, self._pipe.wake
        )
        results.recorded = self._pacs.recorded
        self._films = Films(self._journal, taking, results, self._stations, self._storage)
        self._reports = WorkerReports(self._stations, self._films, self._alerts)
        self._housekeeping = Housekeeping(
            config, root, places, self._journal, self._intake, self._alerts, left_over, whois
        )
        self._health = HealthReport(
            self._session,
            time.monotonic(),
            places.pictures,
            self._intake,
            self._sender,
            self._stations,
        )
        self._metrics = metrics_of(config, self._health, root, self._alerts)
        parts = Parts(self._alerts, self._intake, self._sender, self._stations)
        self._operators = Operators(
            config, root, journal_key, self._session, parts, self._pipe.wake
        )
        self._paused = False
        self._ready_sent = False
        self._signals = 0
        self._signalled_s = 0.0
        self._stop_by_s: float | None = None
        if repaired:
            log.error("journal: %s", repaired)
            self._alerts.update("journal_mended", repaired)

    # -- the loop ---------------------------------------------------------------------------

    def run(self) -> int:
        """Run until a signal; see `edge.daemon.appliance.run`."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        for number in _NO_REASON_TO_END:
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(self._pipe.write_end, warn_on_full_buffer=False)
        self._stations.start_first()
        self._sender.report(self._health.message)
        self._sender.start()
        self._pacs.start()
        self._metrics.start()
        self._operators.start()
        code = EXIT_FAILED
        try:
            code = self._loop()
        finally:
            signal.set_wakeup_fd(-1)
            self._notifier.send(STOPPING="1")
            self._metrics.stop()
            self._intake.stop()
            self._stations.kill()
            self._operators.stop()
            self._pacs.stop(_LAST_DOCUMENT_S)
            self._sender.stop(_LAST_MESSAGES_S)
            self._storage.run(self._journal.store.mark_clean)
            self._journal.store.close()
        log.info("sharpedge ended")
        return code

    def _loop(self) -> int:
        ping_s = (self._notifier.watchdog_s or 20.0) / 3
        ping_at_s = housekeeping_at_s = 0.0
        turned_s = time.monotonic()
        while True:
            self._wait()
            before_s, turned_s = turned_s, time.monotonic()
            if turned_s - before_s > _GAP_S:
                self._stations.forgive(turned_s - before_s)
                self._pacs.forgive(turned_s - before_s)
            if not self._reports.take_in(stopping=self._stop_by_s is not None):
                return EXIT_FAILED
            if self._stations.versions is not None and not self._intake.is_started:
                self._intake.start()
            if self._stop_by_s is None and self._signals:
                self._begin_stop()
            if self._stop_by_s is not None and self._may_stop(self._stop_by_s):
                return EXIT_STOPPED
            if self._stop_by_s is None:
                self._work()
                self._storage.run(partial(self._pacs.turn, scoring=self._films.in_work), "pacs")
            if self._intake.following and not self._ready_sent:
                self._ready_sent = True
                self._notifier.send(READY="1", STATUS="waiting for films")
                log.info("ready: session %d", self._session)
                # What stays for good is not looked through again while a film waits.
                gc.collect()
                gc.freeze()
            now_s = time.monotonic()
            if not self._sender.is_alive() or not self._intake_is_alive():
                log.error("a thread ended by a fault: the appliance must be restarted")
                return EXIT_FAILED
            if now_s >= housekeeping_at_s:
                housekeeping_at_s = now_s + 1.0
                self._carry_out_commands()
                self._pacs.tell()
                self._storage.run(self._housekeeping.turn, "chores")
                if not self._journal_is_in_place():
                    return EXIT_FAILED
                if self._ready_sent and self._stop_by_s is None:
                    self._operators.tell(self._notifier)
            if now_s >= ping_at_s and self._makes_progress(now_s):
                ping_at_s = now_s + ping_s
                self._notifier.send(WATCHDOG="1")

    def _work(self) -> None:
        now_s = time.monotonic()
        for station in self._stations:
            if station.policy.is_due(now_s):
                self._storage.run(station.policy.start, "worker")
        self._films.stopped_taking = self._housekeeping.disk_low or self._paused
        self._films.work(now_s)

    def _wait(self) -> None:
        workers = (station.worker.waits_on for station in self._stations)
        self._pipe.wait((*workers, self._pacs.waits_on), self._longest_wait_s())

    def _longest_wait_s(self) -> float:
        now_s = time.monotonic()
        limits = (
            *self._stations.deadlines_s(),
            self._stop_by_s,
            *(station.policy.at_s for station in self._stations),
            self._films.second_scoring_at_s(now_s),
        )
        return max(0.0, min([1.0, *(at_s - now_s for at_s in limits if at_s is not None)]))

    def _on_signal(self, _number: int, _frame: object) -> None:
        if not self._signals:
            self._signalled_s = time.monotonic()
        self._signals += 1

    # -- stopping ---------------------------------------------------------------------------

    def _begin_stop(self) -> None:
        doing = "the film in work is finished" if self._films.in_work else "idle"
        log.info("stop asked for: %s", doing)
        self._notifier.send(STOPPING="1", STATUS="finishing the film in work")
        # From the signal on: a statement that waited for a locked journal may have come between.
        self._stop_by_s = self._signalled_s + self._config.limits.stop_s
        self._journal.store.db.execute(f"PRAGMA busy_timeout={_STOPPING_BUSY_MS}")
        self._intake.stop()
        self._films.give_back_waiting()

    def _may_stop(self, by_s: float) -> bool:
        """Whether nothing is left to be done, or the time for it is over."""
        at_once = time.monotonic() >= by_s or self._signals > 1
        return self._films.may_stop(at_once=at_once)

    # -- supervision ------------------------------------------------------------------------

    def _journal_is_in_place(self) -> bool:
        """False where somebody took the journal's files away: they are put back for a restart."""
        store = self._journal.store
        if store.is_in_place():
            return True
        if self._storage.run(store.put_back, "journal"):
            log.error("the journal was moved, deleted or replaced while it was in use: put back")
            return False
        return True

    def _carry_out_commands(self) -> None:
        """Carry out the commands of dashboards that concern the folder."""
        while not self._sender.commands.empty():
            command = self._sender.commands.get()
            if command is Command.RESCAN:
                self._intake.forget(())
                continue
            self._paused = command is Command.PAUSE
            asked = "a dashboard asked that no film be taken until `resume`"
            self._alerts.update("paused", asked if self._paused else None)

    def _makes_progress(self, now_s: float) -> bool:
        """Whether systemd may be sent a watchdog ping.

        The intake does not count: a share that hangs is reported in ``state``, and a restart does
        not repair it.
        """
        working = all(now_s <= at_s for at_s in self._stations.deadlines_s())
        return working and now_s - self._sender.standing().turned_s < _STALL_S

    def _intake_is_alive(self) -> bool:
        ends = self._stations.versions is None or self._stop_by_s is not None
        return ends or self._intake.is_alive()

    def _announce(self) -> None:
        found = self._stations
        self._sender.announce(Announcement(found.presence, found.versions, self._alerts.active()))


def _recorder_of(
    config: Config, store: Store, places: Places, key: bytes, whois: Whois
) -> Recorder:
    return Recorder(
        store,
        places,
        config.device,
        key,
        send_pictures=config.delivery.images,
        send_file_names=config.delivery.file_names,
        documents=documents_of(config.pacs),
        sr_class=config.pacs.sr_class,
        joining=config.joining,
        whois=whois,
    )
