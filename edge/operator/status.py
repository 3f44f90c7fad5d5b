"""Puts together how the appliance is, from the journal and from what the daemon knows.

Layer: operator; reads the journal over a `JournalView`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edge import __version__
from edge.operator.line import reasons
from edge.operator.protocol import Status, Waiting
from edge.operator.reading import machine_median_ms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.journal.rows import Depth
    from edge.operator.protocol import Live
    from edge.operator.reading import JournalView

_HINDRANCES = ("paused", "disk_low", "storage", "folder", "engines")
"""Alerts that keep films in the folder waiting."""
_PACS_HINDRANCES = (
    "pacs", "pacs_commitment", "pacs_hangs", "pacs_listener", "pacs_outbox", "documents",
)  # fmt: skip
"""Alerts that keep documents waiting."""


def compose(view: JournalView, live: Live | None, device: str) -> Status:
    """Compose the status; ``live`` is None where no appliance runs. Raises `sqlite3.Error`."""
    held, depth, results = view.held_reasons(), view.outbox(), view.results()
    pacs = view.pacs()
    films = view.films()
    return Status(
        at=time.time(),
        device=device,
        running=live is not None,
        state="stopped" if live is None else live.presence,
        line=view.line(live),
        waiting=tuple(_waiting(live, held, depth, pacs, films)),
        held=view.held(),
        held_total=sum(held.values()),
        rejected=view.rejected(),
        results=results,
        decisions=view.decisions(),
        films=films,
        outbox_rows=depth.rows,
        outbox_oldest_s=depth.oldest_s,
        outbox_set_aside=depth.set_aside,
        pacs_rows=pacs.rows,
        pacs_oldest_s=pacs.oldest_s,
        pacs_set_aside=pacs.set_aside,
        machine_p50_ms=machine_median_ms(results),
        live=live,
        software=__version__,
    )


def _waiting(
    live: Live | None, held: dict[str, int], depth: Depth, pacs: Depth, films: dict[str, int]
) -> Iterator[Waiting]:
    if live is not None and live.folder_waiting:
        why = _why_in_folder(live)
        yield Waiting(what="in the folder", count=live.folder_waiting, why=why)
    claimed = films.get("claimed", 0)
    if claimed:
        why = "being scored" if live is not None else "go on when the appliance starts"
        yield Waiting(what="at work", count=claimed, why=why)
    if held:
        why = f"for a person: {reasons(held)}"
        yield Waiting(what="held", count=sum(held.values()), why=why)
    if depth.rows:
        yield Waiting(what="for the broker", count=depth.rows, why=_why_unsent(live))
    if pacs.rows:
        yield Waiting(what="for the PACS", count=pacs.rows, why=_why_undocumented(live))


def _why_in_folder(live: Live) -> str:
    for alert in live.alerts:
        if alert.code in _HINDRANCES:
            return alert.detail
    if live.presence == "starting":
        return "the engines are being loaded"
    if live.presence == "unfit":
        return "no engine may be used"
    return "their turn, or still being written"


def _why_undocumented(live: Live | None) -> str:
    if live is None:
        return "the appliance does not run"
    for alert in live.alerts:
        if alert.code in _PACS_HINDRANCES:
            return alert.detail
    return "being made, or the PACS's word that it keeps them"


def _why_unsent(live: Live | None) -> str:
    if live is None:
        return "the appliance does not run"
    if not live.connected:
        return f"no connection to {live.broker}"
    return "a dashboard's receipt, or the broker's word"
