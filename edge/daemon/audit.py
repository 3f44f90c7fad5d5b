"""The audit: shows that every film is in exactly one state, or names what is missing or changed.

`edge.daemon.audit_checks` holds the checks; memory does not grow with the journal.

Layer: daemon; reads journal, watched folder, state folder and broker, writes nothing.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.daemon.audit_checks import Checks, Limits
from edge.daemon.audit_finding import Fault, Finding
from edge.daemon.state_folder import appliance_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.daemon.audit_checks import Check
    from edge.intake.watch import Folder
    from edge.journal.chain import Head
    from edge.journal.places import Places
    from edge.journal.store import Store

__all__ = ["Fault", "Finding", "Limits", "Report", "as_json", "as_text", "audit", "bounded"]

_AGAIN_S = 1.5
_LOOKS = 3
_SHOWN = 1000
_WAITING = frozenset({Fault.OVERDUE, Fault.REFUSED, Fault.STOPPED})


@dataclass(frozen=True)
class Report:
    """What an audit found. ``states`` counts films by state, ``seen`` among them."""

    findings: tuple[Finding, ...]
    states: dict[str, int]
    head: Head
    running: bool

    @property
    def exit_status(self) -> int:
        """0 all proved; 1 something is missing, changed or given up; 3 something only waits."""
        if any(it.fault not in _WAITING for it in self.findings):
            return 1
        return 3 if self.findings else 0


def audit(
    store: Store,
    places: Places,
    folder: Folder,
    limits: Limits,
    published: Callable[[], Sequence[Head]] = tuple,
) -> Report:
    """Walk chain, tables, our own folders and the watched one.

    ``published`` gives heads that retained messages hold, and is asked last: rows that they tell
    of must be there. While the appliance runs a finding counts only if it stays.
    """
    running = appliance_runs(places.pictures.parent)
    checks = Checks(store, places, folder, limits, running=running)
    states: Counter[str] = Counter()
    findings: list[Finding] = []
    suspicious: list[tuple[Check, list[Finding]]] = []
    for check in checks.all():
        found = list(check())
        states.update(checks.take_counts())
        if found and running:
            suspicious.append((check, found))
        else:
            findings += found
    for _ in range(_LOOKS if suspicious else 0):
        time.sleep(_AGAIN_S)
        checks.refresh()
        suspicious = [(check, _stays(found, list(check()))) for check, found in suspicious]
        checks.take_counts()
        suspicious = [(check, found) for check, found in suspicious if found]
        if not suspicious:
            break
    findings += [it for _, found in suspicious for it in found]
    if not running:
        what = "does not run: no film is taken, nothing is delivered; fix: start it"
        findings.append(Finding(Fault.STOPPED, "appliance", what))
    findings += checks.published(published())
    return Report(bounded(findings), dict(+states), store.head(), running)


def _stays(before: list[Finding], again: list[Finding]) -> list[Finding]:
    known = {(it.fault, it.subject) for it in before}
    return [it for it in again if (it.fault, it.subject) in known]


def bounded(findings: list[Finding]) -> tuple[Finding, ...]:
    """The gravest first, and a count of those that are too many to be shown."""
    ordered = sorted(findings, key=lambda it: it.fault in _WAITING)
    if len(ordered) <= _SHOWN:
        return tuple(ordered)
    rest = ordered[_SHOWN:]
    more = Finding(rest[0].fault, "more", f"{len(rest)} more findings are not shown")
    return (*ordered[:_SHOWN], more)


def as_text(report: Report, notice: str) -> str:
    """Lines for a person."""
    states = ", ".join(f"{n} {state}" for state, n in sorted(report.states.items())) or "none"
    proved = all(it.fault in {Fault.STOPPED, Fault.REFUSED} for it in report.findings)
    verdict = [
        *(("every film is in exactly one state",) if proved else ()),
        *((f"{len(report.findings)} findings",) if report.findings else ()),
    ]
    lines = [
        *map(str, report.findings),
        f"films: {states}",
        f"journal: row {report.head.row}, head {report.head.mac[:16]}",
        f"appliance: {'runs' if report.running else 'does not run'}",
        f"audit: {', '.join(verdict)}. {notice}",
    ]
    return "\n".join(lines)


def as_json(report: Report) -> str:
    """One JSON object for a script."""
    return json.dumps(
        {
            "findings": [vars(it) for it in report.findings],
            "states": report.states,
            "journal_row": report.head.row,
            "journal_head": report.head.mac,
            "running": report.running,
            "exit_status": report.exit_status,
        }
    )
