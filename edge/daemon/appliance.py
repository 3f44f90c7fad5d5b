"""The daemon: wires intake, worker and delivery; signals; systemd.

One loop on the main thread waits for the worker and for films. The folder is followed by the
intake's thread and the broker is served by the sender's; neither can stop this loop. The journal
is written before the work, so that the loop may end at any instruction.
"""

from __future__ import annotations

import logging
import os
import select
import shutil
import signal
import sqlite3
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from edge.contract.payloads import ClosedSource, Command, HealthMessage, Presence
from edge.daemon.alerts import Alerts
from edge.daemon.housekeeping import Chores
from edge.daemon.repair import open_sound
from edge.daemon.restarts import Revival
from edge.daemon.state_folder import drop_folder, state_folder
from edge.delivery.sender import Sender
from edge.delivery.standing import Announcement
from edge.errors import ConfigError, Reason, place_of, rejected
from edge.intake.intake import Film, Intake
from edge.intake.settings import AtFirstStart
from edge.intake.settle import Patience
from edge.journal.copies import kept_film
from edge.journal.first_start import FirstStart
from edge.journal.journal import Journal
from edge.journal.names import Names
from edge.journal.places import Places
from edge.journal.recall import Recall
from edge.journal.store import JournalError, suspect_mark
from edge.model import DISCLAIMER, OperatorWord, Outcome, Versions
from edge.outputs.film import FilmInWork
from edge.outputs.record import Recorder
from edge.scoring import drift
from edge.system.device_key import derived_key, device_key
from edge.system.disk import let_go_of_streams, make_room, share_arenas, temperature_c
from edge.system.notify import Notifier
from edge.worker.handle import Worker
from edge.worker.messages import Died, Failed, Limits, Ready, SecondOpinion, Stage, Task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.config import Config
    from edge.delivery.outbox import Outbox
    from edge.journal.records import Order
    from edge.model import Recheck

log = logging.getLogger(__name__)

EXIT_STOPPED = 0
EXIT_FAILED = 1
EXIT_CONFIGURATION = 2
_DEATHS = 2
"""Workers that a film may end before it is rejected."""
_KILLS = 4
"""Workers that may be ended from outside while they score a film before it is rejected."""
_ORT_SERVES = "the device failed twice: onnxruntime serves until a restart"
_WORDS_A_TURN = 1000
_IDLE_S = 0.5
"""So long without a film, and one is scored a second time."""
_NO_REASON_TO_END = (signal.SIGHUP, signal.SIGPIPE, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2)
"""A reload that is not offered, a terminal that closed, a timer that somebody left."""
_STALL_S = 60.0
"""A thread that has not turned for so long is no longer vouched for to systemd."""
_FAREWELL_S = 3.0
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
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # A log that nobody takes any more is no reason to stop.
    logging.raiseExceptions = False
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
        self._places = Places.below(root)
        # Refused before anything is opened that would have to be closed.
        folder = drop_folder(config, root.absolute())
        ran_before = self._places.pictures.exists()
        self._places.make()
        make_room(root)
        key = device_key(root, expected=(root / "journal.sqlite").exists())
        journal_key = derived_key(key, "journal")
        store, mended = open_sound(
            root / "journal.sqlite", journal_key, expected=ran_before, busy=self._notifier.busy
        )
        Names(store, config.device).refuse_other_device()
        self._journal = Journal(store)
        self._session = self._journal.start_session()
        self._recorder = Recorder(
            store,
            self._places,
            config.device,
            key,
            send_pictures=config.delivery.images,
            send_file_names=config.delivery.file_names,
        )
        limits = config.limits
        self._worker = Worker(config, Limits(limits.worker_start_s, limits.stage_s, limits.film_s))
        self._sender = Sender(
            journal=root / "journal.sqlite",
            key=journal_key,
            pictures=self._places.pictures,
            broker=config.broker,
            delivery=config.delivery,
            device=config.device,
            session=self._session,
        )
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        left_over = self._journal.unfinished()
        first_start = FirstStart(store)
        skip = config.folders.at_first_start is AtFirstStart.SKIP
        # After the loss of a journal, what waits in the folder is no backlog of a first start.
        self._passes_over = skip and not mended and not first_start.is_over()
        if not self._passes_over:
            first_start.mark_over()
        self._intake = Intake(
            folder,
            config.folders.mode,
            patience=Patience(
                closed_s=config.folders.closed_s,
                incomplete_s=config.folders.incomplete_s,
                unwatched_s=config.folders.unwatched_s,
                abandoned_s=config.folders.abandoned_s,
            ),
            rescan_s=config.folders.rescan_s,
            limit_bytes=limits.max_file_mib << 20,
            recall=Recall(root / "journal.sqlite"),
            last=left_over,
            wake=self._wake,
            pass_over=self._passes_over,
        )
        self._started_s = time.monotonic()
        self._versions: Versions | None = None
        self._engine_set = ""
        self._paused = False
        self._recheck: Recheck | None = None
        self._second_waits = False
        self._idle_since_s = time.monotonic()
        self._unfit = ""
        self._degraded = False
        self._hand: FilmInWork | None = None
        self._unfiled: Outcome | None = None
        self._pending: Film | None = None
        self._told_ready = False
        self._signals = 0
        self._signalled_s = 0.0
        self._stop_by_s: float | None = None
        self._pause_until_s = 0.0
        self._unwritten: dict[str, str] = {}
        self._revival = Revival(self._worker, config)
        self._alerts = Alerts(self._announce)
        self._chores = Chores(
            config, root, self._places, self._journal, self._intake, self._alerts, left_over
        )
        self._drift = drift.DriftWatch(root / "drift")
        if mended:
            log.error("journal: %s", mended)
            self._alerts.say("journal_mended", mended)

    # -- the loop ---------------------------------------------------------------------------

    def run(self) -> int:
        """Run until a signal; see `edge.daemon.appliance.run`."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        for number in _NO_REASON_TO_END:
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._worker.start()
        self._sender.report(self._health)
        self._sender.start()
        code = EXIT_FAILED
        try:
            code = self._loop()
        finally:
            signal.set_wakeup_fd(-1)
            self._notifier.tell(STOPPING="1")
            self._intake.stop()
            self._worker.kill()
            self._sender.stop(_FAREWELL_S)
            self._guarded(self._journal.store.mark_clean)
            self._journal.store.close()
        log.info("sharpedge ended")
        return code

    def _loop(self) -> int:
        ping_s = (self._notifier.watchdog_s or 20.0) / 3
        ping_at_s = chores_at_s = 0.0
        turned_s = time.monotonic()
        while True:
            self._wait()
            before_s, turned_s = turned_s, time.monotonic()
            if turned_s - before_s > _GAP_S:
                self._worker.forgive(turned_s - before_s)
            if not self._hear_worker():
                return EXIT_FAILED
            if self._stop_by_s is None and self._signals:
                self._begin_stop()
            if self._stop_by_s is not None and self._stopped(self._stop_by_s):
                return EXIT_STOPPED
            if self._stop_by_s is None:
                self._work()
            if self._intake.following and not self._told_ready:
                self._told_ready = True
                self._notifier.tell(READY="1", STATUS="waiting for films")
                log.info("ready: session %d", self._session)
            now_s = time.monotonic()
            if not self._sender.is_alive() or not self._intake_is_alive():
                log.error("a thread ended by a fault: the appliance must be started anew")
                return EXIT_FAILED
            if now_s >= chores_at_s:
                chores_at_s = now_s + 1.0
                self._obey()
                self._guarded(self._chores.turn, "chores")
                if not self._journal_is_in_place():
                    return EXIT_FAILED
            if now_s >= ping_at_s and self._vouch(now_s):
                ping_at_s = now_s + ping_s
                self._notifier.tell(WATCHDOG="1")

    def _wait(self) -> None:
        waiting = select.poll()
        waiting.register(self._wake_read, select.POLLIN)
        worker = self._worker.waits_on
        if worker is not None:
            waiting.register(*worker)
        waiting.poll(self._patience_s() * 1000)
        try:
            while os.read(self._wake_read, 4096):
                pass
        except BlockingIOError:
            pass

    def _patience_s(self) -> float:
        limits = [self._worker.deadline_s(), self._stop_by_s, self._revival.at_s]
        now_s = time.monotonic()
        if self._second_waits and self._may_take(now_s) and self._hand is None:
            limits.append(self._idle_since_s + _IDLE_S)
        return max(0.0, min([1.0, *(at_s - now_s for at_s in limits if at_s is not None)]))

    def _on_signal(self, _number: int, _frame: object) -> None:
        if not self._signals:
            self._signalled_s = time.monotonic()
        self._signals += 1

    def _wake(self) -> None:
        try:
            os.write(self._wake_write, b"\0")
        except BlockingIOError:
            # The pipe is full of wake-ups: one more says nothing new.
            return

    # -- stopping ---------------------------------------------------------------------------

    def _begin_stop(self) -> None:
        log.info("stop asked for: %s", "the film in hand is finished" if self._hand else "idle")
        self._notifier.tell(STOPPING="1", STATUS="finishing the film in hand")
        # From the signal on: a statement that waited for a locked journal may have come between.
        self._stop_by_s = self._signalled_s + self._config.limits.stop_s
        self._journal.store.db.execute(f"PRAGMA busy_timeout={_STOPPING_BUSY_MS}")
        self._intake.stop()

    def _stopped(self, by_s: float) -> bool:
        """Whether nothing is left to be done, or the time for it is over."""
        if self._hand is None:
            return True
        scoring = self._worker.busy and not self._worker.second
        if time.monotonic() < by_s and self._signals < 2 and scoring:
            return False
        log.warning("job %d: left for the next start", self._hand.job)
        self._guarded(partial(self._journal.give_back, self._hand.job))
        return True

    # -- films ------------------------------------------------------------------------------

    def _work(self) -> None:
        """Take the next film when the worker is free."""
        now_s = time.monotonic()
        if self._revival.is_due(now_s):
            self._guarded(self._revival.start, "worker")
        if not self._may_take(now_s):
            return
        if self._unfiled is not None:
            self._guarded(partial(self._file, self._unfiled))
            return
        if self._unfit:
            return
        if self._hand is not None:
            self._guarded(self._try)
            return
        if self._passes_over:
            self._guarded(self._pass_over)
        elif not self._chores.disk_low and not self._paused:
            self._guarded(self._take_next)
        if self._hand is not None or self._worker.busy:
            self._idle_since_s = now_s
        elif self._second_waits and now_s >= self._idle_since_s + _IDLE_S:
            self._second_waits = False
            self._worker.score_second()

    def _may_take(self, now_s: float) -> bool:
        """Whether the worker is free and nothing has to be waited for."""
        free = self._worker.ready and not self._worker.busy
        return free and now_s >= self._pause_until_s

    def _pass_over(self) -> None:
        """Write down what lay in the folder at the first start, before any film is taken."""
        files = self._intake.passed_over()
        if files is None:
            return
        FirstStart(self._journal.store).pass_over(files)
        self._passes_over = False
        log.info("first start: %d files in the folder are left alone", len(files))

    def _take_next(self) -> None:
        order = self._journal.next_order()
        if order is not None:
            self._follow(order)
            return
        if self._pending is None:
            self._pending = self._intake.fetch()
        if self._pending is not None:
            self._claim()

    def _follow(self, order: Order) -> None:
        """Work again on a film that a person released or retried."""
        picked_up_s = time.monotonic()
        data = kept_film(
            (self._places.quarantine, self._places.archive),
            self._config.folders.watch.absolute(),
            order.supersedes_job or order.job,
            order.path,
            order.sha256,
            self._config.limits.max_file_mib << 20,
        )
        if data is None:
            self._journal.set_aside(order.job, "no_copy_left")
            gone = f"job {order.job}: neither a copy nor the file is left"
            log.error("%s: set aside", gone)
            self._alerts.say("film_vanished", gone)
            return
        film = Film(
            path=order.path,
            signature=order.signature,
            data=data,
            sha256=order.sha256,
            refusal=None,
            closed_s=picked_up_s,
            closed_unix_s=time.time(),
            closed_source=ClosedSource.ORDERED,
            picked_up_s=picked_up_s,
        )
        log.info("job %d: claimed by order", order.job)
        self._hand = FilmInWork(film, order.job, order.supersedes_job, operator=order.operator)
        if order.deaths >= _DEATHS:
            self._refuse(Reason.WORKER_DIED)
        else:
            self._try()

    def _claim(self) -> None:
        film = self._pending
        assert film is not None  # noqa: S101 - the caller looked
        claim = self._journal.claim(film.path, film.sha256, film.signature)
        self._pending = None
        if claim.job is None:
            return
        if not claim.work:
            log.info("job %d: %s", claim.job, claim.state)
            return
        log.info("job %d: claimed", claim.job)
        self._hand = FilmInWork(film, claim.job, claim.supersedes_job, claim.same_as)
        if film.refusal is not None:
            self._refuse(film.refusal)
        elif claim.deaths >= _DEATHS:
            self._refuse(Reason.WORKER_DIED)
        else:
            self._try()

    def _try(self) -> None:
        hand = self._hand
        assert hand is not None  # noqa: S101 - the caller looked
        if not self._journal.begin_try(hand.job):
            self._refuse(Reason.WORKER_DIED)
            return
        word = hand.operator or OperatorWord()
        self._worker.score(
            hand.film.data, Task(name=hand.name, limb=word.limb, laterality=word.laterality)
        )

    def _refuse(self, reason: Reason, detail: str = "") -> None:
        """End the film in work without the pipeline."""
        hand, versions = self._hand, self._versions
        assert hand is not None  # noqa: S101 - the caller set it
        assert versions is not None  # noqa: S101 - films are taken once the worker was ready
        self._file(
            Outcome(
                limbs=(rejected(reason, hand.name, versions, detail=detail),),
                stage_ms={},
                study_key=None,
                patient_key=None,
                burned_in_annotation=False,
                at_s=time.monotonic(),
            )
        )

    def _file(self, outcome: Outcome) -> None:
        hand = self._hand
        assert hand is not None  # noqa: S101 - an outcome belongs to a film in hand
        # Kept until it is written: a full disk must not cost the work, nor count as a try.
        self._unfiled = outcome
        state = self._recorder.record(hand, outcome, self._engine_set, time.monotonic())
        self._hand = self._unfiled = None
        self._sender.wake()
        log.info("job %d: %s", hand.job, state)
        if hand.same_as is None:
            self._watch_drift(outcome)

    def _watch_drift(self, outcome: Outcome) -> None:
        """Tell when a site's films or scores are no longer like its first ones."""
        try:
            for limb, figures in zip(outcome.limbs, outcome.figures, strict=False):
                if limb.limb is not None:
                    self._drift.note(limb.limb, self._engine_set, figures)
        except OSError as error:
            log.warning("the drift watch missed a film: %s", error.strerror)
            return
        self._alerts.say("drift", drift.in_words(self._drift.shifts()))

    # -- the worker -------------------------------------------------------------------------

    def _hear_worker(self) -> bool:
        """Take in what the worker said; False when the appliance cannot go on."""
        for _ in range(_WORDS_A_TURN):
            word = self._worker.read()
            if word is None:
                break
            if isinstance(word, Failed):
                log.error("the engines cannot be used: %s", word.message)
                if self._versions is None:
                    return False
                # What is done is delivered meanwhile.
                self._revival.without_engines()
                self._unfit = word.message
                self._alerts.note("engines", word.message)
                self._announce()
            elif isinstance(word, Ready):
                self._on_ready(word)
            elif isinstance(word, Stage):
                self._on_stage(word)
            elif isinstance(word, Outcome):
                self._on_outcome(word)
            elif isinstance(word, SecondOpinion):
                self._recheck = word.figures or self._recheck
                self._alerts.say("second_scoring", word.fault)
            elif not self._on_death(word):
                return False
        return True

    def _on_ready(self, word: Ready) -> None:
        first = self._versions is None
        self._versions, self._engine_set = word.versions, word.engine_set
        self._unfit = self._revival.unfit or word.unfit
        self._degraded = bool(word.degraded or self._revival.backend or self._revival.refused)
        alerts = {
            "engines": "", "self_test": word.unfit, "engine_refused": "; ".join(word.degraded)
        }  # fmt: skip
        if word.second_fault:
            alerts["second_scoring"] = word.second_fault
        for code, detail in alerts.items():
            if detail:
                log.error("%s: %s", code, detail)
            self._alerts.note(code, detail)
        self._announce()
        if first:
            self._intake.start()

    def _on_stage(self, word: Stage) -> None:
        hand = self._hand
        if hand is not None and hand.decoded_s is None and word.name != "decode":
            self._hand = replace(hand, decoded_s=word.at_s)

    def _on_outcome(self, word: Outcome) -> None:
        if self._revival.device_is_down:
            self._alerts.say("engine_failed", _ORT_SERVES if self._revival.backend else None)
        self._revival.served()
        self._second_waits, self._idle_since_s = word.second_waits, time.monotonic()
        if not self._guarded(lambda: self._file(word)):
            log.warning("the result in hand is kept until it can be written")

    def _on_death(self, word: Died) -> bool:
        log.error("%s", word.detail)
        if self._versions is None:
            return False
        self._second_waits = False
        forgiven = self._revival.after_death(word)
        if word.second:
            self._revival.without_second()
            self._alerts.say(
                "second_scoring", f"no film is scored a second time any more: {word.detail}"
            )
            return True
        if word.bad_engine:
            self._unfit = self._revival.unfit
            self._alerts.note("engine_output", word.detail)
            self._announce()
        elif forgiven:
            self._alerts.say("engine_failed", _ORT_SERVES)
        hand = self._hand
        # One that only loaded engines, or had given its outcome, says nothing of the film.
        scored = word.ready and self._unfiled is None
        if hand is not None and scored and self._stop_by_s is None:
            self._guarded(lambda: self._after_death(hand, word, forgiven=forgiven))
        return True

    def _after_death(self, hand: FilmInWork, word: Died, *, forgiven: bool) -> None:
        """Decide whether the film in work is tried again."""
        if word.bad_engine:
            # Not the film's fault: it waits for another engine.
            self._journal.give_back(hand.job)
        elif word.device_lost and self._revival.device_is_down:
            # The film before this one ended in the same way: this one waits for the engines.
            self._journal.give_back(hand.job)
            self._revival.without_engines()
            self._unfit = word.detail
            self._alerts.note("engines", word.detail)
            self._announce()
        elif word.outside:
            if self._journal.note_kill(hand.job, word.detail) >= _KILLS:
                self._refuse(Reason.WORKER_DIED, word.detail)
                return
        elif not forgiven:
            # Another back end is no second try of the same film on the same engines.
            reason = Reason.WORKER_TIMEOUT if word.timeout else Reason.WORKER_DIED
            if self._journal.note_death(hand.job, reason) >= _DEATHS:
                if word.device_lost:
                    self._revival.device_is_down = True
                    failed = f"a film was ended because the engines failed: {word.detail}"
                    self._alerts.say("engine_failed", failed)
                self._refuse(reason)
                return
        self._hand = replace(hand, decoded_s=None)

    # -- watching over everything -----------------------------------------------------------

    def _guarded(self, step: Callable[[], None], part: str = "films") -> bool:
        """Do a step that writes; a full disk or a locked journal pauses the intake, no more.

        ``part`` is what it belongs to: that another part can write ends no alert of this one's.
        """
        try:
            step()
        except (sqlite3.OperationalError, OSError) as error:
            # An OSError's own text holds the file's name, which may name a patient.
            detail = (error.strerror if isinstance(error, OSError) else str(error)) or "failed"
            self._unwritten[part] = detail
            if self._alerts.say("storage", "; ".join(self._unwritten.values())):
                log.error("cannot write: %s: tried again", detail)  # noqa: TRY400 - one line
            self._pause_until_s = time.monotonic() + 2.0
            return False
        self._unwritten.pop(part, None)
        if self._alerts.say("storage", "; ".join(self._unwritten.values())):
            log.info("writing works again")
        return True

    def _journal_is_in_place(self) -> bool:
        """False where somebody took the journal's files away: they are put back for a new start."""
        store = self._journal.store
        if store.is_in_place():
            return True
        if self._guarded(store.put_back, "journal"):
            log.error("the journal was moved, deleted or replaced while it was in use: put back")
            return False
        return True

    def _obey(self) -> None:
        """Do what dashboards asked of the folder."""
        while not self._sender.commands.empty():
            command = self._sender.commands.get()
            if command is Command.RESCAN:
                self._intake.forget(())
                continue
            self._paused = command is Command.PAUSE
            asked = "a dashboard asked that no film be taken until `resume`"
            self._alerts.say("paused", asked if self._paused else None)

    def _vouch(self, now_s: float) -> bool:
        """Whether there is real progress to tell systemd of.

        Not the intake's: a share that hangs is told in ``state``, and a restart mends nothing.
        """
        deadline_s = self._worker.deadline_s()
        working = deadline_s is None or now_s <= deadline_s
        return working and now_s - self._sender.standing().turned_s < _STALL_S

    def _intake_is_alive(self) -> bool:
        return self._versions is None or self._stop_by_s is not None or self._intake.is_alive()

    def _announce(self) -> None:
        presence = Presence.DEGRADED if self._degraded else Presence.ONLINE
        if self._versions is None:
            presence = Presence.STARTING
        if self._unfit:
            presence = Presence.UNFIT
        self._sender.announce(Announcement(presence, self._versions, self._alerts.standing()))

    def _health(self, outbox: Outbox) -> HealthMessage:
        """Figures for the topic ``health``; called on the sender's thread with its outbox."""
        head = outbox.store.head()
        depth = outbox.counts.depth()
        folder = self._intake.condition()
        standing = self._sender.standing()
        return HealthMessage(
            session=self._session,
            at=time.time(),
            uptime_s=time.monotonic() - self._started_s,
            folder_waiting=folder.waiting,
            folder_native=folder.native,
            folder_fault=folder.fault,
            outbox_depth=depth.rows,
            outbox_oldest_s=depth.oldest_s,
            jobs=Journal(outbox.store).counts(),
            disk_free_mib=shutil.disk_usage(self._places.pictures).free >> 20,
            temperature_c=temperature_c(),
            worker_restarts=self._revival.restarts,
            broker_reconnects=standing.reconnects,
            messages_dropped=standing.dropped,
            latency=standing.latency,
            recheck=self._recheck,
            journal_row=head.row,
            journal_head=head.mac,
        )
