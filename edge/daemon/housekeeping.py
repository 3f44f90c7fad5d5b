"""Housekeeping between films: disk, retention, the journal's log, the state of the folder.

Layer: daemon, on its thread; removes what retention allows, raises and clears alerts.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from edge.daemon.inbox import InboxFiles
from edge.daemon.inspection import Inspection
from edge.daemon.originals import OriginalFiles
from edge.journal.held import held_longer_than
from edge.journal.retention import tidy
from edge.journal.store import JournalError
from edge.operator.line import films, reasons
from edge.system.clock import wall_clock_is_set
from edge.system.disk import DiskGuard

if TYPE_CHECKING:
    from pathlib import Path

    from edge.config import Config
    from edge.daemon.alerts import Alerts
    from edge.intake.intakes import Intakes
    from edge.journal.journal import Journal
    from edge.journal.places import Places
    from edge.outputs.whois import Whois

log = logging.getLogger(__name__)

_TIDY_S = 600.0
_HELD_S = 5.0
_WHOIS_S = 60.0
_INSPECT_S = 0.012
"""Of each second, for the inspection of the journal: hardly more than one in a hundred."""


class Housekeeping:
    """The housekeeping of one run; `turn` may raise what a full disk or a locked journal raises.

    ``left_over`` are the jobs that an earlier run had claimed and not finished, by path: they are
    set aside where the folder does not hold their files any more.
    """

    def __init__(
        self,
        config: Config,
        root: Path,
        places: Places,
        journal: Journal,
        intake: Intakes,
        alerts: Alerts,
        left_over: dict[bytes, int],
        whois: Whois,
    ) -> None:
        self._retention = config.retention
        self._places = places
        self._journal = journal
        self._intake = intake
        self._alerts = alerts
        self._left_over = left_over
        self._whois = whois
        self._whois_at_s = 0.0
        self._looked_again: set[bytes] = set()
        self._originals = OriginalFiles(
            journal,
            intake.drop,
            alerts,
            config.folders.after,
            config.folders.watch.absolute(),
            places.archive,
            places.inbox.absolute(),
        )
        self._inbox = InboxFiles(journal, intake.inbox, alerts, places.inbox.absolute())
        self._disk = DiskGuard(
            root,
            min_free_mib=config.retention.min_free_mib,
            reserve_mib=config.retention.reserve_mib,
        )
        self._inspection = Inspection(journal.store)
        self._tidy_at_s = time.monotonic() + _TIDY_S / 10
        self._held_alert_s = config.operator.held_alert_s
        self._held_at_s = 0.0

    @property
    def disk_low(self) -> bool:
        """Whether there is too little disk to take a film."""
        return self._disk.low

    def turn(self) -> None:
        """Do what is due."""
        self._look_for_left_over()
        self._look_at_disk()
        pinned = "a program holds the journal open: its log grows"
        self._alerts.update("journal_pinned", None if self._journal.store.shorten_log() else pinned)
        if time.monotonic() >= self._tidy_at_s:
            self._tidy_at_s = time.monotonic() + _TIDY_S
            self._tidy()
        for fault in self._inspection.turn(_INSPECT_S):
            log.error("journal: %s", fault.detail)
            self._alerts.update(*fault)
        # Each once: a file that is gone must not have the folder listed for ever.
        again = set(self._journal.look_again())
        if again - self._looked_again:
            self._intake.forget(again - self._looked_again)
        self._looked_again = again
        condition = self._intake.condition()
        self._alerts.update("folder", condition.fault)
        self._alerts.update("inbox", self._intake.inbox.condition().fault)
        self._alerts.update("unreadable", condition.unreadable)
        self._originals.turn()
        self._inbox.turn()
        self._look_for_held()
        self._tidy_whois()

    def _tidy_whois(self) -> None:
        if time.monotonic() >= self._whois_at_s:
            self._whois_at_s = time.monotonic() + _WHOIS_S
            self._whois.tidy()
        self._alerts.update("whois", self._whois.fault)

    def _look_for_held(self) -> None:
        """Raise or clear the alert of films that wait for a person for too long."""
        if time.monotonic() < self._held_at_s:
            return
        self._held_at_s = time.monotonic() + _HELD_S
        held = held_longer_than(self._journal.store.db, self._held_alert_s)
        detail = (
            f"{films(sum(held.values()))} held for longer than {_length(self._held_alert_s)}: "
            f"{reasons(held)}; fix: sharpedge held"
        )
        self._alerts.update("films_held", detail if held else None)

    def _look_for_left_over(self) -> None:
        if not self._left_over or (present := self._intake.first_listing()) is None:
            return
        gone = [job for path, job in self._left_over.items() if path not in present]
        self._journal.set_aside_vanished(self._left_over, present)
        self._left_over = {}
        if gone:
            log.error("jobs %s: their files vanished before they were scored", gone)
            self._alerts.update("film_vanished", f"jobs {gone}: the files vanished before scoring")

    def _look_at_disk(self) -> None:
        if not self._disk.look():
            return
        if self._disk.low:
            self._alerts.update("disk_low", "free disk is below min_free_mib: no film is taken")
            # Remove what may go now rather than at the next turn.
            self._tidy_at_s = 0.0
        elif self._alerts.update("disk_low", None):
            log.info("enough disk is free again: films are taken")

    def _tidy(self) -> None:
        try:
            removed = tidy(
                self._journal.store,
                self._places,
                self._retention,
                in_folder=self._intake.latest_listing(),
                now_unix_s=time.time() if wall_clock_is_set() else None,
            )
        except JournalError as error:
            self._alerts.update("journal_chain", str(error))
            return
        if removed.anything:
            log.info("retention: %s", removed)
        if self._alerts.update("retention", _beyond(removed.beyond)) and removed.beyond:
            log.warning("retention: %s", _beyond(removed.beyond))


def _beyond(limits: tuple[str, ...]) -> str | None:
    names = " and ".join(f"retention.{name}" for name in limits)
    return (
        f"held films and what waits for delivery need more than {names}: none of it is removed; "
        "fix: sharpedge status says what waits and why; release held films, or raise the limit"
        if limits
        else None
    )


def _length(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"
