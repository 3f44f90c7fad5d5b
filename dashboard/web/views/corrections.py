"""The grades that readers stated, and the data set that is made of them.

Layer: dashboard; views.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from dashboard.output.dataset import lines_of
from dashboard.store import films

if TYPE_CHECKING:
    from dashboard.web.site import Asked


def show(it: Asked) -> Response:
    """Show the films on which readers stated grades."""
    with it.site.database.reading() as connection:
        rows = films.corrected_films(connection)
        stated = {row.pk: films.corrections_of(connection, row.pk) for row in rows[-200:]}
    return it.render("corrections.html", rows=rows[-200:][::-1], stated=stated, number=len(rows))


def export(it: Asked) -> Response:
    """Give the data set ``truth.jsonl``."""
    with it.site.database.writing() as connection:
        lines = lines_of(connection)
        it.note(connection, "export", f"truth.jsonl, {len(lines)} films")
    headers = {"content-disposition": 'attachment; filename="truth.jsonl"'}
    return Response("".join(lines), media_type="application/jsonl", headers=headers)
