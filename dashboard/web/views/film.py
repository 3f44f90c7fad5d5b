"""One film: picture with boxes, joints, corrections, and the decision about a held one.

Layer: dashboard; views.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from starlette.responses import Response

from dashboard.people.roles import Need
from dashboard.scores import KINDS, limb_words, maximum_of, name_of, step_of
from dashboard.store import films
from dashboard.store.rows import printable
from dashboard.web.site import redirect
from dashboard.web.views.overlay import Overlay, overlay_of
from edge.contract.ids import DeviceName
from edge.contract.payloads import OperatorMessage, RejectMessage, ResultMessage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from dashboard.web.site import Asked
    from edge.contract.vocabulary import JointScore

ORDERS = ("release", "dismiss", "retry")
_NONE = "none"
_NO_BROKER = "the broker cannot be reached: try again"
_WHICH = "State limb and side: a film is released as you say, whatever the machine saw."
_STEPS = (
    ("picked up", "picked_up"), ("decoded", "decoded"), ("graded", "inferred"),
    ("queued", "queued"), ("sent", "sent"),
)  # fmt: skip


@dataclass(frozen=True)
class Grade:
    """A joint's grade of one kind: the machine's, and a reader's beside it.

    ``maximum`` is None where the method has no such grade.
    """

    kind: str
    maximum: int | None
    machine: int | None
    expected: float | None
    reason: str | None
    reader: Any = None

    @property
    def is_corrected(self) -> bool:
        """Whether a reader states another grade than the machine."""
        return self.reader is not None and getattr(self.reader, self.kind) != self.machine

    @property
    def current(self) -> int | None:
        """The reader's grade where there is one, else the machine's."""
        return getattr(self.reader, self.kind) if self.reader is not None else self.machine


@dataclass(frozen=True)
class JointRow:
    """A row of the table of joints."""

    name: str
    joint: JointScore
    step: int | None
    grades: tuple[Grade, Grade]


def show(it: Asked) -> Response:
    """Show a film."""
    pk = it.key()
    with it.site.database.reading() as connection:
        row = films.film(connection, pk)
        if row is None:
            return it.missing("There is no such film.")
        picture = films.picture_of(connection, pk)
        stated = films.corrections_of(connection, pk)
        orders = films.orders_of(connection, pk)
        later = films.film_of_id(connection, row.device_pk, row.superseded_by)
        earlier = films.film_of_id(connection, row.device_pk, row.supersedes)
    message = message_of(row)
    if message is None:
        return it.missing("This film was stored by a release with another contract.")
    return it.render(
        "film.html", row=row, message=message, joints=joint_rows(message, stated),
        picture=None if picture is None else _overlay(picture, message),
        orders=orders, later=later, earlier=earlier, stages=stages_of(message), stated=stated,
        can_decide=it.may(Need.DECIDE) and _is_open(row), refused=_was_refused(orders),
        can_correct=it.may(Need.CORRECT),
    )  # fmt: skip


def picture(it: Asked) -> Response:
    """Give the picture of a film."""
    with it.site.database.reading() as connection:
        found = films.picture_of(connection, it.key())
    if found is None:
        return it.missing("There is no picture of this film.")
    return Response(found.jpeg, media_type="image/jpeg")


def mark_read(it: Asked) -> Response:
    """Note that the person has read a film's result."""
    with it.site.database.writing() as connection:
        row = films.film(connection, it.key())
        if row is not None:
            films.mark_read(connection, row.pk, it.person.name)
            it.note(connection, "read", row.id)
    if row is None:
        return it.missing("There is no such film.")
    it.site.changes.tell()
    back = it.form.get("back", "")
    return redirect(f"/study/{row.study}" if back == "study" else f"/film/{row.pk}")


def order(it: Asked) -> Response:
    """Send a person's decision about a held film to its device."""
    command = it.request.path_params["command"]
    if command not in ORDERS:
        return it.missing("There is no such decision.")
    correlation = uuid.uuid4().hex
    with it.site.database.writing() as connection:
        row = films.film(connection, it.key())
        is_open = row is not None and _is_open(row)
        message = _order(command, row.id, it.person.name, it.form) if is_open else None
        if message is not None:
            _keep_order(it, connection, row, message, correlation)
    if row is None:
        return it.missing("There is no such film.")
    if message is None:
        it.say(_WHICH if is_open else "This film does not wait for a decision any more.")
        return redirect(f"/film/{row.pk}")
    device = DeviceName.parse(row.device)
    if device is not None and it.site.orders.order(device, message, correlation):
        it.say("Sent to the device; its answer appears below.")
    else:
        with it.site.database.writing() as connection:
            films.end_order(connection, correlation, _NO_BROKER)
        it.say("Not sent: the broker cannot be reached. Try again when it is back.")
    it.site.changes.tell()
    return redirect(f"/film/{row.pk}")


def close(it: Asked) -> Response:
    """Take a film from the held ones whose device has refused a decision: it was decided there."""
    with it.site.database.writing() as connection:
        row = films.film(connection, it.key())
        refused = row is not None and _was_refused(films.orders_of(connection, row.pk))
        if refused and _is_open(row):
            films.decided_elsewhere(connection, row.pk)
            it.note(connection, "decided elsewhere", row.id)
    if row is None or not refused:
        return it.missing("There is no such film whose device has refused a decision.")
    it.site.changes.tell()
    return redirect(f"/film/{row.pk}")


def correct(it: Asked) -> Response:
    """Keep the grades that a reader states, beside the machine's."""
    with it.site.database.writing() as connection:
        row = films.film(connection, it.key())
        message = None if row is None else message_of(row)
        changed: list[dict[str, Any]] | None = None
        if row is not None and message is not None:
            rows = joint_rows(message, films.corrections_of(connection, row.pk))
            changed = _stated(it.form, rows)
            _keep_grades(it, connection, row, changed or [])
    if row is None:
        return it.missing("There is no such film.")
    if changed is None:
        it.say("Nothing was kept: a grade is out of its range.")
    else:
        it.say(f"Grades of {len(changed)} joints are kept." if changed else "No grade was changed.")
        it.site.changes.tell()
    return redirect(f"/film/{row.pk}")


def _keep_order(
    it: Asked, connection: Connection, row: Any, message: OperatorMessage, correlation: str
) -> None:
    """Keep a decision before it is sent: who, what, when."""
    stated = {
        "command": str(message.command), "person": it.person.name, "correlation": correlation,
        "limb": message.limb and str(message.limb), "side": message.side and str(message.side),
    }  # fmt: skip
    films.begin_order(connection, row.pk, stated)
    words = limb_words(message.side, message.limb) if message.side or message.limb else ""
    it.note(connection, str(message.command), f"{row.id} {words}".strip())


def _keep_grades(
    it: Asked, connection: Connection, row: Any, changed: Sequence[dict[str, Any]]
) -> None:
    for values in changed:
        films.correct(connection, row.pk, it.person.name, values)
    if changed:
        films.mark_read(connection, row.pk, it.person.name)
        it.note(connection, "grades stated", f"{row.id}, {len(changed)} joints")


def message_of(row: Any) -> ResultMessage | RejectMessage | None:
    """A row's message; None where it is of another release's contract."""
    model = ResultMessage if row.kind == "result" else RejectMessage
    try:
        return model.model_validate_json(row.payload)
    except ValidationError:
        return None


def joint_rows(message: ResultMessage | RejectMessage, stated: Sequence[Any]) -> list[JointRow]:
    """Rows of the table of joints; of each joint the latest correction counts."""
    if message.limb is None:
        return []
    readers = {one.joint: one for one in stated}
    rows = []
    for joint in message.joints:
        name = name_of(joint)
        grades = tuple(
            Grade(
                kind, maximum_of(message.limb, joint.name or "", kind), getattr(joint, kind),
                getattr(joint, f"{kind}_expected"), getattr(joint, f"{kind}_reason"),
                readers.get(joint.name),
            )
            for kind in KINDS
        )  # fmt: skip
        step = step_of(message.limb, joint.erosion, joint.narrowing)
        rows.append(JointRow(name, joint, step, (grades[0], grades[1])))
    return rows


def stages_of(message: ResultMessage | RejectMessage) -> list[tuple[str, float]]:
    """When a film passed each step, in milliseconds after its file was closed."""
    ledger = message.ledger
    found = [(words, getattr(ledger, name)) for words, name in _STEPS]
    return [(words, (at_s - ledger.closed) * 1000) for words, at_s in found if at_s is not None]


def _overlay(picture: Any, message: ResultMessage | RejectMessage) -> Overlay:
    return overlay_of(picture.jpeg, picture.placed, message)


def _was_refused(orders: Sequence[Any]) -> bool:
    """Whether the device itself has refused the latest order, as that of no held film."""
    return bool(orders) and orders[0].done is False and orders[0].detail != _NO_BROKER


def _is_open(row: Any) -> bool:
    """Whether a held film still waits for a person, as far as is known here."""
    return row.status == "held" and row.superseded_by is None and row.decided is None


def _order(
    command: str, result_id: str, person: str, form: Mapping[str, str]
) -> OperatorMessage | None:
    values: dict[str, str] = {"command": command, "id": result_id, "operator": person}
    if command == "release":
        values |= {"limb": form.get("limb", ""), "side": form.get("side", "")}
    try:
        return OperatorMessage.model_validate(values)
    except ValidationError:
        return None


def _stated(form: Mapping[str, str], rows: Sequence[JointRow]) -> list[dict[str, Any]] | None:
    """Joints whose grades a form changes, or all where the reader has read each; None: wrong."""
    changed = []
    note = printable(form.get("note", "").strip()[:200])
    for row in rows:
        if row.joint.name is None:
            continue
        grades: dict[str, int | None] = {}
        for grade in row.grades:
            given = form.get(f"{grade.kind}-{row.joint.name}")
            if given is None or grade.maximum is None:
                grades[grade.kind] = grade.current
            elif given == _NONE:
                grades[grade.kind] = None
            elif given.isascii() and given.isdecimal() and int(given[:3]) <= grade.maximum:
                grades[grade.kind] = int(given)
            else:
                return None
        before = {grade.kind: grade.current for grade in row.grades}
        if grades != before or "confirm" in form:
            changed.append({"joint": row.joint.name, "note": note, **grades})
    return changed
