"""Devices, and the messages that were not understood.

Layer: dashboard; views.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dashboard.output.tables import KINDS, as_file
from dashboard.store.devices import devices, measured, problems
from dashboard.web.site import clock

if TYPE_CHECKING:
    from starlette.responses import Response

    from dashboard.web.site import Asked

_DIGITS = 6
_HEADER = (
    "device", "state", "last seen (UTC)", "software", "films waiting", "messages waiting",
    "held", "disk free MiB", "latency p50 ms", "latency p99 ms", "alerts",
)  # fmt: skip


CARDS = 60
"""So many devices on a page."""


def show(it: Asked) -> Response:
    """Show the devices as they last spoke, those first that somebody must look at."""
    stale_s = it.site.settings.web.stale_s
    asked = it.request.query_params.get("page", "")
    number = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < _DIGITS else 1
    with it.site.database.reading() as connection:
        found = devices(connection, time.time(), stale_s)
        found.sort(key=lambda one: (one.is_well, one.name))
        pages = max(1, -(-len(found) // CARDS))
        number = min(max(1, number), pages)
        shown = measured(connection, found[(number - 1) * CARDS : number * CARDS])
    return it.render(
        "devices.html", devices=shown, stale_s=stale_s, number=number,
        page_count=pages,
        total=len(found),
    )  # fmt: skip


def export(it: Asked) -> Response:
    """Give the table of devices as a file."""
    kind = it.request.path_params["kind"]
    if kind not in KINDS:
        return it.missing("There is no such file.")
    with it.site.database.writing() as connection:
        it.note(connection, "export", f"devices.{kind}")
        found = devices(connection, time.time(), it.site.settings.web.stale_s)
        found = measured(connection, found)
    rows = [
        (
            one.name, one.presence, clock(one.seen_s),
            one.state.versions.software if one.state and one.state.versions else None,
            *((one.health.folder_waiting, one.health.outbox_depth,
               one.health.jobs.get("held", 0), one.health.disk_free_mib)
              if one.health else (None,) * 4),
            one.p50_ms and round(one.p50_ms), one.p99_ms and round(one.p99_ms),
            "; ".join(f"{it.code}: {it.detail}" for it in one.alerts),
        )
        for one in found
    ]  # fmt: skip
    return as_file(kind, "Devices", "devices", _HEADER, rows)


def show_problems(it: Asked) -> Response:
    """Show the messages that were not understood."""
    with it.site.database.reading() as connection:
        number, latest = problems(connection)
    return it.render("problems.html", number=number, latest=latest)
