"""The worklist, and its rows as a file.

Layer: dashboard; views.
"""

from __future__ import annotations

import math
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from dashboard.output.tables import as_file
from dashboard.scores import limb_words, reason_words
from dashboard.store import worklist
from dashboard.store.devices import devices
from dashboard.store.rows import printable
from dashboard.store.worklist import SHOWN, Wanted
from dashboard.web.site import clock

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams
    from starlette.responses import Response

    from dashboard.web.site import Asked

_AFTER = re.compile(r"([0-2])_(\d{1,12}(?:\.\d{1,9})?)_(\d{1,9})")
EXPORT_ROWS = {"csv": 10_000, "xlsx": 10_000, "pdf": 1000}
_HEADER = (
    "film arrived (UTC)", "device", "limb", "status", "reason", "erosion", "narrowing",
    "joints graded", "of", "latency ms", "read by", "study", "patient", "identifiers", "result",
)  # fmt: skip


def show(it: Asked) -> Response:
    """Show a page of films, with what needs a person first."""
    wanted = _wanted(it.request.query_params)
    stale_s = it.site.settings.web.stale_s
    with it.site.database.reading() as connection:
        page = worklist.page_of(connection, wanted)
        all_devices = devices(connection, time.time(), stale_s)
        counts = worklist.counts(connection)
    query = {"show": wanted.shown, "q": wanted.words, "device": wanted.device}
    kept = {key: value for key, value in query.items() if value}
    more = None if page.next is None else urlencode({**kept, "after": _text(page.next)})
    return it.render(
        "worklist.html", page=page, wanted=wanted, counts=counts, shown=SHOWN, more=more,
        unwell=[one for one in all_devices if not one.is_well],
        devices=[one.name for one in all_devices], query=urlencode(kept),
        tabs={one: urlencode({**kept, "show": one}) for one in SHOWN},
    )  # fmt: skip


def export(it: Asked) -> Response:
    """Give the rows that the same search shows, as a file."""
    kind = it.request.path_params["kind"]
    if kind not in EXPORT_ROWS:
        return it.missing("There is no such file: csv, xlsx or pdf.")
    wanted = _wanted(it.request.query_params)
    with it.site.database.writing() as connection:
        page = worklist.page_of(connection, wanted, EXPORT_ROWS[kind])
        it.note(connection, "export", f"worklist.{kind}, {len(page.rows)} rows")
    title = "Worklist" if page.next is None else f"Worklist, the first {len(page.rows)} rows"
    return as_file(kind, title, "worklist", _HEADER, map(_cells, page.rows))


def _cells(row: Any) -> tuple[object, ...]:
    return (
        clock(row.film_s), row.device, limb_words(row.side, row.limb),
        "replaced" if row.superseded_by else row.decided or row.status,
        reason_words(row.reason), row.erosion, row.narrowing, row.n_scored, row.n_expected,
        None if row.latency_ms is None else round(row.latency_ms), row.read_by, row.study,
        row.patient, row.joined, row.id,
    )  # fmt: skip


def _wanted(query: QueryParams) -> Wanted:
    shown = query.get("show", "")
    after = _AFTER.fullmatch(query.get("after", ""))
    return Wanted(
        shown if shown in SHOWN else "all",
        printable(query.get("q", "")[:200]).replace("\N{REPLACEMENT CHARACTER}", " ").strip(),
        printable(query.get("device", "")[:200]),
        (int(after[1]), float(after[2]), int(after[3])) if after else None,
    )


def _text(after: tuple[int, float, int]) -> str:
    """Write a key so that the same number is read again."""
    attention, film_s, pk = after
    whole = f"{film_s:.9f}".rstrip("0").rstrip(".") if math.isfinite(film_s) else "0"
    return f"{attention}_{whole}_{pk}"
