"""A status as text for a terminal of 80 columns.

Layer: sharpedge; text only.
"""

from __future__ import annotations

import textwrap
import time
from typing import TYPE_CHECKING

from edge.model import DISCLAIMER
from edge.pipeline.picture.words import reason_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edge.model import Subtotal
    from edge.operator.protocol import HeldFilm, LastResult, Live, Status

WIDTH = 80
_NOTICE = f"{DISCLAIMER.capitalize()}."
_STOPPED = "The appliance does not run: read from its journal."
_FILE = 24


def status_text(it: Status) -> str:
    """All of it: one block a subject, blank lines between."""
    blocks = [
        list(_head(it)),
        list(_waiting(it)),
        list(_held(it)),
        list(_results(it.results)),
        list(_rejected(it)),
        list(_decisions(it)),
        list(_alerts(it.live)),
        list(_foot(it)),
    ]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def held_text(it: Status) -> str:
    """The films that are held alone."""
    lines = list(_held(it)) or ["No film is held."]
    stopped = [] if it.running else [_STOPPED]
    return "\n".join([*stopped, *lines, _NOTICE])


def age(seconds: float) -> str:
    """A length of time in its largest unit, e.g. ``12 min``."""
    for unit, size_s in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size_s or (size_s == 60 and seconds >= size_s):
            return f"{int(seconds // size_s)} {unit}"
    return f"{int(seconds)} s"


def shortened(text: str, width: int) -> str:
    """A text with its middle left out where it is longer than ``width``."""
    if len(text) <= width:
        return text
    end = (width - 1) // 2
    return f"{text[: width - 1 - end]}~{text[len(text) - end :]}"


def _head(it: Status) -> Iterator[str]:
    state = f"{it.state}, for {age(it.live.uptime_s)}" if it.live else it.state
    yield f"sharpedge {it.software}  {it.device}  {state}"
    yield from textwrap.wrap(f"{it.line[:1].upper()}{it.line[1:]}.", WIDTH)
    if not it.running:
        yield _STOPPED


def _waiting(it: Status) -> Iterator[str]:
    if it.waiting:
        yield "Waiting"
        for row in it.waiting:
            yield from _wrapped(f"  {row.what:<15}{row.count:>5}  ", row.why)


def _held(it: Status) -> Iterator[str]:
    if not it.held:
        return
    yield f"Held for a person: {it.held_total}"
    yield f"  {'job':>6}  {'age':<8}{'shows':<10}{'reason':<20}file"
    for film in it.held:
        yield from _held_film(film)
    if it.held_total > len(it.held):
        yield f"  and {it.held_total - len(it.held)} more"


def _held_film(film: HeldFilm) -> Iterator[str]:
    shows = str(film.limb or "?")
    reason = film.reason.replace("_", " ")
    name = shortened(film.file, WIDTH - 48)
    yield f"  {film.job:>6}  {age(film.age_s):<8}{shows:<10}{reason:<20}{name}"
    yield from _wrapped(" " * 10, f"{film.meaning}{contradiction(film)}: {film.advice}")
    if film.copy_path is not None:
        yield f"          picture     {film.copy_path}"
    for says, command in film.commands.items():
        yield f"          {says:<12}{command}"


def _results(results: Sequence[LastResult]) -> Iterator[str]:
    if results:
        yield "Last results"
        yield (
            f"  {'job':>6}  {'time':<12}{'limb':<7}{'ero':>6}{'jsn':>6}{'n':>6}{'ms':>6}  "
            f"{'delivery':<10}file"
        )
    for it in results:
        limb = f"{it.side or '?'} {it.limb or '?'}"
        erosion = narrowing = "-"
        if it.subtotals is not None:
            erosion, narrowing = _sum(it.subtotals.erosion), _sum(it.subtotals.narrowing)
        ms = "-" if it.machine_ms is None else f"{it.machine_ms:.0f}"
        yield (
            f"  {it.job:>6}  {clock(it.at):<12}{limb:<7}{erosion:>6}{narrowing:>6}"
            f"{f'{it.n_scored}/{it.n_expected}':>6}{ms:>6}  {it.delivery:<10}"
            f"{shortened(it.file, 15)}"
        )
        if it.subtotals is None:
            yield from _wrapped(" " * 10, outcome(it))


def _sum(subtotal: Subtotal) -> str:
    return "-" if subtotal.score is None else str(subtotal.score)


def _rejected(it: Status) -> Iterator[str]:
    if it.rejected:
        yield "Rejected lately"
    for film in it.rejected:
        name = shortened(film.file, _FILE)
        yield from _wrapped(
            f"  {film.job:>6}  {clock(film.at):<12}{name}: ", f"{film.meaning}; fix: {film.advice}"
        )


def _decisions(it: Status) -> Iterator[str]:
    if it.decisions:
        yield "Decided lately"
    for row in it.decisions:
        yield f"  {row.job:>6}  {clock(row.at):<12}{row.what} by {row.operator}"


def _alerts(live: Live | None) -> Iterator[str]:
    if live is not None and live.alerts:
        yield "Alerts"
        for alert in live.alerts:
            yield from _wrapped(f"  {alert.code}: ", alert.detail)


def _foot(it: Status) -> Iterator[str]:
    if it.outbox_rows or it.outbox_set_aside:
        yield (
            f"Outbox: {it.outbox_rows} wait, the oldest for {age(it.outbox_oldest_s)}; "
            f"{it.outbox_set_aside} set aside"
        )
    if it.pacs_rows or it.pacs_set_aside:
        yield (
            f"PACS: {it.pacs_rows} documents wait, the oldest for {age(it.pacs_oldest_s)}; "
            f"{it.pacs_set_aside} set aside"
        )
    if it.machine_p50_ms is not None:
        yield f"Machine time, median of the last results: {it.machine_p50_ms:.0f} ms"
    if it.live is not None and it.live.latency.p50_ms is not None:
        found = it.live.latency
        yield (
            f"From file to broker: median {found.p50_ms:.0f} ms, 99 % within "
            f"{found.p99_ms:.0f} ms ({found.count} films)"
        )
    if it.live is not None and it.live.versions is not None:
        engines = ", ".join(f"{k} {v[:8]}" for k, v in it.live.versions.engines.items())
        yield from _wrapped(f"Versions: software {it.live.versions.software}; ", engines, hang=2)
    yield _NOTICE


def contradiction(film: HeldFilm) -> str:
    """What was stated of a held film that speaks against it, in brackets; empty without any."""
    told = [flag for flag in film.flags if " " in flag]
    return f" ({'; '.join(told)})" if told else ""


def outcome(it: LastResult) -> str:
    """Status of a limb, and why it has no grades, in words."""
    status = it.status.replace("_", " ")
    return status if it.reason is None else f"{status}: {reason_words(it.reason)}"


def clock(at: float) -> str:
    """A moment on this machine's clock: the hour today, else month and day too."""
    then = time.localtime(at)
    today = then[:3] == time.localtime()[:3]
    return time.strftime("%H:%M:%S" if today else "%m-%d %H:%M", then)


def _wrapped(first: str, text: str, hang: int | None = None) -> Iterable[str]:
    """A text in lines of the terminal's width; those after the first are indented."""
    after = " " * (min(len(first), 24) if hang is None else hang)
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=after, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
