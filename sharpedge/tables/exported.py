"""Tables of ``sharpedge results``: one row a limb, or RA2's 90 columns with one row a patient.

Layer: sharpedge; pure functions over results of the journal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from phantom.ra2_columns import HEADER as RA2_HEADER
from phantom.ra2_columns import PATIENT_COLUMN, SCORE_COLUMNS, ScoreKind
from sharpedge.tables.limb_rows import LIMB_COLUMNS, identifier_cells, limb_cells

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edge.model import Identifier, JointScore
    from sharpedge.tables.cells import Cell
    from sharpedge.tables.journal_results import StoredResult

LIMB_HEADER = (
    "result_id",
    "number",
    "job",
    "arrived",
    "device",
    "patient",
    "study",
    "file",
    *LIMB_COLUMNS,
)


def limb_header(identifiers: Sequence[Identifier]) -> tuple[str, ...]:
    """`LIMB_HEADER`, and a last column for each identifier."""
    return (*LIMB_HEADER, *map(str, identifiers))


def limb_rows(
    results: Iterable[StoredResult], identifiers: Sequence[Identifier] = ()
) -> Iterator[list[Cell]]:
    """Rows under `limb_header`, one for each result; ``arrived`` is UTC."""
    for it in results:
        message = it.message
        yield [
            it.result_id,
            it.sequence,
            message.job,
            f"{it.arrived:%Y-%m-%dT%H:%M:%SZ}",
            message.name,
            message.patient or "",
            message.study,
            message.body.file,
            *limb_cells(message.body),
            *identifier_cells(message.identifiers, identifiers),
        ]


def ra2_rows(results: Iterable[StoredResult]) -> list[list[Cell]]:
    """Rows under `RA2_HEADER`, one for each patient: the latest result of each limb.

    A film whose patient is not known stands under the pseudonym of its study. The wrist is not
    scored: its columns and the three sums, which would contain it, stay empty; so does a grade that
    is null.
    """
    patients: dict[str, dict[tuple[str, str, str], JointScore]] = {}
    for it in results:
        body = it.message.body
        joints = patients.setdefault(it.message.patient or it.message.study, {})
        limb = (str(body.limb), str(body.laterality))
        # A later film replaces all of an earlier one, also where it has fewer grades.
        for key in [key for key in joints if key[:2] == limb]:
            del joints[key]
        joints |= {(*limb, joint.name): joint for joint in body.joints if joint.name is not None}
    return [_ra2_row(patient, joints) for patient, joints in patients.items()]


def _ra2_row(patient: str, joints: dict[tuple[str, str, str], JointScore]) -> list[Cell]:
    cells: dict[str, Cell] = {PATIENT_COLUMN: patient}
    for column in SCORE_COLUMNS:
        joint = joints.get((str(column.limb), str(column.side), column.joint or ""))
        if joint is not None:
            eroded = column.kind is ScoreKind.EROSION
            cells[column.name] = joint.erosion if eroded else joint.narrowing
    return [cells.get(name) for name in RA2_HEADER]
