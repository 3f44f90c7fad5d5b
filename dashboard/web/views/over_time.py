"""A study with both sides beside each other, and a patient over time.

Layer: dashboard; views.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from dashboard.history import (
    COMPARED,
    DETECTABLE,
    PLACES,
    SOURCE,
    Visit,
    change,
    joint_changes,
    visits_of,
)
from dashboard.output.tables import KINDS, as_file
from dashboard.scores import limb_words
from dashboard.store import films
from dashboard.web.views.film import message_of
from edge.contract.payloads import ResultMessage, StudyMessage
from edge.contract.vocabulary import PARTIAL_SVH_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response

    from dashboard.web.site import Asked

_PSEUDONYM = re.compile(r"[0-9a-f]{32}")
_WIDTH, _HEIGHT, _MARGIN, _SIDE = 640, 220, 34, 60
_HEADER = (
    "date", *(f"{place} erosion / narrowing" for place in PLACES), PARTIAL_SVH_NAME,
    "change since the film before", "change since the first film",
)  # fmt: skip


@dataclass(frozen=True)
class Point:
    """A visit in the chart: its place in pixels, its day and change in words."""

    x: float
    y: float
    day: str
    words: str


@dataclass(frozen=True)
class Chart:
    """Changes over time; ``band`` is top and height of those under the smallest detectable one."""

    points: tuple[Point, ...]
    band: tuple[float, float]
    line: str
    width: int = _WIDTH
    height: int = _HEIGHT


def study(it: Asked) -> Response:
    """Show a study: the result that counts of each limb, left and right beside each other."""
    name = it.request.path_params["name"]
    rows = _rows(it, "study", name)
    if not rows:
        return it.missing("There is no such study.")
    latest: dict[str, Any] = {}
    for row in sorted(rows, key=lambda one: (one.film_s, one.sequence)):
        if row.superseded_by is None and row.side and row.limb and row.kind == "result":
            latest[f"{row.side}{row.limb[0].upper()}"] = row
    with it.site.database.reading() as connection:
        pictured = films.placed_of(connection, [row.pk for row in latest.values()])
        said = films.study_messages(connection, name)
    limbs = {place: message_of(row) for place, row in latest.items()}
    graded = {key: it for key, it in limbs.items() if isinstance(it, ResultMessage)}
    total = Visit(date.min, name, graded).total
    return it.render(
        "study.html", name=name, rows=rows, latest=latest, pictured=pictured,
        pairs=(("LH", "RH"), ("LF", "RF")), total=total, said_of_study=_said(said),
        total_name=PARTIAL_SVH_NAME, patient=rows[-1].patient, devices=_devices(rows),
        words={"LH": "left hand", "RH": "right hand", "LF": "left foot", "RF": "right foot"},
    )  # fmt: skip


def patient(it: Asked) -> Response:
    """Show a patient's films over time."""
    name = it.request.path_params["name"]
    rows = _rows(it, "patient", name)
    if not rows:
        return it.missing("There is no such patient.")
    visits = _visits(rows)
    changes = [] if len(visits) < 2 else _joints(visits[0], visits[-1])
    return it.render(
        "patient.html", name=name, header=_HEADER, visits=list(zip(visits, table_of(visits),
        strict=True)), chart=chart_of(visits), changes=changes, devices=_devices(rows),
        source=SOURCE, compared=COMPARED, joined=rows[-1].joined,
    )  # fmt: skip


def export(it: Asked) -> Response:
    """Give a patient's films over time as a file."""
    name, kind = it.request.path_params["name"], it.request.path_params["kind"]
    rows = _rows(it, "patient", name)
    if not rows or kind not in KINDS:
        return it.missing("There is no such file.")
    with it.site.database.writing() as connection:
        it.note(connection, "export", f"patient.{kind} {name}")
    table = table_of(_visits(rows))
    title = f"Films of {name} over time"
    return as_file(kind, title, f"patient-{name[:8]}", _HEADER, table, (SOURCE, COMPARED))


def table_of(visits: Sequence[Visit]) -> list[list[str]]:
    """Rows of the table: one for each visit, a dash where there is nothing."""
    rows = []
    for number, visit in enumerate(visits):
        total = visit.total
        score = "-"
        if total is not None and total.score is not None:
            score = f"{total.score} ({total.n_scored} grades)"
        rows.append([
            f"{visit.day:%Y-%m-%d}",
            *(_limb(visit.limbs.get(place)) for place in PLACES),
            score,
            change(visits[number - 1], visit).words if number else "first film",
            change(visits[0], visit).words if number else "-",
        ])  # fmt: skip
    return rows


def chart_of(visits: Sequence[Visit]) -> Chart | None:
    """Changes since the first visit, with the smallest detectable change; None under two.

    Each counts the joints alone that have a grade on both dates, so that they can be compared.
    """
    if len(visits) < 2 or visits[0].day == visits[-1].day:
        return None
    found = [(visit.day, change(visits[0], visit).sum) for visit in visits[1:]]
    drawn = [(visits[0].day, 0), *((day, it) for day, it in found if it is not None)]
    if len(drawn) < 2:
        return None
    low = min(-DETECTABLE, *(it for _, it in drawn))
    span = max(DETECTABLE, *(it for _, it in drawn)) - low
    days = (visits[-1].day - visits[0].day).days

    def y_of(it: float) -> float:
        return round(_HEIGHT - _MARGIN - (it - low) / span * (_HEIGHT - 2 * _MARGIN), 1)

    points = tuple(
        Point(
            round(_SIDE + (day - drawn[0][0]).days / days * (_WIDTH - 2 * _SIDE), 1),
            y_of(it), f"{day:%Y-%m-%d}", f"{it:+d}" if it else "0",
        )
        for day, it in drawn
    )  # fmt: skip
    top = y_of(DETECTABLE)
    band = (top, round(y_of(-DETECTABLE) - top, 1))
    return Chart(points, band, " ".join(f"{it.x},{it.y}" for it in points))


def _joints(first: Visit, last: Visit) -> list[tuple[str, str, str, int, int]]:
    """Joints whose grade differs between the first and the last visit."""
    return [
        (limb_words(place[0], last.limbs[place].limb), row.joint, row.kind, row.first, row.last)
        for place in PLACES
        if place in first.limbs and place in last.limbs
        for row in joint_changes(first.limbs[place], last.limbs[place])
        if row.first is not None and row.last is not None and row.change
    ]


def _said(payloads: Sequence[str]) -> StudyMessage | None:
    """What the device said last of a study; None where nothing of this contract is kept."""
    try:
        return StudyMessage.model_validate_json(payloads[0]) if payloads else None
    except ValidationError:
        return None


def _limb(result: ResultMessage | None) -> str:
    if result is None:
        return "-"
    if result.subtotals is None:
        return "not graded"
    parts = (result.subtotals.erosion, result.subtotals.narrowing)
    return " / ".join("-" if part.score is None else str(part.score) for part in parts)


def _visits(rows: Sequence[Any]) -> list[Visit]:
    counting = [row for row in rows if row.superseded_by is None and row.kind == "result"]
    return visits_of((row.pk, message) for row, message in _results(counting))


def _results(rows: Sequence[Any]) -> list[tuple[Any, ResultMessage]]:
    found = [(row, message_of(row)) for row in rows]
    return [(row, message) for row, message in found if isinstance(message, ResultMessage)]


def _rows(it: Asked, column: str, name: str) -> Sequence[Any]:
    if not _PSEUDONYM.fullmatch(name):
        return []
    with it.site.database.reading() as connection:
        return films.films_of(connection, column, name)


def _devices(rows: Sequence[Any]) -> list[str]:
    return sorted({row.device for row in rows})
